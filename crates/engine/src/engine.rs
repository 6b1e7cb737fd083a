//! The engine: where things are kept, and what every verb needs.

use crate::Error;
use crate::cache::{Cache, CacheLimits};
use lighter_boundary::process::ProcessBoundary;
use lighter_boundary::sys::signal::SignalEvents;
use lighter_types::escape::escape;
use lighter_types::network::{PublishedPort, Reach};
use lighter_types::refusal::Refusal;
use rustix::fs::{Mode, OFlags};
use std::cell::OnceCell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where an engine keeps things, and what it hides from guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What outlives a boot: compiled code, later images and containers.
    pub data_root: PathBuf,
    /// What need not: locks, scratch directories.
    pub run_root: PathBuf,
    /// Directories that no mount shows: configuration, credential stores. The two above are
    /// hidden in any case.
    pub hidden: Vec<PathBuf>,
    /// What no grant of the network exceeds, whoever gives it: each of these.
    pub ceilings: Vec<Reach>,
    /// How much compiled code is kept.
    pub cache: CacheLimits,
    /// Whether programs run although this system lacks parts of the boundary, at the user's own
    /// word.
    pub is_insecure: bool,
}

/// What a front is told while a verb works.
pub trait Observer {
    /// Something is not as it should be, and the work goes on.
    fn warn(&mut self, text: &str);

    /// The guest was refused something; each distinct refusal comes once, a bounded number of
    /// them.
    fn refused(&mut self, refusal: &Refusal);

    /// More was refused than is told one by one.
    fn refusals_cut(&mut self);

    /// A port of the program's is shown where nobody could know before: the user let the host choose.
    fn published(&mut self, port: &PublishedPort);

    /// A program of this size has been compiling for this long.
    fn compiling(&mut self, program: &str, size_bytes: u64, elapsed: Duration);

    /// Compiling is over, well or badly.
    fn compiled(&mut self);
}

/// An engine on this machine.
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) boundary: Arc<ProcessBoundary>,
    signals: OnceCell<SignalEvents>,
}

/// That the file which this process runs could not be opened again, for its runners.
fn no_program_file(error: std::io::Error) -> Error {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => Some("mount /proc: mount -t proc proc /proc".to_owned()),
        _ => None,
    };
    Error::Refused {
        reason: format!("could not open the program file /proc/self/exe: {error}"),
        hint,
    }
}

impl Engine {
    /// Opens an engine. Once it has read its inputs, a verb reads the signals that end it itself:
    /// a process that opens an engine has one thread.
    ///
    /// # Errors
    /// The data or run directory belongs to somebody else, or `/proc` is missing.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        check_owner(&settings.data_root, "--data-root")?;
        check_owner(&settings.run_root, "--run-root")?;
        let boundary = ProcessBoundary::open(settings.is_insecure).map_err(no_program_file)?;
        Ok(Self {
            settings,
            boundary: Arc::new(boundary),
            signals: OnceCell::new(),
        })
    }

    /// The signals that end the work, from the first call on read here and nowhere else.
    pub(crate) fn signals(&self) -> Result<&SignalEvents, Error> {
        if let Some(signals) = self.signals.get() {
            return Ok(signals);
        }
        let signals =
            SignalEvents::open(&lighter_container::SIGNALS).map_err(|source| Error::File {
                action: "listen for signals".to_owned(),
                source,
            })?;
        Ok(self.signals.get_or_init(|| signals))
    }

    pub(crate) fn cache(&self, observer: &mut dyn Observer) -> Cache {
        Cache::open(
            &self.settings.data_root,
            &self.settings.run_root,
            self.settings.cache,
            &mut |text| {
                observer.warn(&text);
            },
        )
    }

    /// The directory of compiled code.
    pub(crate) fn compiled(&self) -> PathBuf {
        self.settings.data_root.join("compiled")
    }

    /// An empty directory of the caller's: the root of roles that need no files, and the place
    /// where the roots of others are put together.
    pub(crate) fn scratch(&self) -> Result<PathBuf, Error> {
        let scratch = self.settings.run_root.join("empty");
        match rustix::fs::mkdir(&scratch, Mode::from_raw_mode(0o711)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(rustix::io::Errno::NOENT) => {
                ensure_private(&self.settings.run_root)?;
                std::fs::create_dir(&scratch)
                    .map_err(|error| Error::file("make", &scratch, error))?;
            }
            Err(error) => return Err(Error::file("make", &scratch, error)),
        }
        Ok(scratch)
    }
}

/// Makes a directory that only the caller can enter.
fn ensure_private(directory: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| Error::file("make", directory, error))
}

/// A directory may have been laid there by somebody else, who would then own what is kept in it.
/// One that is not there will be made.
fn check_owner(directory: &Path, flag: &str) -> Result<(), Error> {
    let Ok(metadata) = std::fs::metadata(directory) else {
        return Ok(());
    };
    let is_ours = [rustix::process::geteuid().as_raw(), 0].contains(&metadata.uid());
    if !metadata.is_dir() || is_ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Error::Refused {
        reason: format!(
            "{} can be written by others, or is not yours",
            escape(&directory.to_string_lossy())
        ),
        hint: Some(format!(
            "make it yours alone (chmod go-w), remove it, or name another with {flag}"
        )),
    })
}

/// Opens a directory to be somebody's root.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    rustix::fs::open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| Error::file("open", path, io::Error::from(error)))
}
