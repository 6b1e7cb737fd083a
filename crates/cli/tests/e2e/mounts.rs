//! Mounts on top of what a guest has made, and what no mount shows.

use crate::{mount, workspace, workspace_of_ordinary_user};
use lighter_testkit::{Outcome, Workspace, is_ci, is_root, programs, require};
use std::fs;
use std::os::unix::fs::symlink;

/// Runs the probe with these mounts, given as `SOURCE:TARGET`, and other flags.
fn run(workspace: &Workspace, flags: &[&str], words: &[&str]) -> Outcome {
    let probe = workspace.path("probe.wasm");
    if !probe.exists() {
        workspace.copy(programs::probe(), "probe.wasm");
    }
    workspace
        .lighter(["run"])
        .args(flags)
        .arg(&probe)
        .args(words)
        .run()
}

/// Both kinds of user; the second where root can become one.
fn for_both_users(check: fn(&Workspace)) {
    check(&workspace());
    let why = "dropping to an ordinary user takes root";
    if require("an ordinary user", is_root() || !is_ci(), why) {
        check(&workspace_of_ordinary_user());
    }
}

#[test]
fn mount_lies_on_a_directory_of_another_mount() {
    for_both_users(|workspace| {
        workspace.write("a/x", "of a");
        workspace.write("b/y", "of b");
        let flags = ["-v", "./a:/data", "-v", "./b:/data/deep/below"];
        run(workspace, &flags, &["read", "/data/x"]).assert(0, "of a");
        run(workspace, &flags, &["read", "/data/deep/below/y"]).assert(0, "of b");
    });
}

#[test]
fn file_lies_on_a_file_of_another_mount_time_and_again() {
    for_both_users(|workspace| {
        workspace.directory("a");
        workspace.write("f", "content");
        let flags = ["-v", "./a:/data", "-v", "./f:/data/f"];
        run(workspace, &flags, &["read", "/data/f"]).assert(0, "content");
        run(workspace, &flags, &["read", "/data/f"]).assert(0, "content");
    });
}

#[test]
fn tmpfs_lies_below_a_mount() {
    for_both_users(|workspace| {
        workspace.directory("a");
        let flags = ["-v", "./a:/data", "--tmpfs", "/data/tmp"];
        run(workspace, &flags, &["write", "/data/tmp/x", "y"]).assert(0, "");
        assert_eq!(fs::read_dir(workspace.path("a/tmp")).unwrap().count(), 0);
    });
}

#[test]
fn link_that_a_guest_left_is_not_followed_by_the_next_mount() {
    for_both_users(|workspace| {
        workspace.directory("a");
        workspace.directory("b");
        workspace.directory("outside");
        symlink("../../../..", workspace.path("a/out")).unwrap();
        symlink("../..", workspace.path("a/up")).unwrap();
        let outside = workspace.path("outside");
        symlink(&outside, workspace.path("a/absolute")).unwrap();
        let on = |target: &str| {
            let second = format!("./b:{target}");
            let flags = ["-v", "./a:/data", "-v", &second];
            let outcome = run(workspace, &flags, &["list", "/data"]);
            outcome.assert_refused(125, &["could not mount", "a symbolic link"]);
        };
        on("/data/up/code");
        on("/data/absolute/new");
        on(&format!("/data/out{}/new", outside.display()));
        assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
    });
}

#[test]
fn secrets_reach_no_directory_of_the_host() {
    for_both_users(|workspace| {
        workspace.directory("a");
        workspace.write("token", "s3cret");
        let flags = ["-v", "./a:/run", "--secret", "token=./token"];
        let read = ["read", "/run/secrets/token"];
        run(workspace, &flags, &read).assert(0, "s3cret");
        run(workspace, &flags, &read).assert(0, "s3cret");
        assert_eq!(
            fs::read_dir(workspace.path("a/secrets")).unwrap().count(),
            0
        );
    });
}

#[test]
fn tmpfs_may_be_read_only() {
    for_both_users(|workspace| {
        let written = run(workspace, &["--tmpfs", "/t:ro"], &["write", "/t/x", "y"]);
        written.assert(1, "");
        let told = written.stderr_text();
        assert!(told.contains("/t is mounted read-only"), "{told}");
    });
}

#[test]
fn own_directories_are_masked_from_the_first_run_on() {
    for_both_users(|workspace| {
        let parent = workspace.data().parent().unwrap();
        let flags = ["-v", &mount(parent, "/all:ro")];
        let outcome = run(workspace, &flags, &["list", "/all/data"]);
        outcome.assert(1, "");
        run(workspace, &flags, &["list", "/all/run"]).assert(1, "");
        run(workspace, &flags, &["list", "/all/files"]).assert(0, "probe.wasm\n");
    });
}

#[test]
fn directory_that_holds_lighters_own_is_not_mounted_for_writing() {
    for_both_users(|workspace| {
        let parent = workspace.data().parent().unwrap();
        let outcome = run(
            workspace,
            &["-v", &mount(parent, "/all")],
            &["list", "/all"],
        );
        outcome.assert_refused(125, &["for writing", "which no program sees", ":ro"]);
    });
}

#[test]
fn files_are_made_with_the_callers_mask() {
    let workspace = workspace();
    workspace.directory("a");
    workspace.copy(programs::probe(), "probe.wasm");
    let script = "umask 077; \"$0\" run -v ./a:/data ./probe.wasm write /data/x y; stat -c %a a/x";
    let run = workspace.command("sh").args(["-c", script]);
    let outcome = run.arg(env!("CARGO_BIN_EXE_lighter")).run();
    outcome.assert(0, "600\n");
}

#[test]
fn own_memory_is_no_file() {
    for_both_users(|workspace| {
        let flags = ["-v", "/proc:/p:ro"];
        run(workspace, &flags, &["read", "/p/self/environ"]).assert(1, "");
        run(workspace, &flags, &["read", "/p/version"])
            .assert(0, &fs::read_to_string("/proc/version").unwrap());
    });
}

#[test]
fn own_memory_is_not_written() {
    let why = "dropping to an ordinary user takes root";
    if require("an ordinary user", is_root() || !is_ci(), why) {
        let workspace = workspace_of_ordinary_user();
        let flags = ["-v", "/proc:/p"];
        run(&workspace, &flags, &["append", "/p/self/mem", "x"]).assert(1, "");
    }
}
