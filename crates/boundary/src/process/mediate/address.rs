//! Addresses as a process writes them down for the kernel (`struct sockaddr_in`, `sockaddr_in6`).

use rustix::io::Errno;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The longest that is looked at, in bytes: `struct sockaddr_in6`.
pub(super) const LONGEST: usize = 28;

/// The shortest form of an IPv6 address that the kernel takes, without a scope (RFC 2133).
const SHORTEST_V6: usize = 24;

/// What a process named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// `AF_UNSPEC`: nothing, any longer.
    Nothing,
    /// An address and a port.
    Address(SocketAddr),
}

/// Reads an address.
///
/// # Errors
/// `EINVAL` for one that is too short, `EAFNOSUPPORT` for another family.
pub(super) fn parse(bytes: &[u8]) -> Result<Named, Errno> {
    let family = bytes.first_chunk().ok_or(Errno::INVAL)?;
    let two = |at: usize| bytes.get(at..at + 2)?.first_chunk::<2>();
    let four = |at: usize| bytes.get(at..at + 4)?.first_chunk::<4>();
    let port = || two(2).map(|port| u16::from_be_bytes(*port));
    let address = match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_UNSPEC => return Ok(Named::Nothing),
        libc::AF_INET if bytes.len() >= 16 => four(4)
            .zip(port())
            .map(|(octets, port)| SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(*octets), port))),
        libc::AF_INET6 if bytes.len() >= SHORTEST_V6 => {
            let octets = bytes.get(8..24).and_then(|bytes| bytes.first_chunk::<16>());
            let scope = four(24).map_or(0, |scope| u32::from_ne_bytes(*scope));
            octets.zip(port()).map(|(octets, port)| {
                SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(*octets), port, 0, scope))
            })
        }
        libc::AF_INET | libc::AF_INET6 => None,
        _ => return Err(Errno::AFNOSUPPORT),
    };
    address.map(Named::Address).ok_or(Errno::INVAL)
}

/// Writes an address down, and gives its length.
pub(super) fn write(address: SocketAddr) -> ([u8; LONGEST], usize) {
    let mut bytes = [0; LONGEST];
    let mut put = |at: usize, field: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    };
    put(2, &address.port().to_be_bytes());
    let (family, length) = match address {
        SocketAddr::V4(address) => {
            put(4, &address.ip().octets());
            (libc::AF_INET, 16)
        }
        SocketAddr::V6(address) => {
            put(8, &address.ip().octets());
            put(24, &address.scope_id().to_ne_bytes());
            (libc::AF_INET6, LONGEST)
        }
    };
    put(0, &u16::try_from(family).unwrap_or(0).to_ne_bytes());
    (bytes, length)
}

/// The address as a socket of the family takes it.
///
/// # Errors
/// `EAFNOSUPPORT` for an IPv6 address on a socket of IPv4.
pub(super) fn for_family(address: SocketAddr, is_v6: bool) -> Result<SocketAddr, Errno> {
    match (address, is_v6) {
        (SocketAddr::V4(v4), true) => {
            let mapped = v4.ip().to_ipv6_mapped();
            Ok(SocketAddrV6::new(mapped, v4.port(), 0, 0).into())
        }
        (SocketAddr::V6(_), false) => Err(Errno::AFNOSUPPORT),
        (address, _) => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4(port: u16, octets: [u8; 4]) -> Vec<u8> {
        let mut bytes = 2_u16.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend(octets);
        bytes.extend([0; 8]);
        bytes
    }

    fn v6(port: u16, flow: u32, address: Ipv6Addr, scope: u32) -> Vec<u8> {
        let mut bytes = 10_u16.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend(flow.to_be_bytes());
        bytes.extend(address.octets());
        bytes.extend(scope.to_ne_bytes());
        bytes
    }

    #[test]
    fn addresses_are_read() {
        let named = |bytes: &[u8]| match parse(bytes) {
            Ok(Named::Address(address)) => address.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(named(&v4(80, [10, 1, 2, 3])), "10.1.2.3:80");
        let link: Ipv6Addr = "fe80::1".parse().expect("an address");
        assert_eq!(named(&v6(443, 0, link, 3)), "[fe80::1%3]:443");
        assert_eq!(named(&v6(443, 0, link, 3)[..24]), "[fe80::1]:443");
        assert_eq!(parse(&[0, 0]), Ok(Named::Nothing));
    }

    #[test]
    fn what_is_no_address_is_refused_as_the_kernel_does() {
        assert_eq!(parse(&[]), Err(Errno::INVAL));
        assert_eq!(parse(&[2]), Err(Errno::INVAL));
        assert_eq!(parse(&v4(1, [1; 4])[..15]), Err(Errno::INVAL));
        assert_eq!(
            parse(&v6(1, 0, Ipv6Addr::LOCALHOST, 0)[..23]),
            Err(Errno::INVAL)
        );
        // AF_UNIX, AF_NETLINK, AF_VSOCK.
        for family in [1_u16, 16, 40] {
            assert_eq!(parse(&family.to_ne_bytes()), Err(Errno::AFNOSUPPORT));
        }
    }

    #[test]
    fn address_is_given_as_the_socket_takes_it() {
        let v4: SocketAddr = "10.1.2.3:80".parse().expect("an address");
        let v6: SocketAddr = "[::1]:80".parse().expect("an address");
        assert_eq!(for_family(v4, false), Ok(v4));
        assert_eq!(for_family(v6, true), Ok(v6));
        let mapped = "[::ffff:10.1.2.3]:80".parse().expect("an address");
        assert_eq!(for_family(v4, true), Ok(mapped));
        assert_eq!(for_family(v6, false), Err(Errno::AFNOSUPPORT));
    }

    #[test]
    fn what_is_written_is_read() {
        for text in ["10.1.2.3:80", "[fe80::1%3]:443", "[::ffff:10.1.2.3]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            let (bytes, length) = write(address);
            assert_eq!(parse(&bytes[..length]), Ok(Named::Address(address)));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..LONGEST)) {
            let _ = parse(&bytes);
        }
    }
}
