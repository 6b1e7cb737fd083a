//! What a guest that has broken out of Wasm cannot do: one test per line of the table in
//! `docs/security/threat-model.md`, each with a case of the example `broken-out`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may fail where it likes"
)]

mod broken_out;
mod cases;
mod policy;
mod table;
