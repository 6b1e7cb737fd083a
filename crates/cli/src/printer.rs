//! The one module that prints: data to standard output, everything else to standard error.

use crate::refusal::refusal_line;
use crate::settings;
use lighter_engine::{Error, Observer, without_waiting};
use lighter_types::escape::escape;
use lighter_types::exit;
use lighter_types::grant::Grants;
use lighter_types::network::PublishedPort;
use lighter_types::refusal::Refusal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON value.
    Json,
}

/// Prints data, and gives the code to end with: a reader that went away is no error, a full disk is one.
pub(crate) fn out(text: &str) -> u8 {
    match put(stdio::stdout(), &mut text.as_bytes(), None) {
        Ok(()) | Err(Errno::PIPE) => 0,
        Err(failure) => {
            let failure = std::io::Error::from(failure);
            error(
                &format!("could not write to standard output: {failure}"),
                &[],
                None,
            );
            exit::FAILED
        }
    }
}

/// Prints what is no data.
pub(crate) fn err(text: &str) {
    // There is nobody to tell.
    let _ = put(
        stdio::stderr(),
        &mut text.as_bytes(),
        PATIENCE.get().copied(),
    );
}

/// How long words wait for a reader of standard error: for ever, unless [`hurry`] was called.
static PATIENCE: OnceLock<Duration> = OnceLock::new();

/// Has words wait two seconds at most: for a run that has a time limit. Its guest may have filled standard
/// error for a reader that does not read, and the limit holds for the caller too.
pub(crate) fn hurry() {
    PATIENCE.get_or_init(|| Duration::from_secs(2));
}

/// What a stream that is ready takes without blocking, in bytes: `PIPE_BUF` of Linux.
const READY_BYTES: usize = 4096;

/// Writes to a stream, non-blocking or not, and waits for its reader no longer than `patience` in all. What
/// was not written is left in `bytes`.
fn put(stream: BorrowedFd<'_>, bytes: &mut &[u8], patience: Option<Duration>) -> Result<(), Errno> {
    let deadline = patience.map(|patience| Instant::now() + patience);
    let terminal = without_waiting(stream);
    let stream = terminal.as_ref().map_or(stream, AsFd::as_fd);
    while !bytes.is_empty() {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut ready = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
        match poll(&mut ready, left.as_ref()) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(failure) => return Err(failure),
        }
        match rustix::io::write(stream, bytes.get(..READY_BYTES).unwrap_or(bytes)) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => *bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Prints an error: what failed, further lines that belong to it, and what to do.
pub(crate) fn error(message: &str, details: &[String], hint: Option<&str>) {
    let mut text = format!("lighter: {message}\n");
    for detail in details {
        text.push_str(&format!("  {detail}\n"));
    }
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    err(&text);
}

/// Prints an engine's error with its causes, and gives its exit code.
pub(crate) fn failure(failure: &Error) -> u8 {
    if let Error::Interrupted(_) = failure {
        return failure.exit_code();
    }
    error(&reason(failure), failure.details(), failure.hint());
    failure.exit_code()
}

/// An engine's error in words, with its causes.
pub(crate) fn reason(failure: &Error) -> String {
    let mut reason = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(inner) = cause {
        reason.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    reason
}

/// Prints one JSON value, as [`out`] does.
pub(crate) fn json(value: &serde_json::Value) -> u8 {
    out(&format!("{value:#}\n"))
}

/// A size as Docker prints it: decimal units, at most three digits before the point.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    if unit == "B" {
        format!("{bytes}B")
    } else {
        format!("{value:.3}{unit}").replace(".000", "")
    }
}

/// An amount of memory as Docker prints it: binary units, at most four digits.
pub(crate) fn memory(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        1000.0.. => 0,
        100.0.. => 1,
        10.0.. => 2,
        _ => 3,
    };
    let number = format!("{value:.digits$}");
    let number = match number.split_once('.') {
        Some(_) => number.trim_end_matches('0').trim_end_matches('.'),
        None => &number,
    };
    format!("{number}{}", UNITS.get(unit).copied().unwrap_or_default())
}

/// Tells the user what goes on during a run.
///
/// Nothing here waits for a reader of standard error that does not read: a guest could arrange
/// for one, and the limits of its run hold all the same. What was not taken is told at the end.
pub(crate) struct Reporter {
    grants: Grants,
    untold: Vec<u8>,
    is_quiet_terminal: bool,
    has_progress: bool,
}

/// How long compiling may take before anything is said of it.
const QUIET_TIME: Duration = Duration::from_millis(400);

impl Reporter {
    /// A reporter for a run with these grants.
    pub(crate) fn new(grants: Grants) -> Self {
        let is_quiet_terminal = !std::io::stderr().is_terminal() || settings::is_plain();
        Self {
            grants,
            untold: Vec::new(),
            is_quiet_terminal,
            has_progress: false,
        }
    }

    /// Tells as much as standard error takes at once.
    fn say(&mut self, text: &str) {
        self.untold.extend_from_slice(text.as_bytes());
        let mut rest = self.untold.as_slice();
        let said = put(stdio::stderr(), &mut rest, Some(Duration::ZERO));
        let told = match said {
            Ok(()) | Err(Errno::TIMEDOUT) => self.untold.len() - rest.len(),
            Err(_) => self.untold.len(),
        };
        self.untold.drain(..told);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // The run is over, and signals do again what they do.
        let _ = put(
            stdio::stderr(),
            &mut self.untold.as_slice(),
            PATIENCE.get().copied(),
        );
    }
}

impl Observer for Reporter {
    fn warn(&mut self, text: &str) {
        self.say(&format!("lighter: warning: {}\n", escape(text)));
    }

    fn refused(&mut self, refusal: &Refusal) {
        let line = refusal_line(refusal, &self.grants);
        let word = match refusal {
            // Nobody was against it.
            Refusal::Unanswered { .. } | Refusal::Unlistened { .. } => "warning",
            _ => "refused",
        };
        self.say(&format!("lighter: {word}: {line}\n"));
    }

    fn published(&mut self, port: &PublishedPort) {
        let protocol = port.protocol.name();
        let address = port.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let host = SocketAddr::new(address, port.host_port);
        self.say(&format!(
            "lighter: port {}/{protocol} is published at {host}\n",
            port.container_port
        ));
    }

    fn refusals_cut(&mut self) {
        self.say("lighter: refused: more, which is not shown one by one\n");
    }

    fn compiling(&mut self, program: &str, size_bytes: u64, elapsed: Duration) {
        if self.is_quiet_terminal || elapsed < QUIET_TIME || !self.untold.is_empty() {
            return;
        }
        self.has_progress = true;
        self.say(&format!(
            "\r\x1b[Kcompiling {program} ({}), {} s",
            size(size_bytes),
            elapsed.as_secs()
        ));
    }

    fn compiled(&mut self) {
        if std::mem::take(&mut self.has_progress) {
            self.say("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shown_as_docker_shows_it() {
        assert_eq!(memory(64 << 20), "64MiB");
        assert_eq!(memory(1_061_159), "1.012MiB");
        assert_eq!(memory(3 << 29), "1.5GiB");
        assert_eq!(memory(1000), "1000B");
    }

    #[test]
    fn sizes_are_docker_s() {
        assert_eq!(size(999), "999B");
        assert_eq!(size(1_500_000), "1.500MB");
        assert_eq!(size(24_000_000), "24MB");
    }
}
