//! What was attempted and what came of it, told to the keeper word by word: an attempt may be the
//! last thing that the process does.

use crate::raw::{at, call};
use lighter_types::runner_protocol::{CONTROL_FD, FROM_RUNNER_BYTES, encode};
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::io;

/// A word of the locked process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// This is attempted next.
    Begun(String),
    /// It succeeded.
    Succeeded,
    /// It was refused with this error.
    Refused(i32),
    /// The lock could not be put on.
    Failed(String),
    /// It listens at this port: whoever is outside may come.
    Listens(u16),
    /// The lock asks the keeper for calls, by this descriptor of the process.
    Asks(i32),
}

/// The attempts of one case.
pub(crate) struct Attempts(());

impl Attempts {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Attempts something.
    pub(crate) fn make(&mut self, what: &str, attempt: impl FnOnce() -> io::Result<usize>) {
        tell(&Word::Begun(what.to_owned()));
        tell(&match attempt() {
            Ok(_) => Word::Succeeded,
            Err(error) => Word::Refused(error.raw_os_error().unwrap_or(0)),
        });
    }

    /// Attempts one system call.
    pub(crate) fn call<const N: usize>(
        &mut self,
        what: &str,
        number: libc::c_long,
        arguments: [usize; N],
    ) {
        self.make(what, || call(number, arguments));
    }

    /// Attempts `open`, `openat` and `openat2` with these flags.
    pub(crate) fn open(&mut self, what: &str, path: &CStr, flags: i32) {
        let (file, bits) = (path.as_ptr().addr(), flags as usize);
        let how = [bits as u64, 0, 0];
        self.call(&format!("open {what}"), libc::SYS_open, [file, bits]);
        let here = crate::raw::HERE;
        self.call(
            &format!("openat {what}"),
            libc::SYS_openat,
            [here, file, bits],
        );
        let arguments = [here, file, at(&how), size_of_val(&how)];
        self.call(&format!("openat2 {what}"), libc::SYS_openat2, arguments);
    }
}

/// Says a word to the keeper. If it is gone there is nobody to tell.
pub(crate) fn tell(word: &Word) {
    let frame = encode(word, FROM_RUNNER_BYTES).expect("words are short");
    let control = CONTROL_FD as usize;
    let _ = call(
        libc::SYS_write,
        [control, frame.as_ptr().addr(), frame.len()],
    );
}
