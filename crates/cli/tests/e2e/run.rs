//! What `lighter run` promises of every program.

use crate::{mount, workspace, workspace_of_ordinary_user};
use lighter_testkit::{is_root, programs, require};
use std::path::PathBuf;

/// Both kinds of the program that does what its arguments name.
fn probes() -> [PathBuf; 2] {
    [programs::probe(), programs::probe_component()]
}

#[test]
fn standard_streams_are_the_callers() {
    let workspace = workspace();
    let binary: Vec<u8> = (0..=255).collect();
    for probe in probes() {
        let echoed = workspace
            .lighter(["run"])
            .arg(&probe)
            .arg("echo")
            .stdin(binary.clone())
            .run();
        assert_eq!((echoed.code, echoed.stdout), (Some(0), binary.clone()));
        let both = workspace
            .lighter(["run"])
            .arg(&probe)
            .args(["both", "out", "err"])
            .run();
        assert_eq!(
            (both.stdout_text(), both.stderr_text()),
            ("out\n".to_owned(), "err\n".to_owned())
        );
    }
}

#[test]
fn environment_is_what_was_given() {
    let workspace = workspace();
    for probe in probes() {
        let run = workspace
            .lighter(["run", "-e", "A=1", "-e", "B=x=y"])
            .arg(probe)
            .arg("environment");
        run.env("SECRET", "of the caller")
            .run()
            .assert(0, "A=1\nB=x=y\n");
    }
}

#[test]
fn nothing_of_the_host_is_there_without_a_mount() {
    let workspace = workspace();
    for probe in probes() {
        let outcome = workspace
            .lighter(["run"])
            .arg(probe)
            .args(["read", "/etc/passwd"])
            .run();
        outcome.assert(1, "");
    }
}

#[test]
fn mounted_directory_is_read_and_written() {
    let workspace = workspace();
    for probe in probes() {
        workspace.write("data/x", "before");
        let source = mount(&workspace.path("data"), "/data");
        let act = |words: &[&str]| {
            workspace
                .lighter(["run", "-v", &source])
                .arg(&probe)
                .args(words)
                .run()
        };
        act(&["read", "/data/x"]).assert(0, "before");
        act(&["append", "/data/x", " and after"]).assert(0, "");
        act(&["make-directory", "/data/sub"]).assert(0, "");
        act(&["rename", "/data/x", "/data/sub/y"]).assert(0, "");
        act(&["list", "/data"]).assert(0, "sub\n");
        assert_eq!(workspace.read("data/sub/y"), "before and after");
        std::fs::remove_dir_all(workspace.path("data")).unwrap();
    }
}

#[test]
fn mount_shows_nothing_above_itself() {
    let workspace = workspace();
    workspace.write("secret", "not mounted");
    workspace.directory("data");
    std::os::unix::fs::symlink("../secret", workspace.path("data/link")).unwrap();
    for probe in probes() {
        let source = mount(&workspace.path("data"), "/data");
        let read = |path: &str| {
            workspace
                .lighter(["run", "-v", &source])
                .arg(&probe)
                .args(["read", path])
                .run()
        };
        read("/data/../secret").assert(1, "");
        read("/data/link").assert(1, "");
    }
}

#[test]
fn tmpfs_is_empty_and_writable() {
    let workspace = workspace();
    for probe in probes() {
        let act = |words: &[&str]| {
            workspace
                .lighter(["run", "--tmpfs", "/tmp"])
                .arg(&probe)
                .args(words)
                .run()
        };
        act(&["list", "/tmp"]).assert(0, "");
        act(&["write", "/tmp/x", "y"]).assert(0, "");
        act(&["list", "/tmp"]).assert(0, "");
    }
}

#[test]
fn working_directory_is_where_relative_paths_begin() {
    let workspace = workspace();
    workspace.write("data/x", "found");
    let source = mount(&workspace.path("data"), "/data");
    for probe in probes() {
        let run = workspace
            .lighter(["run", "-v", &source, "-w", "/data"])
            .arg(probe);
        run.args(["read", "x"]).run().assert(0, "found");
    }
}

#[test]
fn trap_ends_with_134_and_names_the_function() {
    let workspace = workspace();
    for probe in probes() {
        let outcome = workspace.lighter(["run"]).arg(probe).arg("trap").run();
        outcome.assert(134, "");
        assert!(
            outcome.stderr_text().contains("trap_in_a_named_function"),
            "{}",
            outcome.describe()
        );
    }
}

#[test]
fn endless_recursion_is_a_trap() {
    let workspace = workspace();
    for probe in probes() {
        workspace
            .lighter(["run"])
            .arg(probe)
            .arg("overflow")
            .run()
            .assert(134, "");
    }
}

#[test]
fn timeout_ends_a_busy_program_with_124() {
    let workspace = workspace();
    for probe in probes() {
        let outcome = workspace
            .lighter(["run", "--timeout", "1s"])
            .arg(probe)
            .arg("spin")
            .run();
        outcome.assert(124, "");
    }
}

#[test]
fn clocks_and_random_numbers_are_there() {
    let workspace = workspace();
    for probe in probes() {
        let ask = |words: &[&str]| workspace.lighter(["run"]).arg(&probe).args(words).run();
        ask(&["random"]).assert(0, "true\n");
        ask(&["sleep", "20"]).assert(0, "true\n");
        let seconds: u64 = ask(&["clock"]).stdout_text().trim().parse().unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(now - seconds < 60, "{now} {seconds}");
    }
}

#[test]
fn program_that_is_not_there_ends_with_127() {
    let workspace = workspace();
    workspace
        .lighter(["run", "./nothing.wasm"])
        .run()
        .assert_refused(127, &["nothing.wasm"]);
}

#[test]
fn ordinary_user_runs_programs() {
    let why = "dropping to an ordinary user takes root";
    if !require(
        "an ordinary user",
        is_root() || !lighter_testkit::is_ci(),
        why,
    ) {
        return;
    }
    let workspace = workspace_of_ordinary_user();
    workspace.write("data/x", "mine");
    let source = mount(&workspace.path("data"), "/data");
    for probe in probes() {
        let program = workspace.copy(probe, "probe.wasm");
        let act = |words: &[&str]| {
            workspace
                .lighter(["run", "-v", &source])
                .arg(&program)
                .args(words)
                .run()
        };
        act(&["read", "/data/x"]).assert(0, "mine");
        act(&["write", "/data/x", "changed"]).assert(0, "");
        assert_eq!(workspace.read("data/x"), "changed");
        workspace.write("data/x", "mine");
    }
}

#[test]
fn help_is_there_as_in_docker() {
    let workspace = workspace();
    let told = |words: &[&str]| {
        let outcome = workspace.lighter(words).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        outcome.stdout_text()
    };
    assert_eq!(told(&["help", "run"]), told(&["run", "--help"]));
    assert!(told(&["--help"]).contains("explain"));
    assert_eq!(told(&["help"]), told(&["--help"]));
    workspace
        .lighter(["frob"])
        .run()
        .assert_refused(2, &["unknown command: frob"]);
}
