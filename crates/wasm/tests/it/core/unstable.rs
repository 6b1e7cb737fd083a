//! `wasi_unstable`, where it differs from WASI 0.1.

use super::guest::{self, Scratch};

/// Seeks with the old numbers, and reads the old records of a file and of a clock.
const OLD: &str = r#"(module
  (import "wasi_unstable" "path_open" (func $open
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_unstable" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "file")
  (func $expect (param $is i32) (param $code i32)
    (if (i32.eqz (local.get $is)) (then (call $exit (local.get $code)))))
  (func (export "_start")
    (call $expect (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4)
      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16))) (i32.const 10))
    ;; whence 1 is the end, 0 the position, 2 the start
    (call $expect (i32.eqz (call $seek (i32.load (i32.const 16)) (i64.const -1) (i32.const 1)
      (i32.const 24))) (i32.const 11))
    (call $expect (i64.eq (i64.load (i32.const 24)) (i64.const 4)) (i32.const 12))
    (call $expect (i32.eqz (call $seek (i32.load (i32.const 16)) (i64.const -2) (i32.const 0)
      (i32.const 24))) (i32.const 13))
    (call $expect (i64.eq (i64.load (i32.const 24)) (i64.const 2)) (i32.const 14))
    (call $expect (i32.eqz (call $seek (i32.load (i32.const 16)) (i64.const 1) (i32.const 2)
      (i32.const 24))) (i32.const 15))
    (call $expect (i64.eq (i64.load (i32.const 24)) (i64.const 1)) (i32.const 16))
    ;; 56 bytes: links at 20, size at 24; what follows is left alone
    (i64.store (i32.const 156) (i64.const -1))
    (call $expect (i32.eqz (call $stat (i32.load (i32.const 16)) (i32.const 100))) (i32.const 17))
    (call $expect (i32.eq (i32.load8_u (i32.const 116)) (i32.const 4)) (i32.const 18))
    (call $expect (i32.eq (i32.load (i32.const 120)) (i32.const 1)) (i32.const 19))
    (call $expect (i64.eq (i64.load (i32.const 124)) (i64.const 5)) (i32.const 20))
    (call $expect (i64.eq (i64.load (i32.const 156)) (i64.const -1)) (i32.const 21))
    ;; two clocks of 56 bytes: the second is due, and only it
    (i64.store (i32.const 200) (i64.const 70))
    (i32.store (i32.const 224) (i32.const 1))
    (i64.store (i32.const 232) (i64.const 3600000000000))
    (i64.store (i32.const 256) (i64.const 71))
    (i32.store (i32.const 280) (i32.const 1))
    (i64.store (i32.const 288) (i64.const 1000000))
    (call $expect (i32.eqz (call $poll (i32.const 200) (i32.const 400) (i32.const 2)
      (i32.const 500))) (i32.const 22))
    (call $expect (i32.eq (i32.load (i32.const 500)) (i32.const 1)) (i32.const 23))
    (call $expect (i64.eq (i64.load (i32.const 400)) (i64.const 71)) (i32.const 24))))
"#;

#[test]
fn old_dialect_has_its_own_numbers_and_records() {
    let scratch = Scratch::new("unstable");
    scratch.file("file", "12345");
    let program = scratch.file("old.wat", OLD);
    guest::run(&["--dir", &scratch.at("/")], &program, &[]).succeeded();
}
