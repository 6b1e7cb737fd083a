//! Ends at the worst time: a runner or a keeper that dies at any of its system calls, and a keeper
//! that is given too little of something.

use crate::{mount, workspace, workspace_of_ordinary_user};
use lighter_testkit::{Execution, Outcome, Workspace, example, is_root, require};
use std::fs;

/// Writes a line, then waits to be told to go on by the end of standard input.
const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"#;

/// More calls than a start has.
const NEVER: u32 = 100_000;

/// Runs hello and kills a process of it at a system call: how that ended, and at how many calls
/// the victim was.
fn kill(workspace: &Workspace, victim: u32, count: u32, flags: &[&str]) -> (i32, u32, Outcome) {
    let killer = example("lighter-container", "killer");
    let run = workspace.command(killer);
    let run = run.args([victim, count].map(|number| number.to_string()));
    let run = run.args([env!("CARGO_BIN_EXE_lighter"), "run"]).args(flags);
    let outcome = run.arg("./hello.wat").run();
    let text = outcome.stdout_text();
    let last = text.lines().last().unwrap_or_default();
    let mut numbers = last.split(' ').map_while(|number| number.parse().ok());
    let mut number = || numbers.next().expect("the killer tells it");
    (number() as i32, number(), outcome)
}

/// A workspace with a compiled hello and a directory to mount.
fn prepared() -> Workspace {
    let workspace = workspace();
    workspace.write("hello.wat", HELLO);
    workspace.directory("data");
    workspace
        .lighter(["compile", "./hello.wat"])
        .run()
        .assert(0, "");
    workspace
}

#[test]
fn runner_may_die_at_any_system_call_of_its_start() {
    let workspace = prepared();
    let source = mount(&workspace.path("data"), "/data");
    // As root a mount needs a map of owners, which is a process before the runner.
    let with_mount = if is_root() { 2 } else { 1 };
    for (victim, flags) in [
        (1, &[][..]),
        (with_mount, &["-v", &source]),
        (1, &["-m", "64m"]),
    ] {
        let (code, calls, _) = kill(&workspace, victim, NEVER, flags);
        assert_eq!(code, 0);
        assert!(calls > 20, "a start has more than {calls} calls");
        for count in 1..=calls {
            let (code, _, outcome) = kill(&workspace, victim, count, flags);
            let told = outcome.stderr_text();
            let is_told = code == 137 && told.starts_with("lighter: the program was killed: ");
            // Once it has said its last word it may as well be dead.
            let is_over = code == 0 && told.is_empty();
            assert!(
                is_told || (is_over && count + 3 > calls),
                "{flags:?} at call {count} of {calls}: {code} {told}"
            );
        }
    }
    assert_eq!(fs::read_dir(workspace.path("data")).unwrap().count(), 0);
    workspace
        .lighter(["run", "./hello.wat"])
        .run()
        .assert(0, "hello\n");
}

#[test]
fn compiler_may_die_at_any_tenth_system_call() {
    let workspace = prepared();
    let data = workspace.directory("cold");
    let run = |count| {
        let flags = ["--data-root", data.to_str().unwrap()];
        fs::remove_dir_all(&data).unwrap();
        workspace.directory("cold");
        kill(&workspace, 1, count, &flags)
    };
    let (code, calls, _) = run(NEVER);
    assert_eq!(code, 0);
    for count in (1..calls).step_by(10) {
        let (code, _, outcome) = run(count);
        let told = outcome.stderr_text();
        assert!(
            code == 126 && told.contains("hello.wat was killed while it was compiled"),
            "at call {count} of {calls}: {code} {told}"
        );
    }
}

#[test]
fn no_runner_outlives_a_keeper_that_dies_at_any_system_call() {
    let workspace = prepared();
    let source = mount(&workspace.path("data"), "/data");
    for flags in [&[][..], &["-v", &source], &["-m", "64m"]] {
        let (code, calls, _) = kill(&workspace, 0, NEVER, flags);
        assert_eq!(code, 0);
        for count in 1..=calls {
            // The killer fails if a process is left.
            let (code, reached, _) = kill(&workspace, 0, count, flags);
            // It waits now and then once more or once less.
            assert!(code == 137 || reached < count, "at call {count}: {code}");
        }
    }
    workspace
        .lighter(["run", "./hello.wat"])
        .run()
        .assert(0, "hello\n");
}

/// `lighter run` under a limit of the shell's.
fn limited(workspace: &Workspace, limit: &str, program: &str) -> Execution {
    let run = workspace.command("prlimit").arg(limit);
    let own = workspace.path("../lighter");
    let lighter = if own.exists() {
        own
    } else {
        env!("CARGO_BIN_EXE_lighter").into()
    };
    run.arg(lighter).args(["run", program])
}

#[test]
fn too_few_descriptors_are_told() {
    let workspace = prepared();
    for count in [5, 12, 32] {
        let outcome = limited(&workspace, &format!("--nofile={count}"), "./hello.wat").run();
        let words =
            format!("only {count} descriptors are allowed and 33 are needed (raise ulimit -n)");
        outcome.assert_refused(125, &[&words]);
    }
    limited(&workspace, "--nofile=33", "./hello.wat")
        .run()
        .assert(0, "hello\n");
}

#[test]
fn full_process_table_is_told() {
    let workspace = workspace_of_ordinary_user();
    workspace.write("hello.wat", HELLO);
    let run = |limit: &str| limited(&workspace, limit, "./hello.wat").run();
    run("--nproc=0").assert_refused(
        125,
        &[
            "could not start a process for the program: Resource temporarily unavailable",
            "hint: no more processes or no more memory are allowed: look at ulimit -u",
        ],
    );
    // The compiler does without threads.
    for count in 1..8 {
        let outcome = run(&format!("--nproc={count}"));
        let is_refused = outcome.code == Some(125)
            && outcome
                .stderr_text()
                .starts_with("lighter: could not start a process");
        assert!(
            is_refused || outcome.code == Some(0),
            "{}",
            outcome.describe()
        );
        if outcome.code == Some(0) {
            return;
        }
    }
    let is_busy = "other tests run as the same user";
    require("room for a few processes", false, is_busy);
}

#[test]
fn keeper_without_memory_says_so() {
    let workspace = prepared();
    let outcome = limited(&workspace, "--data=200000", "./hello.wat").run();
    outcome.assert_refused(
        125,
        &[
            "no memory is left for lighter itself",
            "hint: raise its limit",
        ],
    );
}

/// Guests that misbehave at the start, in the middle and at the exit, and the codes they end with.
const BAD_GUESTS: [(&str, &str, i32); 10] = [
    ("start", "(start $f) (func $f unreachable)", 134),
    ("leave", "(start $f) (func $f (call $exit (i32.const 7)))", 7),
    (
        "trap",
        "(func (export \"_start\") (drop (i32.load (i32.const -4))))",
        134,
    ),
    (
        "grow",
        "(func (export \"_start\") (loop (drop (memory.grow (i32.const 64))) (br 0)))",
        137,
    ),
    (
        "table",
        "(table $t 0 funcref)
         (func (export \"_start\")
           (loop (drop (table.grow $t (ref.null func) (i32.const 100000))) (br 0)))",
        137,
    ),
    (
        "nest",
        "(func $f (export \"_start\") (call $f) (call $f))",
        134,
    ),
    ("spin", "(func (export \"_start\") (loop (br 0)))", 124),
    (
        "flood",
        "(func (export \"_start\")
           (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0)))",
        124,
    ),
    (
        "deep",
        "(func $f (param i32)
           (if (i32.eqz (local.get 0)) (then (call $exit (i32.const 8))))
           (call $f (i32.sub (local.get 0) (i32.const 1)))
           (call $exit (i32.const 9)))
         (func (export \"_start\") (call $f (i32.const 5000)))",
        8,
    ),
    (
        "late",
        "(func (export \"_start\")
           (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
           (call $exit (i32.const 256)))",
        0,
    ),
];

#[test]
fn thousand_guests_that_misbehave_at_once_all_end() {
    let workspace = workspace();
    for (name, text, _) in BAD_GUESTS {
        // The written piece is the first page, itself included.
        let text = format!(
            "(module
               (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
               (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))
               (memory (export \"memory\") 1)
               (data (i32.const 4) \"\\00\\00\\01\\00\")
               {text})"
        );
        let program = workspace.write(format!("{name}.wat"), text);
        workspace
            .lighter(["compile"])
            .arg(program)
            .run()
            .assert(0, "");
    }
    // Each prints the code it ended with, and none waits for another. Those without an end have two seconds.
    let names = BAD_GUESTS.map(|(name, ..)| name).join(" ");
    let script = format!(
        "for round in $(seq 100); do
          for name in {names}; do
            case $name in spin | flood) limit=2s ;; *) limit=10m ;; esac
            {{ \"$0\" run -m 64m --timeout $limit ./$name.wat >/dev/null 2>&1; echo $name $?; }} &
          done
        done
        wait"
    );
    let run = workspace.command("sh").args(["-c", &script]);
    let outcome = run.arg(env!("CARGO_BIN_EXE_lighter")).run();
    let text = outcome.stdout_text();
    for (name, _, code) in BAD_GUESTS {
        let line = format!("{name} {code}");
        let ended = text.lines().filter(|found| found.starts_with(name));
        let other: Vec<&str> = ended.filter(|found| *found != line).collect();
        assert_eq!(other, [""; 0], "{line}");
        let count = text.lines().filter(|found| *found == line).count();
        assert_eq!(count, 100, "{line}");
    }
}
