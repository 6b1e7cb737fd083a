//! Why the keeper could not do its part.

use lighter_boundary::StartError;
use lighter_types::runner_protocol::TO_RUNNER_BYTES;
use rustix::io::Errno;
use std::fmt;
use std::io;

/// Why the keeper could not do its part.
#[derive(Debug)]
pub enum Failed {
    /// The runner did not start.
    Start(StartError),
    /// The keeper's own resources failed.
    Keeper {
        /// What it was doing.
        action: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// Arguments, environment and secrets together are too long.
    TooLong,
    /// One of the caller's standard streams is a directory: a way out of the runner's root.
    DirectoryAsStream {
        /// Which one.
        name: &'static str,
    },
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(formatter),
            Self::Keeper { action, .. } => write!(formatter, "could not {action}"),
            Self::TooLong => write!(
                formatter,
                "arguments, environment and secrets are longer than {} MiB together",
                TO_RUNNER_BYTES >> 20
            ),
            Self::DirectoryAsStream { name } => {
                write!(
                    formatter,
                    "{name} is a directory, which no program can read or write"
                )
            }
        }
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) => error.source(),
            Self::Keeper { source, .. } => Some(source),
            Self::TooLong | Self::DirectoryAsStream { .. } => None,
        }
    }
}

pub(crate) fn keeper_failed(action: &'static str) -> impl Fn(Errno) -> Failed {
    move |error| Failed::Keeper {
        action,
        source: error.into(),
    }
}
