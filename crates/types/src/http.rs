//! How a program that answers HTTP requests is served.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What one request, and all of them together, may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSettings {
    /// How many requests an instance answers before it is replaced; at least 1.
    pub reuse: u32,
    /// How many requests are answered at once; the next ones wait.
    pub most_concurrent: u32,
    /// The longest head of a request, in bytes.
    pub head_bytes: u32,
    /// The longest body of a request, in bytes; `None` is any length.
    pub body_bytes: Option<u64>,
    /// How long a client may take for a head, and how long a connection may be without a request.
    pub head_time: Duration,
    /// How long a program may take until it answers.
    pub first_byte_time: Duration,
    /// How long it may take for all of its answer.
    pub total_time: Duration,
    /// How long it may use a processor for one request.
    pub cpu_time: Duration,
    /// How long requests may go on once the server is told to end.
    pub drain_time: Duration,
    /// How many processors it may use at once.
    pub workers: u32,
    /// How each request is written to standard output, if it is.
    pub access_log: Option<LogFormat>,
}

/// How the access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    /// As Apache's "combined": the common log format with referer and user agent.
    Common,
    /// An object of JSON in each line.
    Json,
}

/// What a server of TLS shows of itself; its key is the keeper's, which signs by
/// [`SIGN_FD`](crate::runner_protocol::SIGN_FD).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTls {
    /// Its certificate, then those between it and an authority, in DER.
    pub chain: Vec<Vec<u8>>,
    /// The schemes by which its key signs, the best first (RFC 8446, section 4.2.3).
    pub schemes: Vec<u16>,
    /// The kind of its key (RFC 5246, section 7.4.1.4.1).
    pub algorithm: u8,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            reuse: 1,
            most_concurrent: 128,
            head_bytes: 64 << 10,
            body_bytes: None,
            head_time: Duration::from_secs(60),
            first_byte_time: Duration::from_secs(60),
            total_time: Duration::from_secs(600),
            cpu_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(10),
            workers: 1,
            access_log: None,
        }
    }
}
