//! The one module that prints: data to standard output, everything else to standard error.

use crate::settings;
use lighter_engine::{Error, Observer};
use lighter_types::escape::escape;
use lighter_types::exit;
use lighter_types::grant::{Grants, MountKind, NetworkMode, Protocol};
use lighter_types::limits::MOST_THREADS;
use lighter_types::network::{PublishedPort, Reason, Transport};
use lighter_types::refusal::Refusal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
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
            Refusal::Unanswered { .. } => "warning",
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

/// One line for a refusal: what was tried, on what, and the flag that allows it.
fn refusal_line(refusal: &Refusal, grants: &Grants) -> String {
    match refusal {
        Refusal::ReadOnly { action, path } => {
            format!(
                "{} {}: {}",
                escape(action),
                escape(path),
                read_only_advice(path, grants)
            )
        }
        Refusal::Escape { path } => format!(
            "open {}: it leads out of the granted directories; allow it with -v SOURCE:TARGET",
            escape(path)
        ),
        Refusal::Permission { action, path } => {
            let advice = if rustix::process::geteuid().is_root() {
                "its owner on the host does not let root's programs; name the owner with --user UID:GID"
            } else {
                "your own rights on the host do not reach it; change the file's permissions"
            };
            format!("{} {}: {advice}", escape(action), escape(path))
        }
        Refusal::Thread { most } => {
            let flag = if *most == MOST_THREADS {
                ""
            } else {
                " (--pids-limit)"
            };
            let running = if *most == 1 { "is" } else { "are" };
            format!("start a thread: {most} {running} running, and no more are allowed{flag}")
        }
        Refusal::Reach {
            transport,
            address,
            reason,
        } => reach_line(*transport, &escape(address), reason),
        Refusal::Listen { protocol, port } => format!(
            "listen on {} port {port}: it is not published; allow it with -p {port}{}",
            protocol.name(),
            if *protocol == Protocol::Udp {
                "/udp"
            } else {
                ""
            }
        ),
        Refusal::Bind {
            protocol,
            address,
            is_own,
        } => bind_line(*protocol, &escape(address), *is_own),
        Refusal::Socket { action } => format!("{}: {}", escape(action), no_network(grants)),
        Refusal::Lookup { name } => {
            let name = escape(name);
            format!(
                "look up {name}: it is not granted; allow it with --allow-net {name}:PORT or --allow-dns {name}"
            )
        }
        Refusal::Unanswered { name, servers } => {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            format!(
                "look up {}: no name server answered (asked: {}); name another with --dns",
                escape(name),
                servers.join(", ")
            )
        }
        Refusal::Http { origin } => {
            format!("request {}: {}", escape(origin), no_network(grants))
        }
    }
}

/// Why there is no network, and what would give one.
fn no_network(grants: &Grants) -> &'static str {
    match grants.network() {
        NetworkMode::None => "--network none takes the network away; leave it out",
        NetworkMode::Bridge | NetworkMode::Host => {
            "no network is granted; allow it with --allow-net HOST:PORT or -p PORT"
        }
    }
}

/// What was to be bound, and why it cannot be.
fn bind_line(protocol: Protocol, address: &str, is_own: bool) -> String {
    let why = if is_own {
        "the host shows that port by the other family alone; publish it by this one, or by both (-p PORT:PORT)"
    } else {
        "it is none of the program's own; bind 0.0.0.0, [::] or loopback, and publish the port with -p"
    };
    format!("bind {address} ({}): {why}", protocol.name())
}

/// What was to be reached, why it may not be, and what would allow it.
fn reach_line(transport: Transport, address: &str, reason: &Reason) -> String {
    let (what, scheme) = match transport {
        Transport::Tcp => ("connect to", "tcp://"),
        Transport::Udp => ("send to", "udp://"),
        Transport::Http => ("request", "http://"),
        Transport::Https => ("request", "https://"),
    };
    let why = match reason {
        Reason::NotGranted { name: None } => {
            format!("it is not granted; allow it with --allow-net {scheme}{address}")
        }
        Reason::NotGranted { name: Some(name) } => {
            let name = escape(name);
            let port = address.rsplit_once(':').map_or("", |(_, port)| port);
            return format!(
                "{what} {address} ({name}): it is not granted; allow it with --allow-net {scheme}{name}:{port}"
            );
        }
        Reason::NameLeadsInside { name, kind } => format!(
            "{} is granted, but names lead to no {kind} addresses; allow it with --allow-net {scheme}{address}",
            escape(name)
        ),
        Reason::Ceiling => "[ceiling] of the configuration forbids it".to_owned(),
    };
    format!("{what} {address}: {why}")
}

/// Which flag would make a path writable: the mount that covers it, without `ro`.
fn read_only_advice(path: &str, grants: &Grants) -> String {
    let covering = grants
        .mounts()
        .filter(|mount| {
            let target = mount.target.as_str().trim_end_matches('/');
            path.strip_prefix(target)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .max_by_key(|mount| mount.target.as_str().len());
    match covering.map(|mount| (&mount.kind, mount.target.as_str())) {
        Some((
            MountKind::Bind {
                source,
                is_read_only: true,
            },
            target,
        )) => format!(
            "{target} is mounted read-only; allow it with -v {}:{target}",
            escape(source)
        ),
        Some((MountKind::Tmpfs { .. }, target)) => {
            format!("{target} is mounted read-only; allow it with --tmpfs {target}")
        }
        Some((_, target)) => format!("the file system below {target} is read-only on the host"),
        None => {
            let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
            let parent = if parent.is_empty() {
                "/DIRECTORY"
            } else {
                parent
            };
            let parent = escape(parent);
            format!(
                "nothing writable is there; allow it with -v SOURCE:{parent} or --tmpfs {parent}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lighter_types::grant::Grant;

    fn grants(flags: &[(&str, &str)]) -> Grants {
        let mut grants = Grants::default();
        for (key, value) in flags {
            grants
                .add(Grant::parse(key, value).expect("valid"))
                .expect("no duplicate");
        }
        grants
    }

    fn line(path: &str, flags: &[(&str, &str)]) -> String {
        let refusal = Refusal::ReadOnly {
            action: "write".to_owned(),
            path: path.to_owned(),
        };
        refusal_line(&refusal, &grants(flags))
    }

    #[test]
    fn read_only_mount_is_named_with_the_flag_that_opens_it() {
        assert_eq!(
            line("/data/x", &[("volume", "./data:/data:ro")]),
            "write /data/x: /data is mounted read-only; allow it with -v ./data:/data"
        );
    }

    #[test]
    fn path_without_a_mount_is_told_what_would_be_there() {
        assert_eq!(
            line("/tmp/x", &[("volume", "./data:/data:ro")]),
            "write /tmp/x: nothing writable is there; allow it with -v SOURCE:/tmp or --tmpfs /tmp"
        );
    }

    #[test]
    fn guest_cannot_forge_a_line() {
        let told = line(
            "/data/x\nlighter: all is well",
            &[("volume", "./data:/data:ro")],
        );
        assert!(!told.contains('\n'));
    }

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
