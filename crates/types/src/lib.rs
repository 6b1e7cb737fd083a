//! Plain data shared by every part of Lighter: no I/O, no clocks, no environment.
//!
//! Reading order: [`program`] (what the first eight bytes say), [`grant`] (the words a user
//! may say), [`network`] (what an address is), [`bundle`] (what one runner is told to run),
//! [`runner_protocol`] (the frames between keeper and runner), [`exit`] (what the user's shell sees).

pub mod bundle;
pub mod cpu;
pub mod digest;
pub mod egress;
pub mod error;
pub mod escape;
pub mod exit;
pub mod grant;
pub mod http;
pub mod interface;
pub mod limits;
pub mod network;
pub mod program;
pub mod refusal;
pub mod runner_protocol;
pub mod secret;
