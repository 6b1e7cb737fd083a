//! Runs a case of `bad-runner` and reads what its keeper made of it.

use lighter_testkit::{Workspace, example};
use std::path::PathBuf;

/// The most memory that a keeper may take for what a runner says, in KiB: itself, a frame and what
/// it keeps of them.
const MOST_MEMORY_KIB: usize = 16 << 10;

/// What a keeper made of a runner.
#[derive(Debug)]
pub(crate) struct Kept {
    /// How the run ended.
    pub(crate) outcome: String,
    /// What its observer was told.
    pub(crate) told: String,
}

/// Keeps a run whose runner plays this case; the keeper stays whole.
#[track_caller]
pub(crate) fn keep(case: &str) -> Kept {
    let workspace = Workspace::new(program());
    let outcome = workspace.lighter([case]).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    let text = outcome.stdout_text();
    let [outcome, told, descriptors, memory] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("no report: {text}");
    };
    assert_eq!(descriptors, "descriptors 0", "all are closed");
    let memory = memory.strip_prefix("peak_kib ").expect("it is told");
    let memory: usize = memory.parse().expect("it is a number");
    assert!(memory < MOST_MEMORY_KIB, "the keeper took {memory} KiB");
    Kept {
        outcome: outcome.to_owned(),
        told: told.to_owned(),
    }
}

/// The names of all cases.
pub(crate) fn cases() -> Vec<String> {
    let outcome = Workspace::new(program()).lighter(["cases"]).run();
    let text = outcome.stdout_text();
    text.lines().map(str::to_owned).collect()
}

/// The program that plays the cases.
fn program() -> PathBuf {
    example("lighter-container", "bad-runner")
}
