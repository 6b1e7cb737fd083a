//! The frames between a keeper and its runner.
//!
//! ```text
//!   0        4                    4 + length
//!   +--------+--------------------+
//!   | length | message (postcard) |     length: u32, little-endian, at most the bound
//!   +--------+--------------------+     of the direction; never 0
//! ```
//!
//! The two sides are the same program file, so there is no version. The keeper sends one
//! [`Order`] and then listens. Nothing that arrives from a runner is trusted: a frame that is
//! too long, does not decode or comes at the wrong time ends the runner.
//!
//! ```text
//!   keeper                     runner
//!     | -- Run(Bundle) ---------> |  locks itself, then maps the code
//!     | <------ Asks(listener) -- |  with a network: between the two; it waits for
//!     | -- Taken ---------------> |  the keeper to have what it hears its calls by
//!     | <--------------- Loaded - |  nothing of the guest's has run
//!     | <------- Refused(..) ---- |  any number, bounded by the keeper
//!     | <------- WantsInput ----- |  where standard input is a terminal
//!     | <--------- Ended(..) ---- |  last; then the process exits
//! ```

use crate::bundle::Bundle;
use crate::cpu::CpuFeatures;
use crate::egress::{EgressOrder, Origin, Reached};
use crate::interface::InterfacePattern;
use crate::network::Lookup;
use crate::program::{FileKind, ProgramKind};
use crate::refusal::Refusal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

/// The descriptor of the control socket in every locked role.
pub const CONTROL_FD: i32 = 3;
/// The descriptor of the program's bytes in the roles that parse or compile them (read-only,
/// sealed).
pub const PROGRAM_FD: i32 = 4;
/// The descriptor that the compile role writes its artifact to.
pub const ARTIFACT_FD: i32 = 5;
/// The first descriptor of the role that asks name servers: a socket to each of them.
pub const SERVER_FD: i32 = 4;
/// The descriptors by which a runner's requests leave: one after the other, should the role that sends them end.
pub const EGRESS_FDS: Range<i32> = 7..11;
/// The descriptor by which a server has its handshakes signed: a request and an answer in turn.
pub const SIGN_FD: i32 = 11;
/// The first descriptor of the role that sends requests: a link to each runner.
pub const LINK_FD: i32 = 4;
/// The descriptor that a core dump is written to, where one was asked for.
pub const COREDUMP_FD: i32 = 6;

/// The longest message a keeper sends, in bytes: arguments, environment and secrets are in it.
pub const TO_RUNNER_BYTES: usize = 8 << 20;
/// The longest message a keeper accepts, in bytes.
pub const FROM_RUNNER_BYTES: usize = 256 << 10;
/// The length of the header before each message, in bytes.
pub const HEADER_BYTES: usize = 4;

/// The order that a runner gets, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// How it locks itself.
    pub confinement: Confinement,
    /// What it does then.
    pub task: Task,
}

/// What a runner's own lock has to hold, in the surroundings that it was started in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Whether its root is its own, with nothing in it but what it was given.
    pub has_own_root: bool,
    /// Whether parts of the lock that this system lacks may be missing, at the user's own word.
    pub may_lack_parts: bool,
    /// The bound on the memory that it may write to, in bytes, where no control group holds it.
    pub data_bytes: Option<u64>,
    /// The bound on the threads of its user id, where that is counted for it alone.
    pub threads: Option<u32>,
    /// Whether it makes sockets, for each of which it asks the keeper.
    pub has_network: bool,
    /// Whether the host shows ports of it, under numbers of its own.
    pub has_published: bool,
}

/// What a keeper says after its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRunner {
    /// It has the listener that [`FromRunner::Asks`] spoke of.
    Taken,
    /// What became of a [`FromRunner::LooksUp`].
    Found {
        /// Which one.
        id: u32,
        /// The addresses, or why there are none.
        lookup: Lookup,
    },
    /// It answers the requests that it has, takes no others, and ends.
    Drain,
    /// What became of a [`FromRunner::Reaches`].
    Reached {
        /// Which one.
        id: u32,
        /// The addresses, or why there are none.
        reached: Reached,
    },
}

/// What a runner does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Run a compiled program.
    Run(Box<Bundle>),
    /// Compile the program on [`PROGRAM_FD`] into [`ARTIFACT_FD`].
    Compile(InspectOrder),
    /// Tell what the program on [`PROGRAM_FD`] is.
    Inspect(InspectOrder),
    /// Ask name servers.
    Resolve(ResolveOrder),
    /// Send requests.
    Egress(Box<EgressOrder>),
}

/// What the role that asks name servers asks them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveOrder {
    /// The names to try, one after the other.
    pub names: Vec<String>,
    /// Where the servers are.
    pub link: ServerLink,
    /// How long a server has to answer, in milliseconds.
    pub time_limit_ms: u32,
    /// How often each server is asked.
    pub attempts: u8,
}

/// The sockets of the role that asks name servers, each connected to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerLink {
    /// So many datagram sockets, one to each server, from [`SERVER_FD`] on.
    Datagrams {
        /// How many.
        count: u8,
    },
    /// One stream, at [`SERVER_FD`].
    Stream,
}

/// What name servers answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// One of the names has addresses.
    Found {
        /// Which one, from 0.
        name: u8,
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// For how many seconds they are good.
        time_to_live_seconds: u32,
    },
    /// None has.
    Nothing,
    /// What a server has to say of a name does not fit into a datagram.
    Truncated {
        /// Which name, from 0; those before it have no addresses.
        name: u8,
        /// Which server, from 0.
        server: u8,
    },
    /// A server answered that it cannot say, and none knew more.
    Failed,
    /// No server answered.
    Silence,
}

/// The most addresses that a name has; what is more is not looked at.
pub const MOST_ADDRESSES: usize = 64;

/// What the roles that read a program need to know of the run it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectOrder {
    /// Whether the bytes are the text format.
    pub is_text: bool,
    /// Imports that will be replaced by a trap on use.
    pub stubs: Vec<InterfacePattern>,
    /// Imports that will be withheld.
    pub denials: Vec<InterfacePattern>,
    /// The processor to compile for: this machine's.
    pub cpu: CpuFeatures,
    /// What the role may use up.
    pub bounds: Bounds,
}

/// What a role that reads a program may use up; past that the kernel ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Time on the processors, in seconds.
    pub cpu_seconds: u64,
}

impl Bounds {
    /// Bounds for a program of this size: several times what the largest known programs take
    /// (up to 36 times their size in memory and 2 seconds for each MB).
    #[must_use]
    pub fn for_program(size_bytes: u64) -> Self {
        Self {
            memory_bytes: size_bytes.saturating_mul(96).saturating_add(1 << 30),
            cpu_seconds: (size_bytes >> 20).saturating_mul(10).saturating_add(120),
        }
    }
}

/// The largest program that is read at all, in bytes.
pub const PROGRAM_BYTES: u64 = 1 << 30;
/// The largest artifact that is accepted, in bytes.
pub const ARTIFACT_BYTES: u64 = 8 << 30;

/// What a runner says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRunner {
    /// The code is mapped and the lock complete; the guest starts now.
    Loaded,
    /// The guest was refused something.
    Refused(Refusal),
    /// The guest waits for standard input, which is a terminal, and there is none.
    WantsInput,
    /// The run is over.
    Ended(End),
    /// The compile role is done.
    Compiled {
        /// What was compiled: for the text format only the parser knows.
        kind: ProgramKind,
    },
    /// The inspect role is done.
    Inspected(Box<ProgramFacts>),
    /// The lock is on, and asks the keeper for some calls.
    Asks {
        /// The descriptor, among the runner's own, that the keeper hears of them by.
        listener: i32,
    },
    /// The guest wants to know a name's addresses. They are told by [`ToRunner::Found`], in any order.
    LooksUp {
        /// Which lookup this is, for the answer.
        id: u32,
        /// The name, in ASCII.
        name: String,
    },
    /// The role that asks name servers is done.
    Resolved(Resolution),
    /// The program answers requests on its ports from now on.
    Serving,
    /// The role that sends requests wants to connect, for some. The answer is [`ToRunner::Reached`], in any order.
    Reaches {
        /// Which one this is, for the answer.
        id: u32,
        /// Where to.
        origin: Origin,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The guest returned or exited with this code.
    Exited(u8),
    /// The guest trapped.
    Trapped {
        /// What happened and the Wasm backtrace, in lines.
        report: String,
    },
    /// The guest never ran, or Lighter could not go on.
    Failed(Failure),
}

/// Why a role could not do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The bytes are no valid program.
    Invalid {
        /// What is wrong and where.
        reason: String,
    },
    /// The program uses a part of WebAssembly that the engine does not have.
    Unsupported {
        /// Which, and what to do about it.
        reason: String,
    },
    /// The program imports what nobody provides.
    MissingImports(Vec<MissingImport>),
    /// The compiled code was made by another engine; it must be made again.
    StaleArtifact,
    /// The program exports nothing that can be called.
    NoEntry {
        /// The functions that it does export, at most a few dozen.
        exports: Vec<String>,
    },
    /// The export given with `--invoke`, or an argument for it, is wrong.
    InvalidInvoke {
        /// What is wrong.
        reason: String,
    },
    /// The working directory that was asked for is not there.
    WorkingDirectory {
        /// Which, and why.
        reason: String,
    },
    /// A published port that the program should find a listener on could not be listened on.
    Listen {
        /// The program's port.
        port: u16,
        /// Why not.
        reason: String,
    },
    /// The program answers requests, and no port of TCP is published.
    NoPort,
    /// There is a certificate for TLS, and the program serves its ports itself.
    NotServed,
    /// The role could get no more memory.
    OutOfMemory,
    /// A bound on size or time was reached.
    LimitReached {
        /// Which.
        reason: String,
    },
    /// The lock could not be put on.
    Lock {
        /// Which part, and why.
        reason: String,
    },
    /// A fault of our own.
    Internal {
        /// What happened.
        reason: String,
    },
}

/// An import that nobody provides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingImport {
    /// `wasi:cli/stdout@0.4.0`, or `env.log` for a core module.
    pub name: String,
    /// What is known about it: a version that is there, the host it belongs to.
    pub note: Option<String>,
}

/// What a program is, imports and exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFacts {
    /// Its kind.
    pub kind: ProgramKind,
    /// The imports, in the program's order; cut at [`LISTED_NAMES`].
    pub imports: Vec<ImportFact>,
    /// How many imports there are.
    pub import_count: u32,
    /// The exports' names, in the program's order; cut at [`LISTED_NAMES`].
    pub exports: Vec<String>,
    /// How many exports there are.
    pub export_count: u32,
    /// What `run` would call, if anything.
    pub entry: Option<String>,
    /// What `run` would refuse the program for, if anything.
    pub failure: Option<Failure>,
}

/// The most imports or exports that [`ProgramFacts`] lists.
pub const LISTED_NAMES: usize = 1000;

/// One import and who meets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportFact {
    /// A component's interface or function, or a core module's import module.
    pub interface: String,
    /// The function, memory or other item of a core module's import.
    pub item: Option<String>,
    /// Who meets it.
    pub state: ImportState,
}

/// Who meets an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportState {
    /// The API set of that name.
    Provided(String),
    /// Provided, but every use of it is denied without the grants named here.
    NeedsGrant {
        /// The API set.
        set: String,
        /// The flags that would allow it, as `--allow-net or -p`.
        flags: String,
    },
    /// Replaced by a trap, as `--stub` says.
    Stubbed,
    /// Withheld, as `--deny` says.
    Denied,
    /// Nobody.
    Missing,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The length in the header is 0 or above the bound.
    Length {
        /// The length found.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// The message does not decode, or bytes are left over.
    Message,
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { length, limit } => {
                write!(
                    formatter,
                    "frame of {length} bytes is not within 1 and {limit}"
                )
            }
            Self::Message => formatter.write_str("frame does not decode"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Encodes one message with its header.
///
/// # Errors
/// [`FrameError::Length`] if the message is longer than `limit` bytes.
pub fn encode<M: Serialize>(message: &M, limit: usize) -> Result<Vec<u8>, FrameError> {
    let body = postcard::to_allocvec(message).map_err(|_| FrameError::Message)?;
    check_length(body.len(), limit)?;
    let length = u32::try_from(body.len()).map_err(|_| FrameError::Message)?;
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// Reads the length of the message that follows a header.
///
/// # Errors
/// [`FrameError::Length`] if the length is 0 or above `limit`.
pub fn message_length(header: [u8; HEADER_BYTES], limit: usize) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    check_length(length, limit)?;
    Ok(length)
}

/// Decodes one message, without its header.
///
/// # Errors
/// [`FrameError::Message`] if it does not decode or is followed by other bytes.
pub fn decode<M: DeserializeOwned>(body: &[u8]) -> Result<M, FrameError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::Message),
    }
}

/// Takes the first whole message off a buffer that collects what a peer sends.
///
/// # Errors
/// As [`message_length`] and [`decode`]; after an error the peer is not worth listening to.
pub fn take_message<M: DeserializeOwned>(
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<Option<M>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let end = HEADER_BYTES + message_length(*header, limit)?;
    let Some(body) = buffer.get(HEADER_BYTES..end) else {
        return Ok(None);
    };
    let message = decode(body)?;
    buffer.drain(..end);
    Ok(Some(message))
}

fn check_length(length: usize, limit: usize) -> Result<(), FrameError> {
    if length == 0 || length > limit {
        return Err(FrameError::Length { length, limit });
    }
    Ok(())
}

/// The [`ProgramKind`] that a file's kind promises, where it promises one.
#[must_use]
pub fn promised_kind(kind: FileKind) -> Option<ProgramKind> {
    match kind {
        FileKind::Wasm(kind) => Some(kind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(path: &str) -> FromRunner {
        FromRunner::Refused(Refusal::Escape {
            path: path.to_owned(),
        })
    }

    #[test]
    fn message_survives_its_frame() {
        let mut buffer = encode(&refused("../x"), FROM_RUNNER_BYTES).expect("it is short");
        buffer.extend(encode(&FromRunner::Loaded, FROM_RUNNER_BYTES).expect("it is short"));
        let first: Option<FromRunner> =
            take_message(&mut buffer, FROM_RUNNER_BYTES).expect("valid");
        assert_eq!(first, Some(refused("../x")));
        let second: Option<FromRunner> =
            take_message(&mut buffer, FROM_RUNNER_BYTES).expect("valid");
        assert_eq!(second, Some(FromRunner::Loaded));
        assert!(buffer.is_empty());
    }

    #[test]
    fn partial_frame_waits_for_the_rest() {
        let whole = encode(&refused("../x"), FROM_RUNNER_BYTES).expect("it is short");
        let mut buffer = whole[..whole.len() - 1].to_vec();
        let none: Option<FromRunner> =
            take_message(&mut buffer, FROM_RUNNER_BYTES).expect("valid so far");
        assert_eq!(none, None);
        assert_eq!(buffer.len(), whole.len() - 1);
    }

    #[test]
    fn frame_above_the_bound_is_refused_before_it_is_read() {
        let mut buffer = u32::MAX.to_le_bytes().to_vec();
        let error =
            take_message::<FromRunner>(&mut buffer, FROM_RUNNER_BYTES).expect_err("too long");
        assert_eq!(
            error.to_string(),
            "frame of 4294967295 bytes is not within 1 and 262144"
        );
    }

    #[test]
    fn message_followed_by_other_bytes_is_refused() {
        let mut buffer = 2_u32.to_le_bytes().to_vec();
        buffer.extend_from_slice(&[0, 0]);
        assert_eq!(
            take_message::<FromRunner>(&mut buffer, 100),
            Err(FrameError::Message)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_keeper_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut buffer = bytes;
            while let Ok(Some(_)) = take_message::<FromRunner>(&mut buffer, FROM_RUNNER_BYTES) {}
            let mut order = buffer.clone();
            let _ = take_message::<Order>(&mut order, TO_RUNNER_BYTES);
        }

        #[test]
        fn every_path_survives(path in ".*") {
            let mut buffer = encode(&refused(&path), FROM_RUNNER_BYTES).expect("it is short");
            let message: Option<FromRunner> = take_message(&mut buffer, FROM_RUNNER_BYTES).expect("valid");
            prop_assert_eq!(message, Some(refused(&path)));
        }
    }
}
