//! Words for a runner that could not be started: what failed, and what to do about it.

use super::WITHOUT_OWNER_MAP;
use crate::sys::clone::{Step, StepError};
use crate::sys::mount::{Mounting, Source};
use crate::{Lack, StartError};
use lighter_types::escape::escape;
use std::ffi::CString;
use std::io;

/// Words for a step that failed.
pub(super) fn start_error(steps: &[Step], error: StepError, is_root: bool) -> StartError {
    let shown = |path: &CString| escape(&path.to_string_lossy());
    let mut hint = None;
    let mut lack = None;
    let step = error.step.map(|index| steps.get(index));
    let action = match step {
        None => return no_process(error.source, is_root),
        Some(Some(Step::Mount(mounting))) => {
            lack = lacks_map(mounting, &error.source).then_some(Lack::OwnerMap);
            hint = mount_hint(mounting, &error.source);
            let names: Vec<_> = mounting.names.iter().map(shown).collect();
            let what = match &mounting.what {
                Source::Tree(tree) => shown(&tree.source),
                Source::Memory { .. } => "a file system in memory".to_owned(),
            };
            format!("mount {what} on /{}", names.join("/"))
        }
        Some(Some(Step::MakeDirectory(path, _))) => format!("make the directory {}", shown(path)),
        Some(Some(Step::MountAt(tree, _))) => format!("mount {}", shown(&tree.source)),
        Some(Some(Step::MountTmpfs(path, options))) => {
            format!("mount a tmpfs on {} with {}", shown(path), shown(options))
        }
        Some(Some(Step::BecomeUser(user, _))) => format!("take the user id {user} for the runner"),
        Some(Some(Step::ChangeRoot)) => "take a root of its own for the runner".to_owned(),
        Some(Some(Step::MakeMountsPrivate)) => "make mounts of its own for the runner".to_owned(),
        Some(Some(step)) => format!("prepare the runner ({step:?})"),
        Some(None) => {
            if error.source.kind() == io::ErrorKind::PermissionDenied {
                hint = Some(
                    "the runner is another user: let all users read and execute lighter's own file \
                     (chmod 755), also on a file system that is not mounted noexec"
                        .to_owned(),
                );
            }
            "start the runner's program file".to_owned()
        }
    };
    // A namespace may be there and its rights may not, where a security module takes them away.
    let needs_rights = matches!(
        step,
        Some(Some(
            Step::ChangeRoot
                | Step::MakeMountsPrivate
                | Step::MountTmpfs(..)
                | Step::WriteProc(..)
                | Step::BecomeUser(..)
        ))
    );
    let is_refused = matches!(
        error.source.raw_os_error(),
        // An id that a user namespace does not map is invalid in it.
        Some(libc::EPERM | libc::EACCES | libc::EINVAL)
    );
    if needs_rights && is_refused {
        lack = Some(Lack::Namespaces);
    }
    if lack == Some(Lack::Namespaces) {
        hint = Some(namespace_hint(is_root).to_owned());
    }
    StartError {
        action,
        hint,
        lack,
        source: error.source,
    }
}

/// Words for a process that the kernel did not make, for itself or for its namespaces.
fn no_process(source: io::Error, is_root: bool) -> StartError {
    let action = match source.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOMEM) => {
            let mut error = StartError::new("start a process for the program", source);
            error.hint = Some(
                "no more processes or no more memory are allowed: look at ulimit -u, the limits of \
                 the control group, and what else is running"
                    .to_owned(),
            );
            return error;
        }
        _ if is_root => "make a process namespace",
        _ => "make a user namespace",
    };
    let mut error = StartError::new(action, source);
    if is_namespace_refusal(&error.source) {
        error.lack = Some(Lack::Namespaces);
        error.hint = Some(namespace_hint(is_root).to_owned());
    }
    error
}

/// What to do where a user may make no namespaces.
fn namespace_hint(is_root: bool) -> &'static str {
    if is_root {
        "root here lacks CAP_SYS_ADMIN, as in a container without privileges, and may not make user \
         namespaces either; without both a program can be given no files. Give it that, or let go of \
         the boundary around the files with --insecure-no-boundary"
    } else {
        "this system does not let ordinary users make user namespaces, and without one a program \
         can be given no files: look at sysctl user.max_user_namespaces and \
         kernel.unprivileged_userns_clone, on systems with AppArmor load Lighter's profile, or run \
         lighter as root; or let go of the boundary around the files with --insecure-no-boundary"
    }
}

/// Whether the mount failed for the lack of idmapped mounts.
fn lacks_map(mounting: &Mounting, error: &io::Error) -> bool {
    matches!(&mounting.what, Source::Tree(tree) if tree.owner_map.is_some())
        && error.raw_os_error() == Some(libc::EINVAL)
}

fn mount_hint(mounting: &Mounting, error: &io::Error) -> Option<String> {
    let hint = match error.raw_os_error()? {
        _ if lacks_map(mounting, error) => {
            return Some(format!(
                "the file system has no idmapped mounts, {WITHOUT_OWNER_MAP}"
            ));
        }
        libc::ESTALE => "it was replaced while the program was starting: try again",
        libc::ELOOP => {
            "a symbolic link of another mount lies on the way, and is not followed: mount it \
             elsewhere"
        }
        libc::EROFS | libc::EACCES => {
            "the mount point is not there and cannot be made in the mount above it: make it first"
        }
        libc::ENOTDIR => "the mount point, or something on the way to it, is a file",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn is_namespace_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPERM | libc::ENOSPC | libc::EUSERS | libc::EINVAL)
    )
}
