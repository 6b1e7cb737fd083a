//! `--invoke` on core modules.

use super::guest::{Outcome, run_text};

const LIBRARY: &str = r#"(module
  (global $ready (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $ready (i32.const 1)))
  (func (export "ready") (result i32) (global.get $ready))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "wide") (param i64) (result i64 i64) (local.get 0) (i64.const 7))
  (func (export "half") (param f32 f64) (result f32 f64)
    (f32.div (local.get 0) (f32.const 2)) (f64.div (local.get 1) (f64.const 2)))
  (func (export "same") (param v128) (result v128) (local.get 0))
  (func (export "any") (param externref))
  (memory (export "memory") 1))"#;

fn invoke(export: &str, arguments: &[&str]) -> Outcome {
    let name = format!("invoke-{export}-{}", arguments.len());
    run_text(&name, &["--invoke", export], LIBRARY, arguments)
}

fn result(export: &str, arguments: &[&str]) -> String {
    let outcome = invoke(export, arguments);
    outcome.succeeded();
    outcome.stdout
}

fn refusal(export: &str, arguments: &[&str]) -> String {
    let outcome = invoke(export, arguments);
    assert_eq!(outcome.code, Some(126));
    assert!(outcome.stderr.contains("InvalidInvoke"), "{outcome:?}");
    outcome.stderr
}

#[test]
fn integers_are_taken_in_every_usual_form() {
    assert_eq!(result("add", &["-1", "0xffffffff"]), "-2\n");
    assert_eq!(result("wide", &["18446744073709551615"]), "-1\n7\n");
}

#[test]
fn floats_and_vectors_are_taken() {
    assert_eq!(result("half", &["3", "-1e-3"]), "1.5\n-0.0005\n");
    assert_eq!(
        result("same", &["0x10"]),
        "0x00000000000000000000000000000010\n"
    );
}

#[test]
fn reactor_is_initialized_before_the_call() {
    assert_eq!(result("ready", &[]), "1\n");
}

#[test]
fn wrong_count_shows_the_signature() {
    let text = refusal("add", &["1"]);
    assert!(
        text.contains("add(i32, i32) -> i32 takes 2 arguments, 1 given"),
        "{text}"
    );
}

#[test]
fn wrong_argument_shows_its_place_and_type() {
    let text = refusal("add", &["1", "two"]);
    assert!(
        text.contains("argument 2 of add(i32, i32) -> i32"),
        "{text}"
    );
    assert!(refusal("add", &["1", "4294967296"]).contains("is no i32"));
    assert!(refusal("any", &["1"]).contains("cannot be given as text"));
}

#[test]
fn unknown_export_lists_those_that_there_are() {
    let text = refusal("none", &[]);
    assert!(text.contains("no function none is exported; there are: _initialize, ready, add"));
    assert!(refusal("memory", &[]).contains("is no function"));
}
