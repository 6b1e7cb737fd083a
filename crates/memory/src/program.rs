//! The pages of the program file that this process has mapped.

use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// A part of the program that is mapped: its address and length in bytes.
type Part = (usize, usize);

/// Whether this process has waited before.
static HAS_WAITED: AtomicBool = AtomicBool::new(false);

/// Gives back the program's pages before the first of a process's waits: whoever never waits ends sooner than
/// it would pay.
pub fn before_wait() {
    if !HAS_WAITED.load(Ordering::Relaxed) && !HAS_WAITED.swap(true, Ordering::Relaxed) {
        give_back_program();
    }
}

/// Unmaps the pages of the program's code and constants that this process came by so far: those of a start,
/// which whoever waits needs no more. What is needed again is mapped again from the page cache, sixteen
/// pages at a time.
fn give_back_program() {
    for (address, length) in constant_parts() {
        // SAFETY: the pages are a private mapping of the program file that nobody can have written to, as
        // it is not writable, so the kernel has the same bytes to give at the next touch.
        #[expect(unsafe_code, reason = "std has no call for it")]
        let given = unsafe {
            libc::madvise(
                ptr::without_provenance_mut(address),
                length,
                libc::MADV_DONTNEED,
            )
        };
        // It is advice: where it is not taken, some memory stays.
        let _ = given;
    }
}

/// The parts of the program that are never written: those that the ELF header loads without that right.
fn constant_parts() -> impl Iterator<Item = Part> {
    let (table, count) = (auxiliary(libc::AT_PHDR), auxiliary(libc::AT_PHNUM));
    let headers: &[libc::Elf64_Phdr] = if table == 0 {
        &[]
    } else {
        // SAFETY: the kernel tells where it mapped this program's headers and how many there are
        // (getauxval(3)); they are constants of the program.
        #[expect(unsafe_code, reason = "the kernel gives an address")]
        unsafe {
            std::slice::from_raw_parts(
                ptr::with_exposed_provenance(table.try_into().unwrap_or(0)),
                count.try_into().unwrap_or(0),
            )
        }
    };
    // Where the program is, compared with where its headers say.
    let offset = headers
        .iter()
        .find(|header| header.p_type == libc::PT_PHDR)
        .map_or(0, |header| table.wrapping_sub(header.p_vaddr));
    headers
        .iter()
        .filter_map(move |header| constant_part(header, offset))
}

/// What the kernel told this process of itself (getauxval(3)); 0 where it did not.
fn auxiliary(key: libc::c_ulong) -> libc::c_ulong {
    // SAFETY: the call takes a number.
    #[expect(unsafe_code, reason = "std has no call for it")]
    unsafe {
        libc::getauxval(key)
    }
}

/// The pages that a header loads, if it is one of a constant part.
fn constant_part(header: &libc::Elf64_Phdr, offset: u64) -> Option<Part> {
    const PAGE: u64 = 4096;
    let is_constant = header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
    let start = header.p_vaddr.wrapping_add(offset);
    let end = start.checked_add(header.p_memsz)?;
    let start = start & !(PAGE - 1);
    let address = usize::try_from(start).ok()?;
    let length = usize::try_from(end - start).ok()?;
    is_constant.then_some((address, length))
}
