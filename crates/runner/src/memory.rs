//! The allocator of the program file: few calls to the kernel, for a start of a millisecond.
//!
//! It knows what to do in a locked role when there is no more memory: a role has nowhere to print
//! to, and is process 1 of its namespace, where the kernel ignores an abort.

use dlmalloc::Dlmalloc;
use lighter_types::exit;
use lighter_types::runner_protocol::{
    CONTROL_FD, End, FROM_RUNNER_BYTES, Failure, FromRunner, encode,
};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The allocator; in a locked role a failure to allocate is the role's last word.
#[derive(Debug)]
pub struct Memory;

/// The frame that a role ends with when its memory is used up, made while there is some.
static LAST_WORD: OnceLock<Vec<u8>> = OnceLock::new();

/// Makes every failure to allocate end this process with a frame that says so.
pub(crate) fn end_when_exhausted() {
    let message = FromRunner::Ended(End::Failed(Failure::OutOfMemory));
    if let Ok(frame) = encode(&message, FROM_RUNNER_BYTES) {
        // A process is one role, so this is the only frame there is.
        let _ = LAST_WORD.set(frame);
    }
}

/// What the user is told when the keeper has no memory left; its runners end with it.
const NO_MEMORY: &[u8] = b"lighter: no memory is left for lighter itself\n\
    hint: raise its limit (ulimit -d, ulimit -v, a control group), or free some\n";

/// Says the last word: a locked role's to its keeper, and the keeper's to the user. Calls write(2)
/// and _exit(2) and nothing else, since whoever allocates may hold any lock.
fn exhausted() -> ! {
    let (descriptor, words, code) = match LAST_WORD.get() {
        Some(frame) => (CONTROL_FD, frame.as_slice(), exit::OUR_BUG),
        None => (libc::STDERR_FILENO, NO_MEMORY, exit::FAILED),
    };
    // SAFETY: the pointer and the length are those of a slice that is never dropped. Should another
    // thread be in the middle of a frame of its own, the keeper finds that out and says so.
    #[expect(unsafe_code, reason = "only raw calls may be made here")]
    unsafe {
        libc::write(descriptor, words.as_ptr().cast(), words.len());
    }
    crate::end(code);
}

fn checked(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() {
        exhausted();
    }
    pointer
}

/// The heap. Its lock costs a few instructions where nobody else holds it; dlmalloc's own one is
/// musl's, which costs each start some forty microseconds.
static HEAP: Mutex<Dlmalloc> = Mutex::new(Dlmalloc::new());

fn heap() -> MutexGuard<'static, Dlmalloc> {
    HEAP.lock().unwrap_or_else(PoisonError::into_inner)
}

// SAFETY: all calls are passed on to dlmalloc, one at a time, with what they came with.
#[expect(unsafe_code, reason = "an allocator is unsafe to call")]
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that are asked for.
        checked(unsafe { heap().malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { heap().calloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { heap().free(pointer, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { heap().realloc(pointer, layout.size(), layout.align(), size) })
    }
}
