//! The role that sends HTTP requests for a group of runners: what it is ordered, and what it answers.
//!
//! ```text
//!   runner ── HTTP/2 in the clear, over a socket of the keeper's making ──▶ egress ── HTTP, TLS ──▶ outside
//!                                                                             │ Reaches(scheme, host, port)
//!                                                                             ▼
//!                                                                           keeper: the addresses, or no
//! ```
//!
//! A request keeps its scheme, authority and path; what its sender wants besides is in a field of its own
//! ([`Waits`]). What became of it, if it is no response, is the code of a stream that is reset
//! ([`RequestError`]): nothing that a server outside answers can look like it.

use crate::network::Transport;
use crate::secret::SecretBytes;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// What the role is told, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressOrder {
    /// How many runners send by it, whose links begin at [`crate::runner_protocol::LINK_FD`].
    pub links: u8,
    /// Certificates of the authorities that are believed, as PEM.
    pub authorities: Vec<u8>,
    /// What is added to requests.
    pub credentials: Vec<Credential>,
}

/// A field that is set on requests over TLS to one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The host, in lower case.
    pub host: String,
    /// The field, in lower case.
    pub field: String,
    /// What it is set to.
    pub value: SecretBytes,
}

/// Where a request wants to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// [`Transport::Http`] or [`Transport::Https`].
    pub transport: Transport,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Where a request may go, in the order in which to try the addresses, or why it may not.
pub type Reached = Result<Vec<SocketAddr>, RequestError>;

impl Origin {
    /// The origin as it is granted, without the port that its scheme implies.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (scheme, implied) = match self.transport {
            Transport::Https => ("https", 443),
            Transport::Http => ("http", 80),
            Transport::Tcp => ("tcp", 0),
            Transport::Udp => ("udp", 0),
        };
        if self.port == implied {
            format!("{scheme}://{}", self.host)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// How long the sender of a request waits (`wasi:http/types`, `request-options`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// For a connection.
    pub connect: Duration,
    /// Then, for the first byte of the answer.
    pub first_byte: Duration,
    /// Between any two pieces of the answer.
    pub between_bytes: Duration,
}

/// The longest wait, in milliseconds: a day.
const LONGEST_MS: u64 = 24 * 3600 * 1000;

impl Waits {
    /// The field of a request that says it.
    pub const FIELD: &'static str = "lighter-waits";

    /// Three numbers of milliseconds.
    #[must_use]
    pub fn to_text(self) -> String {
        let [connect, first, between] =
            [self.connect, self.first_byte, self.between_bytes].map(|wait| {
                u64::try_from(wait.as_millis()).map_or(LONGEST_MS, |ms| ms.min(LONGEST_MS))
            });
        format!("{connect} {first} {between}")
    }

    /// Reads what [`to_text`](Self::to_text) wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut waits = text.split(' ').map(|wait| {
            let ms: u64 = wait.parse().ok()?;
            (ms <= LONGEST_MS).then(|| Duration::from_millis(ms))
        });
        let mut next = || waits.next().flatten();
        let parsed = Self {
            connect: next()?,
            first_byte: next()?,
            between_bytes: next()?,
        };
        waits.next().is_none().then_some(parsed)
    }
}

impl Default for Waits {
    /// As long as other hosts of `wasi:http` wait.
    fn default() -> Self {
        let wait = Duration::from_secs(600);
        Self {
            connect: wait,
            first_byte: wait,
            between_bytes: wait,
        }
    }
}

macro_rules! request_errors {
    ($($(#[$docs:meta])* $name:ident = $number:literal,)*) => {
        /// Why a request has no answer, or not a whole one (`wasi:http/types`, `error-code`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum RequestError {
            $($(#[$docs])* $name,)*
            /// The peer ended the handshake with this alert (RFC 8446, section 6).
            TlsAlert(u8),
        }

        impl RequestError {
            /// The code of HTTP/2 that stands for it, beyond those that are assigned (RFC 9113, section 7).
            #[must_use]
            pub fn code(self) -> u32 {
                match self {
                    $(Self::$name => FIRST_CODE + $number,)*
                    Self::TlsAlert(alert) => FIRST_ALERT + u32::from(alert),
                }
            }

            /// What a code stands for.
            #[must_use]
            pub fn of_code(code: u32) -> Option<Self> {
                let alert = code.checked_sub(FIRST_ALERT).and_then(|alert| u8::try_from(alert).ok());
                if let Some(alert) = alert {
                    return Some(Self::TlsAlert(alert));
                }
                match code.checked_sub(FIRST_CODE)? {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }

        #[cfg(test)]
        const ALL: &[RequestError] = &[$(RequestError::$name,)*];
    };
}

const FIRST_CODE: u32 = 0x4c00_0000;
const FIRST_ALERT: u32 = 0x4c00_0100;

request_errors! {
    /// No grant holds it.
    Denied = 0,
    /// No name server answered, or none could say.
    DnsTimeout = 1,
    /// The name has no address.
    DnsError = 2,
    /// It has no host, or one that is none.
    UriInvalid = 3,
    /// It is not for an origin, as CONNECT.
    MethodInvalid = 4,
    /// Nobody listens there.
    ConnectionRefused = 5,
    /// There is no way there.
    Unroutable = 6,
    /// There is no room for another connection.
    ConnectionLimit = 7,
    /// No connection in time.
    ConnectionTimeout = 8,
    /// The connection ended.
    ConnectionTerminated = 9,
    /// No byte in time.
    ReadTimeout = 10,
    /// The peer speaks no TLS, or none that is spoken here.
    TlsProtocol = 11,
    /// The peer's certificate is not for that host, or from nobody who is believed.
    TlsCertificate = 12,
    /// What the peer speaks is no HTTP.
    Protocol = 13,
    /// The head of the answer is too long.
    HeadTooLong = 14,
    /// The answer ended before its end.
    Incomplete = 15,
    /// The body of the request broke off.
    BodyBroken = 16,
    /// A fault of our own.
    Internal = 17,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_of_its_own() {
        let alerts = (0..=u8::MAX).map(RequestError::TlsAlert);
        for error in ALL.iter().copied().chain(alerts) {
            assert_eq!(RequestError::of_code(error.code()), Some(error));
        }
        // Those of HTTP/2 itself.
        assert!((0..=0xd).all(|code| RequestError::of_code(code).is_none()));
        assert_eq!(RequestError::of_code(FIRST_CODE + 0xff), None);
        assert_eq!(RequestError::of_code(FIRST_ALERT + 0x100), None);
    }

    #[test]
    fn waits_are_read_as_they_are_written() {
        let waits = Waits {
            connect: Duration::from_millis(1),
            first_byte: Duration::from_secs(60),
            between_bytes: Duration::ZERO,
        };
        assert_eq!(waits.to_text(), "1 60000 0");
        assert_eq!(Waits::parse("1 60000 0"), Some(waits));
        let for_ever = Waits {
            connect: Duration::MAX,
            ..waits
        };
        assert_eq!(for_ever.to_text(), "86400000 60000 0");
        for text in [
            "",
            "1",
            "1 2",
            "1 2 3 4",
            "1 2 x",
            "1 2 86400001",
            " 1 2 3",
            "-1 2 3",
        ] {
            assert_eq!(Waits::parse(text), None, "{text}");
        }
    }

    #[test]
    fn origin_leaves_out_the_port_that_is_implied() {
        let text = |transport, port| {
            Origin {
                transport,
                host: "a.example".to_owned(),
                port,
            }
            .to_text()
        };
        assert_eq!(text(Transport::Https, 443), "https://a.example");
        assert_eq!(text(Transport::Https, 80), "https://a.example:80");
        assert_eq!(text(Transport::Http, 80), "http://a.example");
    }
}
