//! What a runner can make of its keeper that says what it should not: one test per line of the
//! table in `docs/security/threat-model.md`, each with a case of the example `bad-runner`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may fail where it likes"
)]

mod bad_runner;
mod frames;
