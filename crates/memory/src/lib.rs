//! The memory of the program file's processes: its allocator, and what is given back while waiting.
//!
//! The allocator makes few calls to the kernel, for a start of a millisecond. It knows what to do in a
//! locked role when there is no more memory: a role has nowhere to print to, and is process 1 of its
//! namespace, where the kernel ignores an abort.

mod cache;
mod program;

pub use crate::program::before_wait;

use dlmalloc::Dlmalloc;
use lighter_types::exit;
use lighter_types::runner_protocol::{
    CONTROL_FD, End, FROM_RUNNER_BYTES, Failure, FromRunner, encode,
};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The allocator; in a locked role a failure to allocate is the role's last word.
#[derive(Debug)]
pub struct Memory;

/// The frame that a role ends with when its memory is used up, made while there is some.
static LAST_WORD: OnceLock<Vec<u8>> = OnceLock::new();

/// Makes every failure to allocate end this process with a frame that says so.
pub fn end_when_exhausted() {
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
    // SAFETY: the call takes a number and does not return.
    #[expect(unsafe_code, reason = "only raw calls may be made here")]
    unsafe {
        libc::_exit(i32::from(code))
    }
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

/// Whether threads keep small pieces for themselves.
static HAS_CACHES: AtomicBool = AtomicBool::new(false);

/// Lets each thread keep small pieces of memory until it ends: for roles whose threads end with them.
pub fn keep_per_thread() {
    HAS_CACHES.store(true, Ordering::Relaxed);
}

/// Whether this is of a size that threads keep.
fn is_small(layout: Layout) -> bool {
    layout.size() <= cache::LARGEST && layout.align() <= 16
}

/// The size that the heap is asked for: it holds whatever the thread's lists may use the memory for.
fn heap_bytes(layout: Layout) -> usize {
    if is_small(layout) {
        cache::piece_bytes(layout.size())
    } else {
        layout.size()
    }
}

fn alloc_small(layout: Layout) -> *mut u8 {
    cache::alloc(layout.size(), |count, hand_over| {
        let bytes = heap_bytes(layout);
        let mut heap = heap();
        for _ in 0..count {
            // SAFETY: the size is not 0, the alignment is dlmalloc's own.
            #[expect(unsafe_code, reason = "an allocator is unsafe to call")]
            let piece = unsafe { heap.malloc(bytes, 16) };
            if piece.is_null() {
                break;
            }
            hand_over(piece);
        }
    })
}

fn free_small(pointer: *mut u8, layout: Layout) {
    cache::free(pointer, layout.size(), |next| {
        let bytes = heap_bytes(layout);
        let mut heap = heap();
        while let Some(piece) = next() {
            // SAFETY: the piece came from this heap, with this size and alignment.
            #[expect(unsafe_code, reason = "an allocator is unsafe to call")]
            unsafe {
                heap.free(piece, bytes, 16);
            }
        }
    });
}

// SAFETY: all calls are passed on to dlmalloc, one at a time, with the size that each piece came with,
// or to the lists of this thread.
#[expect(unsafe_code, reason = "an allocator is unsafe to call")]
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if HAS_CACHES.load(Ordering::Relaxed) && is_small(layout) {
            return checked(alloc_small(layout));
        }
        // SAFETY: the caller's promises are those that are asked for.
        checked(unsafe { heap().malloc(heap_bytes(layout), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if HAS_CACHES.load(Ordering::Relaxed) && is_small(layout) {
            let pointer = checked(alloc_small(layout));
            if !pointer.is_null() {
                // SAFETY: the piece has at least this size.
                unsafe { pointer.write_bytes(0, layout.size()) };
            }
            return pointer;
        }
        // SAFETY: as above.
        checked(unsafe { heap().calloc(heap_bytes(layout), layout.align()) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if HAS_CACHES.load(Ordering::Relaxed) && is_small(layout) {
            return free_small(pointer, layout);
        }
        // SAFETY: as above.
        unsafe { heap().free(pointer, heap_bytes(layout), layout.align()) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller gives a size that is none too large for its alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let (before, after) = (heap_bytes(layout), heap_bytes(new));
        if before == after && is_small(layout) {
            return pointer;
        }
        if HAS_CACHES.load(Ordering::Relaxed) && (is_small(layout) || is_small(new)) {
            // SAFETY: the caller gives a size that is not 0.
            let moved = unsafe { self.alloc(new) };
            if !moved.is_null() {
                // SAFETY: both have as many bytes, and one of them is new.
                unsafe { moved.copy_from_nonoverlapping(pointer, layout.size().min(size)) };
                // SAFETY: the caller gives it up.
                unsafe { self.dealloc(pointer, layout) };
            }
            return moved;
        }
        // SAFETY: as above.
        checked(unsafe { heap().realloc(pointer, before, layout.align(), after) })
    }
}
