//! Where a core dump goes: to a descriptor that the keeper opened.

use lighter_types::runner_protocol::COREDUMP_FD;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

/// Writes the dump of a program whose bundle asks for one.
///
/// # Errors
/// As write(2).
pub(crate) fn write(dump: &[u8]) -> io::Result<()> {
    // SAFETY: a bundle that asks for a core dump comes with this descriptor
    // (`lighter_types::runner_protocol`), which nothing in the process closes.
    #[expect(unsafe_code, reason = "the descriptor is known by its number")]
    let descriptor = unsafe { BorrowedFd::borrow_raw(COREDUMP_FD) };
    File::from(descriptor.try_clone_to_owned()?).write_all(dump)
}
