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

/// Says that it waits, and waits for a minute.
const WAIT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00waits\n")
  (func (export "_start")
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (i64.const 60000000000))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 20)))))"#;

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
    assert!(faults <= 170, "a start has {faults} page faults");
}

/// What a program maps that waits, in KiB: the keeper, and its runner.
const PRINT_RESIDENT: &str = r#"
# As `warm` does it.
for _ in 1 2; do "$0" run --timeout 50ms ./wait.wat; sleep 0.1; done
"$0" run ./wait.wat >said & keeper=$!
until test -s said; do :; done
# The keeper's part of the start is over a few milliseconds later.
sleep 0.2
for process in $keeper $(cat /proc/$keeper/task/$keeper/children); do
    sed -n 's/^Rss: *\([0-9]*\) kB/\1/p' /proc/$process/smaps_rollup
done
kill $keeper
"#;

/// More than this, and the order in which functions lie is an old one: `scripts/start-order` writes it anew.
#[test]
fn what_waits_has_few_pages() {
    let workspace = workspace();
    workspace.write("wait.wat", WAIT);
    let lighter = env!("CARGO_BIN_EXE_lighter");
    let outcome = workspace
        .command("sh")
        .args(["-c", PRINT_RESIDENT, lighter])
        .run();
    let text = outcome.stdout_text();
    let sizes: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let [keeper, runner] = sizes[..] else {
        panic!("{}", outcome.describe())
    };
    assert!(keeper <= 512, "the keeper has {keeper} KiB");
    assert!(runner <= 1280, "the runner has {runner} KiB");
}
