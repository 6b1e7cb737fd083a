//! Lighter as a library: what every front offers, without its words.
//!
//! An [`Engine`] knows where things are kept; its verbs take options and an observer that is told
//! what goes on, and give a result that a front turns into words and an exit code.
//!
//! ```text
//!   run      program ──▶ code (cache, or the compile role) ──▶ container::run ──▶ Outcome
//!   compile  program ──▶ code
//!   explain  program ──▶ the inspect role ──▶ facts, and what the grants give
//!   system   what is kept, what this machine's boundary is made of
//! ```

mod cache;
mod code;
mod coredump;
mod egress;
mod engine;
mod error;
mod explain;
mod mounts;
mod network;
mod policy;
mod program;
mod run;
mod system;
mod tls;

pub use crate::cache::CacheLimits;
pub use crate::engine::{Engine, Observer, Settings};
pub use crate::error::{Error, signal_code};
pub use crate::explain::{Directory, ExplainOptions, Explanation};
pub use crate::policy::{PolicyCall, policy};
pub use crate::program::ProgramSource;
pub use crate::run::RunOptions;
pub use crate::system::{DiskUsage, Feature, SystemInfo};
pub use crate::tls::TlsFiles;
pub use lighter_boundary::sys::signal::survive_file_size_limit;
pub use lighter_boundary::sys::terminal::without_waiting;
pub use lighter_container::Outcome;
pub use lighter_wasm::ENGINE_VERSION;
