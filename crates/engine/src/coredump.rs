//! The file that a core dump goes to: the user's is only touched once there is a dump.

use crate::Error;
use lighter_types::escape::escape;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file beside the one that was asked for, which goes unless it is kept.
pub(crate) struct Coredump {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Coredump {
    /// Makes room for a dump.
    ///
    /// # Errors
    /// The target is something that a dump may not replace, or its directory cannot be written.
    pub(crate) fn create(target: &Path) -> Result<Self, Error> {
        let name = target.file_name();
        let is_taken = fs::symlink_metadata(target)
            .is_ok_and(|metadata| !metadata.is_file() && !metadata.is_symlink());
        let Some(name) = name.filter(|_| !is_taken) else {
            return Err(Error::Refused {
                reason: format!(
                    "cannot write a core dump to {}: it is no file",
                    escape(&target.to_string_lossy())
                ),
                hint: Some("name a file that may be replaced: --coredump FILE".to_owned()),
            });
        };
        let mut own_name = std::ffi::OsString::from(".");
        own_name.push(name);
        own_name.push(format!(".{}", std::process::id()));
        let path = target.with_file_name(own_name);
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::file("create the core dump", target, error))?;
        Ok(Self {
            file,
            path,
            target: target.to_owned(),
        })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Puts the dump where it was asked for.
    ///
    /// # Errors
    /// The target has become something that cannot be replaced.
    pub(crate) fn keep(self) -> Result<(), Error> {
        fs::rename(&self.path, &self.target)
            .map_err(|error| Error::file("write the core dump to", &self.target, error))
    }
}

impl Drop for Coredump {
    fn drop(&mut self) {
        // After `keep` there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}
