//! Core modules.

mod entry;
pub(crate) mod guest;
mod invoke;
mod memory;
mod shared;
mod traps;
mod unstable;
mod wasi;
mod wasmedge;
