//! Fuzzes the frames between keeper and runner.

#![no_main]

#[path = "../../crates/types/tests/fuzz/checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::runner_protocol(data));
