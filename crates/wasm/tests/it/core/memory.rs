//! Parts of WebAssembly that toolchains use, beyond the first version.

use super::guest::run_text;

fn result(name: &str, text: &str) -> String {
    let outcome = run_text(name, &["--invoke", "run"], text, &[]);
    outcome.succeeded();
    outcome.stdout
}

#[test]
fn exceptions_are_thrown_and_caught() {
    let text = r#"(module (tag $e (param i32))
      (func (export "run") (result i32)
        (block $caught (result i32)
          (try_table (catch $e $caught) (throw $e (i32.const 42)))
          (i32.const 0))))"#;
    assert_eq!(result("exceptions", text), "42\n");
}

#[test]
fn garbage_is_collected() {
    let text = r#"(module
      (type $node (struct (field (ref null $node)) (field i64)))
      (func (export "run") (result i64) (local $n i32) (local $last (ref null $node))
        (loop $again
          (local.set $last (struct.new $node (ref.null $node) (i64.extend_i32_u (local.get $n))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $n) (i32.const 3000000))))
        (struct.get $node 1 (local.get $last))))"#;
    assert_eq!(result("gc", text), "2999999\n");
}

#[test]
fn tail_calls_need_no_stack() {
    let text = r#"(module
      (func $down (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))
        (return_call $down (i32.sub (local.get 0) (i32.const 1))))
      (func (export "run") (result i32) (call $down (i32.const 5000000))))"#;
    assert_eq!(result("tail", text), "7\n");
}

#[test]
fn several_memories_and_large_ones_work() {
    let text = r#"(module
      (memory $small 1) (memory $large i64 1)
      (func (export "run") (result i32)
        (i32.store $small (i32.const 8) (i32.const 1))
        (i32.store $large (i64.const 8) (i32.const 2))
        (i32.sub (i32.load $large (i64.const 8)) (i32.load $small (i32.const 8)))))"#;
    assert_eq!(result("memories", text), "1\n");
}

#[test]
fn vectors_and_wide_arithmetic_work() {
    let text = r#"(module
      (func (export "run") (result i32 i64 i64)
        (i32x4.extract_lane 2 (i32x4.relaxed_laneselect (v128.const i32x4 1 2 3 4)
          (v128.const i32x4 5 6 7 8) (v128.const i32x4 -1 -1 -1 -1)))
        (i64.mul_wide_u (i64.const -1) (i64.const 2))))"#;
    assert_eq!(result("simd", text), "3\n-2\n1\n");
}
