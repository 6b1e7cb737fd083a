//! Files in memory whose content can be fixed for good, to pass between processes.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::io;

/// Makes an empty file in memory; the name only shows in `/proc`.
///
/// # Errors
/// No descriptor or memory is left.
pub fn create(name: &CStr) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(File::from(memfd_create(name, flags)?))
}

/// Fixes the content: nobody who holds the file, in whatever process, changes it any more.
///
/// # Errors
/// Somebody has it mapped for writing.
pub fn seal(file: &File) -> io::Result<()> {
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    for _ in 1..SEAL_ATTEMPTS {
        match fcntl_add_seals(file, seals) {
            Err(Errno::BUSY) => {}
            sealed => return Ok(sealed?),
        }
    }
    Ok(fcntl_add_seals(file, seals)?)
}

/// How often a seal is tried. A page that the kernel itself holds for a moment, to age or to move it, is taken
/// for one that somebody may write to, and is waited for a sixth of a second (`memfd_wait_for_pins` of Linux).
const SEAL_ATTEMPTS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn sealed_file_takes_no_more() {
        let mut file = create(c"test").expect("memory is left");
        file.write_all(b"content").expect("it is open");
        seal(&file).expect("nobody maps it");
        let error = file.write_all(b"more").expect_err("it is sealed");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(file.set_len(0).is_err());
    }
}
