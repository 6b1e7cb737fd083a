//! Fuzzes the policy of the network.

#![no_main]

#[path = "../../crates/types/tests/fuzz/checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::network_policy(data));
