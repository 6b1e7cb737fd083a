//! Files, and what a guest may not do with them.

use super::guests::{wasi2, wasi3};
use crate::core::guest::{Scratch, command, finish, run, start};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn files_are_made_changed_and_removed() {
    let scratch = Scratch::new("component-files");
    let outcome = run(
        &["--dir", &scratch.at("/data")],
        &wasi2(),
        &["files", "/data"],
    );
    outcome.succeeded();
    assert_eq!(outcome.stdout, "b c\ndone\n");
}

#[test]
fn paths_are_relative_to_the_initial_directory() {
    let scratch = Scratch::new("component-relative");
    scratch.file("greeting", "hello");
    let options = ["--dir", &scratch.at("/data"), "--cwd", "/data"];
    assert_eq!(
        run(&options, &wasi2(), &["read", "greeting"]).stdout,
        "hello"
    );
    assert_eq!(
        run(&options, &wasi2(), &["read", "/data/greeting"]).stdout,
        "hello"
    );
}

#[test]
fn streams_of_0_3_write_read_and_list() {
    let scratch = Scratch::new("component-streams");
    scratch.file("a", "");
    let options = ["--dir", &scratch.at("/data")];
    let written = run(&options, &wasi3(), &["write", "/data", "b", "hello"]);
    assert_eq!(written.stdout, "5\n", "{written:#?}");
    assert_eq!(
        run(&options, &wasi3(), &["read", "/data", "b"]).stdout,
        "hello"
    );
    assert_eq!(run(&options, &wasi3(), &["list", "/data"]).stdout, "a b\n");
}

#[test]
fn path_that_leads_out_is_reported() {
    let scratch = Scratch::new("component-escape");
    std::os::unix::fs::symlink("/etc/passwd", scratch.path().join("link")).unwrap();
    scratch.file("f", "");
    for_both(
        &scratch,
        "read /data ../x",
        "not-permitted",
        "Escape { path: \"/data/../x\" }",
    );
    for_both(
        &scratch,
        "read /data link",
        "not-permitted",
        "Escape { path: \"/data/link\" }",
    );
    for_both(
        &scratch,
        "mkdir /data /abs",
        "not-permitted",
        "Escape { path: \"/abs\" }",
    );
    for_both(
        &scratch,
        "rename /data f ../../f",
        "not-permitted",
        "Escape { path: \"/data/../../f\" }",
    );
    for_both(
        &scratch,
        "symlink /data /etc new",
        "not-permitted",
        "Escape { path: \"/etc\" }",
    );
}

#[test]
fn failure_that_is_no_refusal_is_not_reported() {
    let scratch = Scratch::new("component-no-entry");
    let outcome = attempt(&scratch, &wasi2(), "read /data nothere");
    assert_eq!((outcome.0.as_str(), outcome.1.as_str()), ("no-entry\n", ""));
}

/// One attempt in both versions of WASI: the same error code, the same report.
#[track_caller]
fn for_both(scratch: &Scratch, words: &str, code: &str, report: &str) {
    let (stdout, stderr) = attempt(scratch, &wasi2(), words);
    assert_eq!(stdout.trim(), code, "{stderr}");
    assert!(stderr.contains(report), "{stderr}");
    let (stdout, stderr) = attempt(scratch, &wasi3(), words);
    let name: String = code.split('-').collect();
    assert_eq!(
        stdout.trim().to_lowercase(),
        format!("errorcode::{name}"),
        "{stderr}"
    );
    assert!(stderr.contains(report), "{stderr}");
}

fn attempt(scratch: &Scratch, program: &Path, words: &str) -> (String, String) {
    let mut arguments = vec!["try"];
    arguments.extend(words.split(' '));
    let outcome = run(&["--dir", &scratch.at("/data")], program, &arguments);
    (outcome.stdout, outcome.stderr)
}

#[test]
fn read_only_directory_says_read_only_and_is_reported() {
    let scratch = Scratch::new("component-read-only");
    scratch.file("f", "");
    std::fs::create_dir(scratch.path().join("d")).unwrap();
    if !can_mount() {
        return;
    }
    for_both_read_only(&scratch, "write /data f", "write", "/data/f");
    for_both_read_only(&scratch, "create /data new", "create", "/data/new");
    for_both_read_only(&scratch, "create . new", "create", "/data/d/new");
    for_both_read_only(&scratch, "mkdir /data new", "create", "/data/new");
    for_both_read_only(&scratch, "rmdir /data d", "remove", "/data/d");
    for_both_read_only(&scratch, "unlink /data f", "remove", "/data/f");
    for_both_read_only(&scratch, "rename /data f g", "rename", "/data/f");
    for_both_read_only(&scratch, "link /data f g", "link", "/data/g");
    for_both_read_only(&scratch, "symlink /data f g", "create", "/data/g");
    for_both_read_only(&scratch, "times /data f", "set times of", "/data/f");
    for_both_read_only(&scratch, "own-times /data", "set times of", "/data");
}

#[track_caller]
fn for_both_read_only(scratch: &Scratch, words: &str, action: &str, path: &str) {
    let report = format!("ReadOnly {{ action: {action:?}, path: {path:?} }}");
    let outcome = finish(start(read_only(scratch, &wasi2(), words)));
    assert_eq!(outcome.stdout, "read-only\n", "{outcome:#?}");
    assert!(outcome.stderr.contains(&report), "{outcome:#?}");
    let outcome = finish(start(read_only(scratch, &wasi3(), words)));
    assert_eq!(outcome.stdout, "ErrorCode::ReadOnly\n", "{outcome:#?}");
    assert!(outcome.stderr.contains(&report), "{outcome:#?}");
}

/// The attempt's command in mount and user namespaces of its own, where the directory is mounted
/// read-only.
fn read_only(scratch: &Scratch, program: &Path, words: &str) -> Command {
    let mut arguments = vec!["try"];
    arguments.extend(words.split(' '));
    let options = ["--dir", &scratch.at("/data"), "--cwd", "/data/d"];
    let inner = command(&options, program, &arguments);
    let mut outer = Command::new("unshare");
    let mount =
        "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
    outer
        .args(["-rm", "sh", "-c", mount, "sh"])
        .arg(scratch.path())
        .arg(inner.get_program())
        .args(inner.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    outer
}

fn can_mount() -> bool {
    let probe = Command::new("unshare").args(["-rm", "true"]).status();
    let can_mount = probe.is_ok_and(|status| status.success());
    if !can_mount {
        eprintln!("absent: user namespaces with mount rights; read-only mounts are not tested");
    }
    can_mount
}

#[test]
fn rename_to_another_file_system_says_so() {
    let scratch = Scratch::new("component-cross-device");
    scratch.file("f", "");
    let other = Path::new("/dev/shm").join(format!("lighter-test-{}", std::process::id()));
    std::fs::create_dir(&other).unwrap();
    let options = [
        "--dir",
        &scratch.at("/data"),
        "--dir",
        &format!("/other={}", other.display()),
    ];
    let outcome = run(
        &options,
        &wasi2(),
        &["try", "rename-to", "/data", "f", "g", "/other"],
    );
    std::fs::remove_dir(&other).unwrap();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("cross-device\n", "")
    );
}
