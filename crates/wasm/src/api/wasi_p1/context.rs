//! What one program has of WASI 0.1, for all its threads, and how it is made of a bundle.

use super::MemoryHandle;
use super::descriptor::{Descriptor, DescriptorTable};
use super::errno::{Errno, is_escape};
use super::types::rights;
use crate::host::Host;
use cap_std::fs::Dir;
use lighter_types::bundle::{Bundle, Preopen};
use lighter_types::refusal::Refusal;
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// The end that a guest asked for with `proc_exit`: an error that unwinds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u32);

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "exited with code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// What the store of one thread holds of WASI 0.1.
pub(crate) struct WasiState {
    /// What the threads share.
    pub(crate) context: Arc<WasiContext>,
    /// The memory of the thread's instance, once it is known.
    pub(super) memory: Option<MemoryHandle>,
}

impl WasiState {
    /// The state of a thread that has not called anything yet.
    pub(crate) fn new(context: Arc<WasiContext>) -> Self {
        Self {
            context,
            memory: None,
        }
    }
}

/// What one program has: arguments, environment, descriptors.
pub(crate) struct WasiContext {
    pub(super) arguments: Vec<String>,
    /// `KEY=VALUE`, one each.
    pub(super) environment: Vec<String>,
    pub(super) descriptors: DescriptorTable,
    host: Arc<dyn Host>,
}

impl WasiContext {
    /// Opens the granted directories and makes the program's descriptors.
    ///
    /// # Errors
    /// What could not be opened and why, as text for a person.
    pub(crate) fn new(bundle: &Bundle, host: Arc<dyn Host>) -> Result<Self, String> {
        let terminals = bundle.terminals;
        let mut descriptors = vec![
            Descriptor::stream(rustix::stdio::stdin(), terminals.stdin, rights::FD_READ),
            Descriptor::stream(rustix::stdio::stdout(), terminals.stdout, rights::FD_WRITE),
            Descriptor::stream(rustix::stdio::stderr(), terminals.stderr, rights::FD_WRITE),
        ];
        // Listeners come here once there are any: programs expect them from 3 up, and look for
        // directories only after them.
        let mut directories = Vec::new();
        for preopen in &bundle.preopens {
            let dir = open_preopen(preopen)
                .map_err(|error| format!("could not open {}: {error}", preopen.guest_path))?;
            directories.push((dir, preopen.guest_path.clone()));
        }
        if let Some(path) = &bundle.initial_directory {
            let dir = open_initial_directory(path, &directories)?;
            descriptors.push(Descriptor::preopen(dir, ".".to_owned(), path.clone()));
        }
        for (dir, path) in directories {
            descriptors.push(Descriptor::preopen(dir, path.clone(), path));
        }
        Ok(Self {
            arguments: bundle.arguments.clone(),
            environment: bundle
                .environment
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            descriptors: DescriptorTable::new(descriptors),
            host,
        })
    }

    /// The error number for a failed call on a path or on what was opened by it. What a grant
    /// would have allowed is told to the host.
    pub(super) fn fail(&self, action: &str, path: String, error: io::Error) -> Errno {
        let is_directory_link = action == "link";
        let refusal = match rustix::io::Errno::from_io_error(&error) {
            Some(rustix::io::Errno::ROFS) => Some(Refusal::ReadOnly {
                action: action.to_owned(),
                path,
            }),
            // The system's answer to a hard link to a directory is no matter of rights.
            Some(rustix::io::Errno::PERM) if is_directory_link => None,
            Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
                Some(Refusal::Permission {
                    action: action.to_owned(),
                    path,
                })
            }
            _ if is_escape(&error) => Some(Refusal::Escape { path }),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.host.refused(refusal);
        }
        Errno::from(error)
    }
}

fn open_preopen(preopen: &Preopen) -> io::Result<Dir> {
    let fd = rustix::fs::open(
        preopen.runner_path.as_str(),
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(Dir::from_std_file(File::from(fd)))
}

/// Opens the working directory through the granted directory that holds it.
fn open_initial_directory(path: &str, directories: &[(Dir, String)]) -> Result<Dir, String> {
    let (dir, rest) = directories
        .iter()
        .filter_map(|(dir, name)| Some((dir, name, below(path, name)?)))
        .max_by_key(|(_, name, _)| name.len())
        .map(|(dir, _, rest)| (dir, rest))
        .ok_or_else(|| {
            format!("the working directory {path} is in none of the granted directories")
        })?;
    open_to_list(dir, rest)
        .map_err(|error| format!("could not open the working directory {path}: {error}"))
}

/// The path from the directory `name` to `path`, if it lies there.
fn below<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(name.trim_end_matches('/'))?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest.trim_start_matches('/')),
        None if rest.is_empty() => Some(""),
        None => None,
    }
}

fn open_to_list(dir: &Dir, path: &str) -> io::Result<Dir> {
    use cap_std::fs::{OpenOptions, OpenOptionsExt};
    let path = if path.is_empty() { "." } else { path };
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(directory_flag());
    let file = dir.open_with(path, &options)?;
    Ok(Dir::from_std_file(file.into_std()))
}

/// `O_DIRECTORY`, as `custom_flags` wants it.
pub(super) fn directory_flag() -> i32 {
    OFlags::DIRECTORY.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_below_a_directory_is_found_by_whole_names() {
        assert_eq!(below("/data/x/y", "/data"), Some("x/y"));
        assert_eq!(below("/data", "/data"), Some(""));
        assert_eq!(below("/data/", "/data"), Some(""));
        assert_eq!(below("/database", "/data"), None);
        assert_eq!(below("/x", "/"), Some("x"));
    }
}
