//! A program at a terminal, which the keeper relays: the program never holds it.

use crate::workspace;
use lighter_testkit::{Terminal, Workspace, programs};
use std::path::PathBuf;

/// Says that it is there, and works for ever.
const BUSY: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\04\00\00\00now\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (loop (br 0))))"#;

/// A shell at a terminal that runs the probe with these words and then something else.
fn at_a_terminal(workspace: &Workspace, program: PathBuf, words: &str, then: &str) -> Terminal {
    let script = format!("trap : INT; \"$0\" run \"$1\" {words}; {then}");
    let shell = workspace.command("sh").args(["-c", &script]);
    let run = shell.arg(env!("CARGO_BIN_EXE_lighter")).arg(program);
    Terminal::start(run, 80, 24)
}

fn what_is_typed_is_read(program: PathBuf) {
    let workspace = workspace();
    let mut terminal = at_a_terminal(&workspace, program, "echo", "echo \"code $?\"");
    terminal.type_text("first\n");
    // Once by the terminal's own echo, once by the program.
    terminal.wait_for("first\r\nfirst\r\n");
    terminal.type_text("second\n");
    terminal.wait_for("second\r\nsecond\r\n");
    terminal.type_text("\x04");
    terminal.wait_for("code 0");
}

#[test]
fn what_is_typed_is_read_by_a_module() {
    what_is_typed_is_read(programs::probe());
}

#[test]
fn what_is_typed_is_read_by_a_component() {
    what_is_typed_is_read(programs::probe_component());
}

fn what_is_not_read_stays(program: PathBuf) {
    let workspace = workspace();
    let then = "read -r line; echo \"<$line>\"";
    let mut terminal = at_a_terminal(&workspace, program, "sleep 300", then);
    terminal.type_text("for the shell\n");
    terminal.wait_for("<for the shell>");
}

#[test]
fn what_a_module_does_not_read_stays_for_the_shell() {
    what_is_not_read_stays(programs::probe());
}

#[test]
fn what_a_component_does_not_read_stays_for_the_shell() {
    what_is_not_read_stays(programs::probe_component());
}

#[test]
fn program_that_reads_one_line_leaves_the_next() {
    let workspace = workspace();
    let then = "read -r line; echo \"<$line>\"";
    let mut terminal = at_a_terminal(&workspace, programs::probe(), "first-byte", then);
    terminal.type_text("a\nfor the shell\n");
    let shown = terminal.wait_for("<for the shell>");
    assert!(shown.contains("97"), "{shown}");
}

#[test]
fn interrupt_ends_a_program_that_reads_and_one_that_works() {
    let workspace = workspace();
    let then = "echo \"code $?\"";
    let mut reading = at_a_terminal(&workspace, programs::probe(), "echo", then);
    reading.type_text("x\n");
    reading.wait_for("x\r\nx\r\n");
    reading.type_text("\x03");
    reading.wait_for("code 130");
    let busy = workspace.write("busy.wat", BUSY);
    let mut working = at_a_terminal(&workspace, busy, "", then);
    working.wait_for("now");
    working.type_text("\x03");
    working.wait_for("code 130");
    assert!(!working.is_raw());
}

/// Runs at a terminal whose other side nobody reads, and prints the code.
const AT_AN_UNREAD_TERMINAL: &str = r#"
import os, pty, subprocess, sys
master, slave = pty.openpty()
run = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
print(run.wait(timeout=30))
"#;

const FLOOD: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\08\00\00\00\40\00\00\00a line of many, which nobody reads, and so it is not shown ....\0a")
    (func (export "_start")
        (loop $more
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
            (br $more))))"#;

#[test]
fn terminal_that_nobody_reads_holds_up_no_limit() {
    let workspace = workspace();
    workspace.write("flood.wat", FLOOD);
    let run = workspace.command("python3").args([
        "-c",
        AT_AN_UNREAD_TERMINAL,
        env!("CARGO_BIN_EXE_lighter"),
        "run",
        "--timeout",
        "1s",
        "flood.wat",
    ]);
    run.run().assert(0, "124\n");
}
