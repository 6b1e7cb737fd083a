//! Opening by path.

use super::context::WasiContext;
use super::descriptor::{Descriptor, Directory, Kind};
use super::errno::Errno;
use super::types::{DATA_SYNC, LOOKUP_SYMLINK_FOLLOW, fdflags, oflags, rights};
use super::{Function, call};
use crate::core::CoreState;
use crate::directories::directory_flag;
use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, OFlags};
use std::fs::File;
use std::io;
use std::sync::Mutex;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[("path_open", |linker, module, name, _| {
    linker.func_wrap(module, name, path_open).map(drop)
})];

/// How a guest wants to open a path.
struct Opening {
    is_followed: bool,
    /// [`oflags`].
    how: u32,
    /// The rights that the guest wants of what it opens.
    base: u64,
    /// [`fdflags`].
    flags: u32,
}

#[expect(clippy::too_many_arguments, reason = "these are WASI's parameters")]
fn path_open(
    caller: Caller<'_, CoreState>,
    fd: u32,
    lookup: u32,
    path: u32,
    path_length: u32,
    how: u32,
    base: u64,
    _inheriting: u64,
    flags: u32,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        if how & !oflags::ALL != 0 || flags & !fdflags::ALL != 0 {
            return Err(Errno::INVAL);
        }
        let opening = Opening {
            is_followed: lookup & LOOKUP_SYMLINK_FOLLOW != 0,
            how,
            base,
            flags,
        };
        let path = memory.read_path(path, path_length)?;
        memory.check(result, 4)?;
        let descriptor = open(context, &*context.descriptors.get(fd)?, &path, &opening)?;
        let number = context.descriptors.insert(descriptor)?;
        memory.write_u32(result, number)
    })
}

fn open(
    context: &WasiContext,
    parent: &Descriptor,
    path: &str,
    opening: &Opening,
) -> Result<Descriptor, Errno> {
    let directory = parent.directory(rights::PATH_OPEN)?;
    if opening.how & oflags::CREAT != 0 {
        parent.check(rights::PATH_CREATE_FILE)?;
    }
    if opening.how & oflags::TRUNC != 0 {
        parent.check(rights::PATH_FILESTAT_SET_SIZE)?;
    }
    let must_be_directory = opening.how & oflags::DIRECTORY != 0;
    if must_be_directory && opening.how & !oflags::DIRECTORY != 0 {
        return Err(Errno::INVAL);
    }
    let (_, inheritable) = parent.rights();
    let wanted = opening.base & inheritable;
    let options = options(opening, wanted);
    let file = directory
        .dir
        .open_with(path, &options)
        .map_err(|error| fail(context, parent, path, opening, error))?
        .into_std();
    let path = parent.path_below(path);
    if must_be_directory || is_directory(&file, wanted)? {
        let kind = Kind::Directory(Directory {
            dir: Dir::from_std_file(file),
            preopen_name: None,
            listing: Mutex::new(0),
        });
        let base = rights::DIRECTORY & inheritable;
        return Ok(Descriptor::new(kind, path, base, inheritable));
    }
    // What a file can do besides reading and writing needs no asking.
    let asked = wanted | !(rights::FD_READ | rights::FD_WRITE);
    let mut base = rights::FILE & inheritable & asked;
    if wanted & rights::FD_WRITE == 0 {
        base &= !(rights::FD_ALLOCATE | rights::FD_FILESTAT_SET_SIZE) | opening.base;
    }
    Ok(Descriptor::new(
        Kind::File(OwnedFd::from(file)),
        path,
        base,
        0,
    ))
}

fn options(opening: &Opening, wanted: u64) -> OpenOptions {
    let has = |flag| opening.flags & flag != 0;
    let can_write = wanted & rights::FD_WRITE != 0;
    let is_changed = opening.how & (oflags::CREAT | oflags::TRUNC) != 0;
    let mut options = OpenOptions::new();
    // What is neither read nor written is opened for reading, since the system must be told
    // something; the rights keep the guest from it.
    options.read(wanted & rights::FD_READ != 0 || !can_write);
    options.write(can_write || is_changed);
    if opening.how & oflags::CREAT != 0 {
        if opening.how & oflags::EXCL != 0 {
            options.create_new(true);
        } else {
            options.create(true);
        }
    }
    options.truncate(opening.how & oflags::TRUNC != 0);
    options.follow(if opening.is_followed {
        FollowSymlinks::Yes
    } else {
        FollowSymlinks::No
    });
    let mut custom = OFlags::empty();
    // The crate refuses append with truncate, the system does not.
    custom.set(OFlags::APPEND, has(fdflags::APPEND));
    custom.set(OFlags::NONBLOCK, has(fdflags::NONBLOCK));
    // The bits of one are among those of the other.
    if has(fdflags::SYNC) || has(fdflags::RSYNC) {
        custom |= OFlags::SYNC;
    } else if has(fdflags::DSYNC) {
        custom |= DATA_SYNC;
    }
    let mut custom = custom.bits().cast_signed();
    if opening.how & oflags::DIRECTORY != 0 {
        custom |= directory_flag();
    }
    options.custom_flags(custom);
    options
}

/// Whether what was opened is a directory; the system opens none for writing.
fn is_directory(file: &File, wanted: u64) -> Result<bool, Errno> {
    if wanted & rights::FD_WRITE != 0 {
        return Ok(false);
    }
    let stat = rustix::fs::fstat(file)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn fail(
    context: &WasiContext,
    parent: &Descriptor,
    path: &str,
    opening: &Opening,
    error: io::Error,
) -> Errno {
    let action = if opening.how & oflags::CREAT != 0 {
        "create"
    } else if opening.how & oflags::TRUNC != 0 || opening.base & rights::FD_WRITE != 0 {
        "write"
    } else {
        "open"
    };
    context.fail(action, parent.path_below(path), error)
}
