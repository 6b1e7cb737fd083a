//! Threads.

use super::guest::{self, Outcome, Scratch, run_text};

fn threads(behaviour: &str) -> Outcome {
    let scratch = Scratch::new(&format!("threads-{behaviour}"));
    let program = guest::rust("threads", "wasm32-wasip1-threads");
    guest::run(&["--dir", &scratch.at("/")], &program, &[behaviour])
}

#[test]
fn threads_share_memory_and_are_joined() {
    let outcome = threads("sum");
    outcome.succeeded();
    assert_eq!(outcome.stdout, "499500\n");
}

#[test]
fn threads_share_one_descriptor_table() {
    let outcome = threads("files");
    outcome.succeeded();
    assert_eq!(outcome.stdout, "written by another\n");
}

#[test]
fn exit_of_a_thread_ends_the_program() {
    assert_eq!(threads("exit").code, Some(7));
}

#[test]
fn trap_of_a_thread_ends_the_program_with_its_report() {
    let outcome = threads("panic");
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    assert!(outcome.stderr.contains("wasi_thread_start"), "{outcome:?}");
}

#[test]
fn return_of_the_first_thread_ends_the_program() {
    threads("leave").succeeded();
}

#[test]
fn many_threads_come_and_go() {
    let outcome = threads("many");
    outcome.succeeded();
    assert_eq!(outcome.stdout, "500\n");
}

#[test]
fn waiting_without_threads_ends_on_time() {
    let text = r#"(module
      (import "env" "memory" (memory 1 2 shared))
      (func (export "_start")
        (if (i32.ne (i32.const 2)
              (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 1000000)))
          (then unreachable))))"#;
    run_text("wait", &[], text, &[]).succeeded();
}

#[test]
fn endless_recursion_of_a_thread_is_a_stack_overflow() {
    let text = r#"(module
      (import "env" "memory" (memory 1 1 shared))
      (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
      (func $deep (call $deep))
      (func (export "wasi_thread_start") (param i32 i32) (call $deep))
      (func (export "_start")
        (drop (call $spawn (i32.const 0)))
        (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))"#;
    let outcome = run_text("thread-overflow", &[], text, &[]);
    assert_eq!(outcome.code, Some(134));
    assert!(
        outcome.stderr.starts_with("stack overflow: "),
        "{outcome:?}"
    );
}

#[test]
fn spawning_without_an_entry_for_threads_fails() {
    let text = r#"(module
      (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
      (func (export "_start")
        (if (i32.ge_s (call $spawn (i32.const 0)) (i32.const 0)) (then unreachable))))"#;
    run_text("no-thread-entry", &[], text, &[]).succeeded();
}

#[test]
fn memory_that_is_not_shared_is_not_provided() {
    let text = r#"(module (import "env" "memory" (memory 1)) (func (export "_start")))"#;
    let outcome = run_text("own-memory", &[], text, &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome.stderr.contains("only a shared memory is provided"),
        "{outcome:?}"
    );
}
