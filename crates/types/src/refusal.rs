//! Records of what a guest was refused.

use crate::egress::Origin;
use crate::grant::Protocol;
use crate::network::{Reason, Transport};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Something a guest tried that no grant allows.
///
/// The guest got the WASI error that fits; the user gets one line for each distinct refusal.
/// All text in it is the guest's: it is escaped where it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// A change in a directory that was granted read-only.
    ReadOnly {
        /// What was tried, as a verb: `write`, `create`, `remove`, `rename`, `set times of`.
        action: String,
        /// The path as the guest named it, from its root where that is known.
        path: String,
    },
    /// A path that leads out of the granted directories.
    Escape {
        /// The path as the guest named it.
        path: String,
    },
    /// A file or directory that is there, but that the caller's own rights do not reach.
    Permission {
        /// What was tried, as a verb.
        action: String,
        /// The path as the guest named it.
        path: String,
    },
    /// A socket, or a use of one.
    Socket {
        /// What was tried: `create a TCP socket`.
        action: String,
    },
    /// An address that no grant holds.
    Reach {
        /// By what.
        transport: Transport,
        /// Where to: `10.1.2.3:80`.
        address: String,
        /// Why not.
        reason: Reason,
    },
    /// A port of its own, that was not published.
    Listen {
        /// By what.
        protocol: Protocol,
        /// The port; 0 is any.
        port: u16,
    },
    /// An address that a program cannot have.
    Bind {
        /// By what.
        protocol: Protocol,
        /// The address: `192.0.2.1:80`.
        address: String,
        /// Why not.
        fault: BindFault,
    },
    /// A port of its own that is shown at another place too, for which the program has no listener.
    Unlistened {
        /// The port.
        port: u16,
        /// Where it is shown: `0.0.0.0:8081`.
        host: String,
    },
    /// A thread above the number that there may be.
    Thread {
        /// That number.
        most: u32,
    },
    /// A name lookup.
    Lookup {
        /// The host name.
        name: String,
        /// Why not.
        reason: Reason,
    },
    /// A name lookup that is allowed, and that no server could answer. Only the keeper tells it.
    Unanswered {
        /// The host name.
        name: String,
        /// The addresses of those that were asked; none, if there is no way to any.
        servers: Vec<IpAddr>,
        /// Whether none of them said anything.
        is_silent: bool,
    },
    /// An HTTP request.
    Request {
        /// `SCHEME://AUTHORITY`, never the path or query.
        origin: String,
        /// The address that it leads to, where that matters.
        address: Option<String>,
        /// Why not.
        reason: Reason,
    },
    /// Requests, which cannot be sent although they may be. Only the keeper tells it.
    Unsent {
        /// Why not.
        reason: String,
    },
    /// A server whose certificate is not believed. Only who sends requests tells it.
    Certificate {
        /// `https://AUTHORITY`.
        origin: String,
        /// What is wrong with it.
        fault: String,
    },
}

impl Refusal {
    /// A lookup by a program that has no network at all.
    #[must_use]
    pub fn lookup(name: String) -> Self {
        let reason = Reason::NotGranted { name: None };
        Self::Lookup { name, reason }
    }

    /// A request that no grant holds.
    #[must_use]
    pub fn request(origin: &Origin) -> Self {
        Self::Request {
            origin: origin.to_text(),
            address: None,
            reason: Reason::NotGranted { name: None },
        }
    }
}

/// Why an address cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BindFault {
    /// It is none of a program's own.
    Foreign,
    /// It is, but the host shows that port by the other family alone, whose this is.
    OtherFamily {
        /// Whether it is shown by IPv6.
        is_by_v6: bool,
    },
    /// The port is root's.
    Privileged,
}
