//! Functions called by name, with arguments and results as text.

use super::guests::typed;
use crate::core::guest::{Outcome, run};

fn invoke(function: &str, arguments: &[&str]) -> Outcome {
    run(&["--invoke", function], &typed(), arguments)
}

#[track_caller]
fn returns(function: &str, arguments: &[&str], result: &str) {
    let outcome = invoke(function, arguments);
    outcome.succeeded();
    assert_eq!(outcome.stdout, result);
}

#[track_caller]
fn is_refused(function: &str, arguments: &[&str], words: &str) {
    let outcome = invoke(function, arguments);
    assert_eq!(outcome.code, Some(126));
    assert!(outcome.stderr.contains("InvalidInvoke"), "{outcome:#?}");
    assert!(outcome.stderr.contains(words), "{outcome:#?}");
}

#[test]
fn numbers_text_and_lists() {
    returns("add", &["1", "2"], "3\n");
    returns(
        "greet",
        &["\"you\"", "some(2)"],
        "\"hello you\\nhello you\\n\"\n",
    );
    returns("greet", &["\"you\"", "none"], "\"hello you\\n\"\n");
    returns("sum", &["[1, 2.5]"], "3.5\n");
}

#[test]
fn results() {
    returns("divide", &["7", "-2"], "ok(-3)\n");
    returns("divide", &["1", "0"], "err(\"no quotient\")\n");
}

#[test]
fn function_without_result_prints_nothing() {
    returns("silent", &[], "");
}

#[test]
fn records_variants_enums_and_flags_of_an_exported_interface() {
    let mirror = "test:typed/shapes@1.0.0#mirror";
    returns(
        mirror,
        &["line([{x: 1, y: -2}])"],
        "line([{x: -2, y: 1}])\n",
    );
    returns(mirror, &["nothing"], "nothing\n");
    let paint = "test:typed/shapes@1.0.0#paint";
    returns(paint, &["green", "{bold, wide}"], "(green, {bold, wide})\n");
}

#[test]
fn wrong_arguments_are_refused_with_the_signature() {
    let signature = "the function is add: func(a: u32, b: u32) -> u32";
    is_refused("add", &["1"], signature);
    is_refused("add", &["x", "2"], "argument a is no u32");
    is_refused("add", &["-1", "2"], signature);
    is_refused("greet", &["you", "none"], "double quotes");
}

#[test]
fn unknown_function_is_refused_with_the_known_ones() {
    is_refused("nope", &[], "test:typed/shapes@1.0.0#mirror");
    is_refused("test:typed/shapes@1.0.0", &[], "add");
    is_refused("test:typed/shapes@1.0.0#nope", &[], "add");
}

#[test]
fn trap_of_a_function_is_a_trap() {
    assert_eq!(invoke("fail", &[]).code, Some(134));
}
