//! Raw system calls: what native code of a guest's choice would make.

use std::ffi::CString;
use std::io;

/// The working directory, in place of a directory's descriptor.
pub(crate) const HERE: usize = libc::AT_FDCWD as usize;

/// Makes a system call. Arguments that are not given are 0.
pub(crate) fn call<const N: usize>(
    number: libc::c_long,
    arguments: [usize; N],
) -> io::Result<usize> {
    let mut all = [0; 6];
    for (place, argument) in all.iter_mut().zip(arguments) {
        *place = argument;
    }
    let [a, b, c, d, e, f] = all;
    // SAFETY: none in general; this program is there to make any call. Each caller passes numbers,
    // or pointers into buffers of its own that live through the call and have the length that it
    // says.
    #[expect(unsafe_code, reason = "the calls are the attack")]
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A path as the kernel takes it.
pub(crate) fn path(text: impl Into<String>) -> CString {
    CString::new(text.into()).expect("paths of the stage hold no NUL byte")
}

/// The address of something that lives through the call.
pub(crate) fn at<T: ?Sized>(thing: &T) -> usize {
    (&raw const *thing).addr()
}
