//! Signals as events: blocked, and read from a descriptor.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A descriptor from which the signals that this process has blocked are read. When it goes, they
/// do again what they did before.
#[derive(Debug)]
pub struct SignalEvents {
    events: OwnedFd,
    blocked: libc::sigset_t,
}

impl SignalEvents {
    /// Blocks the signals for this thread and opens a descriptor for them, except for those that
    /// whoever started this process lets it ignore (as `nohup` does). A process does this while
    /// it has one thread. Children are waited for, so what ignores their end is undone.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn open(signals: &[i32]) -> io::Result<Self> {
        set_action(libc::SIGCHLD, libc::SIG_DFL);
        let heard: Vec<i32> = signals
            .iter()
            .copied()
            .filter(|signal| !is_ignored(*signal))
            .collect();
        let set = signal_set(&heard);
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
        let events = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            events,
            blocked: set,
        })
    }

    /// The number of the next signal that came, `None` if none is waiting.
    ///
    /// # Errors
    /// The kernel's.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut buffer = [0_u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.events, &mut buffer) {
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
        self.events.as_fd()
    }
}

impl AsRawFd for SignalEvents {
    fn as_raw_fd(&self) -> i32 {
        self.events.as_raw_fd()
    }
}

impl Drop for SignalEvents {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was blocked; a valid set cannot be refused.
        #[expect(unsafe_code, reason = "rustix has no signal masks")]
        unsafe {
            libc::sigprocmask(
                libc::SIG_UNBLOCK,
                &raw const self.blocked,
                std::ptr::null_mut(),
            );
        }
    }
}

/// Makes a write past the limit on the size of files an error, where it would end the process.
pub fn survive_file_size_limit() {
    set_action(libc::SIGXFSZ, libc::SIG_IGN);
}

/// Sets what a signal does, to one of the two actions that run no code.
fn set_action(signal: i32, action: libc::sighandler_t) {
    debug_assert!([libc::SIG_DFL, libc::SIG_IGN].contains(&action));
    // SAFETY: the action runs no code of ours.
    #[expect(unsafe_code, reason = "rustix has no signal actions")]
    unsafe {
        libc::signal(signal, action);
    }
}

/// Whether the signal does nothing to this process.
fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the action is only asked for; there is room for it.
    #[expect(unsafe_code, reason = "rustix has no signal actions")]
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    if result != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so it has filled the structure.
    #[expect(unsafe_code, reason = "libc fills it")]
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN
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
