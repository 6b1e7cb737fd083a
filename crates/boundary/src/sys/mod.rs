//! System calls that no well-kept crate offers as they are needed here. Each function makes one.

pub mod affinity;
pub mod clone;
pub mod memory_file;
pub mod mount;
pub mod notify;
pub mod peek;
pub mod signal;
