//! From granted mounts to what the boundary mounts.

use crate::Error;
use crate::engine::Settings;
use lighter_boundary::{Content, Files, Layout, Mount};
use lighter_types::bundle::{FileRight, Preopen};
use lighter_types::escape::escape;
use lighter_types::grant::{Grants, MountKind, SecretSource, VolumeName};
use lighter_types::secret::SecretBytes;
use rustix::fs::Access;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where secrets lie in the guest's tree, as in Docker.
const SECRETS: &str = "/run/secrets";

/// The most that one secret holds, in bytes (as in Docker's swarm).
const SECRET_BYTES: u64 = 500 << 10;

/// A secret and its value.
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) value: SecretBytes,
}

/// Checks the sources of all granted mounts and adds what hides Lighter's own directories.
pub(crate) fn resolve(
    grants: &Grants,
    secrets: &[Secret],
    settings: &Settings,
) -> Result<Vec<Mount>, Error> {
    // Nothing is to be hidden where nothing is shown.
    let hidden = if grants.mounts().next().is_some() {
        hidden_directories(settings)
    } else {
        Vec::new()
    };
    let mut mounts = Vec::new();
    for mount in grants.mounts() {
        let target = mount.target.as_str().to_owned();
        match &mount.kind {
            MountKind::Bind {
                source,
                is_read_only,
            } => {
                let bind = bind(Path::new(source), &target, *is_read_only)?;
                mounts.extend(masks(&bind, &hidden)?);
                mounts.push(bind);
            }
            MountKind::Tmpfs {
                size_bytes,
                mode,
                is_read_only,
            } => {
                let content = Content::Memory {
                    size_bytes: *size_bytes,
                    mode: mode.unwrap_or(0o1777),
                    is_read_only: *is_read_only,
                };
                mounts.push(Mount { target, content });
            }
            MountKind::Volume { name, .. } => {
                let name = name.as_ref().map_or("DIRECTORY", VolumeName::as_str);
                return Err(Error::Refused {
                    reason: format!(
                        "cannot mount a volume on {target}: this version has no volumes"
                    ),
                    hint: Some(format!("for the directory write -v ./{name}:{target}")),
                });
            }
        }
    }
    if !secrets.is_empty() {
        let files = secrets
            .iter()
            .map(|secret| (secret.name.clone(), secret.value.expose().to_vec()))
            .collect();
        mounts.push(Mount {
            target: SECRETS.to_owned(),
            content: Content::Files(files),
        });
    }
    Ok(mounts)
}

fn bind(source: &Path, target: &str, is_read_only: bool) -> Result<Mount, Error> {
    let shown = escape(&source.to_string_lossy());
    let path = std::fs::canonicalize(source).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Refused {
            reason: format!("cannot mount {shown} on {target}: it does not exist"),
            hint: Some(format!("create it first: mkdir -p {shown}")),
        },
        _ => Error::Refused {
            reason: format!("cannot mount {shown} on {target}: {error}"),
            hint: None,
        },
    })?;
    let metadata =
        std::fs::metadata(&path).map_err(|error| Error::file("look at", &path, error))?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(Error::Refused {
            reason: format!(
                "cannot mount {shown} on {target}: it is neither a directory nor a file"
            ),
            hint: None,
        });
    }
    let wanted = if metadata.is_dir() {
        Access::READ_OK | Access::EXEC_OK
    } else {
        Access::READ_OK
    };
    if let Err(error) = rustix::fs::access(&path, wanted) {
        return Err(Error::Refused {
            reason: format!(
                "cannot mount {shown} on {target}: {}",
                std::io::Error::from(error)
            ),
            hint: Some("your own rights on the host do not reach it".to_owned()),
        });
    }
    if !metadata.is_dir() && target == "/" {
        return Err(Error::Refused {
            reason: format!("cannot mount {shown} on /: it is a file"),
            hint: Some(format!("give it a name: -v {shown}:/FILE")),
        });
    }
    Ok(Mount {
        target: target.to_owned(),
        content: Content::Bind {
            identity: (metadata.dev(), metadata.ino()),
            source: path,
            is_directory: metadata.is_dir(),
            is_read_only,
        },
    })
}

/// The directories that no guest sees, as they are really called; none lies in another.
fn hidden_directories(settings: &Settings) -> Vec<PathBuf> {
    let hidden: Vec<PathBuf> = [&settings.data_root, &settings.run_root]
        .into_iter()
        .chain(&settings.hidden)
        .filter_map(|path| std::fs::canonicalize(path).ok())
        .collect();
    outermost(hidden)
}

fn outermost(mut directories: Vec<PathBuf>) -> Vec<PathBuf> {
    // What lies in a directory comes after it.
    directories.sort();
    directories.dedup_by(|inner, outer| inner.starts_with(&*outer));
    directories
}

/// Empty directories in place of the hidden ones that a mount would show; a mount from within a
/// hidden directory is refused, and one above it that can be written.
fn masks(mount: &Mount, hidden: &[PathBuf]) -> Result<Vec<Mount>, Error> {
    let Content::Bind {
        source,
        is_read_only,
        ..
    } = &mount.content
    else {
        return Ok(Vec::new());
    };
    let mut masks = Vec::new();
    for directory in hidden {
        if source.starts_with(directory) {
            return Err(Error::Refused {
                reason: format!(
                    "cannot mount {} on {}: it is part of {}, which no program sees",
                    escape(&source.to_string_lossy()),
                    mount.target,
                    escape(&directory.to_string_lossy())
                ),
                hint: Some("mount another directory".to_owned()),
            });
        }
        if let Ok(below) = directory.strip_prefix(source) {
            // A guest that can rename what lies between would find it under another name.
            if !is_read_only {
                return Err(Error::Refused {
                    reason: format!(
                        "cannot mount {} on {} for writing: it holds {}, which no program sees",
                        escape(&source.to_string_lossy()),
                        mount.target,
                        escape(&directory.to_string_lossy())
                    ),
                    hint: Some("mount it :ro, or mount a directory further down".to_owned()),
                });
            }
            let mut target = OsString::from(mount.target.trim_end_matches('/'));
            target.push("/");
            target.push(below);
            let target = target.into_string().map_err(|_| Error::Refused {
                reason: format!(
                    "cannot mount {}: a name in it is not UTF-8",
                    source.display()
                ),
                hint: None,
            })?;
            masks.push(Mount {
                target,
                content: Content::Mask,
            });
        }
    }
    Ok(masks)
}

/// The directories that the guest finds open: each mounted directory, and for a mounted file the
/// directory it lies in. Not the tree's `/`, unless that is mounted: libraries take `/` and `.`
/// for one place, and a working directory is opened as `.` (wasi-libc, `preopens.c`).
pub(crate) fn preopens(mounts: &[Mount], layout: &Layout) -> Vec<Preopen> {
    let mut preopens: Vec<Preopen> = Vec::new();
    for mount in mounts {
        let target = mount.target.as_str();
        let guest_path = match &mount.content {
            Content::Mask => continue,
            Content::Bind {
                is_directory: true, ..
            }
            | Content::Memory { .. }
            | Content::Files(_) => target,
            Content::Bind { .. } => match target.rsplit_once('/') {
                Some(("", _)) | None => "/",
                Some((parent, _)) => parent,
            },
        };
        if preopens.iter().all(|known| known.guest_path != guest_path) {
            let mut runner_path = layout.path_of(mount);
            if target != guest_path
                && let Some(parent) = runner_path.rfind('/')
            {
                runner_path.truncate(parent);
            }
            preopens.push(Preopen {
                guest_path: guest_path.to_owned(),
                runner_path,
            });
        }
    }
    preopens
}

/// What the runner may open: all of its own root, or of the host's the mounts; and what it may
/// change of that.
pub(crate) fn file_rights(mounts: &[Mount], layout: &Layout) -> Vec<FileRight> {
    let mut rights = Vec::new();
    if let (Files::Own(guest), [_, ..]) = (layout.files, mounts) {
        rights.push(FileRight {
            runner_path: guest.to_owned(),
            is_writable: false,
        });
    }
    rights.extend(mounts.iter().filter_map(|mount| {
        let is_writable = match &mount.content {
            Content::Bind { is_read_only, .. } => !is_read_only,
            Content::Memory { is_read_only, .. } => !is_read_only,
            Content::Files(_) | Content::Mask => false,
        };
        let is_told = is_writable || layout.files == Files::Hosts;
        is_told.then(|| FileRight {
            runner_path: layout.path_of(mount),
            is_writable,
        })
    }));
    rights
}

/// Reads the values of all granted secrets, from where the caller has them.
pub(crate) fn read_secrets(
    grants: &Grants,
    find_variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<Secret>, Error> {
    grants
        .secrets()
        .map(|secret| {
            let value = match &secret.source {
                SecretSource::Environment(variable) => find_variable(variable)
                    .map(|value| value.into_encoded_bytes())
                    .ok_or_else(|| Error::Refused {
                        reason: format!(
                            "cannot give the secret {}: the variable {} is not set",
                            secret.name,
                            escape(variable)
                        ),
                        hint: Some(format!("export {}=...", escape(variable))),
                    })?,
                SecretSource::File(path) => read_secret_file(&secret.name, path)?,
            };
            Ok(Secret {
                name: secret.name.clone(),
                value: SecretBytes::new(value),
            })
        })
        .collect()
}

fn read_secret_file(name: &str, path: &str) -> Result<Vec<u8>, Error> {
    let refused = |what: String| Error::Refused {
        reason: format!("cannot give the secret {name}: {} {what}", escape(path)),
        hint: Some(format!(
            "name a file that you can read: --secret {name}=FILE"
        )),
    };
    let mut value = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SECRET_BYTES + 1).read_to_end(&mut value))
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    if value.len() as u64 > SECRET_BYTES {
        return Err(refused(format!(
            "is larger than {} KiB",
            SECRET_BYTES >> 10
        )));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_in_a_hidden_one_is_hidden_with_it() {
        let paths = [
            "/run/l/data",
            "/run/lx",
            "/run/l",
            "/run/l/data/x",
            "/run/l",
        ];
        let outermost = outermost(paths.map(PathBuf::from).to_vec());
        assert_eq!(outermost, ["/run/l", "/run/lx"].map(PathBuf::from));
    }
}
