//! What is called, what is linked, and how a run ends.

use super::guest::{self, Scratch, run_text};

/// Exits with the code that its first argument is, digit by digit.
const EXITS: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const CODE))))"#;

fn exit_code(code: &str) -> Option<i32> {
    run_text(
        &format!("exit{code}"),
        &[],
        &EXITS.replace("CODE", code),
        &[],
    )
    .code
}

#[test]
fn every_exit_code_of_one_byte_is_kept() {
    assert_eq!(exit_code("0"), Some(0));
    assert_eq!(exit_code("125"), Some(125));
    assert_eq!(exit_code("126"), Some(126));
    assert_eq!(exit_code("200"), Some(200));
    assert_eq!(exit_code("255"), Some(255));
}

#[test]
fn larger_exit_code_loses_its_upper_bits_as_in_posix() {
    assert_eq!(exit_code("256"), Some(0));
    assert_eq!(exit_code("-1"), Some(255));
    assert_eq!(exit_code("519"), Some(7));
}

#[test]
fn start_function_alone_is_a_program() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (func $go (call $exit (i32.const 5)))
      (start $go))"#;
    assert_eq!(run_text("start", &[], text, &[]).code, Some(5));
}

#[test]
fn program_without_entry_is_refused_with_its_exports() {
    let text = r#"(module (memory (export "m") 1)
      (func (export "_initialize")) (func (export "add")) (func (export "sub")))"#;
    let outcome = run_text("no-entry", &[], text, &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome
            .stderr
            .contains(r#"NoEntry { exports: ["_initialize", "add", "sub"] }"#),
        "{outcome:?}"
    );
}

const IMPORTS: &str = r#"(module
  (import "env" "log" (func $log (param i32)))
  (import "env" "log" (func $again (param i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (func (export "_start") (drop (call $yield)))
  (func (export "call") (call $log (i32.const 1))))"#;

#[test]
fn imports_that_nobody_meets_are_listed_once() {
    let outcome = run_text("missing", &[], IMPORTS, &[]);
    assert_eq!(outcome.code, Some(126));
    assert_eq!(outcome.stderr.matches("env.log").count(), 1, "{outcome:?}");
}

#[test]
fn stub_traps_when_called_and_only_then() {
    run_text("stub", &["--stub", "env"], IMPORTS, &[]).succeeded();
    let options = ["--stub", "env.log", "--invoke", "call"];
    let outcome = run_text("stub-called", &options, IMPORTS, &[]);
    assert_eq!(outcome.code, Some(134));
    let words = "the program called env.log, which --stub replaced by a trap";
    assert!(outcome.stderr.starts_with(words), "{outcome:?}");
}

#[test]
fn denied_import_is_missing() {
    let options = [
        "--stub",
        "env",
        "--deny",
        "wasi_snapshot_preview1.sched_yield",
    ];
    let outcome = run_text("denied", &options, IMPORTS, &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(outcome.stderr.contains("withheld by --deny"), "{outcome:?}");
}

#[test]
fn import_of_another_type_is_named() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "sched_yield" (func (param i64) (result i32)))
      (func (export "_start")))"#;
    let outcome = run_text("type", &[], text, &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome
            .stderr
            .contains("wasi_snapshot_preview1.sched_yield")
            && outcome.stderr.contains("another type"),
        "{outcome:?}"
    );
}

#[test]
fn arguments_and_environment_arrive() {
    let program = guest::rust("environment", "wasm32-wasip1");
    let options = ["--env", "B=2=3", "--env", "A=", "--argv0", "other name"];
    let outcome = guest::run(&options, &program, &["x y", "", "é"]);
    outcome.succeeded();
    assert_eq!(
        outcome.stdout,
        "[\"other name\", \"x y\", \"\", \"é\"]\n[(\"A\", \"\"), (\"B\", \"2=3\")]\n"
    );
}

#[test]
fn working_directory_is_first_and_named_dot() {
    let scratch = Scratch::new("cwd");
    std::fs::create_dir(scratch.path().join("sub")).unwrap();
    std::fs::write(scratch.path().join("sub/here.txt"), "found").unwrap();
    let program = guest::rust("environment", "wasm32-wasip1");
    let options = ["--dir", &scratch.at("/data"), "--cwd", "/data/sub"];
    let outcome = guest::run(
        &options,
        &program,
        &["cat", "here.txt", "/data/sub/here.txt"],
    );
    outcome.succeeded();
    assert_eq!(outcome.stdout, "found\nfound\n");
}

#[test]
fn missing_working_directory_is_named() {
    let scratch = Scratch::new("cwd-missing");
    let program = guest::rust("environment", "wasm32-wasip1");
    let options = ["--dir", &scratch.at("/data"), "--cwd", "/data/none"];
    let outcome = guest::run(&options, &program, &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome
            .stderr
            .contains("the working directory /data/none: "),
        "{outcome:?}"
    );
    let outcome = guest::run(&["--cwd", "/other"], &program, &[]);
    assert!(
        outcome
            .stderr
            .contains("in none of the mounted directories"),
        "{outcome:?}"
    );
}
