//! Ports of a guest that the host shows, once it is known where.

use crate::grant::Protocol;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One port of a guest, and where the host shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// By which transport.
    pub protocol: Protocol,
    /// The port that the guest binds.
    pub container_port: u16,
    /// The host's address; `None` is all of them.
    pub host_address: Option<IpAddr>,
    /// The host's port.
    pub host_port: u16,
}

impl PublishedPort {
    /// Where a socket of a family is bound in the guest's stead; none if the host's address is of the
    /// other family.
    #[must_use]
    pub fn host(&self, is_v6: bool) -> Option<SocketAddr> {
        let any: IpAddr = if is_v6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        let address = match self.host_address {
            None => any,
            Some(IpAddr::V4(address)) if is_v6 => address.to_ipv6_mapped().into(),
            Some(IpAddr::V6(_)) if !is_v6 => return None,
            Some(address) => address,
        };
        Some(SocketAddr::new(address, self.host_port))
    }

    /// Where the host shows it to who calls it by one of this machine's loopback addresses.
    #[must_use]
    pub fn from_inside(&self, loopback: IpAddr) -> IpAddr {
        match self.host_address {
            None => loopback,
            Some(host) if !host.is_unspecified() => host,
            Some(IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
            Some(IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// Whether the host shows it by IPv6 alone.
    #[must_use]
    pub fn is_v6_only(&self) -> bool {
        self.host_address.is_some_and(|address| address.is_ipv6())
    }

    /// Whether an address that a socket has is the host's side of this port.
    #[must_use]
    pub fn is_at(&self, protocol: Protocol, address: SocketAddr) -> bool {
        let has_address = match self.host_address {
            None => address.ip().is_unspecified(),
            Some(own) => super::kind::canonical(address.ip()) == own,
        };
        self.protocol == protocol && self.host_port == address.port() && has_address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_address: Option<&str>) -> PublishedPort {
        PublishedPort {
            protocol: Protocol::Tcp,
            container_port: 80,
            host_address: host_address.map(|text| text.parse().expect("an address")),
            host_port: 8080,
        }
    }

    fn host(address: Option<&str>, is_v6: bool) -> Option<String> {
        port(address).host(is_v6).map(|host| host.to_string())
    }

    #[test]
    fn guest_is_bound_where_the_host_shows_it() {
        assert_eq!(host(None, false).as_deref(), Some("0.0.0.0:8080"));
        assert_eq!(host(None, true).as_deref(), Some("[::]:8080"));
        let local = Some("127.0.0.1");
        assert_eq!(host(local, false).as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(
            host(local, true).as_deref(),
            Some("[::ffff:127.0.0.1]:8080")
        );
        assert_eq!(host(Some("::1"), true).as_deref(), Some("[::1]:8080"));
        assert_eq!(host(Some("::1"), false), None);
    }

    #[test]
    fn what_is_bound_is_known_again_and_nothing_else() {
        for address in [None, Some("127.0.0.1"), Some("::1")] {
            let port = port(address);
            for host in [port.host(false), port.host(true)].into_iter().flatten() {
                assert!(port.is_at(Protocol::Tcp, host));
                assert!(!port.is_at(Protocol::Udp, host));
                let other = SocketAddr::new(host.ip(), 8081);
                assert!(!port.is_at(Protocol::Tcp, other));
            }
            let elsewhere = "10.0.0.1:8080".parse().expect("an address");
            assert!(!port.is_at(Protocol::Tcp, elsewhere));
        }
    }
}
