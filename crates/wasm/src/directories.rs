//! The directories that a guest finds open when it starts, and the ways to what is below them.
//!
//! `cap-std` keeps every path beneath the directory it starts from, whatever the links on the way.

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use lighter_types::bundle::Preopen;
use lighter_types::escape::escape;
use lighter_types::runner_protocol::Failure;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Opens a directory that was granted.
///
/// # Errors
/// [`Failure::Internal`]: the keeper has checked it.
pub(crate) fn open_preopen(preopen: &Preopen) -> Result<Dir, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(preopen.runner_path.as_str(), flags, Mode::empty()) {
        Ok(fd) => Ok(Dir::from_std_file(File::from(fd))),
        Err(error) => Err(Failure::Internal {
            reason: format!(
                "could not open directory {}: {error}",
                escape(&preopen.guest_path)
            ),
        }),
    }
}

/// Opens the working directory, through the granted directory whose name is the longest that
/// leads to it; gives it with its path in the runner's own root.
///
/// # Errors
/// [`Failure::WorkingDirectory`] if there is none, or if it lies outside of what was granted.
pub(crate) fn open_initial(
    preopens: &[Preopen],
    directory: &str,
) -> Result<(Dir, PathBuf), Failure> {
    let failed = |reason: &dyn std::fmt::Display| Failure::WorkingDirectory {
        reason: format!("the working directory {}: {reason}", escape(directory)),
    };
    let (preopen, rest) = innermost(preopens, directory)
        .ok_or_else(|| failed(&"it is in none of the mounted directories"))?;
    let path = Path::new(&preopen.runner_path).join(rest);
    let rest = if rest.as_os_str().is_empty() {
        Path::new(".")
    } else {
        rest
    };
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(directory_flag());
    let opened = open_preopen(preopen)?
        .open_with(rest, &options)
        .map_err(|error| failed(&error))?;
    Ok((Dir::from_std_file(opened.into_std()), path))
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

/// Opens a path only to have it: no right to its content is needed or given.
///
/// # Errors
/// The system's, or one that [`is_escape`] knows.
pub(crate) fn point_at(dir: &Dir, path: &str, is_followed: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(OFlags::PATH.bits().cast_signed())
        .follow(if is_followed {
            FollowSymlinks::Yes
        } else {
            FollowSymlinks::No
        });
    Ok(dir.open_with(path, &options)?.into_std())
}

/// The status of what lies at a path, without opening it.
///
/// # Errors
/// As [`point_at`].
pub(crate) fn stat_at(dir: &Dir, path: &str, is_followed: bool) -> io::Result<Stat> {
    let is_name = !path.is_empty() && path != ".." && !path.contains('/');
    if is_name && !is_followed {
        // A lone name that is not followed cannot lead out.
        return Ok(rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW)?);
    }
    Ok(rustix::fs::fstat(point_at(dir, path, is_followed)?)?)
}

/// Whether the error is `cap-std`'s for a path that leads out of its directory: it carries no
/// number of the system, which all other errors do.
pub(crate) fn is_escape(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() == io::ErrorKind::PermissionDenied
}

/// `O_DIRECTORY`, as `custom_flags` wants it.
pub(crate) fn directory_flag() -> i32 {
    OFlags::DIRECTORY.bits().cast_signed()
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

    #[test]
    fn working_directory_outside_is_refused_by_name() {
        let failure = open_initial(&[preopen("/data")], "/other").expect_err("it is outside");
        let Failure::WorkingDirectory { reason } = failure else {
            panic!("{failure:?}")
        };
        assert_eq!(
            reason,
            "the working directory /other: it is in none of the mounted directories"
        );
    }

    #[test]
    fn path_that_leads_out_is_told_from_a_lack_of_permission() {
        let dir = Dir::open_ambient_dir("/", cap_std::ambient_authority()).expect("a root");
        let tmp = dir.open_dir("tmp").expect("there is one");
        assert!(is_escape(
            &point_at(&tmp, "../etc", true).expect_err("it leads out")
        ));
        assert!(!is_escape(&rustix::io::Errno::ACCESS.into()));
    }
}
