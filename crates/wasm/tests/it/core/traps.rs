//! Traps, in the words that a user sees.

use super::guest::{self, Scratch, run_text};

/// A module whose `_start` calls `$boom`.
fn module(fields: &str, body: &str) -> String {
    format!(
        r#"(module $app {fields}
          (func $boom {body})
          (func $main (export "_start") (call $boom)))"#
    )
}

fn report(name: &str, fields: &str, body: &str) -> String {
    let outcome = run_text(name, &[], &module(fields, body), &[]);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    outcome.stderr
}

#[test]
fn each_trap_has_words_and_names_the_functions() {
    let text = report("unreachable", "", "unreachable");
    assert_eq!(
        text,
        "the program aborted: it reached an `unreachable` instruction\n   \
         0: app!boom\n   1: app!main\n"
    );
}

#[test]
fn endless_recursion_is_a_stack_overflow() {
    let text = report("overflow", "", "(call $boom)");
    assert!(text.starts_with("stack overflow: "), "{text}");
    assert!(text.lines().count() < 40, "{text}");
}

#[test]
fn memory_and_arithmetic_traps_are_told_apart() {
    let cases = [
        (
            "(memory 1)",
            "(drop (i32.load (i32.const -4)))",
            "memory access out of bounds",
        ),
        (
            "",
            "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
            "division by zero",
        ),
        (
            "",
            "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
            "integer overflow in a division",
        ),
        (
            "",
            "(drop (i32.trunc_f32_s (f32.const nan)))",
            "conversion to an integer of a number that is none or too large",
        ),
        (
            "(table 2 funcref) (elem (i32.const 0) $one) (type $t (func)) (func $one (param i32))",
            "(call_indirect (type $t) (i32.const 0))",
            "call through a function pointer to a function of another type",
        ),
        (
            "(table 2 funcref) (type $t (func))",
            "(call_indirect (type $t) (i32.const 1))",
            "call through a function pointer that is null",
        ),
        (
            "(table 2 funcref) (type $t (func))",
            "(call_indirect (type $t) (i32.const 9))",
            "table access out of bounds",
        ),
        (
            "(tag $e)",
            "(throw $e)",
            "an exception was thrown that nothing caught",
        ),
        (
            "(type $s (struct (field i32)))",
            "(drop (struct.get $s 0 (ref.null $s)))",
            "use of a null reference",
        ),
    ];
    for (index, (fields, body, words)) in cases.into_iter().enumerate() {
        let text = report(&format!("trap{index}"), fields, body);
        assert_eq!(text.lines().next(), Some(words), "{text}");
    }
}

#[test]
fn source_lines_are_shown_where_the_module_has_them() {
    let program = guest::rust("trap", "wasm32-wasip1");
    let outcome = guest::run(&[], &program, &["deep"]);
    assert_eq!(outcome.code, Some(134));
    let report = &outcome.stderr;
    assert!(report.contains("index out of bounds"), "{report}");
    assert!(report.contains("trap::deepest at "), "{report}");
    assert!(report.contains("guests/trap.rs:7:5"), "{report}");
    assert!(report.contains("trap::main"), "{report}");
}

#[test]
fn core_dump_is_written_after_a_trap() {
    let scratch = Scratch::new("coredump");
    let program = scratch.file("app.wat", &module("(memory 1)", "unreachable"));
    let dump = scratch.path().join("dump");
    let runner = guest::command(&["--coredump"], &program, &[]);
    // The descriptor's number is part of the runner's protocol.
    let outcome = guest::finish(guest::start({
        let mut shell = std::process::Command::new("sh");
        shell
            .arg("-c")
            .arg("exec 6>\"$0\"; exec \"$@\"")
            .arg(&dump)
            .arg(runner.get_program())
            .args(runner.get_args())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        shell
    }));
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    assert!(outcome.stderr.contains("app!boom"), "{outcome:?}");
    let bytes = std::fs::read(dump).unwrap();
    assert_eq!(bytes.first_chunk(), Some(b"\0asm"));
    assert!(bytes.windows(4).any(|window| window == b"core"));
}

#[test]
fn program_without_memory_is_told_so() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "random_get" (func $get (param i32 i32) (result i32)))
      (func (export "_start") (drop (call $get (i32.const 0) (i32.const 1)))))"#;
    let outcome = run_text("no-memory", &[], text, &[]);
    assert_eq!(outcome.code, Some(134));
    assert!(
        outcome
            .stderr
            .contains("exports no memory named \"memory\""),
        "{outcome:?}"
    );
}
