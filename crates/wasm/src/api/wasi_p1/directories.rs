//! Directories that are open from the start, and listings.

use super::descriptor::{Descriptor, Directory, Kind};
use super::errno::Errno;
use super::memory::Memory;
use super::types::{Record, filetype_of, rights};
use super::{Function, call};
use crate::core::CoreState;
use rustix::fs::{RawDir, SeekFrom};
use std::mem::MaybeUninit;
use std::sync::PoisonError;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("fd_prestat_get", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_prestat_get).map(drop)
    }),
    ("fd_prestat_dir_name", |linker, module, name, _| {
        linker
            .func_wrap(module, name, fd_prestat_dir_name)
            .map(drop)
    }),
    ("fd_readdir", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_readdir).map(drop)
    }),
];

/// The bytes before each name in a listing.
const ENTRY_BYTES: usize = 24;

/// Bounds of the buffer for the system's listing: it holds at least one entry with the longest
/// name, and about as much as the guest can take.
const LISTING_BYTES: std::ops::RangeInclusive<usize> = 1024..=64 << 10;

/// What is no directory that was opened before, and has no name. Programs look for directories from the first
/// number up, and an error ends that or ends them: what stands before the directories is passed over if it
/// is another kind of thing, for which the standard has room and no name.
const NO_DIRECTORY: u8 = 1;

fn is_passed_over(descriptor: &Descriptor) -> bool {
    matches!(&descriptor.kind, Kind::Socket(socket) if socket.was_found())
}

fn fd_prestat_get(caller: Caller<'_, CoreState>, fd: u32, result: u32) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        if is_passed_over(&descriptor) {
            let mut record = Record::<8>::new();
            record.put(0, &[NO_DIRECTORY]);
            return memory.write(result, &record.bytes);
        }
        let Kind::Directory(Directory {
            preopen_name: Some(name),
            ..
        }) = &descriptor.kind
        else {
            return Err(Errno::BADF);
        };
        let length = u32::try_from(name.len()).map_err(|_| Errno::OVERFLOW)?;
        let mut record = Record::<8>::new();
        record.put(4, &length.to_le_bytes());
        memory.write(result, &record.bytes)
    })
}

fn fd_prestat_dir_name(
    caller: Caller<'_, CoreState>,
    fd: u32,
    buffer: u32,
    length: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        if is_passed_over(&descriptor) {
            return Ok(());
        }
        let Kind::Directory(Directory {
            preopen_name: Some(name),
            ..
        }) = &descriptor.kind
        else {
            return Err(Errno::NOTDIR);
        };
        if usize::try_from(length).map_err(|_| Errno::OVERFLOW)? < name.len() {
            return Err(Errno::NAMETOOLONG);
        }
        memory.write(buffer, name.as_bytes())
    })
}

/// A cookie is the system's own: listing goes on from any entry without reading from the start
/// or keeping what was read, and entries that come and go meanwhile move nothing else.
fn fd_readdir(
    caller: Caller<'_, CoreState>,
    fd: u32,
    buffer: u32,
    length: u32,
    cookie: u64,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let directory = match &descriptor.kind {
            Kind::Directory(_) => descriptor.directory(rights::FD_READDIR)?,
            _ => return Err(Errno::BADF),
        };
        memory.check(buffer, length)?;
        memory.check(result, 4)?;
        let used = list(directory, memory, (buffer, length), cookie)?;
        memory.write_u32(result, used)
    })
}

/// Writes entries from `cookie` on until the guest's buffer is full or the directory ends, and
/// returns how much of the buffer is used. An entry that does not fit is cut, which tells the
/// guest that there is more.
fn list(
    directory: &Directory,
    memory: &mut Memory<'_>,
    (buffer, length): (u32, u32),
    cookie: u64,
) -> Result<u32, Errno> {
    let mut position = directory
        .listing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if *position != cookie || cookie == 0 {
        let start = u64::try_from(cookie.cast_signed()).map_err(|_| Errno::INVAL)?;
        rustix::fs::seek(&directory.dir, SeekFrom::Start(start))?;
        *position = cookie;
    }
    let space = usize::try_from(length).map_err(|_| Errno::OVERFLOW)?;
    let size = space.clamp(*LISTING_BYTES.start(), *LISTING_BYTES.end());
    let mut names = Vec::with_capacity(size);
    names.resize_with(size, MaybeUninit::uninit);
    let mut entries = RawDir::new(&directory.dir, &mut names);
    let mut used = 0;
    while used < length {
        let Some(entry) = entries.next() else {
            break;
        };
        let entry = entry?;
        *position = entry.next_entry_cookie();
        let name = entry.file_name().to_bytes();
        let name_length = u32::try_from(name.len()).map_err(|_| Errno::OVERFLOW)?;
        let mut record = Record::<ENTRY_BYTES>::new();
        record.put(0, &entry.next_entry_cookie().to_le_bytes());
        record.put(8, &entry.ino().to_le_bytes());
        record.put(16, &name_length.to_le_bytes());
        record.put(20, &[filetype_of(entry.file_type())]);
        used = write_cut(memory, buffer, length, used, &record.bytes)?;
        used = write_cut(memory, buffer, length, used, name)?;
    }
    // The system has listed to the end of its buffer, perhaps further than the guest has read.
    if !entries.is_buffer_empty() {
        *position = u64::MAX;
    }
    Ok(used)
}

/// Writes as many of the bytes as the buffer still takes.
fn write_cut(
    memory: &mut Memory<'_>,
    buffer: u32,
    length: u32,
    used: u32,
    bytes: &[u8],
) -> Result<u32, Errno> {
    let space = length.saturating_sub(used);
    let count = u32::try_from(bytes.len())
        .map_err(|_| Errno::OVERFLOW)?
        .min(space);
    let part = usize::try_from(count).map_err(|_| Errno::OVERFLOW)?;
    let at = buffer.checked_add(used).ok_or(Errno::FAULT)?;
    memory.write(at, bytes.get(..part).ok_or(Errno::FAULT)?)?;
    Ok(used + count)
}
