//! Systems that lack something: what still runs, what is refused, and the way out.

use crate::{mount, workspace, workspace_of_ordinary_user};
use lighter_testkit::{Execution, Outcome, Workspace, example, is_root, programs, require};
use std::fs;

const NOTHING: &str = "(module (func (export \"_start\")))";

/// A command on a system that lacks these, as the workspace's user.
fn deprived(workspace: &Workspace, lacks: &[&str]) -> Execution {
    let program = workspace.copy(example("lighter-lock", "deprived"), "deprived");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
    workspace.command(program).args(lacks).arg("--")
}

/// `lighter` as the workspace has it.
fn lighter(workspace: &Workspace) -> std::path::PathBuf {
    let own = workspace.path("../lighter");
    if own.exists() {
        own
    } else {
        env!("CARGO_BIN_EXE_lighter").into()
    }
}

/// Runs the probe on a mounted directory with one file in it.
fn probe(run: Execution, workspace: &Workspace, flags: &[&str], words: &[&str]) -> Outcome {
    let probe = workspace.copy(programs::probe(), "probe.wasm");
    run.arg(lighter(workspace))
        .arg("run")
        .args(flags)
        .arg(probe)
        .args(words)
        .run()
}

#[test]
fn without_user_namespaces_a_program_without_mounts_runs() {
    let workspace = workspace_of_ordinary_user();
    let run = deprived(&workspace, &["user-namespaces"]);
    probe(run, &workspace, &[], &["echo"]).assert(0, "");
}

#[test]
fn without_user_namespaces_a_program_without_mounts_names_no_file() {
    let workspace = workspace_of_ordinary_user();
    let run = deprived(&workspace, &["user-namespaces"]);
    let outcome = probe(run, &workspace, &[], &["read", "/etc/passwd"]);
    assert_ne!(outcome.code, Some(0), "{}", outcome.describe());
    assert_eq!(outcome.stdout_text(), "");
}

#[test]
fn without_user_namespaces_mounts_are_refused_with_the_way_out() {
    let workspace = workspace_of_ordinary_user();
    workspace.write("data/file", "text");
    let source = mount(&workspace.path("data"), "/data");
    let run = |flags: &[&str], words: &[&str]| {
        let run = deprived(&workspace, &["user-namespaces"]);
        probe(run, &workspace, &[&["-v", &source], flags].concat(), words)
    };
    run(&[], &["read", "/data/file"]).assert_refused(
        125,
        &[
            "could not make a user namespace",
            "hint: this system does not let ordinary users make user namespaces, and without one a \
             program can be given no files",
            "--insecure-no-boundary",
        ],
    );
    let insecure = ["--insecure-no-boundary"];
    let outcome = run(&insecure, &["read", "/data/file"]);
    outcome.assert(0, "text");
    let told = outcome.stderr_text();
    assert!(
        told.starts_with("lighter: warning: the boundary lacks user namespaces: "),
        "{told}"
    );
    run(&insecure, &["write", "/data/new", "text"]).assert(0, "");
    assert_eq!(workspace.read("data/new"), "text");
}

#[test]
fn read_only_mounts_stay_so_without_mounts() {
    let workspace = workspace_of_ordinary_user();
    workspace.write("data/file", "text");
    let source = format!("{}:ro", mount(&workspace.path("data"), "/data"));
    let run = |lacks: &[&str]| {
        let run = deprived(&workspace, lacks);
        let flags = ["--insecure-no-boundary", "-v", &source];
        probe(run, &workspace, &flags, &["write", "/data/file", "new"])
    };
    let outcome = run(&["user-namespaces"]);
    assert_ne!(outcome.code, Some(0), "{}", outcome.describe());
    run(&["user-namespaces", "landlock"]).assert_refused(
        125,
        &["could not put on read-only directories: without mount namespaces and without Landlock"],
    );
    assert_eq!(workspace.read("data/file"), "text");
}

#[test]
fn files_that_are_no_directory_of_the_host_need_mounts() {
    let workspace = workspace_of_ordinary_user();
    let run = deprived(&workspace, &["user-namespaces"]);
    let flags = ["--insecure-no-boundary", "--tmpfs", "/tmp"];
    probe(run, &workspace, &flags, &["echo"]).assert_refused(
        125,
        &["could not give /tmp: only directories of the host can be given without mounts"],
    );
}

#[test]
fn without_landlock_nothing_runs_but_at_the_user_s_own_word() {
    for workspace in [workspace(), workspace_of_ordinary_user()] {
        let run = |flags: &[&str]| {
            let run = deprived(&workspace, &["landlock"]);
            probe(run, &workspace, flags, &["echo"])
        };
        run(&[]).assert_refused(
            125,
            &[
                "the runner could not be locked: could not put on Landlock: this kernel has no \
                 Landlock, or it is turned off",
                "hint: Lighter needs seccomp and Landlock",
                "add --insecure-no-boundary",
            ],
        );
        let outcome = run(&["--insecure-no-boundary"]);
        outcome.assert(0, "");
        let told = outcome.stderr_text();
        assert!(
            told.starts_with("lighter: warning: the boundary lacks Landlock: "),
            "{told}"
        );
    }
}

#[test]
fn without_the_kernel_s_seal_a_filter_takes_its_place() {
    for workspace in [workspace(), workspace_of_ordinary_user()] {
        workspace.write("data/file", "text");
        let source = mount(&workspace.path("data"), "/data");
        let run = deprived(&workspace, &["seal"]);
        let outcome = probe(run, &workspace, &["-v", &source], &["read", "/data/file"]);
        outcome.assert(0, "text");
    }
}

#[test]
fn whole_boundary_is_nothing_to_warn_of() {
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    let run = workspace.lighter(["run", "--insecure-no-boundary", "./nothing.wat"]);
    let outcome = run.run();
    outcome.assert(0, "");
    assert_eq!(outcome.stderr_text(), "");
}

/// Root without capabilities, as `setpriv` names them.
fn root_without(workspace: &Workspace, capabilities: &str) -> Execution {
    let run = workspace.command("setpriv");
    run.args(["--bounding-set", capabilities, "--inh-caps", capabilities])
}

#[test]
fn root_without_capabilities_is_an_ordinary_user() {
    if !require("root", is_root(), "it is to lose its capabilities") {
        return;
    }
    for capabilities in [
        "-sys_admin",
        "-sys_ptrace",
        "-sys_admin,-sys_ptrace,-sys_chroot,-setuid,-setgid,-sys_resource",
    ] {
        let workspace = workspace();
        workspace.directory("data");
        let source = mount(&workspace.path("data"), "/data");
        let run = root_without(&workspace, capabilities);
        let words = ["write", "/data/new", "text"];
        let outcome = probe(run, &workspace, &["-v", &source], &words);
        assert_eq!(
            outcome.code,
            Some(0),
            "{capabilities}: {}",
            outcome.describe()
        );
        assert_eq!(workspace.read("data/new"), "text");
        let run = root_without(&workspace, capabilities);
        probe(run, &workspace, &[], &["echo"]).assert(0, "");
    }
}

#[test]
fn root_without_capabilities_and_user_namespaces_runs_what_has_no_mounts() {
    if !require("root", is_root(), "it is to lose its capabilities") {
        return;
    }
    for capabilities in ["-sys_admin", "-all"] {
        let workspace = workspace();
        workspace.directory("data");
        let source = format!("{}:ro", mount(&workspace.path("data"), "/data"));
        let deprived = example("lighter-lock", "deprived");
        let run = |flags: &[&str]| {
            let run = root_without(&workspace, capabilities);
            let run = run.arg(&deprived).args(["user-namespaces", "--"]);
            probe(run, &workspace, flags, &["echo"])
        };
        run(&[]).assert(0, "");
        run(&["-v", &source]).assert_refused(
            125,
            &[
                "could not make a process namespace",
                "hint: root here lacks CAP_SYS_ADMIN",
            ],
        );
        run(&["-v", &source, "--insecure-no-boundary"]).assert(0, "");
    }
}

#[test]
fn limit_of_user_namespaces_is_met() {
    if !require(
        "root",
        is_root(),
        "it is to set the limit in a namespace of its own",
    ) {
        return;
    }
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" run ./nothing.wat";
    let run = workspace.command("unshare");
    let run = run.args(["--user", "--map-root-user", "sh", "-c", script]);
    run.arg(env!("CARGO_BIN_EXE_lighter")).run().assert(0, "");
}

#[test]
fn program_file_may_lie_where_setuid_means_nothing() {
    if !require("root", is_root(), "only root can mount") {
        return;
    }
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    workspace.directory("place");
    // The file system is read-only as well once all is in place.
    let script = "mount -t tmpfs -o nosuid,nodev none place && cp \"$0\" place/lighter \
         && mkdir place/data && ./place/lighter --data-root \"$PWD/place/data\" run ./nothing.wat \
         && mount -o remount,ro place \
         && ./place/lighter --data-root \"$PWD/place/data\" run ./nothing.wat";
    let run = workspace
        .command("unshare")
        .args(["--mount", "sh", "-c", script]);
    let outcome = run.arg(env!("CARGO_BIN_EXE_lighter")).run();
    outcome.assert(0, "");
}
