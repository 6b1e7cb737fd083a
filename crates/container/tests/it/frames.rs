//! Frames that are too long, make no sense, come too often, carry descriptors, or come too late.

use crate::bad_runner::{cases, keep};
use std::collections::BTreeSet;

const TABLE: &str = include_str!("../../../../docs/security/threat-model.md");
const TESTS: &str = include_str!("frames.rs");

#[test]
fn oversized_frame_ends_the_runner() {
    let kept = keep("oversized_frame_ends_the_runner");
    let reason = "misbehaved: frame of 4294967295 bytes is not within 1 and 262144";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn empty_frame_ends_the_runner() {
    let kept = keep("empty_frame_ends_the_runner");
    let reason = "misbehaved: frame of 0 bytes is not within 1 and 262144";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn malformed_frame_ends_the_runner() {
    let kept = keep("malformed_frame_ends_the_runner");
    assert_eq!(kept.outcome, "misbehaved: frame does not decode");
}

#[test]
fn frame_with_more_in_it_ends_the_runner() {
    let kept = keep("frame_with_more_in_it_ends_the_runner");
    assert_eq!(kept.outcome, "misbehaved: frame does not decode");
}

#[test]
fn frame_of_another_role_ends_the_runner() {
    let kept = keep("frame_of_another_role_ends_the_runner");
    let reason = "misbehaved: it answered what it was not asked";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn question_without_a_network_ends_the_runner() {
    let kept = keep("question_without_a_network_ends_the_runner");
    let reason = "misbehaved: it asked for a network that it has not";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn lookup_without_a_network_ends_the_runner() {
    let kept = keep("lookup_without_a_network_ends_the_runner");
    let reason = "misbehaved: it asked for a name without a network";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn question_of_who_sends_requests_ends_the_runner() {
    let kept = keep("question_of_who_sends_requests_ends_the_runner");
    let reason = "misbehaved: it asked where requests may go";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn answers_that_are_not_taken_end_the_runner() {
    let kept = keep("answers_that_are_not_taken_end_the_runner");
    let reason = "misbehaved: it did not take what it was told";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn frame_that_does_not_end_is_no_word() {
    let kept = keep("frame_that_does_not_end_is_no_word");
    let reason = "misbehaved: it ended with code 0 and without a word";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn flood_of_refusals_is_cut() {
    let kept = keep("flood_of_refusals_is_cut");
    assert_eq!(kept.outcome, "Exited(3)");
    assert_eq!(kept.told, "refused 32, cut 1, loaded 0");
}

#[test]
fn flood_does_not_outlast_the_time_limit() {
    let kept = keep("flood_does_not_outlast_the_time_limit");
    assert_eq!(kept.outcome, "TimedOut");
    assert_eq!(kept.told, "refused 32, cut 1, loaded 1");
}

#[test]
fn end_without_a_word_after_many_is_heard() {
    let kept = keep("end_without_a_word_after_many_is_heard");
    let reason = "misbehaved: it ended with code 0 and without a word";
    assert_eq!(kept.outcome, reason);
}

#[test]
fn long_last_word_after_many_is_heard() {
    let kept = keep("long_last_word_after_many_is_heard");
    let report = "x".repeat(20_000);
    assert_eq!(kept.outcome, format!("Trapped {{ report: \"{report}\" }}"));
}

#[test]
fn start_told_again_ends_the_runner() {
    let kept = keep("start_told_again_ends_the_runner");
    assert_eq!(kept.outcome, "misbehaved: it told its start twice");
    assert_eq!(kept.told, "refused 0, cut 0, loaded 1");
}

#[test]
fn descriptors_in_a_frame_are_not_taken() {
    let kept = keep("descriptors_in_a_frame_are_not_taken");
    assert_eq!(kept.outcome, "Exited(4)");
    assert_eq!(kept.told, "refused 1, cut 0, loaded 0");
}

#[test]
fn words_after_the_last_are_not_heard() {
    let kept = keep("words_after_the_last_are_not_heard");
    assert_eq!(kept.outcome, "Exited(5)");
    assert_eq!(kept.told, "refused 0, cut 0, loaded 0");
}

#[test]
fn runner_that_stays_after_its_last_word_is_ended() {
    let kept = keep("runner_that_stays_after_its_last_word_is_ended");
    assert_eq!(kept.outcome, "Exited(7)");
}

#[test]
fn flood_after_the_last_word_is_ended() {
    let kept = keep("flood_after_the_last_word_is_ended");
    assert_eq!(kept.outcome, "Exited(8)");
    assert_eq!(kept.told, "refused 0, cut 0, loaded 0");
}

#[test]
fn runner_that_hangs_up_and_stays_is_ended() {
    let kept = keep("runner_that_hangs_up_and_stays_is_ended");
    assert_eq!(kept.outcome, "TimedOut");
}

#[test]
fn every_case_has_a_test_and_stands_in_the_table() {
    let tests: BTreeSet<&str> = TESTS
        .lines()
        .filter_map(|line| line.strip_prefix("fn ")?.strip_suffix("() {"))
        .filter(|name| !name.starts_with("every_case"))
        .collect();
    let names = cases();
    let cases: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(tests, cases);
    let missing: Vec<&str> = cases
        .into_iter()
        .filter(|name| !TABLE.contains(&format!("| `{name}` |")))
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
