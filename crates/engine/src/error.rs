//! Why the engine could not do what it was asked.

use lighter_types::error::ErrorKind;
use lighter_types::escape::escape;
use lighter_types::exit;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why the engine could not do what it was asked.
#[derive(Debug)]
pub enum Error {
    /// There is no program of that name.
    ProgramNotFound {
        /// The name as it was given.
        program: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// The program is there and cannot be run.
    NotRunnable {
        /// The name as it was given.
        program: String,
        /// Why not: words that follow the name.
        reason: String,
        /// What is missing, one line each.
        details: Vec<String>,
        /// What the user can do.
        hint: Option<String>,
    },
    /// A flag, a grant or a mount is wrong, or cannot be had here.
    Refused {
        /// What and why, a whole sentence.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// A file of the engine's, or one that the user named, failed.
    File {
        /// What was being done, with the path.
        action: String,
        /// The system's error.
        source: io::Error,
    },
    /// The boundary or the keeper failed.
    Start {
        /// What failed.
        source: lighter_container::Failed,
        /// What the user can do.
        hint: Option<String>,
    },
    /// The caller ended the work with this signal.
    Interrupted(i32),
    /// A fault of our own, or of a runner that broke the protocol.
    Internal {
        /// What happened.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(
        action: &str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        let path = path.into();
        Self::File {
            action: format!("{action} {}", escape(&path.to_string_lossy())),
            source: source.into(),
        }
    }

    pub(crate) fn not_runnable(
        program: &str,
        reason: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        Self::NotRunnable {
            program: program.to_owned(),
            reason: reason.into(),
            details: Vec::new(),
            hint,
        }
    }

    /// The sort of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ProgramNotFound { .. } => ErrorKind::NotFound,
            Self::NotRunnable { .. } | Self::Refused { .. } => ErrorKind::InvalidInput,
            Self::File { .. } | Self::Start { .. } => ErrorKind::Unavailable,
            Self::Interrupted(_) => ErrorKind::Cancelled,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// The exit code of `run` for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ProgramNotFound { .. } => exit::NOT_FOUND,
            Self::NotRunnable { .. } => exit::NOT_RUNNABLE,
            Self::Refused { .. }
            | Self::File { .. }
            | Self::Start { .. }
            | Self::Internal { .. } => exit::FAILED,
            Self::Interrupted(signal) => signal_code(*signal),
        }
    }

    /// What the user can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::ProgramNotFound { hint, .. }
            | Self::NotRunnable { hint, .. }
            | Self::Refused { hint, .. }
            | Self::Start { hint, .. } => hint.as_deref(),
            Self::File { .. } | Self::Interrupted(_) | Self::Internal { .. } => None,
        }
    }

    /// Further lines that belong to it: the imports that are missing.
    #[must_use]
    pub fn details(&self) -> &[String] {
        match self {
            Self::NotRunnable { details, .. } => details,
            _ => &[],
        }
    }
}

/// The exit code of a process that a signal ended, as a shell tells it.
#[must_use]
pub fn signal_code(signal: i32) -> u8 {
    u8::try_from(signal)
        .ok()
        .and_then(|signal| signal.checked_add(128))
        .unwrap_or(exit::KILLED)
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProgramNotFound { program, .. } => {
                write!(formatter, "no such program: {program}")
            }
            Self::NotRunnable {
                program, reason, ..
            } => write!(formatter, "{program} {reason}"),
            Self::Refused { reason, .. } => formatter.write_str(reason),
            Self::File { action, .. } => write!(formatter, "could not {action}"),
            Self::Start { source, .. } => source.fmt(formatter),
            Self::Interrupted(signal) => write!(formatter, "ended by signal {signal}"),
            Self::Internal { reason } => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Start { source, .. } => std::error::Error::source(source),
            _ => None,
        }
    }
}

impl From<lighter_container::Failed> for Error {
    fn from(source: lighter_container::Failed) -> Self {
        let hint = match &source {
            lighter_container::Failed::Start(error) => error.hint().map(str::to_owned),
            _ => None,
        };
        Self::Start { source, hint }
    }
}
