//! Opens the directories that a guest finds when it starts.

use lighter_types::bundle::{Bundle, Preopen};
use lighter_types::escape::escape;
use lighter_types::runner_protocol::Failure;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use std::path::{Path, PathBuf};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// Opens the bundle's directories, the initial one first, under the name `.`.
///
/// All are open for writing: the kernel holds what is read-only.
///
/// # Errors
/// [`Failure::Internal`] if a directory cannot be opened: the keeper has checked them.
pub(crate) fn open(builder: &mut WasiCtxBuilder, bundle: &Bundle) -> Result<(), Failure> {
    if let Some(directory) = &bundle.initial_directory {
        let path = initial_path(&bundle.preopens, directory)?;
        open_one(builder, &path, ".", directory)?;
    }
    for preopen in &bundle.preopens {
        let path = Path::new(&preopen.runner_path);
        open_one(builder, path, &preopen.guest_path, &preopen.guest_path)?;
    }
    Ok(())
}

fn open_one(
    builder: &mut WasiCtxBuilder,
    path: &Path,
    name: &str,
    shown: &str,
) -> Result<(), Failure> {
    builder
        .preopened_dir(path, name, FsPerms::ReadWrite)
        .map(drop)
        .map_err(|error| failure(shown, &error))
}

/// The path in the runner's root of the guest's initial directory: below the preopened directory
/// whose name is the longest that leads to it, and reached without leaving that one.
fn initial_path(preopens: &[Preopen], directory: &str) -> Result<PathBuf, Failure> {
    let (preopen, rest) = innermost(preopens, directory)
        .ok_or_else(|| failure(directory, &"it is in no granted directory"))?;
    if rest.as_os_str().is_empty() {
        return Ok(PathBuf::from(&preopen.runner_path));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, &preopen.runner_path, flags, Mode::empty())
        .map_err(|error| failure(&preopen.guest_path, &error))?;
    openat2(&root, rest, flags, Mode::empty(), ResolveFlags::BENEATH)
        .map_err(|error| failure(directory, &error))?;
    Ok(Path::new(&preopen.runner_path).join(rest))
}

fn innermost<'a>(preopens: &'a [Preopen], directory: &'a str) -> Option<(&'a Preopen, &'a Path)> {
    preopens
        .iter()
        .filter_map(|preopen| {
            let rest = Path::new(directory).strip_prefix(&preopen.guest_path);
            Some((preopen, rest.ok()?))
        })
        .min_by_key(|(_, rest)| rest.components().count())
}

fn failure(directory: &str, reason: &dyn std::fmt::Display) -> Failure {
    Failure::Internal {
        reason: format!("could not open directory {}: {reason}", escape(directory)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preopen(guest_path: &str) -> Preopen {
        Preopen {
            guest_path: guest_path.to_owned(),
            runner_path: format!("/root{guest_path}"),
        }
    }

    #[test]
    fn innermost_directory_is_chosen() {
        let preopens = [preopen("/"), preopen("/data"), preopen("/data/in")];
        let (found, rest) = innermost(&preopens, "/data/in/a").expect("it is granted");
        assert_eq!(
            (found.guest_path.as_str(), rest),
            ("/data/in", Path::new("a"))
        );
    }

    #[test]
    fn name_that_only_begins_alike_does_not_lead_there() {
        assert!(innermost(&[preopen("/data")], "/database").is_none());
    }
}
