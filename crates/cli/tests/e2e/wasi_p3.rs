//! What the specification of WASI 0.3 says of files, clocks and randomness, checked from inside.
//!
//! The program is `tests/programs/files-p3`: it prints what differs, so it prints nothing.

use crate::{mount, workspace};
use lighter_testkit::{Outcome, Workspace, programs};
use std::os::unix::ffi::OsStrExt;

#[test]
fn paths_that_lead_nowhere_or_out_are_refused() {
    check("open");
}

#[test]
fn descriptors_know_their_flags_and_types() {
    check("flags");
}

#[test]
fn bytes_are_read_written_and_appended() {
    check("bytes");
}

#[test]
fn directories_are_made_and_removed() {
    check("directories");
}

#[test]
fn files_are_renamed() {
    check("rename");
}

#[test]
fn files_are_given_second_names() {
    check("hard-links");
}

#[test]
fn symbolic_links_are_made_and_followed() {
    check("symbolic-links");
}

#[test]
fn status_is_told() {
    check("status");
}

#[test]
fn times_are_set() {
    check("times");
}

#[test]
fn sizes_are_set() {
    check("size");
}

#[test]
fn files_are_removed() {
    check("unlink");
}

#[test]
fn directories_are_listed() {
    check("entries");
}

#[test]
fn listing_goes_on_behind_a_name_that_is_not_unicode() {
    let workspace = filled_workspace();
    let name = std::ffi::OsStr::from_bytes(b"data/\xff");
    workspace.write(name, "");
    for number in 0..200 {
        workspace.write(format!("data/{number}"), "");
    }
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mkfifoat(rustix::fs::CWD, workspace.path("data/pipe"), mode).unwrap();
    check_in(&workspace, "unusual-entries", "");
}

#[test]
fn hard_link_to_a_directory_is_no_matter_of_rights() {
    let workspace = filled_workspace();
    let outcome = check_in(&workspace, "hard-links", "");
    assert!(
        !outcome.stderr_text().contains("--user"),
        "{}",
        outcome.describe()
    );
}

#[test]
fn files_have_an_identity() {
    check("identity");
}

#[test]
fn read_only_directory_is_not_changed() {
    check_mounted("read-only", ":ro");
}

#[test]
fn clocks_go_forward() {
    check("clocks");
}

#[test]
fn randomness_is_there() {
    check("random");
}

fn check(what: &str) {
    check_mounted(what, "");
}

#[track_caller]
fn check_mounted(what: &str, mode: &str) {
    check_in(&filled_workspace(), what, mode);
}

/// A workspace with the directory that the program expects.
fn filled_workspace() -> Workspace {
    let workspace = workspace();
    workspace.write("data/a.txt", "test-a\n");
    workspace.write("data/b.txt", "test-b\n");
    std::os::unix::fs::symlink("..", workspace.path("data/parent")).unwrap();
    workspace
}

#[track_caller]
fn check_in(workspace: &Workspace, what: &str, mode: &str) -> Outcome {
    let source = format!("{}{mode}", mount(&workspace.path("data"), "/"));
    let outcome = workspace
        .lighter(["run", "-v", &source])
        .arg(programs::files_p3())
        .arg(what)
        .run();
    assert_eq!(
        (outcome.code, outcome.stdout_text().as_str()),
        (Some(0), ""),
        "{}",
        outcome.describe()
    );
    outcome
}
