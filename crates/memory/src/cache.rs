//! Small pieces of memory that a thread keeps for itself, so that the compiler's threads do not wait for
//! each other at the one heap.
//!
//! ```text
//!   thread        lists, one per size         heap (one lock)
//!   alloc  <----  pop      empty: fetch BATCH  <---------
//!   free   ---->  push     more than 2 BATCH: return BATCH  --->
//! ```
//!
//! What a thread has kept is lost when it ends, so this is for roles that end with their threads.

use std::cell::UnsafeCell;
use std::ptr;

/// The largest piece that is kept, in bytes.
pub(super) const LARGEST: usize = 1016;

/// How many pieces are fetched from the heap, or returned to it, at once.
const BATCH: usize = 32;

/// One list for each size of a chunk of dlmalloc: 16 bytes apart.
const SIZES: usize = size_class(LARGEST) + 1;

/// The size of the piece that is allocated for so many bytes: what the heap's chunk for them holds
/// anyway, of which 8 bytes are the heap's own.
pub(super) const fn piece_bytes(bytes: usize) -> usize {
    size_class(bytes) * 16 + 24
}

/// Which list.
const fn size_class(bytes: usize) -> usize {
    if bytes <= 24 { 0 } else { (bytes - 9) / 16 }
}

/// A piece on a list holds the address of the next one.
#[derive(Clone, Copy)]
struct List {
    first: *mut u8,
    count: usize,
}

thread_local! {
    static LISTS: UnsafeCell<[List; SIZES]> = const {
        UnsafeCell::new([List { first: ptr::null_mut(), count: 0 }; SIZES])
    };
}

impl List {
    /// Takes a piece off.
    fn pop(&mut self) -> Option<*mut u8> {
        if self.first.is_null() {
            return None;
        }
        let piece = self.first;
        // SAFETY: a piece on a list is nobody else's, holds at least 24 bytes, and `push` has written
        // the address of the next one to its first eight.
        #[expect(unsafe_code, reason = "free memory holds the list")]
        let next = unsafe { piece.cast::<*mut u8>().read() };
        self.first = next;
        self.count -= 1;
        Some(piece)
    }

    /// Puts a piece on, which is nobody's.
    fn push(&mut self, piece: *mut u8) {
        // SAFETY: the caller gives up a piece of at least 24 bytes, aligned to 16.
        #[expect(unsafe_code, reason = "free memory holds the list")]
        unsafe {
            piece.cast::<*mut u8>().write(self.first);
        }
        self.first = piece;
        self.count += 1;
    }
}

/// Does something with this thread's list for a size. What it does allocates nothing.
fn with_list<R>(bytes: usize, act: impl FnOnce(&mut List) -> R) -> R {
    LISTS.with(|lists| {
        // SAFETY: the lists are this thread's, and nothing that is done with one comes back here.
        #[expect(unsafe_code, reason = "an allocator cannot afford a RefCell")]
        let lists = unsafe { &mut *lists.get() };
        match lists.get_mut(size_class(bytes)) {
            Some(list) => act(list),
            // No caller asks for more than the largest.
            None => std::process::abort(),
        }
    })
}

/// Gives a piece for at most [`LARGEST`] bytes. `fetch` makes up to so many new ones and hands over
/// each; it makes none where the heap has no more.
pub(super) fn alloc(bytes: usize, fetch: impl FnOnce(usize, &mut dyn FnMut(*mut u8))) -> *mut u8 {
    with_list(bytes, |list| {
        list.pop().unwrap_or_else(|| {
            fetch(BATCH, &mut |piece| list.push(piece));
            list.pop().unwrap_or(ptr::null_mut())
        })
    })
}

/// Keeps a piece for at most [`LARGEST`] bytes. `give_back` takes pieces, one each time, that are too
/// many.
pub(super) fn free(
    piece: *mut u8,
    bytes: usize,
    give_back: impl FnOnce(&mut dyn FnMut() -> Option<*mut u8>),
) {
    with_list(bytes, |list| {
        list.push(piece);
        if list.count > 2 * BATCH {
            let mut left = BATCH;
            give_back(&mut || {
                left = left.checked_sub(1)?;
                list.pop()
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piece_holds_what_it_was_asked_for_and_is_shared_by_a_class() {
        for bytes in 1..=LARGEST {
            let piece = piece_bytes(bytes);
            assert!(piece >= bytes && piece < bytes + 24, "{bytes}: {piece}");
            assert_eq!(size_class(piece), size_class(bytes), "{bytes}");
        }
        assert_eq!(piece_bytes(LARGEST), LARGEST);
    }

    #[test]
    fn pieces_come_back_in_batches() {
        let mut memory = vec![[0_u128; 2]; 4 * BATCH];
        let mut fresh = memory
            .iter_mut()
            .map(|piece| ptr::from_mut(piece).cast::<u8>());
        let mut taken = Vec::new();
        for _ in 0..3 * BATCH {
            let piece = alloc(24, |count, hand_over| {
                fresh.by_ref().take(count).for_each(hand_over);
            });
            assert!(!piece.is_null() && !taken.contains(&piece));
            taken.push(piece);
        }
        let mut returned = Vec::new();
        for piece in taken {
            free(piece, 24, |next| {
                returned.extend(std::iter::from_fn(next));
            });
        }
        assert_eq!(returned.len(), BATCH);
        // Nothing of the test's own memory stays on the list.
        while with_list(24, List::pop).is_some() {}
    }
}
