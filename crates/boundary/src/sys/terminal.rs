//! Terminals that nobody waits for.

use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Opens a terminal once more, so that to write to it never waits. What a pipe takes without waiting is known
/// when it is ready; a terminal may be ready and take less. None for what is no terminal, and where it cannot be
/// opened.
#[must_use]
pub fn without_waiting(stream: BorrowedFd<'_>) -> Option<OwnedFd> {
    if !rustix::termios::isatty(stream) {
        return None;
    }
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}
