//! Signals as events: blocked, and read from a descriptor.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A descriptor from which the signals that this process has blocked are read.
#[derive(Debug)]
pub struct SignalEvents(OwnedFd);

impl SignalEvents {
    /// Blocks the signals for this thread and opens a descriptor for them. A process does this
    /// once, while it has one thread.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn open(signals: &[i32]) -> io::Result<Self> {
        let set = signal_set(signals);
        // SAFETY: `set` is a whole signal set that lives through the call.
        #[expect(unsafe_code, reason = "rustix has no signal masks")]
        let result =
            unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above; a new descriptor is asked for (-1).
        #[expect(unsafe_code, reason = "rustix has no signalfd")]
        let fd =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us alone.
        #[expect(unsafe_code, reason = "the descriptor has no owner yet")]
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The number of the next signal that came, `None` if none is waiting.
    ///
    /// # Errors
    /// The kernel's.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut buffer = [0_u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.0, &mut buffer) {
            Ok(0) => Ok(None),
            // The number is the structure's first field, a `u32`.
            Ok(_) => Ok(buffer
                .first_chunk::<4>()
                .map(|number| i32::from_ne_bytes(*number))),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl std::os::fd::AsFd for SignalEvents {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SignalEvents {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the pointer is to room for a whole set, which the call makes.
    #[expect(unsafe_code, reason = "sets are made by libc")]
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
    }
    // SAFETY: `sigemptyset` has made the set; it fails for no valid pointer.
    #[expect(unsafe_code, reason = "sets are made by libc")]
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: the set is whole; an unknown number is an error that changes nothing.
        #[expect(unsafe_code, reason = "sets are filled by libc")]
        unsafe {
            libc::sigaddset(&raw mut set, *signal);
        }
    }
    set
}
