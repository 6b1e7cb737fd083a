//! System calls that no well-kept crate offers as they are needed here. Each function makes one.

pub mod affinity;
pub mod clone;
pub mod kernel;
pub mod memory_file;
pub mod mount;
pub mod network_namespace;
pub mod notify;
pub mod peek;
pub mod signal;
pub mod socket_filter;
pub mod socket_option;
pub mod terminal;
