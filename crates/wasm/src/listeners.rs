//! The ports of a program that the host shows, listened on before it starts.

use lighter_types::grant::Protocol;
use lighter_types::network::PublishedPort;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// How many connections wait to be accepted: as many as the system allows (`SOMAXCONN` of Linux).
const BACKLOG: i32 = 4096;

/// A listener for each published port of TCP, in their order. All are bound before one listens, so that several on
/// one port of the program's go to different ports of the host's. None of them blocks.
///
/// # Errors
/// The port that could not be listened on, and the keeper's or the system's refusal.
pub fn listeners(published: &[PublishedPort]) -> Result<Vec<OwnedFd>, (u16, Errno)> {
    let ports = || {
        published
            .iter()
            .filter(|port| port.protocol == Protocol::Tcp)
    };
    let bound = ports().map(|port| {
        let number = port.container_port;
        bound(number).map_err(|error| (number, error))
    });
    let bound: Vec<OwnedFd> = bound.collect::<Result<_, _>>()?;
    for (socket, port) in bound.iter().zip(ports()) {
        listen(socket, BACKLOG).map_err(|error| (port.container_port, error))?;
    }
    Ok(bound)
}

/// A socket on a port of the program's, for both families, unless the machine has only one.
fn bound(port: u16) -> Result<OwnedFd, Errno> {
    let on = |address: IpAddr| {
        let family = match address {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        bind(&socket, &SocketAddr::new(address, port))?;
        Ok(socket)
    };
    match on(Ipv6Addr::UNSPECIFIED.into()) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => on(Ipv4Addr::UNSPECIFIED.into()),
        bound => bound,
    }
}
