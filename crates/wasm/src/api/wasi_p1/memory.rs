//! A guest's linear memory, as host functions read and write it.
//!
//! ```text
//!   pointer, length (u32, from the guest)
//!        |  range(): checked against the memory's size, else `fault`
//!        v
//!   own memory     the system reads and writes it in place
//!   shared memory  other threads of the guest write it at any time: bytes are copied one by one
//!                  with relaxed atomics, through a buffer of the host's own
//! ```

use super::errno::Errno;
use std::cell::UnsafeCell;
use std::io::{IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

/// The most pieces of one scattered read or write; what is beyond them is for the next call.
pub(super) const PIECES: u16 = 1024;

/// The most bytes that one call moves through a buffer of the host's.
const BOUNCE_BYTES: usize = 1 << 20;

/// The longest path that is read out of a guest, in bytes; longer ones no system takes.
const PATH_BYTES: u32 = 64 << 10;

/// One guest's memory during one host call.
pub(crate) enum Memory<'a> {
    /// Nothing else runs in this memory during the call.
    Own(&'a mut [u8]),
    /// Other threads may read and write it.
    Shared(&'a [UnsafeCell<u8>]),
}

impl Memory<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Own(bytes) => bytes.len(),
            Self::Shared(cells) => cells.len(),
        }
    }

    /// Checks that a guest's pointer and length lie within the memory.
    fn range(&self, at: u32, length: u32) -> Result<Range<usize>, Errno> {
        let start = usize::try_from(at).map_err(|_| Errno::FAULT)?;
        let length = usize::try_from(length).map_err(|_| Errno::FAULT)?;
        let end = start.checked_add(length).ok_or(Errno::FAULT)?;
        if end > self.len() {
            return Err(Errno::FAULT);
        }
        Ok(start..end)
    }

    /// Copies out of the memory; the lengths are equal.
    fn copy_out(&self, range: Range<usize>, to: &mut [u8]) -> Result<(), Errno> {
        match self {
            Self::Own(bytes) => {
                let from = bytes.get(range).ok_or(Errno::FAULT)?;
                to.copy_from_slice(from);
            }
            Self::Shared(cells) => {
                let from = cells.get(range).ok_or(Errno::FAULT)?;
                for (to, from) in to.iter_mut().zip(from) {
                    *to = atomic(from).load(Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Copies into the memory; the lengths are equal.
    fn copy_in(&mut self, range: Range<usize>, from: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Own(bytes) => bytes
                .get_mut(range)
                .ok_or(Errno::FAULT)?
                .copy_from_slice(from),
            Self::Shared(cells) => {
                let to = cells.get(range).ok_or(Errno::FAULT)?;
                for (to, from) in to.iter().zip(from) {
                    atomic(to).store(*from, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Reads a record of known size.
    pub(crate) fn read<const N: usize>(&self, at: u32) -> Result<[u8; N], Errno> {
        let length = u32::try_from(N).map_err(|_| Errno::FAULT)?;
        let mut record = [0; N];
        self.copy_out(self.range(at, length)?, &mut record)?;
        Ok(record)
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::FAULT)?;
        let range = self.range(at, length)?;
        self.copy_in(range, bytes)
    }

    /// Writes a number of four bytes: most results are one.
    pub(crate) fn write_u32(&mut self, at: u32, number: u32) -> Result<(), Errno> {
        self.write(at, &number.to_le_bytes())
    }

    /// Writes a number of eight bytes.
    pub(crate) fn write_u64(&mut self, at: u32, number: u64) -> Result<(), Errno> {
        self.write(at, &number.to_le_bytes())
    }

    /// Checks that `length` bytes can be written at `at`.
    pub(crate) fn check(&self, at: u32, length: u32) -> Result<(), Errno> {
        self.range(at, length).map(drop)
    }

    /// Copies bytes out, whose number the caller has bounded.
    pub(crate) fn read_bytes(&self, at: u32, length: u32) -> Result<Vec<u8>, Errno> {
        let range = self.range(at, length)?;
        let mut bytes = vec![0; range.len()];
        self.copy_out(range, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a path.
    ///
    /// # Errors
    /// `ilseq` for what is not UTF-8, `inval` for what holds a NUL byte, `nametoolong`, `fault`.
    pub(crate) fn read_path(&self, at: u32, length: u32) -> Result<String, Errno> {
        self.check(at, length)?;
        if length > PATH_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        let path = String::from_utf8(self.read_bytes(at, length)?).map_err(|_| Errno::ILSEQ)?;
        if path.contains('\0') {
            return Err(Errno::INVAL);
        }
        Ok(path)
    }

    /// Hands the bytes at `at` to `fill`, piece by piece.
    pub(crate) fn fill(
        &mut self,
        at: u32,
        length: u32,
        mut fill: impl FnMut(&mut [u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let range = self.range(at, length)?;
        match self {
            Self::Own(bytes) => bytes
                .get_mut(range)
                .ok_or(Errno::FAULT)?
                .chunks_mut(BOUNCE_BYTES)
                .try_for_each(fill),
            Self::Shared(_) => {
                let mut buffer = vec![0; range.len().min(BOUNCE_BYTES)];
                let mut start = range.start;
                while start < range.end {
                    let end = range.end.min(start.saturating_add(BOUNCE_BYTES));
                    let piece = buffer.get_mut(..end - start).ok_or(Errno::FAULT)?;
                    fill(piece)?;
                    self.copy_in(start..end, piece)?;
                    start = end;
                }
                Ok(())
            }
        }
    }

    /// Reads the pieces of a scattered read or write: `count` pairs of pointer and length.
    fn pieces(&self, at: u32, count: u32) -> Result<Vec<Range<usize>>, Errno> {
        let table_bytes = count.checked_mul(8).ok_or(Errno::FAULT)?;
        self.check(at, table_bytes)?;
        let count = usize::try_from(count)
            .map_err(|_| Errno::FAULT)?
            .min(PIECES.into());
        let mut pieces = Vec::with_capacity(count);
        let mut entry = at;
        for _ in 0..count {
            let [a, b, c, d, e, f, g, h] = self.read::<8>(entry)?;
            let start = u32::from_le_bytes([a, b, c, d]);
            let length = u32::from_le_bytes([e, f, g, h]);
            pieces.push(self.range(start, length)?);
            entry = entry.wrapping_add(8);
        }
        Ok(pieces)
    }

    /// Reads from the system into the pieces that the guest names, and returns how many bytes
    /// there were.
    pub(crate) fn read_into(
        &mut self,
        pieces_at: u32,
        count: u32,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> rustix::io::Result<usize>,
    ) -> Result<u32, Errno> {
        let pieces = self.pieces(pieces_at, count)?;
        let done = match (self, pieces.as_slice()) {
            (Self::Own(bytes), [piece]) => {
                let buffer = bytes.get_mut(piece.clone()).ok_or(Errno::FAULT)?;
                read(&mut [IoSliceMut::new(buffer)])?
            }
            (Self::Own(bytes), [first, second]) if !overlap(first, second) => {
                let [first, second] = bytes
                    .get_disjoint_mut([first.clone(), second.clone()])
                    .map_err(|_| Errno::FAULT)?;
                read(&mut [IoSliceMut::new(first), IoSliceMut::new(second)])?
            }
            (memory, pieces) => memory.read_through_buffer(pieces, read)?,
        };
        u32::try_from(done).map_err(|_| Errno::OVERFLOW)
    }

    /// Pieces that overlap, many pieces and shared memory: one read, then copies in order.
    fn read_through_buffer(
        &mut self,
        pieces: &[Range<usize>],
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> rustix::io::Result<usize>,
    ) -> Result<usize, Errno> {
        let total = total_length(pieces);
        let mut buffer = vec![0; total.min(BOUNCE_BYTES)];
        let done = read(&mut [IoSliceMut::new(&mut buffer)])?;
        let mut rest = buffer.get(..done).ok_or(Errno::FAULT)?;
        for piece in pieces {
            let (now, later) = rest.split_at(rest.len().min(piece.len()));
            self.copy_in(piece.start..piece.start + now.len(), now)?;
            rest = later;
        }
        Ok(done)
    }

    /// Writes the pieces that the guest names to the system, and returns how many bytes it took.
    pub(crate) fn write_from(
        &self,
        pieces_at: u32,
        count: u32,
        write: impl FnOnce(&[IoSlice<'_>]) -> rustix::io::Result<usize>,
    ) -> Result<u32, Errno> {
        let pieces = self.pieces(pieces_at, count)?;
        let done = match (self, pieces.as_slice()) {
            (Self::Own(bytes), [piece]) => {
                write(&[IoSlice::new(bytes.get(piece.clone()).ok_or(Errno::FAULT)?)])?
            }
            (Self::Own(bytes), pieces) => {
                let mut slices = Vec::with_capacity(pieces.len());
                for piece in pieces {
                    slices.push(IoSlice::new(bytes.get(piece.clone()).ok_or(Errno::FAULT)?));
                }
                write(&slices)?
            }
            (Self::Shared(_), pieces) => {
                let mut buffer = vec![0; total_length(pieces).min(BOUNCE_BYTES)];
                let mut filled = 0;
                for piece in pieces {
                    let rest = buffer.get_mut(filled..).ok_or(Errno::FAULT)?;
                    let length = rest.len().min(piece.len());
                    let part = rest.get_mut(..length).ok_or(Errno::FAULT)?;
                    self.copy_out(piece.start..piece.start + length, part)?;
                    filled += length;
                }
                write(&[IoSlice::new(&buffer)])?
            }
        };
        u32::try_from(done).map_err(|_| Errno::OVERFLOW)
    }
}

fn overlap(first: &Range<usize>, second: &Range<usize>) -> bool {
    first.start < second.end && second.start < first.end
}

fn total_length(pieces: &[Range<usize>]) -> usize {
    pieces
        .iter()
        .fold(0, |total, piece| total.saturating_add(piece.len()))
}

/// One byte of shared memory as an atomic.
fn atomic(cell: &UnsafeCell<u8>) -> &AtomicU8 {
    #[expect(
        unsafe_code,
        reason = "only atomics may touch memory that others write"
    )]
    // SAFETY: the cell is one byte of a live shared memory, valid for as long as the reference
    // to it, and a byte is always aligned; all of the host's accesses to shared memory are
    // atomic through this function, and the guest's are outside of Rust's view.
    unsafe {
        AtomicU8::from_ptr(cell.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pieces: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        for (entry, (at, length)) in bytes.chunks_exact_mut(8).zip(pieces) {
            entry[..4].copy_from_slice(&at.to_le_bytes());
            entry[4..].copy_from_slice(&length.to_le_bytes());
        }
        bytes
    }

    fn read_abc(slices: &mut [IoSliceMut<'_>]) -> usize {
        let mut letters = b"abcdefgh".iter();
        let mut done = 0;
        for slice in slices {
            for byte in slice.iter_mut() {
                let Some(letter) = letters.next() else {
                    return done;
                };
                *byte = *letter;
                done += 1;
            }
        }
        done
    }

    #[test]
    fn pointer_beyond_the_end_faults() {
        let mut bytes = vec![0; 16];
        let mut memory = Memory::Own(&mut bytes);
        assert_eq!(memory.write_u32(13, 1), Err(Errno::FAULT));
        assert_eq!(memory.write_u32(u32::MAX, 1), Err(Errno::FAULT));
        assert_eq!(memory.write_u32(12, 1), Ok(()));
    }

    #[test]
    fn scattered_read_fills_disjoint_pieces_in_order() {
        let mut bytes = table(&[(40, 2), (32, 3)]);
        let mut memory = Memory::Own(&mut bytes);
        let done = memory.read_into(0, 2, |slices| Ok(read_abc(slices)));
        assert_eq!(done, Ok(5));
        assert_eq!(&bytes[40..42], b"ab");
        assert_eq!(&bytes[32..35], b"cde");
    }

    #[test]
    fn overlapping_pieces_are_filled_one_after_the_other() {
        let mut bytes = table(&[(32, 4), (34, 4)]);
        let mut memory = Memory::Own(&mut bytes);
        let done = memory.read_into(0, 2, |slices| Ok(read_abc(slices)));
        assert_eq!(done, Ok(8));
        assert_eq!(&bytes[32..38], b"abefgh");
    }

    #[test]
    fn shared_memory_reads_and_writes_the_same_bytes() {
        let cells: Vec<UnsafeCell<u8>> = table(&[(32, 2), (40, 3)])
            .into_iter()
            .map(UnsafeCell::new)
            .collect();
        let mut memory = Memory::Shared(&cells);
        assert_eq!(memory.read_into(0, 2, |slices| Ok(read_abc(slices))), Ok(5));
        let mut seen = Vec::new();
        let written = memory.write_from(0, 2, |slices| {
            seen.extend(slices.iter().flat_map(|slice| slice.to_vec()));
            Ok(seen.len())
        });
        assert_eq!(written, Ok(5));
        assert_eq!(seen, b"abcde");
    }

    #[test]
    fn piece_table_of_absurd_length_faults() {
        let mut bytes = vec![0; 64];
        let memory = Memory::Own(&mut bytes);
        let written = memory.write_from(0, u32::MAX, |_| Ok(0));
        assert_eq!(written, Err(Errno::FAULT));
    }

    #[test]
    fn path_must_be_text_without_nul() {
        let mut bytes = b"a\0\xffabc".to_vec();
        let memory = Memory::Own(&mut bytes);
        assert_eq!(memory.read_path(0, 2), Err(Errno::INVAL));
        assert_eq!(memory.read_path(2, 2), Err(Errno::ILSEQ));
        assert_eq!(memory.read_path(3, 3), Ok("abc".to_owned()));
    }
}
