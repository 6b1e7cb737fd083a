//! What `sock_getaddrinfo` answers (POSIX, `getaddrinfo`).

use super::address::Family;
use super::{kind, services};
use crate::api::wasi_p1::errno::Errno;
use crate::names;
use lighter_types::grant::Protocol::{self, Tcp, Udp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The flags of a question.
pub(super) mod flags {
    pub(crate) const PASSIVE: u32 = 1;
    pub(crate) const CANONICAL_NAME: u32 = 2;
    pub(crate) const NUMERIC_HOST: u32 = 4;
    pub(crate) const NUMERIC_SERVICE: u32 = 8;
    pub(crate) const V4_MAPPED: u32 = 16;
    pub(crate) const ALL_FAMILIES: u32 = 32;
    /// Whether this machine has addresses of a family, the keeper decides.
    pub(crate) const ADDRESS_CONFIGURED: u32 = 64;
    pub(crate) const KNOWN: u32 = PASSIVE
        | CANONICAL_NAME
        | NUMERIC_HOST
        | NUMERIC_SERVICE
        | V4_MAPPED
        | ALL_FAMILIES
        | ADDRESS_CONFIGURED;
}

/// The numbers of protocols.
mod protocol {
    pub(super) const IP: u32 = 0;
    pub(super) const TCP: u32 = 1;
    pub(super) const UDP: u32 = 2;
}

/// What kinds of results are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) flags: u32,
    family: Family,
    /// The transport, if only one is wanted.
    protocol: Option<Protocol>,
}

impl Hints {
    /// Where nothing is said.
    pub(super) const NONE: Self = Self {
        flags: 0,
        family: Family::Any,
        protocol: None,
    };

    /// Takes the numbers in.
    ///
    /// # Errors
    /// The resolver's `badflags`, `family` and `socktype`.
    pub(super) fn of(flags: u32, family: u32, kind: u32, protocol: u32) -> Result<Self, Errno> {
        if flags & !flags::KNOWN != 0 {
            return Err(Errno::RESOLVER_BADFLAGS);
        }
        let family = match Family::of(family) {
            Some(family @ (Family::Any | Family::V4 | Family::V6)) => family,
            Some(Family::Unix) | None => return Err(Errno::RESOLVER_FAMILY),
        };
        let protocol = match (kind, protocol) {
            (0, protocol::IP) => None,
            (0 | kind::STREAM, protocol::TCP) | (kind::STREAM, protocol::IP) => Some(Tcp),
            (0 | kind::DATAGRAM, protocol::UDP) | (kind::DATAGRAM, protocol::IP) => Some(Udp),
            _ => return Err(Errno::RESOLVER_SOCKTYPE),
        };
        Ok(Self {
            flags,
            family,
            protocol,
        })
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// One result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) address: SocketAddr,
    pub(super) protocol: Protocol,
}

impl Answer {
    /// The numbers of its kind of socket and of its protocol.
    pub(super) fn numbers(&self) -> (u32, u32) {
        match self.protocol {
            Tcp => (kind::STREAM, protocol::TCP),
            Udp => (kind::DATAGRAM, protocol::UDP),
        }
    }
}

/// Answers a question for a host and a service, of which either may be empty. `look_up` is asked for a name.
///
/// # Errors
/// The resolver's, and those of `look_up`.
pub(super) fn resolve(
    host: &str,
    service: &str,
    hints: &Hints,
    look_up: impl FnOnce(&str) -> Result<Vec<IpAddr>, Errno>,
) -> Result<Vec<Answer>, Errno> {
    if host.is_empty() && service.is_empty() {
        return Err(Errno::RESOLVER_NONAME);
    }
    if host.is_empty() && hints.has(flags::CANONICAL_NAME) {
        return Err(Errno::RESOLVER_BADFLAGS);
    }
    // What costs nothing to find wrong is found before somebody is asked.
    let (port, protocols) = find_service(service, hints)?;
    let addresses = find_host(host, hints, look_up)?;
    let answers = addresses.iter().flat_map(|address| {
        let address = SocketAddr::new(*address, port);
        let answer = move |protocol: &Protocol| Answer {
            address,
            protocol: *protocol,
        };
        protocols.iter().map(answer)
    });
    Ok(answers.collect())
}

/// The port of a service, and by which transports it is wanted and reached.
fn find_service(service: &str, hints: &Hints) -> Result<(u16, Vec<Protocol>), Errno> {
    let (port, protocols): (u16, &[Protocol]) = if service.is_empty() {
        (0, &[Tcp, Udp])
    } else if service.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = service.parse().map_err(|_| Errno::RESOLVER_SERVICE)?;
        (port, &[Tcp, Udp])
    } else if hints.has(flags::NUMERIC_SERVICE) {
        return Err(Errno::RESOLVER_NONAME);
    } else {
        services::find(service).ok_or(Errno::RESOLVER_SERVICE)?
    };
    let is_wanted = |protocol: &&Protocol| hints.protocol.is_none_or(|only| only == **protocol);
    let protocols: Vec<Protocol> = protocols.iter().filter(is_wanted).copied().collect();
    if protocols.is_empty() {
        return Err(Errno::RESOLVER_SERVICE);
    }
    Ok((port, protocols))
}

/// The addresses of a host, of the families that are wanted.
fn find_host(
    host: &str,
    hints: &Hints,
    look_up: impl FnOnce(&str) -> Result<Vec<IpAddr>, Errno>,
) -> Result<Vec<IpAddr>, Errno> {
    if host.is_empty() {
        return of_families(&this_machine(hints), hints).ok_or(Errno::RESOLVER_NODATA);
    }
    if let Some(address) = names::address(host) {
        return of_families(&[address], hints).ok_or(Errno::RESOLVER_ADDRFAMILY);
    }
    if hints.has(flags::NUMERIC_HOST) {
        return Err(Errno::RESOLVER_NONAME);
    }
    of_families(&look_up(host)?, hints).ok_or(Errno::RESOLVER_NODATA)
}

/// Where a program listens, or finds itself.
fn this_machine(hints: &Hints) -> [IpAddr; 2] {
    if hints.has(flags::PASSIVE) {
        [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
    } else {
        [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    }
}

/// Those of the families that are wanted, if there are any.
fn of_families(addresses: &[IpAddr], hints: &Hints) -> Option<Vec<IpAddr>> {
    let has_v6 = addresses.iter().any(IpAddr::is_ipv6);
    let is_mapped = hints.has(flags::V4_MAPPED) && (!has_v6 || hints.has(flags::ALL_FAMILIES));
    let wanted = |address: &IpAddr| match (hints.family, address) {
        (Family::V4, IpAddr::V6(_)) => None,
        (Family::V6, IpAddr::V4(address)) => is_mapped.then(|| address.to_ipv6_mapped().into()),
        _ => Some(*address),
    };
    let found: Vec<IpAddr> = addresses.iter().filter_map(wanted).collect();
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: u32 = 1;
    const V6: u32 = 2;

    /// Asks, where a name has an address of each family; one line for each answer.
    fn ask(host: &str, service: &str, numbers: (u32, u32, u32, u32)) -> Result<Vec<String>, Errno> {
        let (flags, family, kind, protocol) = numbers;
        let hints = Hints::of(flags, family, kind, protocol)?;
        let look_up = |name: &str| match name {
            "v4.example" => Ok(vec![IpAddr::from([192, 0, 2, 1])]),
            "both.example" => Ok(vec![
                IpAddr::from([192, 0, 2, 1]),
                IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
            ]),
            _ => Err(Errno::RESOLVER_NONAME),
        };
        let answers = resolve(host, service, &hints, look_up)?;
        let shown = |answer: &Answer| format!("{} {:?}", answer.address, answer.protocol);
        Ok(answers.iter().map(shown).collect())
    }

    #[test]
    fn each_address_comes_with_each_transport() {
        let all = ask("both.example", "53", (0, 0, 0, 0)).expect("it is there");
        let expected = [
            "192.0.2.1:53 Tcp",
            "192.0.2.1:53 Udp",
            "[2001:db8::1]:53 Tcp",
            "[2001:db8::1]:53 Udp",
        ];
        assert_eq!(all, expected);
        let one = ask("both.example", "http", (0, V4, 2, 1)).expect("it is there");
        assert_eq!(one, ["192.0.2.1:80 Tcp"]);
    }

    #[test]
    fn service_is_a_number_or_known() {
        let ask = |service, flags, kind| ask("10.1.2.3", service, (flags, 0, kind, 0));
        assert_eq!(ask("ntp", 0, 0), Ok(vec!["10.1.2.3:123 Udp".to_owned()]));
        assert_eq!(ask("ntp", 0, kind::STREAM), Err(Errno::RESOLVER_SERVICE));
        assert_eq!(ask("nothing", 0, 0), Err(Errno::RESOLVER_SERVICE));
        assert_eq!(ask("65536", 0, 0), Err(Errno::RESOLVER_SERVICE));
        assert_eq!(ask("+80", 0, 0), Err(Errno::RESOLVER_SERVICE));
        let numeric = ask("http", flags::NUMERIC_SERVICE, 0);
        assert_eq!(numeric, Err(Errno::RESOLVER_NONAME));
    }

    #[test]
    fn no_host_is_this_machine() {
        let ask = |flags| ask("", "80", (flags, 0, 2, 0));
        let own = ask(0).expect("it is there");
        assert_eq!(own, ["127.0.0.1:80 Tcp", "[::1]:80 Tcp"]);
        let any = ask(flags::PASSIVE).expect("it is there");
        assert_eq!(any, ["0.0.0.0:80 Tcp", "[::]:80 Tcp"]);
        assert_eq!(ask(flags::CANONICAL_NAME), Err(Errno::RESOLVER_BADFLAGS));
    }

    #[test]
    fn address_is_not_looked_up() {
        let hints = Hints::of(0, V4, 2, 0).expect("hints");
        let answers = resolve("127.1", "1", &hints, |_| Err(Errno::IO)).expect("an address");
        assert_eq!(answers.len(), 1);
        let numeric = ask("v4.example", "", (flags::NUMERIC_HOST, 0, 0, 0));
        assert_eq!(numeric, Err(Errno::RESOLVER_NONAME));
    }

    #[test]
    fn family_that_is_not_there_is_an_error_or_mapped() {
        let ask = |host, flags| ask(host, "1", (flags, V6, 2, 0));
        assert_eq!(ask("10.1.2.3", 0), Err(Errno::RESOLVER_ADDRFAMILY));
        assert_eq!(ask("v4.example", 0), Err(Errno::RESOLVER_NODATA));
        let mapped = ask("v4.example", flags::V4_MAPPED).expect("it is there");
        assert_eq!(mapped, ["[::ffff:192.0.2.1]:1 Tcp"]);
        let only = ask("both.example", flags::V4_MAPPED).expect("it is there");
        assert_eq!(only, ["[2001:db8::1]:1 Tcp"]);
        let all = ask("both.example", flags::V4_MAPPED | flags::ALL_FAMILIES);
        assert_eq!(all.map(|all| all.len()), Ok(2));
    }

    #[test]
    fn hints_that_make_no_sense_are_refused() {
        for (numbers, errno) in [
            ((128, 0, 0, 0), Errno::RESOLVER_BADFLAGS),
            ((0, 3, 0, 0), Errno::RESOLVER_FAMILY),
            ((0, 9, 0, 0), Errno::RESOLVER_FAMILY),
            ((0, 0, 3, 0), Errno::RESOLVER_SOCKTYPE),
            ((0, 0, 1, 1), Errno::RESOLVER_SOCKTYPE),
        ] {
            assert_eq!(ask("10.1.2.3", "1", numbers), Err(errno), "{numbers:?}");
        }
        assert_eq!(ask("", "", (0, 0, 0, 0)), Err(Errno::RESOLVER_NONAME));
    }
}
