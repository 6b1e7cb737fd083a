//! What a command is given, and how it ends.

use super::guests::{wasi2, wasi3};
use crate::core::guest::{Scratch, run, run_text};

#[test]
fn command_of_0_2_gets_arguments_and_environment() {
    let outcome = run(
        &["--argv0", "app", "--env", "A=1", "--env", "B=x y"],
        &wasi2(),
        &["show"],
    );
    outcome.succeeded();
    assert_eq!(
        outcome.stdout,
        "arguments [\"app\", \"show\"]\n\
         environment [(\"A\", \"1\"), (\"B\", \"x y\")]\n\
         directory None\n\
         open []\n"
    );
}

#[test]
fn initial_directory_is_open_as_dot_before_all_others() {
    let scratch = Scratch::new("component-cwd");
    std::fs::create_dir(scratch.path().join("in")).unwrap();
    let options = ["--dir", &scratch.at("/data"), "--cwd", "/data/in"];
    let outcome = run(&options, &wasi2(), &["show"]);
    outcome.succeeded();
    assert!(
        outcome
            .stdout
            .ends_with("directory Some(\"/data/in\")\nopen [\".\", \"/data\"]\n"),
        "{outcome:#?}"
    );
    let outcome = run(&options, &wasi3(), &["show"]);
    assert_eq!(outcome.stdout, "Some(\"/data/in\") [\".\", \"/data\"]\n");
}

#[test]
fn initial_directory_behind_a_link_that_leads_out_is_refused() {
    let scratch = Scratch::new("component-cwd-link");
    std::os::unix::fs::symlink("/etc", scratch.path().join("in")).unwrap();
    let outcome = run(
        &["--dir", &scratch.at("/data"), "--cwd", "/data/in"],
        &wasi2(),
        &["show"],
    );
    assert_eq!(outcome.code, Some(126));
    let told = &outcome.stderr;
    assert!(told.contains("the working directory /data/in: "), "{told}");
}

#[test]
fn exit_of_0_2_knows_ok_and_error_only() {
    assert_eq!(run(&[], &wasi2(), &["exit", "0"]).code, Some(0));
    assert_eq!(run(&[], &wasi2(), &["exit", "7"]).code, Some(1));
}

#[test]
fn exit_with_code_keeps_the_code() {
    assert_eq!(run(&[], &wasi2(), &["exit-with-code", "7"]).code, Some(7));
    assert_eq!(
        run(&[], &wasi2(), &["exit-with-code", "255"]).code,
        Some(255)
    );
    assert_eq!(run(&[], &wasi3(), &["exit", "7"]).code, Some(7));
    assert_eq!(run(&[], &wasi3(), &["exit", "0"]).code, Some(0));
}

#[test]
fn run_of_0_3_that_returns_an_error_ends_with_1() {
    assert_eq!(run(&[], &wasi3(), &["error"]).code, Some(1));
}

#[test]
fn one_component_may_use_0_2_and_0_3() {
    let outcome = run(&[], &wasi3(), &["mixed"]);
    outcome.succeeded();
    assert_eq!(outcome.stdout, "from 0.2 Some(\"mixed\")\nfrom 0.3\n");
}

#[test]
fn streams_are_terminals_exactly_if_they_are_said_to_be() {
    assert_eq!(
        run(&[], &wasi2(), &["terminals"]).stdout,
        "false false false\n"
    );
    assert_eq!(
        run(&["--tty"], &wasi2(), &["terminals"]).stdout,
        "true true true\n"
    );
    assert_eq!(
        run(&["--tty"], &wasi3(), &["terminals"]).stdout,
        "true true\n"
    );
}

#[test]
fn trap_tells_functions_and_lines() {
    let outcome = run(&[], &wasi2(), &["trap"]);
    assert_eq!(outcome.code, Some(134));
    let inner = outcome
        .stderr
        .find("inner at ")
        .expect("the innermost function");
    let outer = outcome.stderr.find("outer at ").expect("its caller");
    assert!(inner < outer && outcome.stderr.contains("main.rs:"));
}

#[test]
fn trap_of_0_3_is_a_trap() {
    let outcome = run(&[], &wasi3(), &["trap"]);
    assert_eq!(outcome.code, Some(134));
    assert!(outcome.stderr.contains("unreachable"));
}

/// Both are exported: the newer one is the program, the older one a leftover.
#[test]
fn run_0_3_goes_before_run_0_2() {
    let outcome = run_text("component-two-runs", &[], &two_runs(""), &[]);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
}

#[test]
fn run_goes_before_an_http_handler() {
    let handler = "(export \"wasi:http/incoming-handler@0.2.0\" (instance $old))";
    let outcome = run_text("component-run-and-http", &[], &two_runs(handler), &[]);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
}

/// Run 0.2 succeeds, run 0.3 returns an error.
fn two_runs(more: &str) -> String {
    format!(
        r#"(component
            (core module $m
                (func (export "old") (result i32) i32.const 0)
                (func (export "new") (result i32) i32.const 1))
            (core instance $i (instantiate $m))
            (func $old (result (result)) (canon lift (core func $i "old")))
            (func $new async (result (result)) (canon lift (core func $i "new")))
            (instance $old (export "run" (func $old)))
            (instance $new (export "run" (func $new)))
            (export "wasi:cli/run@0.2.0" (instance $old))
            (export "wasi:cli/run@0.3.0" (instance $new))
            {more})"#
    )
}

#[test]
fn component_without_entry_is_refused_with_its_functions() {
    let text = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (export "go" (func $f)))"#;
    let outcome = run_text("component-no-entry", &[], text, &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome.stderr.contains("NoEntry { exports: [\"go\"] }"),
        "{outcome:#?}"
    );
}
