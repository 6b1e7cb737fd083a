//! What a guest may reach and look up: the one place where that is decided, whichever interface it uses.
//!
//! ```text
//!                       named by the guest          the keeper's own knowledge
//!   by which transport ──┐                         ┌── what kind of address it is here
//!   address and port  ───┴──▶   may_reach   ◀──────┴── by which allowed names it was looked up
//!                                   │
//!             allowed ◀── a grant says so, and the ceiling does not forbid it
//!             refused ◀── with the reason that helps
//! ```
//!
//! | a grant's host | holds |
//! |---|---|
//! | an address | that one |
//! | a network | every address in it, literally |
//! | a name, `*.NAME` | what such a name was looked up as, if it is public or the name is the user's own |
//! | `*` | every public address |

use super::kind::AddressKind;
use crate::grant::{
    Cidr, DNS_PORT, HostName, NamePattern, NetGrant, NetHost, NetScheme, PortRange,
};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// By what a guest reaches an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Transport {
    /// A stream socket.
    Tcp,
    /// A datagram socket.
    Udp,
    /// A request of `wasi:http` in the clear.
    Http,
    /// A request of `wasi:http` over TLS.
    Https,
}

impl Transport {
    const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Http, Self::Https];

    /// Whether a grant with this scheme, or with none, is for the transport.
    fn is_of(self, scheme: Option<NetScheme>) -> bool {
        match scheme {
            None => true,
            // What may open a connection may speak HTTP on it.
            Some(NetScheme::Tcp) => self != Self::Udp,
            Some(NetScheme::Udp) => self == Self::Udp,
            Some(NetScheme::Http) => self == Self::Http,
            Some(NetScheme::Https) => self == Self::Https,
        }
    }
}

/// What a guest wants to reach, and what its keeper knows of it.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Where it leads: see [`meant`].
    pub address: SocketAddr,
    /// What the address is on this machine, whose own addresses are all loopback.
    pub kind: AddressKind,
    /// The names that it was the answer for.
    pub names: &'a [PinnedName],
}

/// A name that was looked up, and is still good for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedName {
    /// The name.
    pub name: HostName,
    /// Whose word it is.
    pub source: Source,
}

/// Who says what a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The system's name servers.
    System,
    /// Name servers that the user gave (`--dns`).
    Servers,
    /// The user himself (`--add-host`), so it may lead anywhere.
    Map,
}

impl Destination<'_> {
    /// A name by which it may be reached, if that is granted.
    fn leading_name(&self) -> Option<&HostName> {
        let leads =
            |pinned: &&PinnedName| self.kind == AddressKind::Public || pinned.source == Source::Map;
        self.names.iter().find(leads).map(|pinned| &pinned.name)
    }
}

/// What is decided on a wish to reach something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not, for this reason.
    Refused(Reason),
}

/// Why a guest may not reach an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// No grant holds it.
    NotGranted {
        /// A name that it was the answer for, if a grant of that would hold it.
        name: Option<String>,
    },
    /// The name is granted, but leads where names do not lead.
    NameLeadsInside {
        /// The name.
        name: String,
        /// What its address is.
        kind: AddressKind,
    },
    /// `*` is granted, which is for public addresses.
    AnyIsPublic {
        /// What this one is.
        kind: AddressKind,
    },
    /// `[ceiling]` of the settings does not allow it, granted or not.
    Ceiling {
        /// Whether it would if the user could say himself what the names in it lead to.
        is_for_own_word: bool,
    },
}

/// The address that the kernel would go to: an IPv4 address however it is written, and the machine
/// itself for no address at all.
#[must_use]
pub fn meant(address: SocketAddr) -> SocketAddr {
    let mut meant = address;
    let ip = match super::kind::canonical(address.ip()) {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    // To set the same address would lose its scope.
    if ip != address.ip() {
        meant.set_ip(ip);
    }
    meant
}

/// What one run may reach and look up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// What the user granted.
    pub granted: Reach,
    /// What no grant exceeds: each of these, where the settings say so.
    pub ceilings: Vec<Reach>,
}

/// Destinations and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Where to (`allow-net`).
    pub destinations: Vec<NetGrant>,
    /// What may be looked up besides (`allow-dns`).
    pub lookups: Vec<NamePattern>,
}

impl Reach {
    /// Whether a destination is held, or why not.
    fn holds(&self, transport: Transport, to: &Destination<'_>) -> Verdict {
        let mut reason = Reason::NotGranted {
            name: to.leading_name().map(ToString::to_string),
        };
        let possible = self.destinations.iter().filter(|grant| {
            transport.is_of(grant.scheme) && has_port(grant.ports, to.address.port())
        });
        for grant in possible {
            let is_held = match &grant.host {
                NetHost::Address(address) => *address == to.address.ip(),
                NetHost::Network(network) => network.contains(to.address.ip()),
                NetHost::Name(NamePattern::Any) if to.kind != AddressKind::Public => {
                    reason = Reason::AnyIsPublic { kind: to.kind };
                    false
                }
                NetHost::Name(NamePattern::Any) => true,
                NetHost::Name(pattern) => match named(pattern, to) {
                    Ok(is_held) => is_held,
                    Err(inside) => {
                        reason = inside;
                        false
                    }
                },
            };
            if is_held {
                return Verdict::Allowed;
            }
        }
        Verdict::Refused(reason)
    }

    /// Whether this, as a ceiling, may leave some of what a grant is for.
    #[must_use]
    pub fn leaves_some_of(&self, grant: &NetGrant) -> bool {
        // Nothing is reached by a name that may not be looked up.
        if let NetHost::Name(pattern @ (NamePattern::Name(_) | NamePattern::Below(_))) = &grant.host
            && !self.leaves_some_names_of(pattern)
        {
            return false;
        }
        self.destinations.iter().any(|own| {
            let mut transports = Transport::ALL.into_iter();
            transports.any(|transport| transport.is_of(own.scheme) && transport.is_of(grant.scheme))
                && own
                    .ports
                    .zip(grant.ports)
                    .is_none_or(|(own, ports)| own.overlaps(ports))
                && share(&own.host, &grant.host)
        })
    }

    /// Whether this, as a ceiling, lets some name of a pattern be looked up.
    #[must_use]
    pub fn leaves_some_names_of(&self, pattern: &NamePattern) -> bool {
        self.patterns().any(|own| own.overlaps(pattern))
    }

    /// Whether a name may be looked up.
    fn names(&self, name: &HostName) -> bool {
        self.patterns().any(|pattern| pattern.matches(name))
    }

    /// What may be looked up.
    fn patterns(&self) -> impl Iterator<Item = &NamePattern> {
        let granted = self.destinations.iter().map(|grant| &grant.host);
        let named = granted.filter_map(|host| match host {
            NetHost::Name(pattern) => Some(pattern),
            NetHost::Address(_) | NetHost::Network(_) => None,
        });
        named.chain(&self.lookups)
    }
}

/// Whether a ceiling's host and a grant's may hold one address together. What a name leads to is not known
/// before it is looked up, and two names may lead to one address; only a grant's may be the user's own.
fn share(ceiling: &NetHost, grant: &NetHost) -> bool {
    use NetHost::{Address, Name, Network};
    match (ceiling, grant) {
        (Name(_), Address(address)) | (Address(address), Name(NamePattern::Any)) => {
            AddressKind::of(*address) == AddressKind::Public
        }
        (Name(_), Network(network)) | (Network(network), Name(NamePattern::Any)) => {
            may_have_public(network)
        }
        (_, Name(_)) => true,
        (Address(one), Address(two)) => one == two,
        (Address(address), Network(network)) | (Network(network), Address(address)) => {
            network.contains(*address)
        }
        (Network(one), Network(two)) => one.contains(two.address()) || two.contains(one.address()),
    }
}

/// Whether there may be public addresses in a network: not if it begins and ends with others of one kind, of which
/// all in between are.
fn may_have_public(network: &Cidr) -> bool {
    let [first, last] = [network.address(), network.last()].map(AddressKind::of);
    first == AddressKind::Public || first != last
}

fn has_port(ports: Option<PortRange>, port: u16) -> bool {
    ports.is_none_or(|ports| ports.contains(port))
}

/// Whether the destination was looked up by a name of the pattern.
///
/// # Errors
/// It was, and names of that kind do not lead there.
fn named(pattern: &NamePattern, to: &Destination<'_>) -> Result<bool, Reason> {
    let mut named = to
        .names
        .iter()
        .filter(|pinned| pattern.matches(&pinned.name))
        .peekable();
    let Some(first) = named.peek() else {
        return Ok(false);
    };
    let inside = Reason::NameLeadsInside {
        name: first.name.to_string(),
        kind: to.kind,
    };
    let may_lead_anywhere = named.any(|pinned| pinned.source == Source::Map);
    if to.kind == AddressKind::Public || may_lead_anywhere {
        Ok(true)
    } else {
        Err(inside)
    }
}

impl NetworkPolicy {
    /// Whether a guest may reach a destination.
    #[must_use]
    pub fn may_reach(&self, transport: Transport, to: &Destination<'_>) -> Verdict {
        let verdict = self.granted.holds(transport, to);
        if self.ceilings.is_empty() {
            return verdict;
        }
        // Whoever is held to a ceiling does not say himself what the names in it lead to.
        let names: Vec<PinnedName> = to
            .names
            .iter()
            .filter(|pinned| pinned.source == Source::System)
            .cloned()
            .collect();
        let by_system = Destination {
            names: &names,
            ..*to
        };
        if self.is_within_ceilings(transport, &by_system) {
            return verdict;
        }
        Verdict::Refused(Reason::Ceiling {
            is_for_own_word: self.is_within_ceilings(transport, to),
        })
    }

    fn is_within_ceilings(&self, transport: Transport, to: &Destination<'_>) -> bool {
        let mut ceilings = self.ceilings.iter();
        ceilings.all(|ceiling| ceiling.holds(transport, to) == Verdict::Allowed)
    }

    /// Whether requests may be sent at all.
    #[must_use]
    pub fn has_requests(&self) -> bool {
        let mut destinations = self.granted.destinations.iter();
        destinations.any(|grant| grant.scheme != Some(NetScheme::Udp))
    }

    /// Whether a name server that the user chose may be asked: lookups carry data to it.
    #[must_use]
    pub fn may_ask(&self, server: IpAddr) -> bool {
        let to = Destination {
            address: meant(SocketAddr::new(server, DNS_PORT)),
            kind: AddressKind::of(server),
            names: &[],
        };
        [Transport::Udp, Transport::Tcp]
            .into_iter()
            .all(|transport| self.is_within_ceilings(transport, &to))
    }

    /// Whether a guest may look a name up.
    #[must_use]
    pub fn may_look_up(&self, name: &HostName) -> bool {
        self.granted.names(name) && self.may_be_looked_up(name)
    }

    /// Why a guest may not look a name up, if it may not.
    #[must_use]
    pub fn lookup_refusal(&self, name: &HostName) -> Reason {
        if self.may_be_looked_up(name) {
            Reason::NotGranted { name: None }
        } else {
            Reason::Ceiling {
                is_for_own_word: false,
            }
        }
    }

    fn may_be_looked_up(&self, name: &HostName) -> bool {
        let mut ceilings = self.ceilings.iter();
        ceilings.all(|ceiling| ceiling.names(name))
    }
}

#[cfg(test)]
mod tests;
