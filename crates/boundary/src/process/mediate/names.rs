//! What a runner is told of its sockets' addresses: its own ports have the numbers that it knows them by.

use super::sockets::Socket;
use super::{Answer, Mediator, address, low};
use crate::sys::notify::Call;
use crate::sys::peek;
use lighter_types::grant::Protocol;
use lighter_types::network::meant;
use rustix::io::Errno;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

impl Mediator {
    /// Tells a socket's own address.
    pub(super) fn name(&self, call: &Call) -> Answer {
        let [descriptor, ..] = call.arguments.map(low);
        let [_, address_at, length_at, ..] = call.arguments;
        let room = self.room(length_at)?;
        let socket = self.duplicate(descriptor)?;
        let name = self.name_of(&socket)?;
        self.write_address(name, (address_at, length_at), room)?;
        Ok(0)
    }

    fn name_of(&self, socket: &Socket) -> Result<SocketAddr, Errno> {
        let mut local = socket.local()?;
        // Who was accepted has one of the addresses that a listener on all of them stands for.
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), local.port());
        let mut published = self.network.published.iter();
        let shown = published.find(|port| {
            let is_at = |address| port.is_at(socket.protocol, address);
            is_at(local) || is_at(any)
        });
        if let Some(port) = shown
            && !self.memory.private.has(socket)?
        {
            local.set_port(port.container_port);
            return Ok(self.memory.shown.name(socket.cookie()?).unwrap_or(local));
        }
        Ok(local)
    }

    /// An address of a peer as the runner knows it: its own ports by its own numbers.
    pub(super) fn inner_name(&self, protocol: Protocol, mut peer: SocketAddr) -> SocketAddr {
        let inner = meant(peer);
        let mut published = self.network.published.iter();
        let own = published.find(|port| {
            let host = SocketAddr::new(port.from_inside(inner.ip()), port.host_port);
            let is_chosen = port.host_address.is_some();
            port.protocol == protocol && host == inner && (is_chosen || inner.ip().is_loopback())
        });
        if let Some(port) = own {
            peer.set_port(port.container_port);
            if peer.is_ipv6() {
                // To WASI a socket of IPv6 has no peers of IPv4.
                peer.set_ip(Ipv6Addr::LOCALHOST.into());
            } else {
                peer.set_ip(Ipv4Addr::LOCALHOST.into());
            }
        }
        peer
    }

    /// How much room the runner has for an address, in bytes.
    pub(super) fn room(&self, at: u64) -> Result<usize, Errno> {
        let mut room = [0; 4];
        peek::read(self.pid, at, &mut room)?;
        usize::try_from(i32::from_ne_bytes(room)).map_err(|_| Errno::INVAL)
    }

    /// Puts an address into the runner's memory, as much of it as there is room for, and how long it is.
    pub(super) fn write_address(
        &self,
        address: SocketAddr,
        (at, length_at): (u64, u64),
        room: usize,
    ) -> Result<(), Errno> {
        let (bytes, length) = address::write(address);
        let bytes = bytes.get(..length.min(room)).unwrap_or(&bytes);
        let told = u32::try_from(length).unwrap_or(0).to_ne_bytes();
        peek::write(self.pid, at, bytes)?;
        peek::write(self.pid, length_at, &told)
    }
}
