//! The cases, the tests and the table in the documentation name the same.

use crate::broken_out;
use std::collections::BTreeSet;

const TABLE: &str = include_str!("../../../../docs/security/threat-model.md");
const TESTS: &str = include_str!("cases.rs");

#[test]
fn every_case_has_a_test() {
    let tests: BTreeSet<&str> = TESTS
        .lines()
        .filter_map(|line| line.strip_prefix("fn ")?.strip_suffix("() {"))
        .collect();
    let cases = broken_out::cases();
    let cases: BTreeSet<&str> = cases.iter().map(String::as_str).collect();
    assert_eq!(tests, cases);
}

#[test]
fn every_case_stands_in_the_table() {
    let cases: BTreeSet<String> = broken_out::cases().into_iter().collect();
    // The rows of the suite in `crates/container` have other tests.
    let rows: BTreeSet<String> = TABLE
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.split('|').nth(2))
        .filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`'))
        .map(str::to_owned)
        .collect();
    assert!(
        cases.is_subset(&rows),
        "not in the table: {:?}",
        cases.difference(&rows)
    );
}
