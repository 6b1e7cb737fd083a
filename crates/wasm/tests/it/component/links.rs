//! Imports: met, missing, stubbed, withheld.

use super::guests::wasi2;
use crate::core::guest::{run, run_text};

/// A component that imports `exit-with-code` of one version and calls it with 5.
fn exits(version: &str, more: &str) -> String {
    format!(
        r#"(component
            (import "wasi:cli/exit@{version}" (instance $exit
                (export "exit-with-code" (func (param "status-code" u8)))
                {more}))
            (core func $exit (canon lower (func $exit "exit-with-code")))
            (core module $m
                (import "host" "exit" (func $exit (param i32)))
                (func (export "run") (result i32) i32.const 5 call $exit i32.const 0))
            (core instance $i (instantiate $m
                (with "host" (instance (export "exit" (func $exit))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $run)))"#
    )
}

#[test]
fn every_version_of_a_track_is_met() {
    assert_eq!(
        run_text("links-0", &[], &exits("0.2.0", ""), &[]).code,
        Some(5)
    );
    assert_eq!(
        run_text("links-12", &[], &exits("0.2.12", ""), &[]).code,
        Some(5)
    );
    assert_eq!(
        run_text("links-99", &[], &exits("0.2.99", ""), &[]).code,
        Some(5)
    );
    assert_eq!(
        run_text("links-3-2", &[], &exits("0.3.2", ""), &[]).code,
        Some(5)
    );
}

#[test]
fn later_version_that_asks_for_something_new_is_refused_by_name() {
    let text = exits("0.2.99", "(export \"exit-softly\" (func))");
    let outcome = run_text("links-new", &[], &text, &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome.stderr.contains("wasi:cli/exit@0.2.99"),
        "{outcome:#?}"
    );
    assert!(outcome.stderr.contains("exit-softly"), "{outcome:#?}");
}

#[test]
fn other_track_is_missing_and_the_versions_that_are_there_are_named() {
    let outcome = run_text("links-track", &[], &exits("0.4.0", ""), &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(outcome.stderr.contains("MissingImports"), "{outcome:#?}");
    assert!(
        outcome.stderr.contains("wasi:cli/exit@0.4.0"),
        "{outcome:#?}"
    );
}

#[test]
fn release_candidate_is_missing() {
    let outcome = run_text("links-rc", &[], &exits("0.2.0-rc-2023-11-10", ""), &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(outcome.stderr.contains("MissingImports"), "{outcome:#?}");
}

#[test]
fn wrong_type_is_refused_by_name() {
    let text = r#"(component
        (import "wasi:cli/environment@0.2.0" (instance
            (export "get-arguments" (func (result u32)))))
        (core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $run)))"#;
    let outcome = run_text("links-type", &[], text, &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome.stderr.contains("wasi:cli/environment@0.2.0"),
        "{outcome:#?}"
    );
    assert!(outcome.stderr.contains("get-arguments"), "{outcome:#?}");
}

/// A component that imports what nobody provides, and calls it or not.
fn queries(calls: bool) -> String {
    let call = if calls { "call $get" } else { "" };
    format!(
        r#"(component
            (import "acme:db/query@1.0.0" (instance $query
                (export "row" (type (sub resource)))
                (export "get" (func))
                (export "wait" (func async))))
            (import "acme:db/types@1.0.0" (instance
                (type $size' u32)
                (export "size" (type (eq $size')))))
            (core func $get (canon lower (func $query "get")))
            (core module $m
                (import "host" "get" (func $get))
                (func (export "run") (result i32) {call} i32.const 0))
            (core instance $i (instantiate $m
                (with "host" (instance (export "get" (func $get))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $run)))"#
    )
}

#[test]
fn import_that_nobody_provides_is_refused() {
    let outcome = run_text("links-missing", &[], &queries(false), &[]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome.stderr.contains("acme:db/query@1.0.0"),
        "{outcome:#?}"
    );
}

#[test]
fn stub_lets_a_program_start() {
    let outcome = run_text("links-stub", &["--stub", "acme:db"], &queries(false), &[]);
    outcome.succeeded();
}

#[test]
fn call_of_a_stub_traps_and_names_it() {
    let outcome = run_text("links-call", &["--stub", "acme:db"], &queries(true), &[]);
    assert_eq!(outcome.code, Some(134));
    assert!(
        outcome.stderr.contains("acme:db/query@1.0.0#get"),
        "{outcome:#?}"
    );
}

#[test]
fn interface_that_is_there_can_be_stubbed() {
    let options = ["--stub", "wasi:sockets", "--stub", "wasi:http"];
    let outcome = run(&options, &wasi2(), &["hello"]);
    outcome.succeeded();
    assert_eq!(outcome.stdout, "hello\n");
    let outcome = run(&options, &wasi2(), &["sockets"]);
    assert_eq!(outcome.code, Some(134));
    assert!(outcome.stderr.contains("create-tcp-socket"), "{outcome:#?}");
}

#[test]
fn withheld_import_is_refused_by_name() {
    let outcome = run(&["--deny", "wasi:sockets/tcp"], &wasi2(), &["hello"]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome.stderr.contains("wasi:sockets/tcp@0.2."),
        "{outcome:#?}"
    );
    assert!(outcome.stderr.contains("--deny"), "{outcome:#?}");
}
