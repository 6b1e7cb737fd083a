//! What a warm start asks of the kernel: counts, which no busy machine blurs. `benches/start` has the times.

use crate::workspace;
use lighter_testkit::{Workspace, example};
use std::time::Duration;

const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"#;

/// A workspace in which a second run finds all as the first one left it.
fn warm() -> Workspace {
    let workspace = workspace();
    workspace.write("hello.wat", HELLO);
    for _ in 0..2 {
        let run = workspace.lighter(["run", "./hello.wat"]);
        run.run().assert(0, "hello\n");
        // What was changed a moment ago is hashed again.
        std::thread::sleep(Duration::from_millis(100));
    }
    workspace
}

/// How many system calls a process of a start makes, of which 0 is the keeper and 1 its runner; and
/// how many page faults the two have together.
fn count(workspace: &Workspace, process: &str) -> (u32, u32) {
    let killer = workspace.command(example("lighter-container", "killer"));
    let never = "100000";
    let run = killer.args([process, never, env!("CARGO_BIN_EXE_lighter")]);
    let outcome = run.args(["run", "./hello.wat"]).run();
    let text = outcome.stdout_text();
    let counts = text.lines().last().and_then(|line| line.strip_prefix("0 "));
    let (calls, faults) = counts
        .and_then(|counts| counts.split_once(' '))
        .expect("the killer tells them");
    (calls.parse().unwrap(), faults.parse().unwrap())
}

#[test]
fn warm_start_makes_few_system_calls() {
    let workspace = warm();
    let ((keeper, _), (runner, _)) = (count(&workspace, "0"), count(&workspace, "1"));
    assert!(keeper <= 100, "the keeper makes {keeper} calls");
    assert!(runner <= 86, "the runner makes {runner} calls");
}

#[test]
fn warm_start_touches_few_pages() {
    let (_, faults) = count(&warm(), "0");
    assert!(faults <= 140, "a start has {faults} page faults");
}
