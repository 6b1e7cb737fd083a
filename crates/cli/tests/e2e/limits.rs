//! That a run ends when it has to, whoever stands in the way.

use crate::{leb, module, workspace, workspace_of_ordinary_user};
use lighter_testkit::{Workspace, require};
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

/// Programs that each need more than 64 MiB, in a way of their own.
const HUNGRY: [(&str, &str); 6] = [
    (
        "a memory that grows",
        "(module (memory 1) (func (export \"_start\")
           (loop (drop (memory.grow (i32.const 16))) (br 0))))",
    ),
    (
        "a memory that starts large",
        "(module (memory 2000) (func (export \"_start\")))",
    ),
    (
        "a second memory",
        "(module (memory 1000) (memory 1000) (func (export \"_start\")))",
    ),
    (
        "a table that grows",
        "(module (table 1 funcref) (func (export \"_start\")
           (loop (drop (table.grow (ref.null func) (i32.const 100000))) (br 0))))",
    ),
    (
        "garbage-collected values",
        "(module (type $a (array (mut i64)))
           (type $l (struct (field (ref null $l)) (field (ref $a))))
           (func (export \"_start\") (local $l (ref null $l))
             (loop
               (local.set $l (struct.new $l (local.get $l) (array.new_default $a (i32.const 10000))))
               (br 0))))",
    ),
    (
        "a component's memory",
        "(component
           (core module $m (memory 1) (func (export \"run\") (result i32)
             (loop (drop (memory.grow (i32.const 16))) (br 0)) i32.const 0))
           (core instance $i (instantiate $m))
           (func $run (result (result)) (canon lift (core func $i \"run\")))
           (instance $command (export \"run\" (func $run)))
           (export \"wasi:cli/run@0.2.0\" (instance $command)))",
    ),
];

const SPIN: &str = "(module (func (export \"_start\") (loop (br 0))))";

/// What is said of a program that needs more than 64 MiB.
const TOO_MUCH: &str = "lighter: the program was ended: it needs more memory than --memory allows \
                        (64MiB)\nhint: give it more with --memory\n";

/// Whether this user may make control groups with a controller.
fn has_group(controller: &str, why: &str) -> bool {
    let workspace = workspace();
    let info = workspace.lighter(["info"]).run().stdout_text();
    let is_there = info
        .lines()
        .any(|line| line.trim_start() == format!("{controller} control group: can be made"));
    require(&format!("a control group for {controller}"), is_there, why)
}

#[test]
fn program_that_needs_more_memory_is_ended_with_a_word() {
    for workspace in [workspace(), workspace_of_ordinary_user()] {
        for (what, program) in HUNGRY {
            workspace.write("hungry.wat", program);
            let outcome = workspace
                .lighter(["run", "-m", "64m", "./hungry.wat"])
                .run();
            assert_eq!(outcome.code, Some(137), "{what}: {}", outcome.describe());
            assert_eq!(outcome.stderr_text(), TOO_MUCH, "{what}");
        }
    }
}

#[test]
fn program_within_its_memory_is_not_ended() {
    for workspace in [workspace(), workspace_of_ordinary_user()] {
        workspace.write(
            "frugal.wat",
            "(module (memory 1) (func (export \"_start\")
               (if (i32.eq (memory.grow (i32.const 640)) (i32.const -1)) (then unreachable))
               (memory.fill (i32.const 0) (i32.const 1) (i32.const 41943040))))",
        );
        let run = workspace.lighter(["run", "--memory", "64m", "./frugal.wat"]);
        run.run().assert(0, "");
    }
}

#[test]
fn memory_that_the_program_itself_forbids_is_denied_and_no_end() {
    let workspace = workspace();
    workspace.write(
        "modest.wat",
        "(module (memory 1 2) (table 1 2 funcref) (func (export \"_start\")
           (if (i32.ne (memory.grow (i32.const 5000)) (i32.const -1)) (then unreachable))
           (if (i32.ne (table.grow (ref.null func) (i32.const 90000000)) (i32.const -1))
             (then unreachable))))",
    );
    let run = workspace.lighter(["run", "--memory", "64m", "./modest.wat"]);
    run.run().assert(0, "");
}

#[test]
fn kernel_ends_a_process_that_its_guest_s_memory_fills_to_the_brim() {
    if !has_group(
        "memory",
        "the kernel can count the memory of a process only with it",
    ) {
        return;
    }
    let workspace = workspace();
    // 64 MiB to the byte: the guest is within its limit, the process is not.
    workspace.write(
        "full.wat",
        "(module (memory 1024) (func (export \"_start\")
           (memory.fill (i32.const 0) (i32.const 1) (i32.const 67108864))))",
    );
    let outcome = workspace.lighter(["run", "-m", "64m", "./full.wat"]).run();
    assert_eq!(outcome.code, Some(137), "{}", outcome.describe());
    assert_eq!(outcome.stderr_text(), TOO_MUCH);
}

#[test]
fn group_of_a_keeper_that_was_killed_goes_with_the_next_run() {
    if !has_group("memory", "only groups are left behind") {
        return;
    }
    let workspace = workspace();
    workspace.write("spin.wat", SPIN);
    workspace.write("nothing.wat", NOTHING);
    let script =
        "find_groups() { find /sys/fs/cgroup -maxdepth 6 -name \"lighter-*-$1-*\" | wc -l; }
        \"$0\" compile ./nothing.wat; \"$0\" compile ./spin.wat
        \"$0\" run -m 64m ./spin.wat & keeper=$!
        until cat /proc/$keeper/task/$keeper/children | grep -q .; do :; done
        find_groups $keeper
        kill -KILL $keeper; wait $keeper
        until \"$0\" run -m 64m ./nothing.wat; test $(find_groups $keeper) = 0; do :; done
        echo gone";
    let outcome = shell(&workspace, script);
    assert_eq!(outcome.stdout_text(), "1\ngone\n", "{}", outcome.describe());
}

#[test]
fn processor_time_is_throttled() {
    if !has_group("cpu", "processor time is bounded only by it") {
        return;
    }
    let workspace = workspace();
    workspace.write("spin.wat", SPIN);
    workspace.lighter(["compile", "./spin.wat"]).run();
    let script = "\"$0\" run --cpus 0.2 --timeout 2s ./spin.wat 2>/dev/null; echo $?; times";
    let outcome = shell(&workspace, script);
    let text = outcome.stdout_text();
    // The last line of `times` is the user and system time of the children: 0m0.401000s 0m0.0s.
    let seconds = text.lines().last().and_then(|line| {
        let (minutes, seconds) = line.split_whitespace().next()?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.strip_suffix('s')?.parse::<f64>().ok()?)
    });
    assert_eq!(text.lines().next(), Some("124"), "{text}");
    assert!(seconds.is_some_and(|seconds| seconds < 1.0), "{text}");
}

#[test]
fn processor_time_is_refused_where_no_group_can_hold_it() {
    if !require(
        "root",
        lighter_testkit::is_root(),
        "an ordinary user may have groups of its own",
    ) {
        return;
    }
    let workspace = workspace_of_ordinary_user();
    workspace.write("nothing.wat", NOTHING);
    let words = [
        "could not hold the program to --cpus 0.5: no control group with the cpu controller can be",
        "hint: leave --cpus out, or run lighter where it may make control groups",
    ];
    let run = |verb: &str| {
        workspace
            .lighter([verb, "--cpus", "0.5", "./nothing.wat"])
            .run()
    };
    run("run").assert_refused(125, &words);
    let explained = run("explain");
    assert_eq!(explained.code, Some(126), "{}", explained.describe());
    let text = explained.stdout_text();
    assert!(
        text.contains(
            "It would not run: could not hold the program to --cpus 0.5: no control group"
        ),
        "{text}"
    );
}

/// Starts threads that wait until no more start, at most 100, and exits with their number.
const THREADS: &str = r#"(module
  (import "env" "memory" (memory 1 2 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (export "memory" (memory 0))
  (func (export "wasi_thread_start") (param i32 i32)
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
  (func (export "_start") (local $count i32)
    (loop $more
      (if (i32.ge_s (call $spawn (i32.const 0)) (i32.const 0))
        (then
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $count) (i32.const 100))))))
    (call $exit (local.get $count))))"#;

#[test]
fn threads_are_counted_the_first_one_included() {
    for workspace in [workspace(), workspace_of_ordinary_user()] {
        workspace.write("threads.wat", THREADS);
        let run = |flags: &[&str]| {
            let run = workspace.lighter(["run"]).args(flags);
            run.arg("./threads.wat").run()
        };
        let outcome = run(&["--pids-limit", "8"]);
        assert_eq!(outcome.code, Some(7), "{}", outcome.describe());
        assert_eq!(
            outcome.stderr_text(),
            "lighter: refused: start a thread: 8 are running, and no more are allowed (--pids-limit)\n"
        );
        assert_eq!(run(&["--pids-limit", "1"]).code, Some(0));
        assert_eq!(run(&[]).code, Some(100));
        let with_memory = run(&["-m", "64m", "--pids-limit", "101"]);
        assert_eq!(with_memory.code, Some(100), "{}", with_memory.describe());
    }
}

#[test]
fn threads_of_a_guest_get_all_processors() {
    let workspace = workspace();
    workspace.write(
        "threads.wat",
        r#"(module
          (import "env" "memory" (memory 1 1 shared))
          (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
          (export "memory" (memory 0))
          (func $wait (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
          (func (export "wasi_thread_start") (param i32 i32) (call $wait))
          (func (export "_start")
            (drop (call $spawn (i32.const 0))) (drop (call $spawn (i32.const 0))) (call $wait)))"#,
    );
    let script = "\"$0\" run --timeout 30s ./threads.wat & sleep 1
        of() { grep -h Cpus_allowed_list \"$1\"; }
        for runner in $(cat /proc/$!/task/*/children); do
          for thread in /proc/$runner/task/*; do of $thread/status; done
        done
        kill $!; wait; echo; of /proc/self/status";
    let outcome = shell(&workspace, script);
    let text = outcome.stdout_text();
    let (threads, own) = text.split_once("\n\n").expect("both are printed");
    // Two that were started, the one that started them, and the process's first.
    assert_eq!(threads.lines().count(), 4, "{}", outcome.describe());
    assert!(
        threads.lines().all(|thread| thread == own.trim_end()),
        "{text}"
    );
}

#[test]
fn reader_that_does_not_read_holds_up_no_end() {
    let workspace = workspace();
    workspace.write("spin.wat", SPIN);
    // The pipe is full, and stays so until its reader has seen lighter end.
    let script = "mkfifo pipe; exec 3<>pipe
        (dd if=/dev/zero of=pipe bs=4096 oflag=nonblock 2>/dev/null) || true
        timeout 20 \"$0\" run --timeout 100ms ./spin.wat 2>pipe; echo $?";
    let outcome = shell(&workspace, script);
    assert_eq!(outcome.stdout_text(), "124\n", "{}", outcome.describe());
}

#[test]
fn stream_that_does_not_wait_loses_nothing() {
    let workspace = workspace();
    workspace.write(
        "flood.wat",
        "(module
           (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))
           (memory (export \"memory\") 8)
           (data (i32.const 0) \"\\00\\00\\00\\00\\00\\00\\04\\00\")
           (func (export \"_start\") (local $left i32)
             (local.set $left (i32.const 262144))
             (loop $more
               (i32.store (i32.const 4) (local.get $left))
               (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)) (then unreachable))
               (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 16))))
               (br_if $more (local.get $left)))))",
    );
    // Whoever made the pipe has set O_NONBLOCK on it, for both of its ends.
    let script = "python3 -c 'import fcntl, os, subprocess, sys, time
ours, theirs = os.pipe()
os.set_blocking(theirs, False)
run = subprocess.Popen([sys.argv[1], \"run\", \"./flood.wat\"], stdout=theirs)
os.close(theirs)
time.sleep(0.3)
print(sum(map(len, iter(lambda: os.read(ours, 65536), b\"\"))), run.wait())' \"$0\"";
    let outcome = shell(&workspace, script);
    assert_eq!(
        outcome.stdout_text(),
        "262144 0\n",
        "{}",
        outcome.describe()
    );
}

#[test]
fn slow_reader_gets_the_last_words() {
    let workspace = workspace();
    workspace.write("trap.wat", TRAP);
    // The pipe is full when the program traps, and is read from three seconds later.
    let script = "mkfifo pipe; exec 3<>pipe
        (dd if=/dev/zero of=pipe bs=4096 oflag=nonblock 2>/dev/null) || true
        (sleep 3; timeout 1 cat <pipe >told) &
        timeout 20 \"$0\" run ./trap.wat 2>pipe; echo $?; wait; tr -d '\\0' <told";
    let outcome = shell(&workspace, script);
    let text = outcome.stdout_text();
    assert!(
        text.starts_with(
            "134\nlighter: the program aborted: it reached an `unreachable` instruction"
        ),
        "{text}"
    );
}

#[test]
fn thread_that_has_ended_takes_no_memory() {
    let workspace = workspace();
    // A hundred threads, one after the other, each with a table of half a megabyte.
    workspace.write(
        "threads.wat",
        r#"(module
          (import "env" "memory" (memory 1 1 shared))
          (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
          (export "memory" (memory 0))
          (table 65536 funcref)
          (func (export "wasi_thread_start") (param i32 i32)
            (i32.atomic.store (i32.const 0) (i32.const 1))
            (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
          (func (export "_start") (local $left i32)
            (local.set $left (i32.const 100))
            (loop $more
              (i32.atomic.store (i32.const 0) (i32.const 0))
              (drop (call $spawn (i32.const 0)))
              (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
              (local.set $left (i32.sub (local.get $left) (i32.const 1)))
              (br_if $more (local.get $left)))))"#,
    );
    let run = workspace.lighter(["run", "-m", "24m", "./threads.wat"]);
    run.run().assert(0, "");
}

#[test]
fn callers_own_lower_limits_stay() {
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    // Copies of programs lie in memory files, which the limit on files holds for as well.
    let script = "(ulimit -f 0; \"$0\" run ./nothing.wat; echo $?)
        (ulimit -t 60; ulimit -f 1000; \"$0\" run ./nothing.wat; echo $?)";
    let outcome = shell(&workspace, script);
    assert_eq!(outcome.stdout_text(), "126\n0\n", "{}", outcome.describe());
    let told = outcome.stderr_text();
    let words = "nothing.wat cannot be copied to memory: File too large (os error 27)\n\
                 hint: the limit on the size of files holds there too: raise it (ulimit -f)\n";
    assert!(told.ends_with(words), "{told}");
}

#[test]
fn shared_memory_that_outgrows_the_limit_is_the_end() {
    // At once and for ever after, bit by bit, right before the end, and from the start.
    let bodies = [
        "(drop (memory.grow (i32.const 1500))) (loop (br 0))",
        "(loop (drop (memory.grow (i32.const 1))) (br 0))",
        "(drop (memory.grow (i32.const 1500)))",
        "(drop (memory.grow (i32.const 1500))) unreachable",
    ];
    let programs = bodies.map(|body| (1, body)).into_iter().chain([(2000, "")]);
    let workspace = workspace();
    for (least, body) in programs {
        workspace.write(
            "shared.wat",
            format!(
                "(module (import \"env\" \"memory\" (memory {least} 65536 shared))
                   (func (export \"_start\") {body}))"
            ),
        );
        let outcome = workspace
            .lighter(["run", "-m", "64m", "--timeout", "20s", "./shared.wat"])
            .run();
        assert_eq!(
            (outcome.code, outcome.stderr_text().as_str()),
            (Some(137), TOO_MUCH),
            "{body}"
        );
    }
    workspace.write(
        "shared.wat",
        "(module (import \"env\" \"memory\" (memory 1 65536 shared))
           (func (export \"_start\") (drop (memory.grow (i32.const 900)))))",
    );
    let run = workspace.lighter(["run", "-m", "64m", "./shared.wat"]);
    run.run().assert(0, "");
}

#[test]
fn limits_that_are_none_are_refused() {
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    for (flags, words) in [
        (
            ["--memory", "a"],
            "invalid --memory \"a\": expected a size, as 64m or 1.5g",
        ),
        (
            ["-m", "1m"],
            "invalid --memory \"1m\": expected at least 6m",
        ),
        (
            ["-m", "-1"],
            "invalid --memory \"-1\": expected a size, as 64m or 1.5g",
        ),
        (
            ["--cpus", "0.001"],
            "invalid --cpus \"0.001\": expected 0.01 to ",
        ),
        (
            ["--cpus", "x"],
            "invalid --cpus \"x\": expected a number of processors, as 0.5 or 2",
        ),
        (
            ["--pids-limit", "5000"],
            "expected a number of threads from 1 to 4096, or -1 for the most",
        ),
        (
            ["--timeout", "5"],
            "invalid --timeout \"5\": expected a time, as 10s, 5m or 1h30m",
        ),
    ] {
        let run = workspace.lighter(["run"]).args(flags).arg("./nothing.wat");
        run.run().assert_refused(125, &[words]);
    }
    for flags in [["-m", "0"], ["--cpus", "0"], ["--pids-limit", "-1"]] {
        let run = workspace.lighter(["run"]).args(flags).arg("./nothing.wat");
        run.run().assert(0, "");
    }
}

#[test]
fn limits_are_explained() {
    let workspace = workspace();
    workspace.write("nothing.wat", NOTHING);
    let flags = ["-m", "64m", "--pids-limit", "8", "--timeout", "90s"];
    let explain = workspace.lighter(["explain"]).args(flags);
    let text = explain.arg("./nothing.wat").run().stdout_text();
    assert!(
        text.contains("\nIt may use:\n  64MiB of memory, 8 threads, 90s\n"),
        "{text}"
    );
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
    use lighter_testkit::{ORDINARY_ID, is_root};
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

#[test]
fn large_code_does_not_count_as_the_program_s_memory() {
    let workspace = workspace_of_ordinary_user();
    // One section of passive data, which lies in the code's file and is never in a memory.
    let data = vec![7; 90 << 20];
    let mut segment = vec![1, 1];
    segment.extend(leb(data.len()));
    segment.extend(data);
    workspace.write("large.wasm", module([(11, segment)]));
    let flags = ["run", "-m", "6m", "--pids-limit", "1", "./large.wasm"];
    workspace.lighter(flags).run().assert(0, "");
}
