//! Example programs of the crate under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The path of an example, which is built if it is not there: cargo builds examples with the tests
/// of their crate, unless one test binary is asked for by name.
///
/// # Panics
/// If it cannot be built.
pub fn example(package: &str, name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let test = std::env::current_exe().expect("a test has a path");
    let directory = test.parent().and_then(Path::parent).expect("in deps/");
    let program = directory.join("examples").join(name);
    let _one_at_a_time = BUILDING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--release", "-p", package, "--example", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "no {name}");
    }
    program
}
