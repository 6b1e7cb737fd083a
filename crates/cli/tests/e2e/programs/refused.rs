//! Programs made for other hosts, which are refused before they start, by name.

use crate::workspace;
use lighter_testkit::programs;

/// A command that imports two functions of WASIX.
const WASIX: &str = r#"(module
    (import "wasix_32v1" "sock_open" (func (param i32 i32 i32 i32) (result i32)))
    (import "wasix_32v1" "proc_fork" (func (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")))"#;

/// `(func (export "_start") try catch_all end)` with a memory and a tag, in the old encoding.
const LEGACY_EXCEPTIONS: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\0\0\
    \x03\x02\x01\0\
    \x05\x03\x01\0\x01\
    \x0d\x03\x01\0\0\
    \x07\x13\x02\x06memory\x02\0\x06_start\0\0\
    \x0a\x08\x01\x06\0\x06\x40\x19\x0b\x0b";

#[test]
fn ruby_for_javascript_is_refused_with_the_host_it_wants() {
    let workspace = workspace();
    let outcome = workspace
        .lighter(["run"])
        .arg(programs::ruby_for_javascript())
        .run();
    outcome.assert_refused(126, &["ruby.wasm", "rb-js-abi-host"]);
}

#[test]
fn esbuild_for_javascript_is_refused_with_the_host_it_wants() {
    let workspace = workspace();
    let outcome = workspace
        .lighter(["run"])
        .arg(programs::esbuild_gojs())
        .run();
    outcome.assert_refused(126, &["esbuild.wasm", "gojs"]);
}

#[test]
fn wasix_is_refused_by_name() {
    let workspace = workspace();
    let program = workspace.write("wasix.wat", WASIX);
    let outcome = workspace.lighter(["run"]).arg(program).run();
    outcome.assert_refused(126, &["wasix.wat", "wasix_32v1", "WASIX"]);
}

#[test]
fn legacy_exceptions_are_refused_by_name() {
    let workspace = workspace();
    let program = workspace.write("legacy.wasm", LEGACY_EXCEPTIONS);
    let outcome = workspace.lighter(["run"]).arg(program).run();
    outcome.assert_refused(126, &["legacy.wasm", "legacy exceptions"]);
}
