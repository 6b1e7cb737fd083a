//! What a handle or a path is, asked of the system once and directly.
//!
//! wasmtime-wasi answers a file's birth for its last change of status, and nothing where its way
//! to the file shows no birth; it also knows neither pipes nor sockets as kinds. So `stat` and
//! `stat-at` of both versions are answered from here.

use super::ComponentState as State;
use super::refused::Attempt;
use crate::directories::{point_at, stat_at};
use cap_std::fs::Dir;
use rustix::fs::{Stat, StatVfsMountFlags, fstatvfs};
use std::fs::File;
use std::io;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, OpenMode};

type Handle = Resource<Descriptor>;

/// The status of an open handle.
///
/// # Errors
/// A handle that is none is a trap.
pub(crate) fn of_handle(state: &State, handle: &Handle) -> wasmtime::Result<io::Result<Stat>> {
    let file = file(state.table.get(handle)?);
    Ok(rustix::fs::fstat(file).map_err(io::Error::from))
}

/// The status of what lies at a path below a directory.
///
/// # Errors
/// As [`of_handle`].
pub(crate) fn of_path(
    state: &State,
    handle: &Handle,
    path: &str,
    is_followed: bool,
) -> wasmtime::Result<io::Result<Stat>> {
    let Descriptor::Dir(directory) = state.table.get(handle)? else {
        return Ok(Err(rustix::io::Errno::NOTDIR.into()));
    };
    let status = directory
        .dir
        .try_clone()
        .and_then(|directory| stat_at(&Dir::from_std_file(directory), path, is_followed));
    Ok(status)
}

/// The attempt to learn what lies at a path, for a report.
pub(crate) fn attempt(handle: &Handle, path: &str) -> Attempt {
    Attempt::at("look at", handle, path)
}

/// Whether the handle is a directory on a file system, or a mount of it, that cannot be changed.
pub(crate) fn is_fixed_directory(state: &State, handle: &Handle) -> bool {
    matches!(
        state.table.get(handle),
        Ok(Descriptor::Dir(directory)) if is_read_only(&directory.dir)
    )
}

/// Whether what the file lies on cannot be changed.
pub(crate) fn is_read_only(file: &File) -> bool {
    fstatvfs(file).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Notes that a directory was opened to be changed, which wasmtime-wasi forgets.
pub(crate) fn note_mutable(state: &mut State, handle: &Handle) {
    if let Ok(Descriptor::Dir(directory)) = state.table.get_mut(handle) {
        directory.open_mode |= OpenMode::WRITE;
    }
}

/// The path of a directory that is to be removed: slashes at its end say no more than that it is
/// one (POSIX, "Pathname Resolution"), but not for what is reached by a link.
pub(crate) fn without_slashes(path: &str) -> &str {
    let bare = path.trim_end_matches('/');
    if bare.is_empty() { path } else { bare }
}

/// Whether a directory lies at the path.
pub(crate) fn is_directory(file: &File, path: &str) -> bool {
    let found = file
        .try_clone()
        .and_then(|directory| point_at(&Dir::from_std_file(directory), path, false))
        .and_then(|found| found.metadata());
    found.is_ok_and(|metadata| metadata.is_dir())
}

fn file(descriptor: &Descriptor) -> &Arc<File> {
    match descriptor {
        Descriptor::File(file) => &file.file,
        Descriptor::Dir(directory) => &directory.dir,
    }
}
