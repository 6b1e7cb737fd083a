//! What could not be tested here, said loudly and counted.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};

/// Says that something is not on this machine, so that what needs it was not tested.
///
/// The line goes to standard error and to the file that `LIGHTER_TEST_ABSENT` names, which `scripts/test`
/// counts and prints at its end: a test that passes shows no output of its own.
pub fn absent(what: &str, why: &str) {
    let line = format!("{what}: {why}\n");
    // A standard error that is gone can't be told so.
    drop(write!(io::stderr(), "ABSENT: {line}"));
    if let Some(path) = env::var_os("LIGHTER_TEST_ABSENT") {
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|error| panic!("could not write {}: {error}", path.display()));
    }
}

/// Says whether this is a run of continuous integration.
pub fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Returns `is_there`, having said what is absent if it is not.
///
/// For what continuous integration must have: root, an ordinary user, Landlock.
///
/// # Panics
/// In continuous integration, if it is not there.
pub fn require(what: &str, is_there: bool, why: &str) -> bool {
    if !is_there {
        assert!(!is_ci(), "{what} may not be absent in CI: {why}");
        absent(what, why);
    }
    is_there
}
