//! The memory of another process.

use rustix::io::Errno;
use rustix::process::Pid;
use std::io;

/// Reads all of a range of a process's memory, once: what is read is this process's own from then on.
///
/// # Errors
/// `EFAULT` where not all of it is there; `EPERM` and `ESRCH` as ptrace(2).
pub fn read(process: Pid, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    let length = buffer.len();
    if length == 0 {
        return Ok(());
    }
    let process = process.as_raw_nonzero().get();
    let (ours, theirs) = (piece(buffer.as_mut_ptr(), length), remote(address, length)?);
    // SAFETY: our side is a buffer of the length given, which lives until the call returns; the other side
    // is an address in another process, which the kernel checks.
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    let read =
        unsafe { libc::process_vm_readv(process, &raw const ours, 1, &raw const theirs, 1, 0) };
    whole(read, length)
}

/// Writes bytes into a process's memory, where the process itself could write them.
///
/// # Errors
/// As [`read`]; a part may be written.
pub fn write(process: Pid, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    let length = bytes.len();
    if length == 0 {
        return Ok(());
    }
    let process = process.as_raw_nonzero().get();
    let ours = piece(bytes.as_ptr().cast_mut(), length);
    let theirs = remote(address, length)?;
    // SAFETY: as for `read`; our side is only read.
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    let written =
        unsafe { libc::process_vm_writev(process, &raw const ours, 1, &raw const theirs, 1, 0) };
    whole(written, length)
}

fn piece(start: *mut u8, length: usize) -> libc::iovec {
    libc::iovec {
        iov_base: start.cast(),
        iov_len: length,
    }
}

fn remote(address: u64, length: usize) -> Result<libc::iovec, Errno> {
    let address = usize::try_from(address).map_err(|_| Errno::FAULT)?;
    Ok(piece(std::ptr::without_provenance_mut(address), length))
}

/// Whether all was moved.
fn whole(moved: libc::ssize_t, length: usize) -> Result<(), Errno> {
    match usize::try_from(moved) {
        Ok(moved) if moved == length => Ok(()),
        Ok(_) => Err(Errno::FAULT),
        Err(_) => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::FAULT)),
    }
}
