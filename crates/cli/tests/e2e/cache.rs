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

/// How many programs' code is kept.
fn kept(workspace: &Workspace) -> usize {
    fs::read_dir(workspace.data().join("compiled/code"))
        .expect("entries")
        .count()
}

#[test]
fn runs_at_the_same_time_make_one_entry() {
    let workspace = workspace();
    workspace.write("program.wat", PROGRAM);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| run(&workspace))).collect();
        for run in runs {
            run.join().expect("the run is as expected");
        }
    });
    assert_eq!(kept(&workspace), 1);
}

#[test]
fn run_waits_for_the_code_that_another_makes() {
    let workspace = workspace();
    workspace.write("program.wat", PROGRAM);
    run(&workspace);
    let key = fs::read_dir(workspace.data().join("compiled/locks"))
        .expect("a lock")
        .filter_map(Result::ok)
        .next()
        .expect("one lock");
    fs::remove_dir_all(code(&workspace).parent().expect("an entry")).expect("the entry goes");
    let held = fs::File::open(key.path()).expect("the lock");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).expect("nobody holds it");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&workspace));
        // It makes nothing of its own while somebody holds the lock.
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!waiting.is_finished());
        assert_eq!(kept(&workspace), 0);
        drop(held);
        waiting.join().expect("the run is as expected");
    });
    assert_eq!(kept(&workspace), 1);
}

#[test]
fn cache_keeps_to_its_size() {
    let workspace = workspace();
    workspace.write("config.toml", "cache-size = \"16k\"\n");
    workspace.write("first.wat", PROGRAM);
    workspace.write("second.wat", PROGRAM.replace("42", "43"));
    let run = |program: &str| {
        let flags = ["--config", "config.toml", "run", program];
        workspace.lighter(flags).run()
    };
    run("./first.wat").assert(42, "");
    run("./second.wat").assert(43, "");
    assert_eq!(kept(&workspace), 1);
    run("./first.wat").assert(42, "");
}

#[test]
fn code_that_was_not_used_for_long_goes() {
    let workspace = workspace();
    workspace.write("program.wat", PROGRAM);
    run(&workspace);
    let entry = code(&workspace).parent().expect("an entry").to_owned();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(91 * 24 * 3600);
    fs::File::open(&entry)
        .and_then(|directory| directory.set_modified(long_ago))
        .expect("the test owns it");
    workspace.write("other.wat", PROGRAM.replace("42", "43"));
    workspace
        .lighter(["run", "./other.wat"])
        .run()
        .assert(43, "");
    assert!(!entry.exists());
    assert_eq!(kept(&workspace), 1);
}
