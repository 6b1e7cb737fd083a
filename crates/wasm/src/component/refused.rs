//! Finds out why a change in a directory failed, and reports it if it was refused.
//!
//! wasmtime-wasi knows neither `read-only` nor `cross-device`: both arrive as `io`. And a path
//! that leads out of its directory arrives as `not-permitted`, like some of the kernel's own
//! refusals. So a failure, and only a failure, costs a few more system calls here.

use super::{ComponentState, status};
use crate::directories::{is_escape, point_at};
use cap_std::fs::Dir;
use lighter_types::refusal::Refusal;
use rustix::fs::fstat;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;

/// A change that a guest tried.
pub(crate) struct Attempt {
    /// What was tried, as a verb: `write`, `create`, `remove`.
    pub(crate) action: &'static str,
    /// Where: a directory's handle and a path from there.
    pub(crate) places: Vec<(u32, String)>,
}

impl Attempt {
    /// An attempt at one path.
    pub(crate) fn at(action: &'static str, directory: &Resource<Descriptor>, path: &str) -> Self {
        Self {
            action,
            places: vec![(directory.rep(), path.to_owned())],
        }
    }

    /// An attempt at a symbolic link. Only an absolute target is refused for its own sake.
    pub(crate) fn symlink(directory: &Resource<Descriptor>, path: &str, target: &str) -> Self {
        let attempt = Self::at("create", directory, path);
        if target.starts_with('/') {
            attempt.and(directory, target)
        } else {
            attempt
        }
    }

    /// Adds a second path, as renaming has one.
    pub(crate) fn and(mut self, directory: &Resource<Descriptor>, path: &str) -> Self {
        self.places.push((directory.rep(), path.to_owned()));
        self
    }
}

/// The error codes that may hide a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// `io`: among others a read-only mount, or two mounts.
    Io,
    /// `access`.
    Access,
    /// `not-permitted`: among others a path that leads out.
    NotPermitted,
}

/// The error code that says it better than the one that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// `read-only`.
    ReadOnly,
    /// `cross-device`.
    CrossDevice,
}

/// Reports a failed attempt if it was refused; gives the error code to answer instead, if there
/// is a better one.
pub(crate) fn explain(state: &mut ComponentState, attempt: &Attempt, code: Code) -> Option<Better> {
    let places: Vec<(Arc<File>, &str)> = attempt
        .places
        .iter()
        .filter_map(|(handle, path)| Some((file(state, *handle)?, path.as_str())))
        .collect();
    if code == Code::NotPermitted
        && let Some((file, path)) = places.iter().find(|(file, path)| leads_out(file, path))
    {
        let path = guest_path(state, file, path);
        state.host.refused(Refusal::Escape { path });
        return None;
    }
    // The system's answer to a hard link to a directory is no matter of rights.
    if attempt.action == "link"
        && let Some((file, path)) = places.get(1)
        && status::is_directory(file, path)
    {
        return None;
    }
    let is_change = !matches!(attempt.action, "read" | "look at");
    if is_change
        && let Some((file, path)) = places.iter().find(|(file, path)| is_read_only(file, path))
    {
        let path = guest_path(state, file, path);
        let action = attempt.action.to_owned();
        state.host.refused(Refusal::ReadOnly { action, path });
        return Some(Better::ReadOnly);
    }
    if code == Code::Io {
        let mut devices = places.iter().map(|(file, path)| device(file, path));
        return (devices.next() != devices.next() && places.len() == 2)
            .then_some(Better::CrossDevice);
    }
    if let Some((file, path)) = places.first() {
        let path = guest_path(state, file, path);
        let action = attempt.action.to_owned();
        state.host.refused(Refusal::Permission { action, path });
    }
    None
}

fn file(state: &mut ComponentState, handle: u32) -> Option<Arc<File>> {
    let descriptor = Resource::<Descriptor>::new_borrow(handle);
    Some(match state.table.get(&descriptor).ok()? {
        Descriptor::File(file) => Arc::clone(&file.file),
        Descriptor::Dir(directory) => Arc::clone(&directory.dir),
    })
}

/// The path from the guest's root where the directory is one that was open from the start, else
/// as the guest named it.
fn guest_path(state: &mut ComponentState, file: &File, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let mut root = None;
    for (directory, name) in state.filesystem().get_directories().unwrap_or_default() {
        let is_same = matches!(
            state.table.get(&directory),
            Ok(Descriptor::Dir(open)) if open.dir.as_raw_fd() == file.as_raw_fd()
        );
        let _ = state.ctx().table.delete(directory);
        if is_same {
            root = Some(name);
        }
    }
    let root = match (root, &state.initial_directory) {
        (Some(root), Some(initial)) if root == "." => Some(initial.to_string()),
        (root, _) => root,
    };
    match root {
        Some(root) if path.is_empty() => root,
        Some(root) => format!("{}/{path}", root.trim_end_matches('/')),
        None if path.is_empty() => "an open file".to_owned(),
        None => path.to_owned(),
    }
}

fn open_path(file: &File, path: &str) -> io::Result<File> {
    point_at(&Dir::from_std_file(file.try_clone()?), path, true)
}

fn leads_out(file: &File, path: &str) -> bool {
    let leads_out = |path: &str| open_path(file, path).is_err_and(|error| is_escape(&error));
    leads_out(path) || leads_out(&parent(path))
}

/// Opens what lies at the path, or the directory that it would lie in.
fn nearest(file: &File, path: &str) -> Option<File> {
    if path.is_empty() {
        return file.try_clone().ok();
    }
    open_path(file, path)
        .or_else(|_| open_path(file, &parent(path)))
        .ok()
}

fn parent(path: &str) -> String {
    match Path::new(path).parent().and_then(Path::to_str) {
        Some(parent) if !parent.is_empty() => parent.to_owned(),
        _ => ".".to_owned(),
    }
}

fn is_read_only(file: &File, path: &str) -> bool {
    nearest(file, path).is_some_and(|found| status::is_read_only(&found))
}

fn device(file: &File, path: &str) -> Option<u64> {
    Some(fstat(nearest(file, path)?).ok()?.st_dev)
}
