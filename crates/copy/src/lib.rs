//! `memcpy`, `memmove` and `memset` for the static program file, in place of musl's.
//!
//! musl's are written for size. Guests feel that: `memory.copy` and `memory.fill` of WebAssembly end here,
//! and so does every byte that a host function hands over. musl starts the string instructions of the
//! processor for a dozen bytes, and moves backwards where source and destination are one.
//!
//! ```text
//!   up to 128 bytes    all is loaded before anything is stored: overlap does not matter
//!   up to 1 KiB        blocks of 64 bytes; what is left at the end was loaded first
//!   more               `rep movsb` and `rep stosb`, which every x86-64 since 2013 does by lines
//! ```
//!
//! A program that links this crate gets the three functions under their C names (C11, 7.24.2 and 7.24.6).
#![no_std]
// A loop here must not become a call of the function that it is in.
#![no_builtins]
#![cfg(target_arch = "x86_64")]
#![expect(
    unsafe_code,
    clippy::multiple_unsafe_ops_per_block,
    reason = "whoever calls these functions promises what C promises, for all that they do"
)]

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_set1_epi8, _mm_storeu_si128};
use core::ffi::{c_int, c_void};

/// From how many bytes on the processor's own instruction is the faster one.
const STRING_BYTES: usize = 1024;

/// A block of the loops, in bytes.
const BLOCK: usize = 64;

type Block = [__m128i; 4];

unsafe fn load(from: *const u8) -> __m128i {
    // SAFETY: the caller has 16 readable bytes there; the load needs no alignment.
    unsafe { _mm_loadu_si128(from.cast()) }
}

unsafe fn store(to: *mut u8, value: __m128i) {
    // SAFETY: the caller has 16 writable bytes there; the store needs no alignment.
    unsafe { _mm_storeu_si128(to.cast(), value) }
}

unsafe fn load_block(from: *const u8) -> Block {
    // SAFETY: the caller has 64 readable bytes there.
    unsafe {
        [
            load(from),
            load(from.add(16)),
            load(from.add(32)),
            load(from.add(48)),
        ]
    }
}

unsafe fn store_block(to: *mut u8, block: Block) {
    // SAFETY: the caller has 64 writable bytes there.
    unsafe {
        store(to, block[0]);
        store(to.add(16), block[1]);
        store(to.add(32), block[2]);
        store(to.add(48), block[3]);
    }
}

/// Moves up to 128 bytes, wherever they are.
unsafe fn move_few(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: all addresses lie within the first or the last bytes of what the caller gave, of which
    // there are as many as each branch takes.
    unsafe {
        match count {
            65.. => {
                let (first, last) = (load_block(from), load_block(from.add(count - BLOCK)));
                store_block(to, first);
                store_block(to.add(count - BLOCK), last);
            }
            33.. => {
                let (a, b) = (load(from), load(from.add(16)));
                let (c, d) = (load(from.add(count - 32)), load(from.add(count - 16)));
                store(to, a);
                store(to.add(16), b);
                store(to.add(count - 32), c);
                store(to.add(count - 16), d);
            }
            16.. => {
                let (first, last) = (load(from), load(from.add(count - 16)));
                store(to, first);
                store(to.add(count - 16), last);
            }
            8.. => move_ends::<u64>(to, from, count),
            4.. => move_ends::<u32>(to, from, count),
            2.. => move_ends::<u16>(to, from, count),
            1 => *to = *from,
            0 => {}
        }
    }
}

/// Moves the first and the last bytes of a width, which may overlap.
unsafe fn move_ends<T: Copy>(to: *mut u8, from: *const u8, count: usize) {
    let back = count - size_of::<T>();
    // SAFETY: the caller has at least one width of bytes at both places.
    unsafe {
        let first = from.cast::<T>().read_unaligned();
        let last = from.add(back).cast::<T>().read_unaligned();
        to.cast::<T>().write_unaligned(first);
        to.add(back).cast::<T>().write_unaligned(last);
    }
}

/// Copies more than 64 bytes from the first on; the destination may lie below and overlap.
unsafe fn forwards(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: each block lies within what the caller gave; the last one is read before a store could
    // have reached it.
    unsafe {
        let last = load_block(from.add(count - BLOCK));
        let mut at = 0;
        while at < count - BLOCK {
            store_block(to.add(at), load_block(from.add(at)));
            at += BLOCK;
        }
        store_block(to.add(count - BLOCK), last);
    }
}

/// Copies more than 64 bytes from the last on; the destination may lie above and overlap.
unsafe fn backwards(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: as for `forwards`, with the first block.
    unsafe {
        let first = load_block(from);
        let mut end = count;
        while end > BLOCK {
            end -= BLOCK;
            store_block(to.add(end), load_block(from.add(end)));
        }
        store_block(to, first);
    }
}

/// Copies bytes that do not overlap.
///
/// # Safety
/// As C's: both are valid for `count` bytes, and do not overlap.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, count: usize) -> *mut c_void {
    let (bytes, source) = (to.cast::<u8>(), from.cast::<u8>());
    // SAFETY: the caller's promise, passed on.
    unsafe {
        if count <= 2 * BLOCK {
            move_few(bytes, source, count);
        } else if count < STRING_BYTES {
            forwards(bytes, source, count);
        } else {
            asm!(
                "rep movsb",
                inout("rcx") count => _,
                inout("rdi") bytes => _,
                inout("rsi") source => _,
                options(nostack, preserves_flags)
            );
        }
    }
    to
}

/// Copies bytes that may overlap.
///
/// # Safety
/// As C's: both are valid for `count` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(
    to: *mut c_void,
    from: *const c_void,
    count: usize,
) -> *mut c_void {
    let (bytes, source) = (to.cast::<u8>(), from.cast::<u8>());
    let (above, below) = (
        to.addr().wrapping_sub(from.addr()),
        from.addr().wrapping_sub(to.addr()),
    );
    // SAFETY: the caller's promise, passed on; who overlaps how is told by the distances.
    unsafe {
        if count <= 2 * BLOCK {
            move_few(bytes, source, count);
        } else if above == 0 {
            // It is there already.
        } else if above >= count && below >= count {
            memcpy(to, from, count);
        } else if above >= count {
            forwards(bytes, source, count);
        } else {
            backwards(bytes, source, count);
        }
    }
    to
}

/// Sets bytes to one value.
///
/// # Safety
/// As C's: `to` is valid for `count` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memset(to: *mut c_void, value: c_int, count: usize) -> *mut c_void {
    let bytes = to.cast::<u8>();
    // C takes the low byte.
    let value = value as u8;
    // SAFETY: all addresses lie within the first or the last bytes of what the caller gave, of which
    // there are as many as each branch takes.
    unsafe {
        if count >= STRING_BYTES {
            asm!(
                "rep stosb",
                inout("rcx") count => _,
                inout("rdi") bytes => _,
                in("al") value,
                options(nostack, preserves_flags)
            );
        } else if count >= 16 {
            let sixteen = _mm_set1_epi8(value.cast_signed());
            let mut at = 0;
            while at < count - 16 {
                store(bytes.add(at), sixteen);
                at += 16;
            }
            store(bytes.add(count - 16), sixteen);
        } else {
            let eight = u64::from(value) * 0x0101_0101_0101_0101;
            match count {
                8.. => set_ends(bytes, eight, count),
                4.. => set_ends(bytes, eight as u32, count),
                2.. => set_ends(bytes, eight as u16, count),
                1 => *bytes = value,
                0 => {}
            }
        }
    }
    to
}

/// Stores the first and the last bytes of a width, which may overlap.
unsafe fn set_ends<T: Copy>(to: *mut u8, value: T, count: usize) {
    // SAFETY: the caller has at least one width of bytes there.
    unsafe {
        to.cast::<T>().write_unaligned(value);
        to.add(count - size_of::<T>())
            .cast::<T>()
            .write_unaligned(value);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    /// Sizes around every branch, and all small ones.
    fn counts() -> impl Iterator<Item = usize> {
        (0..400).chain([
            511,
            512,
            513,
            STRING_BYTES - 1,
            STRING_BYTES,
            STRING_BYTES + 1,
            4097,
            70_000,
        ])
    }

    /// Bytes of which any two neighbourhoods differ.
    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 131 + at / 251) as u8).collect()
    }

    #[test]
    fn bytes_are_copied_and_no_others() {
        for count in counts() {
            for (to, from) in [(0, 0), (1, 0), (0, 1), (3, 13), (15, 8)] {
                let source = pattern(count + 64);
                let mut target = std::vec![0xee_u8; count + 64];
                let start = target[to..].as_mut_ptr();
                // SAFETY: both have more than `count` bytes there.
                let returned =
                    unsafe { memcpy(start.cast(), source[from..].as_ptr().cast(), count) };
                assert_eq!(returned.cast(), start);
                assert!(target[..to].iter().all(|byte| *byte == 0xee));
                assert!(
                    target[to..to + count] == source[from..from + count],
                    "{count}"
                );
                assert!(target[to + count..].iter().all(|byte| *byte == 0xee));
            }
        }
    }

    #[test]
    fn bytes_that_overlap_are_moved_as_if_they_did_not() {
        for count in counts() {
            for distance in [0, 1, 7, 16, 63, 64, 65, 127, 200, 1000] {
                for (to, from) in [(distance, 0), (0, distance)] {
                    let mut bytes = pattern(count + distance + 32);
                    let expected = {
                        let mut expected = bytes.clone();
                        let moved = bytes[from..from + count].iter();
                        expected.splice(to..to + count, moved.copied());
                        expected
                    };
                    let start = bytes.as_mut_ptr();
                    // SAFETY: there are as many bytes behind each of the two.
                    let returned =
                        unsafe { memmove(start.add(to).cast(), start.add(from).cast(), count) };
                    assert_eq!(returned.addr(), start.addr() + to);
                    assert!(bytes == expected, "{count} bytes from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn bytes_are_set_and_no_others() {
        for count in counts() {
            for to in [0, 1, 7, 15] {
                let mut target = std::vec![0xee_u8; count + 64];
                let start = target[to..].as_mut_ptr();
                // SAFETY: there are more than `count` bytes. Of the value the low byte counts.
                let returned = unsafe { memset(start.cast(), 0x1_5a, count) };
                assert_eq!(returned.cast(), start);
                assert!(target[..to].iter().all(|byte| *byte == 0xee));
                assert!(
                    target[to..to + count].iter().all(|byte| *byte == 0x5a),
                    "{count}"
                );
                assert!(target[to + count..].iter().all(|byte| *byte == 0xee));
            }
        }
    }
}
