//! Puts the filters on.

use crate::LockError;
use crate::bpf;
use crate::calls::{Group, Role, When, calls};
use libc::{sock_filter, sock_fprog};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// `PR_SET_MDWE` and its only flag used here (Linux 6.3, `include/uapi/linux/prctl.h`).
pub(crate) const PR_SET_MDWE: libc::c_int = 65;
const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;

/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19, `include/uapi/linux/seccomp.h`).
const FLAG_WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

/// `PR_GET_MDWE`, of the same release.
const PR_GET_MDWE: libc::c_int = 66;

/// Which calls a role has besides those that all have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Has {
    /// Those for files.
    pub(crate) files: bool,
    /// Those for sockets, some of which the keeper makes.
    pub(crate) network: bool,
    /// Those of sockets that the host shows under other numbers.
    pub(crate) published: bool,
    /// The one by which [`seal_code`] puts on another filter.
    pub(crate) seal_filter: bool,
}

/// Puts the filter of a role on. Where the keeper is asked for calls, gives what it hears of them by.
pub(crate) fn restrict(role: Role, has: Has) -> Result<Option<OwnedFd>, LockError> {
    let process = rustix::process::getpid().as_raw_nonzero().get();
    // In a process namespace of its own a role reaches only itself; elsewhere it may signal the
    // one thread whose number it shares.
    let is_alone = process == 1;
    let mut rules: Vec<bpf::Rule> = calls(role)
        .filter(|call| match call.group {
            Group::Files => has.files,
            Group::Network => has.network,
            Group::Published => has.published,
            Group::SealFilter => has.seal_filter,
            Group::Base | Group::Code | Group::Read => true,
        })
        .map(|call| {
            let when = match call.when {
                When::OneOf {
                    argument: 0,
                    values: [],
                } if is_alone => When::Always,
                When::OneOf {
                    argument: 0,
                    values: [],
                } => When::Masked {
                    argument: 0,
                    mask: u32::MAX,
                    value: process.cast_unsigned(),
                },
                when => when,
            };
            (call.number, when)
        })
        .collect();
    // Directories widen a call that every role has, and published ports change one: of two rules for a
    // number the later one counts.
    rules.reverse();
    rules.sort_by_key(|rule| rule.0);
    rules.dedup_by_key(|rule| rule.0);
    let mut program = bpf::program(&rules);
    if has.network {
        listen(&mut program).map(Some)
    } else {
        install(&mut program, 0).map(|_| None)
    }
}

/// Puts a filter on that asks the keeper, and gives the descriptor by which it hears.
fn listen(program: &mut [sock_filter]) -> Result<OwnedFd, LockError> {
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // What the keeper has begun is not begun again because of a signal (Linux 5.19).
    let listener =
        install(program, flags | FLAG_WAIT_KILLABLE_RECV).or_else(|error| {
            match error.is_missing() {
                true => install(program, flags),
                false => Err(error),
            }
        })?;
    // SAFETY: with this flag the call gives a new descriptor, which nobody else knows.
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    let listener = unsafe { OwnedFd::from_raw_fd(listener) };
    Ok(listener)
}

/// Gives the process's entries in any `/proc` to root, so that its own memory is no file that it
/// can write, code included.
pub(crate) fn hide_from_proc() -> Result<(), LockError> {
    // SAFETY: this prctl takes numbers only and changes nothing but a flag of this process.
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    if result != 0 {
        let error = io::Error::last_os_error();
        return Err(LockError::new("the seal on its own memory", error));
    }
    Ok(())
}

/// Whether the kernel can refuse all gain of executable memory by itself.
pub(crate) fn has_seal() -> bool {
    // SAFETY: this prctl takes numbers only and changes nothing.
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    let flags = unsafe { libc::prctl(PR_GET_MDWE, 0, 0, 0, 0) };
    flags >= 0
}

/// Asks the kernel to refuse all gain of executable memory; a kernel before 6.3 gets a second
/// filter in its place. That filter may also forbid to open files by their names.
pub(crate) fn seal_code(forbids_paths: bool) -> Result<(), LockError> {
    // SAFETY: this prctl takes numbers only and changes nothing but a flag of this process.
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    let result = unsafe { libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) };
    match (result == 0, forbids_paths) {
        (true, false) => Ok(()),
        (is_sealed, _) => install(&mut bpf::seal(!is_sealed, forbids_paths), 0).map(drop),
    }
}

fn install(program: &mut [sock_filter], flags: libc::c_ulong) -> Result<RawFd, LockError> {
    let failed = |error| LockError::new("the system call filter", error);
    let length = u16::try_from(program.len()).map_err(|error| failed(io::Error::other(error)))?;
    let program = sock_fprog {
        len: length,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: `program` points to `len` instructions that live until the call returns; the kernel
    // copies and checks them.
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if result < 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    RawFd::try_from(result).map_err(|error| failed(io::Error::other(error)))
}
