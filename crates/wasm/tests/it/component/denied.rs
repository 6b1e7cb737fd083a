//! What no grant allows in this version, and what a container is given instead.

use super::guests::{wasi2, wasi3};
use crate::core::guest::run;

#[test]
fn sockets_and_names_of_0_2_are_denied_and_reported() {
    let outcome = run(&[], &wasi2(), &["sockets"]);
    outcome.succeeded();
    assert_eq!(
        outcome.stdout.matches("access-denied").count(),
        3,
        "{outcome:#?}"
    );
    assert!(outcome.stdout.ends_with("Some(PermissionDenied)\n"));
    assert!(
        outcome
            .stderr
            .contains("Socket { action: \"create a TCP socket\" }")
    );
    assert!(
        outcome
            .stderr
            .contains("Socket { action: \"create a UDP socket\" }")
    );
    assert!(outcome.stderr.contains("Lookup { name: \"example.com\", "));
}

#[test]
fn sockets_and_names_of_0_3_are_denied_and_reported() {
    let outcome = run(&[], &wasi3(), &["sockets"]);
    outcome.succeeded();
    assert_eq!(outcome.stdout, "Some(ErrorCode::AccessDenied)\n".repeat(3));
    assert!(
        outcome
            .stderr
            .contains("Socket { action: \"create a TCP socket\" }")
    );
    assert!(
        outcome
            .stderr
            .contains("Socket { action: \"create a UDP socket\" }")
    );
    assert!(outcome.stderr.contains("Lookup { name: \"example.com\", "));
}

#[test]
fn http_request_of_0_2_is_denied_and_reported_without_path() {
    let outcome = run(&[], &wasi2(), &["http", "example.com:8080"]);
    outcome.succeeded();
    assert_eq!(outcome.stdout, "Some(ErrorCode::HttpRequestDenied)\n");
    assert!(outcome.stderr.contains(
        "Request { origin: \"http://example.com:8080\", address: None, reason: NotGranted"
    ));
    assert!(!outcome.stderr.contains("secret"));
}

#[test]
fn http_request_of_0_3_is_denied_and_reported_without_path() {
    let outcome = run(&[], &wasi3(), &["http", "example.com"]);
    outcome.succeeded();
    assert_eq!(outcome.stdout, "Some(ErrorCode::HttpRequestDenied)\n");
    assert!(
        outcome.stderr.contains(
            "Request { origin: \"https://example.com\", address: None, reason: NotGranted"
        )
    );
    assert!(!outcome.stderr.contains("secret"));
}

#[test]
fn credentials_before_the_host_are_not_reported() {
    let outcome = run(&[], &wasi2(), &["http", "user:password@example.com"]);
    assert!(
        outcome.stderr.contains("http://example.com"),
        "{outcome:#?}"
    );
    assert!(!outcome.stderr.contains("password"));
}

#[test]
fn config_answers_what_was_set_and_not_the_environment() {
    let options = ["--config", "key=value", "--env", "other=x"];
    assert_eq!(
        run(&options, &wasi2(), &["config", "key"]).stdout,
        "Ok(Some(\"value\"))\n"
    );
    assert_eq!(
        run(&options, &wasi2(), &["config", "other"]).stdout,
        "Ok(None)\n"
    );
    assert_eq!(
        run(&options, &wasi2(), &["config"]).stdout,
        "Ok([(\"key\", \"value\")])\n"
    );
}

#[test]
fn log_record_is_one_line_on_standard_error() {
    let outcome = run(&[], &wasi2(), &["log", "db", "one\nlighter: two\u{1b}[2J"]);
    outcome.succeeded();
    assert_eq!(outcome.stderr, "WARN db: one\\nlighter: two\\u{1b}[2J\n");
}
