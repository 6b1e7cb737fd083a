//! Fuzzes what a system says of its name servers.

#![no_main]

#[path = "../../crates/types/tests/fuzz/checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::name_servers(data));
