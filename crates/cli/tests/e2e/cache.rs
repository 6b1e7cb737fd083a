//! Compiled code: what is noticed when it was altered, and what happens where none can be kept.

use crate::workspace;
use lighter_testkit::Workspace;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const PROGRAM: &str = "(module
  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
  (memory (export \"memory\") 1)
  (func (export \"_start\") (call $exit (i32.const 42))))";

fn run(workspace: &Workspace) {
    let outcome = workspace.lighter(["run", "./program.wat"]).run();
    outcome.assert(42, "");
    assert_eq!(outcome.stderr_text(), "");
}

/// The native code of the one program that was compiled.
fn code(workspace: &Workspace) -> PathBuf {
    let entries = fs::read_dir(workspace.data().join("compiled/code")).expect("entries");
    let entry = entries.filter_map(Result::ok).next().expect("one entry");
    entry.path().join("code")
}

fn alter(workspace: &Workspace, change: impl FnOnce(&mut Vec<u8>)) {
    let code = code(workspace);
    let mut bytes = fs::read(&code).expect("the code");
    change(&mut bytes);
    fs::set_permissions(&code, fs::Permissions::from_mode(0o644)).expect("permissions");
    fs::write(&code, bytes).expect("the altered code");
}

#[test]
fn second_run_makes_nothing_again() {
    use std::os::unix::fs::MetadataExt;
    let workspace = workspace();
    workspace.write("program.wat", PROGRAM);
    run(&workspace);
    let first = fs::metadata(code(&workspace)).unwrap();
    run(&workspace);
    let second = fs::metadata(code(&workspace)).unwrap();
    assert_eq!(
        (first.ino(), first.ctime_nsec()),
        (second.ino(), second.ctime_nsec())
    );
}

#[test]
fn altered_code_is_noticed_and_made_again() {
    let workspace = workspace();
    workspace.write("program.wat", PROGRAM);
    run(&workspace);
    let sound = fs::read(code(&workspace)).unwrap();
    alter(&workspace, |bytes| {
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 1;
        }
    });
    run(&workspace);
    assert_eq!(fs::read(code(&workspace)).unwrap(), sound);
}

#[test]
fn truncated_code_is_noticed_and_made_again() {
    let workspace = workspace();
    workspace.write("program.wat", PROGRAM);
    run(&workspace);
    alter(&workspace, |bytes| bytes.truncate(100));
    run(&workspace);
    assert!(fs::metadata(code(&workspace)).unwrap().len() > 100);
}

#[test]
fn code_of_another_installation_is_not_taken() {
    let (first, second) = (workspace(), workspace());
    for workspace in [&first, &second] {
        workspace.write("program.wat", PROGRAM);
        run(workspace);
    }
    let key = first.data().join("compiled/key");
    fs::copy(second.data().join("compiled/key"), key).unwrap();
    run(&first);
}

#[test]
fn changed_program_is_compiled_again() {
    let workspace = workspace();
    workspace.write("program.wat", PROGRAM);
    run(&workspace);
    workspace.write("program.wat", PROGRAM.replace("42", "43"));
    workspace
        .lighter(["run", "./program.wat"])
        .run()
        .assert(43, "");
}

#[test]
fn program_runs_uncached_with_one_warning_where_nothing_can_be_kept() {
    let workspace = workspace();
    workspace.write("program.wat", PROGRAM);
    // A file in the way holds root off as well, which permissions would not.
    let in_the_way = workspace.write("in-the-way", "");
    let outcome = workspace
        .lighter(["run", "./program.wat"])
        .env("LIGHTER_DATA_ROOT", &in_the_way)
        .run();
    outcome.assert(42, "");
    let told = outcome.stderr_text();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(
        told.starts_with("lighter: warning: compiled code is not kept: "),
        "{told}"
    );
    let left: Vec<_> = fs::read_dir(workspace.run_root())
        .unwrap()
        .filter_map(Result::ok)
        .collect();
    assert!(
        left.iter().all(|entry| entry.file_name() == "empty"),
        "{left:?}"
    );
}
