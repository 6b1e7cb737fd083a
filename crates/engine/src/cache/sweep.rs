//! What is kept, how long, and what goes.

use super::{CODE_FILE, CacheLimits};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How exact the time of the last use is.
const USE_RESOLUTION: Duration = Duration::from_secs(24 * 3600);

/// How long something half-written may lie before it is taken for left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// What compiled code takes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// How many programs' code there is.
    pub(crate) entries: u64,
    /// Its size, in bytes.
    pub(crate) bytes: u64,
}

struct Entry {
    path: PathBuf,
    bytes: u64,
    last_use: SystemTime,
}

/// Notes that an entry was used, in the time of its directory, at most once a day.
pub(crate) fn mark_used(directory: &Path) {
    let is_fresh = fs::metadata(directory)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|time| age(time) < USE_RESOLUTION);
    if !is_fresh {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
        };
        // A directory that cannot be written only looks older than it is.
        let _ = utimensat(CWD, directory, &times, AtFlags::empty());
    }
}

fn is_older(path: &Path, limit: Duration) -> bool {
    fs::symlink_metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|time| age(time) > limit)
}

fn age(time: SystemTime) -> Duration {
    SystemTime::now().duration_since(time).unwrap_or_default()
}

/// What the cache in this directory takes up.
pub(crate) fn usage(compiled: &Path) -> Usage {
    let entries = entries(compiled);
    Usage {
        entries: entries.len() as u64,
        bytes: entries.iter().map(|entry| entry.bytes).sum(),
    }
}

/// Takes everything out, and tells what it was.
pub(crate) fn prune(compiled: &Path) -> Usage {
    let mut removed = Usage::default();
    for entry in entries(compiled) {
        if fs::remove_dir_all(&entry.path).is_ok() {
            removed.entries += 1;
            removed.bytes += entry.bytes;
        }
    }
    for directory in ["files", "locks"] {
        for path in listed(&compiled.join(directory)) {
            let _ = fs::remove_file(path);
        }
    }
    removed
}

/// Takes out what is too old and, of the rest, what was not used for longest until all fits.
pub(crate) fn enforce(compiled: &Path, limits: CacheLimits) {
    remove_left_behind(compiled, limits.age);
    let mut entries = entries(compiled);
    entries.sort_by_key(|entry| entry.last_use);
    let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    // The newest entry is the one that was just made: it stays whatever its size.
    entries.pop();
    for entry in entries {
        let is_too_old = age(entry.last_use) > limits.age;
        if (is_too_old || bytes > limits.size_bytes) && fs::remove_dir_all(&entry.path).is_ok() {
            bytes -= entry.bytes;
        }
    }
}

/// Half-written entries of processes that died, and records of files that were not used for long.
fn remove_left_behind(compiled: &Path, record_age: Duration) {
    for path in listed(&compiled.join("code")) {
        let is_half = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_half && is_older(&path, LEFT_BEHIND) {
            let _ = fs::remove_dir_all(path);
        }
    }
    for directory in ["files", "locks"] {
        for path in listed(&compiled.join(directory)) {
            if is_older(&path, record_age.max(LEFT_BEHIND)) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Code that was kept for one run whose process died.
pub(crate) fn remove_left_behind_uncached(run_directory: &Path) {
    for path in listed(run_directory) {
        let is_uncached = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"lighter-uncached-"));
        if is_uncached && is_older(&path, LEFT_BEHIND) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn entries(compiled: &Path) -> Vec<Entry> {
    listed(&compiled.join("code"))
        .into_iter()
        .filter_map(|path| {
            let bytes = fs::metadata(path.join(CODE_FILE)).ok()?.len();
            let last_use = fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .ok()?;
            Some(Entry {
                path,
                bytes,
                last_use,
            })
        })
        .collect()
}

fn listed(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect()
}
