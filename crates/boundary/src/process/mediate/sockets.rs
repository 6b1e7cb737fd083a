//! Duplicates of a runner's sockets, and what is done on them.

use super::address::for_family;
use crate::sys::{socket_filter, socket_option};
use lighter_types::grant::Protocol;
use lighter_types::network::PublishedPort;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{
    Timeout, ipv6_v6only, set_ipv6_v6only, set_socket_reuseaddr, set_socket_timeout, socket_cookie,
    socket_domain, socket_protocol, socket_type,
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recvfrom, socket_with,
};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A socket of TCP or UDP.
#[derive(Debug)]
pub(super) struct Socket {
    descriptor: OwnedFd,
    /// Its transport.
    pub(super) protocol: Protocol,
    /// Whether its addresses are those of IPv6.
    pub(super) is_v6: bool,
}

impl Socket {
    /// Asks a descriptor what it is.
    ///
    /// # Errors
    /// `ENOTSOCK`; `EACCES` for a socket of another kind.
    pub(super) fn examine(descriptor: OwnedFd) -> Result<Self, Errno> {
        let is_v6 = match socket_domain(&descriptor)? {
            AddressFamily::INET => false,
            AddressFamily::INET6 => true,
            _ => return Err(Errno::ACCESS),
        };
        let protocol = match (socket_type(&descriptor)?, socket_protocol(&descriptor)?) {
            (SocketType::STREAM, Some(ipproto::TCP)) => Protocol::Tcp,
            (SocketType::DGRAM, Some(ipproto::UDP)) => Protocol::Udp,
            _ => return Err(Errno::ACCESS),
        };
        Ok(Self {
            descriptor,
            protocol,
            is_v6,
        })
    }

    /// Connects it.
    pub(super) fn connect(&self, address: SocketAddr) -> Result<(), Errno> {
        if self.is_v6 && address.is_ipv4() {
            // It was for IPv6 alone, unless it is bound, which the kernel then says.
            let _ = self.set_v6_only(false);
        }
        rustix::net::connect(&self.descriptor, &for_family(address, self.is_v6)?)
    }

    /// Connects it, or learns at once that nobody is there, whether it waits or not.
    pub(super) fn connect_at_once(&self, address: SocketAddr) -> Result<(), Errno> {
        let flags = rustix::fs::fcntl_getfl(&self.descriptor)?;
        rustix::fs::fcntl_setfl(&self.descriptor, flags - OFlags::NONBLOCK)?;
        let connected = self.connect(address);
        rustix::fs::fcntl_setfl(&self.descriptor, flags)?;
        connected
    }

    /// A socket of the same family and type, made by `make` of those, with its flags and options.
    pub(super) fn twin(
        &self,
        make: impl FnOnce(i32, i32) -> Result<OwnedFd, Errno>,
    ) -> Result<Self, Errno> {
        let family = if self.is_v6 {
            libc::AF_INET6
        } else {
            libc::AF_INET
        };
        let kind = match self.protocol {
            Protocol::Tcp => libc::SOCK_STREAM,
            Protocol::Udp => libc::SOCK_DGRAM,
        };
        let twin = Self {
            descriptor: make(family, kind)?,
            ..*self
        };
        let flags = rustix::fs::fcntl_getfl(&self.descriptor)?;
        rustix::fs::fcntl_setfl(&twin.descriptor, flags)?;
        socket_option::copy_all(&self.descriptor, &twin.descriptor);
        set_socket_timeout(&twin.descriptor, Timeout::Send, Some(CONNECT_TIME))?;
        Ok(twin)
    }

    /// The network namespace that it is in, by the kernel's number.
    pub(super) fn network(&self) -> Result<u64, Errno> {
        network_of(&self.descriptor)
    }

    /// Takes its peer from it.
    pub(super) fn disconnect(&self) -> Result<(), Errno> {
        rustix::net::connect_unspec(&self.descriptor)
    }

    /// Binds it as it is.
    pub(super) fn bind(&self, address: SocketAddr) -> Result<(), Errno> {
        rustix::net::bind(&self.descriptor, &for_family(address, self.is_v6)?)
    }

    /// Whether its family is one by which the host shows a port. A socket of IPv6 takes connections of IPv4, but
    /// a datagram's sender is an address of the socket's own family, to WASI.
    pub(super) fn may_be_at(&self, port: &PublishedPort) -> bool {
        match port.host_address {
            None => true,
            Some(IpAddr::V6(_)) => self.is_v6,
            Some(IpAddr::V4(_)) => !self.is_v6 || self.protocol == Protocol::Tcp,
        }
    }

    /// Binds it where the host shows a port of the guest's, to IPv6 alone or to both families.
    pub(super) fn bind_published(
        &self,
        port: &PublishedPort,
        is_v6_only: bool,
    ) -> Result<(), Errno> {
        let host = port.host(self.is_v6).ok_or(Errno::ADDRNOTAVAIL)?;
        if self.is_v6 {
            let is_mapped = port.host_address.is_some_and(|address| address.is_ipv4());
            self.set_v6_only(is_v6_only && !is_mapped)?;
        }
        self.bind_shown(&host).inspect_err(|_| {
            if self.is_v6 {
                // To WASI a socket of IPv6 is for that alone.
                let _ = self.set_v6_only(true);
            }
        })
    }

    fn bind_shown(&self, host: &SocketAddr) -> Result<(), Errno> {
        if self.protocol == Protocol::Tcp {
            // It joins what holds the port for the guest.
            set_socket_reuseaddr(&self.descriptor, true)?;
        }
        rustix::net::bind(&self.descriptor, host)
    }

    /// Whether it takes IPv6 alone.
    pub(super) fn is_v6_only(&self) -> Result<bool, Errno> {
        ipv6_v6only(&self.descriptor)
    }

    /// Sets whether it takes IPv6 alone.
    pub(super) fn set_v6_only(&self, is_v6_only: bool) -> Result<(), Errno> {
        set_ipv6_v6only(&self.descriptor, is_v6_only)
    }

    /// Sets whether its address may be used again at once. Sockets of UDP would share their port by it, and
    /// have it at once without it.
    pub(super) fn set_reuse(&self, may_reuse: bool) -> Result<(), Errno> {
        match self.protocol {
            Protocol::Tcp => set_socket_reuseaddr(&self.descriptor, may_reuse),
            Protocol::Udp => Ok(()),
        }
    }

    /// Lets datagrams of these peers in, and of nobody else.
    pub(super) fn hear_only(&self, peers: &[SocketAddr]) -> Result<(), Errno> {
        socket_filter::hear_only(&self.descriptor, peers)
    }

    /// Lets datagrams of everybody in.
    pub(super) fn hear_all(&self) -> Result<(), Errno> {
        match socket_filter::hear_all(&self.descriptor) {
            Err(Errno::NOENT) => Ok(()),
            heard => heard,
        }
    }

    /// Lets it listen.
    pub(super) fn listen(&self, backlog: i32) -> Result<(), Errno> {
        rustix::net::listen(&self.descriptor, backlog)
    }

    /// The address that it is bound to.
    pub(super) fn local(&self) -> Result<SocketAddr, Errno> {
        SocketAddr::try_from(rustix::net::getsockname(&self.descriptor)?)
    }

    /// The number by which the kernel knows it for as long as it runs.
    pub(super) fn cookie(&self) -> Result<u64, Errno> {
        socket_cookie(&self.descriptor)
    }

    /// Takes a datagram; never waits. Gives what is there of it, how long it says to be, and who sent it.
    pub(super) fn receive(
        &self,
        datagram: &mut [u8],
        flags: i32,
    ) -> Result<(usize, usize, SocketAddr), Errno> {
        let flags = RecvFlags::from_bits_retain(flags.cast_unsigned()) | RecvFlags::DONTWAIT;
        let (received, length, from) = recvfrom(&self.descriptor, datagram, flags)?;
        let from = SocketAddr::try_from(from.ok_or(Errno::OPNOTSUPP)?)?;
        Ok((received, length, from))
    }

    /// Sends a datagram; never waits.
    pub(super) fn send(
        &self,
        datagram: &[u8],
        flags: i32,
        address: SocketAddr,
    ) -> Result<usize, Errno> {
        let flags = SendFlags::from_bits_retain(flags.cast_unsigned());
        let flags = flags | SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let address = for_family(address, self.is_v6)?;
        rustix::net::sendto(&self.descriptor, datagram, flags, &address)
    }
}

/// The network namespace that a socket is in (`SO_NETNS_COOKIE`, Linux 5.14).
pub(super) fn network_of(socket: &OwnedFd) -> Result<u64, Errno> {
    socket_option::network(socket)
}

/// How long a connect may hold up the calls of other threads.
pub(super) const CONNECT_TIME: Duration = Duration::from_millis(100);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Whether an address is one of this machine's own: what can be bound here. Where a system lets everything be
/// bound (`ip_nonlocal_bind`), everything is taken for its own.
pub(super) fn is_own(address: IpAddr) -> bool {
    let ask = || {
        let family = match address {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        rustix::net::bind(&socket, &SocketAddr::new(address, 0))
    };
    // What cannot be asked is not taken for somebody else's.
    !matches!(ask(), Err(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_this_machine_is_known() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("127.1.2.3", true),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            let address = text.parse().expect("an address");
            assert_eq!(is_own(address), expected, "{text}");
        }
    }
}
