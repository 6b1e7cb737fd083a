//! How functions of WasmEdge's extension are met; what they do is shown by the tests of `cli`, as it takes a
//! keeper.

use super::guest::{Outcome, run_text};

/// Runs a module that calls an import of so many parameters, all of them 0, and exits with its result.
fn exit_with(name: &str, parameters: usize) -> Outcome {
    let types = "i32 ".repeat(parameters);
    let zeros = "(i32.const 0) ".repeat(parameters);
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "{name}" (func $call (param {types}) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func (export "_start") (call $exit (call $call {zeros}))))"#
    );
    run_text(&format!("{name}-{parameters}"), &[], &text, &[])
}

#[test]
fn function_is_met_whichever_generation_it_has_the_type_of() {
    for (name, parameters) in [
        ("sock_accept", 2),
        ("sock_accept", 3),
        ("sock_accept_v2", 3),
        ("sock_getlocaladdr", 4),
        ("sock_getlocaladdr", 3),
        ("sock_getpeeraddr_v2", 3),
        ("sock_recv_from", 7),
        ("sock_recv_from", 8),
        ("sock_recv_v2", 6),
        ("sock_send_to", 7),
        ("sock_getsockopt", 5),
        ("sock_setsockopt_v2", 5),
    ] {
        let outcome = exit_with(name, parameters);
        // Standard input is no socket.
        assert_eq!(outcome.code, Some(57), "{name} {parameters} {outcome:?}");
    }
    // There is nothing to wait for.
    assert_eq!(exit_with("epoll_oneoff", 4).code, Some(28));
}

#[test]
fn function_of_neither_type_is_refused_by_name() {
    for (name, parameters) in [("sock_open", 2), ("sock_accept", 4), ("sock_recv_from", 6)] {
        let outcome = exit_with(name, parameters);
        assert_eq!(outcome.code, Some(126), "{outcome:?}");
        let told = format!("wasi_snapshot_preview1.{name}");
        assert!(outcome.stderr.contains(&told), "{outcome:?}");
        assert!(outcome.stderr.contains("another type"), "{outcome:?}");
    }
}

#[test]
fn socket_without_a_network_is_refused_and_reported() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "sock_open" (func $open (param i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func (export "_start")
        (call $exit (call $open (i32.const 2) (i32.const 1) (i32.const 0)))))"#;
    let outcome = run_text("open-denied", &[], text, &[]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let told = "refused: Socket { action: \"create a UDP socket\" }";
    assert!(outcome.stderr.contains(told), "{outcome:?}");
}
