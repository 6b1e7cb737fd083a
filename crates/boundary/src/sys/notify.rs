//! Calls that a filter holds back until this process has answered them (seccomp_unotify(2)).

use super::kernel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What the calls of a filter come in by.
#[derive(Debug)]
pub struct Listener {
    descriptor: OwnedFd,
    /// Whether who waits for a call learns that there will be none (Linux 6.11).
    tells_end: bool,
}

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    id: u64,
    /// Its number.
    pub number: libc::c_long,
    /// Its arguments.
    pub arguments: [u64; 6],
}

const RECEIVE: Opcode = opcode::read_write::<libc::seccomp_notif>(b'!', 0);
const ANSWER: Opcode = opcode::read_write::<libc::seccomp_notif_resp>(b'!', 1);
const ADD_DESCRIPTOR: Opcode = opcode::write::<libc::seccomp_notif_addfd>(b'!', 3);
const SET_FLAGS: Opcode = opcode::write::<u64>(b'!', 4);

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6): who answers is about to wait.
const SYNC_WAKE_UP: u64 = 1;

impl Listener {
    /// Takes the descriptor that the filter was made with.
    #[must_use]
    pub fn new(descriptor: OwnedFd) -> Self {
        // An older kernel wakes the other side less directly.
        let _ = request(&descriptor, SET_FLAGS, SYNC_WAKE_UP as *mut c_void);
        Self {
            descriptor,
            tells_end: kernel::version() >= (6, 11),
        }
    }

    /// Waits for the next call; none once the process that makes them, by its pidfd, has ended.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn next(&self, process: BorrowedFd<'_>) -> io::Result<Option<Call>> {
        let mut has_to_look = !self.tells_end;
        loop {
            if has_to_look && !self.wait(process)? {
                return Ok(None);
            }
            // SAFETY: it is made of numbers, for which zero is a value.
            #[expect(unsafe_code, reason = "the kernel wants it to be zero")]
            let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            match request(&self.descriptor, RECEIVE, (&raw mut notice).cast()) {
                Ok(_) => {
                    return Ok(Some(Call {
                        id: notice.id,
                        number: notice.data.nr.into(),
                        arguments: notice.data.args,
                    }));
                }
                // The caller was killed meanwhile, all were, or we were disturbed.
                Err(Errno::NOENT | Errno::INTR | Errno::AGAIN) => has_to_look = true,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether everybody is gone who could make a call (known since Linux 6.11).
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn has_ended(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.descriptor, PollFlags::empty())];
        rustix::io::retry_on_intr(|| poll(&mut polled, Some(&Timespec::default())))?;
        Ok(polled
            .iter()
            .any(|call| call.revents().contains(PollFlags::HUP)))
    }

    /// Waits until there is a call; no, if there will never be one. An older listener itself says so only when
    /// the process is reaped, for which others may wait here.
    fn wait(&self, process: BorrowedFd<'_>) -> io::Result<bool> {
        loop {
            let mut polled = [
                PollFd::new(&self.descriptor, PollFlags::IN),
                PollFd::from_borrowed_fd(process, PollFlags::IN),
            ];
            match poll(&mut polled, None) {
                Ok(_) => {
                    let [call, end] = polled.each_ref().map(PollFd::revents);
                    if call.contains(PollFlags::IN) {
                        return Ok(true);
                    }
                    // A signal may be all that there was.
                    if call.contains(PollFlags::HUP) || !end.is_empty() {
                        return Ok(false);
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends the call with a value, or an error.
    ///
    /// # Errors
    /// The kernel's refusal; that the caller is gone is none.
    pub fn answer(&self, call: &Call, result: Result<i64, Errno>) -> io::Result<()> {
        let (val, error) = match result {
            Ok(value) => (value, 0),
            Err(errno) => (0, -errno.raw_os_error()),
        };
        let mut answer = libc::seccomp_notif_resp {
            id: call.id,
            val,
            error,
            flags: 0,
        };
        match request(&self.descriptor, ANSWER, (&raw mut answer).cast()) {
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the caller a copy of a descriptor, closed on `exec`: under a number that takes the place of
    /// what the caller has there, or under the lowest free one, by which the call then ends.
    ///
    /// # Errors
    /// The caller's limit, that it is gone, or the kernel's refusal.
    pub fn give(
        &self,
        call: &Call,
        what: BorrowedFd<'_>,
        number: Option<u32>,
    ) -> Result<(), Errno> {
        // SECCOMP_ADDFD_FLAG_SETFD and SECCOMP_ADDFD_FLAG_SEND.
        let (flags, newfd) = number.map_or((2, 0), |number| (1, number));
        let mut addition = libc::seccomp_notif_addfd {
            id: call.id,
            flags,
            srcfd: what.as_raw_fd().cast_unsigned(),
            newfd,
            newfd_flags: libc::O_CLOEXEC.cast_unsigned(),
        };
        request(&self.descriptor, ADD_DESCRIPTOR, (&raw mut addition).cast()).map(drop)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Makes one of the requests above; `argument` is what its number says, a pointer or a value.
fn request(listener: &OwnedFd, opcode: Opcode, argument: *mut c_void) -> Result<i32, Errno> {
    // SAFETY: each caller passes what the opcode, which names its size, is about, and it lives until the
    // call returns.
    #[expect(unsafe_code, reason = "no crate offers these requests")]
    unsafe {
        ioctl::ioctl(listener, Request { opcode, argument })
    }
}

struct Request {
    opcode: Opcode,
    argument: *mut c_void,
}

// SAFETY: the opcode and the argument belong together, as `request` says; nothing is read from the
// argument after the call.
#[expect(unsafe_code, reason = "a request is a number and a pointer")]
unsafe impl Ioctl for Request {
    type Output = i32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    unsafe fn output_from_ptr(
        result: IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(result)
    }
}
