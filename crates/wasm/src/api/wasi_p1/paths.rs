//! What is done to paths without opening them.

use super::context::WasiContext;
use super::descriptor::Descriptor;
use super::errno::Errno;
use super::memory::Memory;
use super::status::timestamps;
use super::types::{Dialect, FileStatus, LOOKUP_SYMLINK_FOLLOW, rights};
use super::{Function, call};
use crate::core::CoreState;
use crate::directories::{point_at, stat_at};
use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Timestamps};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("path_create_directory", |linker, module, name, _| {
        linker
            .func_wrap(module, name, path_create_directory)
            .map(drop)
    }),
    ("path_filestat_get", |linker, module, name, dialect| {
        let get = move |caller: Caller<'_, CoreState>,
                        fd: u32,
                        lookup: u32,
                        path: u32,
                        length: u32,
                        result: u32| {
            path_filestat_get(caller, dialect, (fd, lookup), (path, length), result)
        };
        linker.func_wrap(module, name, get).map(drop)
    }),
    ("path_filestat_set_times", |linker, module, name, _| {
        linker
            .func_wrap(module, name, path_filestat_set_times)
            .map(drop)
    }),
    ("path_link", |linker, module, name, _| {
        linker.func_wrap(module, name, path_link).map(drop)
    }),
    ("path_readlink", |linker, module, name, _| {
        linker.func_wrap(module, name, path_readlink).map(drop)
    }),
    ("path_remove_directory", |linker, module, name, _| {
        linker
            .func_wrap(module, name, path_remove_directory)
            .map(drop)
    }),
    ("path_rename", |linker, module, name, _| {
        linker.func_wrap(module, name, path_rename).map(drop)
    }),
    ("path_symlink", |linker, module, name, _| {
        linker.func_wrap(module, name, path_symlink).map(drop)
    }),
    ("path_unlink_file", |linker, module, name, _| {
        linker.func_wrap(module, name, path_unlink_file).map(drop)
    }),
];

type Result<T> = wasmtime::Result<T>;

/// A path in a directory, both named by the guest.
struct Place {
    directory: Arc<Descriptor>,
    path: String,
}

impl Place {
    /// Reads a place out of the guest's parameters.
    fn read(
        context: &WasiContext,
        memory: &Memory<'_>,
        fd: u32,
        path: u32,
        length: u32,
    ) -> std::result::Result<Self, Errno> {
        Ok(Self {
            path: memory.read_path(path, length)?,
            directory: context.descriptors.get(fd)?,
        })
    }

    fn dir(&self, right: u64) -> std::result::Result<&Dir, Errno> {
        Ok(&self.directory.directory(right)?.dir)
    }

    /// Whether the path leads out as it is written, whatever lies there.
    fn leads_out(&self) -> bool {
        let mut depth = 0_usize;
        for name in self.path.split('/') {
            match name {
                "" | "." => {}
                ".." if depth == 0 => return true,
                ".." => depth -= 1,
                _ => depth += 1,
            }
        }
        self.path.starts_with('/')
    }

    /// The one of two places that a failed call on both is told of.
    fn blamed<'a>(from: &'a Self, to: &'a Self) -> &'a Self {
        if to.leads_out() && !from.leads_out() {
            to
        } else {
            from
        }
    }

    /// The error number of a failed call on this place.
    fn fail(&self, context: &WasiContext, action: &str, error: io::Error) -> Errno {
        context.fail(action, self.directory.path_below(&self.path), error)
    }
}

fn path_create_directory(
    caller: Caller<'_, CoreState>,
    fd: u32,
    path: u32,
    length: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let place = Place::read(context, memory, fd, path, length)?;
        place
            .dir(rights::PATH_CREATE_DIRECTORY)?
            .create_dir(&place.path)
            .map_err(|error| place.fail(context, "create", error))
    })
}

fn path_filestat_get(
    caller: Caller<'_, CoreState>,
    dialect: Dialect,
    (fd, lookup): (u32, u32),
    (path, length): (u32, u32),
    result: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let place = Place::read(context, memory, fd, path, length)?;
        let dir = place.dir(rights::PATH_FILESTAT_GET)?;
        let stat = stat_at(dir, &place.path, lookup & LOOKUP_SYMLINK_FOLLOW != 0)
            .map_err(|error| place.fail(context, "look at", error))?;
        let (record, length) = FileStatus::of(&stat).record(dialect);
        memory.write(result, record.get(..length).ok_or(Errno::IO)?)
    })
}

#[expect(clippy::too_many_arguments, reason = "these are WASI's parameters")]
fn path_filestat_set_times(
    caller: Caller<'_, CoreState>,
    fd: u32,
    lookup: u32,
    path: u32,
    length: u32,
    accessed_ns: u64,
    modified_ns: u64,
    flags: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let times = timestamps(accessed_ns, modified_ns, flags)?;
        let place = Place::read(context, memory, fd, path, length)?;
        let dir = place.dir(rights::PATH_FILESTAT_SET_TIMES)?;
        set_times(
            dir,
            &place.path,
            lookup & LOOKUP_SYMLINK_FOLLOW != 0,
            &times,
        )
        .map_err(|error| place.fail(context, "set times of", error))
    })
}

fn set_times(dir: &Dir, path: &str, is_followed: bool, times: &Timestamps) -> io::Result<()> {
    let file = point_at(dir, path, is_followed)?;
    Ok(rustix::fs::utimensat(file, "", times, AtFlags::EMPTY_PATH)?)
}

#[expect(clippy::too_many_arguments, reason = "these are WASI's parameters")]
fn path_link(
    caller: Caller<'_, CoreState>,
    from_fd: u32,
    lookup: u32,
    from: u32,
    from_length: u32,
    to_fd: u32,
    to: u32,
    to_length: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        // A link that is followed could lead out while the new name is made.
        if lookup & LOOKUP_SYMLINK_FOLLOW != 0 {
            return Err(Errno::INVAL);
        }
        let from = Place::read(context, memory, from_fd, from, from_length)?;
        let to = Place::read(context, memory, to_fd, to, to_length)?;
        from.dir(rights::PATH_LINK_SOURCE)?
            .hard_link(&from.path, to.dir(rights::PATH_LINK_TARGET)?, &to.path)
            .map_err(|error| Place::blamed(&from, &to).fail(context, "link", error))
    })
}

#[expect(clippy::too_many_arguments, reason = "these are WASI's parameters")]
fn path_readlink(
    caller: Caller<'_, CoreState>,
    fd: u32,
    path: u32,
    length: u32,
    buffer: u32,
    buffer_length: u32,
    result: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let place = Place::read(context, memory, fd, path, length)?;
        let target = place
            .dir(rights::PATH_READLINK)?
            .read_link_contents(&place.path)
            .map_err(|error| place.fail(context, "read", error))?;
        let target = target.into_os_string().into_vec();
        let space = usize::try_from(buffer_length).map_err(|_| Errno::OVERFLOW)?;
        let part = target.get(..space).unwrap_or(&target);
        memory.write(buffer, part)?;
        memory.write_u32(
            result,
            u32::try_from(part.len()).map_err(|_| Errno::OVERFLOW)?,
        )
    })
}

fn path_remove_directory(
    caller: Caller<'_, CoreState>,
    fd: u32,
    path: u32,
    length: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let place = Place::read(context, memory, fd, path, length)?;
        // `remove` wants the directory's name in its parent, not `NAME/.`.
        let name = match place.path.trim_end_matches('/') {
            "" => place.path.as_str(),
            name => name,
        };
        place
            .dir(rights::PATH_REMOVE_DIRECTORY)?
            .remove_dir(name)
            .map_err(|error| place.fail(context, "remove", error))
    })
}

#[expect(clippy::too_many_arguments, reason = "these are WASI's parameters")]
fn path_rename(
    caller: Caller<'_, CoreState>,
    from_fd: u32,
    from: u32,
    from_length: u32,
    to_fd: u32,
    to: u32,
    to_length: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let from = Place::read(context, memory, from_fd, from, from_length)?;
        let to = Place::read(context, memory, to_fd, to, to_length)?;
        from.dir(rights::PATH_RENAME_SOURCE)?
            .rename(&from.path, to.dir(rights::PATH_RENAME_TARGET)?, &to.path)
            .map_err(|error| Place::blamed(&from, &to).fail(context, "rename", error))
    })
}

fn path_symlink(
    caller: Caller<'_, CoreState>,
    target: u32,
    target_length: u32,
    fd: u32,
    path: u32,
    length: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let target = memory.read_path(target, target_length)?;
        let place = Place::read(context, memory, fd, path, length)?;
        place
            .dir(rights::PATH_SYMLINK)?
            .symlink(target, &place.path)
            .map_err(|error| place.fail(context, "create", error))
    })
}

fn path_unlink_file(caller: Caller<'_, CoreState>, fd: u32, path: u32, length: u32) -> Result<u32> {
    call(caller, |context, memory| {
        let place = Place::read(context, memory, fd, path, length)?;
        place
            .dir(rights::PATH_UNLINK_FILE)?
            .remove_file(&place.path)
            .map_err(|error| place.fail(context, "remove", error))
    })
}
