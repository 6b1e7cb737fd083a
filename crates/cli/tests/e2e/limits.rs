//! That a run ends when it has to, whoever stands in the way.

use crate::workspace;
use lighter_testkit::Workspace;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// Writes to both streams without end, and is refused something on the way.
const FLOOD: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\00\40\00\00")
  (func (export "_start")
    (loop
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br 0))))"#;

const TRAP: &str = "(module (func (export \"_start\") unreachable))";
const NOTHING: &str = "(module (func (export \"_start\")))";

/// Runs a shell script in which `$0` is lighter, and which must end soon.
fn shell(workspace: &Workspace, script: &str) -> lighter_testkit::Outcome {
    let run = workspace.command("sh").args(["-c", script]);
    run.arg(env!("CARGO_BIN_EXE_lighter"))
        .timeout(Duration::from_secs(60))
        .run()
}

#[test]
fn time_is_over_although_nobody_reads_what_a_terminal_would_show() {
    let workspace = workspace();
    workspace.write("flood.wat", FLOOD);
    let start = Instant::now();
    let script = "mkfifo pipe; exec 9<>pipe; \"$0\" run -t --timeout 1s ./flood.wat >pipe; echo $?";
    shell(&workspace, script).assert(0, "124\n");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn signal_ends_a_run_although_nobody_reads() {
    let workspace = workspace();
    workspace.write("flood.wat", FLOOD);
    workspace
        .lighter(["compile", "./flood.wat"])
        .run()
        .assert(0, "");
    let script = "mkfifo pipe; exec 9<>pipe; \"$0\" run -t ./flood.wat >pipe & keeper=$!
        until cat /proc/$keeper/task/$keeper/children | grep -q .; do :; done
        kill -TERM $keeper; wait $keeper; echo $?";
    shell(&workspace, script).assert(0, "143\n");
}

#[test]
fn slow_reader_gets_everything_that_a_terminal_would_show() {
    let workspace = workspace();
    let lines = "x".repeat(200) + "\n";
    workspace.write("input", lines.repeat(2000));
    workspace.write("cat.wat", CAT);
    let script = "\"$0\" run -t ./cat.wat <input | (sleep 1; wc -c)";
    shell(&workspace, script).assert(0, &format!("{}\n", 2000 * 202));
}

/// Copies standard input to standard output.
const CAT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (loop $again
      (i32.store (i32.const 0) (i32.const 64))
      (i32.store (i32.const 4) (i32.const 4096))
      (br_if 1 (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if 1 (i32.eqz (i32.load (i32.const 8))))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (br_if 1 (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br $again))))"#;

#[test]
fn signal_ends_a_wait_for_the_program_on_standard_input() {
    let workspace = workspace();
    let script = "mkfifo pipe; exec 9<>pipe; \"$0\" run - <pipe & keeper=$!
        until test \"$(cat /proc/$keeper/comm)\" = lighter; do :; done
        kill -TERM $keeper; wait $keeper; echo $?";
    shell(&workspace, script).assert(0, "143\n");
}

#[test]
fn signal_that_the_caller_has_ignored_ends_nothing() {
    let workspace = workspace();
    workspace.write("cat.wat", CAT);
    let script = "trap '' HUP; mkfifo pipe; exec 9<>pipe; \"$0\" run ./cat.wat <pipe & keeper=$!
        echo here >&9
        until cat /proc/$keeper/task/$keeper/children | grep -q .; do :; done
        kill -HUP $keeper; kill -TERM $keeper; wait $keeper; echo $?";
    let outcome = shell(&workspace, script);
    assert_eq!(outcome.stdout_text().lines().last(), Some("143"));
}

#[test]
fn children_that_nobody_waits_for_do_not_confuse_the_keeper() {
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    let script = "import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], [sys.argv[1], 'run', './nothing.wat'])";
    let run = workspace.command("python3").args(["-c", script]);
    run.arg(env!("CARGO_BIN_EXE_lighter")).run().assert(0, "");
}

#[test]
fn core_dump_replaces_a_file_only_after_a_trap() {
    let workspace = workspace();
    workspace.write("trap.wat", TRAP);
    workspace.write("nothing.wat", NOTHING);
    let file = workspace.write("file", "precious");
    let run = |program: &str| {
        workspace
            .lighter(["run", "--coredump", "file", program])
            .run()
    };
    run("./nothing.wat").assert(0, "");
    run("./none.wasm").assert(127, "");
    assert_eq!(workspace.read("file"), "precious");
    run("./trap.wat").assert(134, "");
    assert!(fs::read(&file).unwrap().starts_with(b"\0asm"));
    let left = fs::read_dir(workspace.path("")).unwrap().count();
    assert_eq!(left, 3, "nothing is left beside the three files");
}

#[test]
fn core_dump_replaces_no_device() {
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    let run = workspace.lighter(["run", "--coredump", "/dev/null", "./nothing.wat"]);
    run.run().assert_refused(125, &["/dev/null: it is no file"]);
    assert_ne!(fs::metadata("/dev/null").unwrap().rdev(), 0);
}

#[test]
fn data_of_somebody_else_is_not_used() {
    use lighter_testkit::{ORDINARY_ID, is_root, require};
    if !require(
        "another user",
        is_root(),
        "only root can give a directory away",
    ) {
        return;
    }
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    let theirs = workspace.directory("theirs");
    std::os::unix::fs::chown(&theirs, Some(ORDINARY_ID), Some(ORDINARY_ID)).unwrap();
    let run = |variable: &str| {
        let run = workspace.lighter(["run", "./nothing.wat"]);
        run.env(variable, &theirs).run()
    };
    let words = ["theirs can be written by others, or is not yours"];
    run("LIGHTER_DATA_ROOT").assert_refused(125, &words);
    run("LIGHTER_RUN_ROOT").assert_refused(125, &words);
    let home = workspace.directory("home");
    workspace.write("home/.config/lighter/config.toml", "env = \"A=1\"\n");
    let config = workspace.path("home/.config/lighter/config.toml");
    std::os::unix::fs::chown(config, Some(ORDINARY_ID), Some(ORDINARY_ID)).unwrap();
    let run = workspace
        .lighter(["run", "./nothing.wat"])
        .env("HOME", home);
    run.run()
        .assert_refused(125, &["config.toml: belongs to somebody else"]);
}

#[test]
fn name_of_a_function_cannot_forge_a_line() {
    let workspace = workspace();
    workspace.write(
        "x.wat",
        "(module (func $\"f\\nlighter: refused: open /etc/shadow\" (export \"_start\") unreachable))",
    );
    let outcome = workspace.lighter(["run", "./x.wat"]).run();
    outcome.assert(134, "");
    let told = outcome.stderr_text();
    assert!(
        !told
            .lines()
            .any(|line| line.contains("lighter: refused") && !line.contains("\\n")),
        "{told}"
    );
}
