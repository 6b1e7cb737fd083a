//! The ports of a runner: those that the host shows, and those that are its own alone.

use super::address::Named;
use super::sockets::Socket;
use super::{Answer, Mediator, host_socket, low};
use crate::sys::notify::Call;
use lighter_types::grant::Protocol;
use lighter_types::network::{PublishedPort, meant};
use lighter_types::refusal::{BindFault, Refusal};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;

/// The most sockets whose addresses are remembered.
const MOST_NAMED: usize = 4096;

/// What was bound where the host shows a port.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// The addresses that the runner gave, by the socket's cookie.
    names: HashMap<u64, SocketAddr>,
    /// Who listens on the host's ports of TCP: the last one that does not do so for IPv6 alone.
    listening: BTreeMap<u16, Listening>,
    /// The sockets of UDP, by the host's port and whether they are of IPv6: while one is held here its port is
    /// nobody else's.
    held: BTreeMap<(u16, bool), Socket>,
    /// Which sockets have which of the published ports, by its place among them.
    takers: BTreeMap<usize, Taker>,
}

/// A socket of the runner's, as it was when it got its port.
#[derive(Clone, Copy, Debug)]
struct Taker {
    descriptor: RawFd,
    cookie: u64,
}

/// For whom a socket listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    ForV4,
    ForBoth,
}

/// What the second of a program's sockets for one port gets: a socket of IPv6 takes both families, unless the
/// program has one for each.
enum Second {
    /// The connections of IPv6.
    OfV6,
    /// None, as the first one takes all that there are.
    OfNobody,
}

impl Shown {
    fn add(&mut self, socket: u64, name: SocketAddr) {
        if self.names.len() >= MOST_NAMED {
            // Most of them are closed; the others have the host's names from now on.
            self.names.clear();
        }
        self.names.insert(socket, name);
    }

    /// The address that the runner gave a socket.
    pub(super) fn name(&self, socket: u64) -> Option<SocketAddr> {
        self.names.get(&socket).copied()
    }

    fn listening(&self, port: u16) -> Option<Listening> {
        self.listening.get(&port).copied()
    }
}

impl Mediator {
    /// Where the host shows a port of the runner's own, which it calls by its own number.
    pub(super) fn own_published(
        &self,
        protocol: Protocol,
        address: SocketAddr,
    ) -> Option<SocketAddr> {
        let ip = address.ip();
        if ip != Ipv4Addr::LOCALHOST && ip != Ipv6Addr::LOCALHOST {
            // What else is loopback is what the host has there.
            return None;
        }
        // One that somebody listens on, and one of its own family, rather than another.
        let fitness = |(index, place): &(usize, &PublishedPort)| {
            let is_taken = self.memory.shown.takers.contains_key(index);
            (is_taken, place.from_inside(ip) == ip)
        };
        let places = self.places(protocol, address.port()).rev();
        let (_, port) = places.max_by_key(fitness)?;
        let host = SocketAddr::new(port.from_inside(ip), port.host_port);
        // Ports of TCP are held for the runner all the time.
        let held = &self.memory.shown.held;
        let is_its = protocol == Protocol::Tcp || held.contains_key(&(host.port(), host.is_ipv6()));
        is_its.then_some(host)
    }

    /// Where the host shows a port of the runner's own, and the number of each among all that are published.
    fn places(
        &self,
        protocol: Protocol,
        port: u16,
    ) -> impl DoubleEndedIterator<Item = (usize, &PublishedPort)> {
        let published = self.network.published.iter().enumerate();
        published
            .filter(move |(_, shown)| (shown.protocol, shown.container_port) == (protocol, port))
    }

    /// Where the host shows a socket on a port of the runner's own: at a place that fits it, one of its own family
    /// and one that no other socket has, if there are any.
    fn place(&mut self, socket: &Socket, port: u16) -> Option<(usize, PublishedPort)> {
        let mut takers = mem::take(&mut self.memory.shown.takers);
        takers.retain(|_, taker| self.has(taker));
        self.memory.shown.takers = takers;
        let takers = &self.memory.shown.takers;
        let fitness = |(index, place): &(usize, &PublishedPort)| {
            let is_of_family = match place.host_address {
                Some(address) => address.is_ipv6() == socket.is_v6,
                None => true,
            };
            (!takers.contains_key(index), is_of_family)
        };
        let places = self.places(socket.protocol, port).rev();
        let fitting = places.filter(|(_, place)| socket.may_be_at(place));
        let (index, place) = fitting.max_by_key(fitness)?;
        Some((index, *place))
    }

    /// Whether the runner still has a socket, where it had it.
    fn has(&self, taker: &Taker) -> bool {
        let socket = self.duplicate(taker.descriptor);
        socket.and_then(|socket| socket.cookie()) == Ok(taker.cookie)
    }

    /// Notes who has a port that the host shows, and by which name.
    fn take(
        &mut self,
        index: usize,
        descriptor: RawFd,
        socket: &Socket,
        name: SocketAddr,
    ) -> Result<(), Errno> {
        let cookie = socket.cookie()?;
        self.memory.shown.add(cookie, name);
        let taker = Taker { descriptor, cookie };
        self.memory.shown.takers.insert(index, taker);
        Ok(())
    }

    /// The place that a socket has.
    fn place_of(&self, cookie: u64) -> Option<PublishedPort> {
        let mut takers = self.memory.shown.takers.iter();
        let (index, _) = takers.find(|(_, taker)| taker.cookie == cookie)?;
        self.network.published.get(*index).copied()
    }

    pub(super) fn bind(&mut self, call: &Call) -> Answer {
        let [descriptor, _, length, ..] = call.arguments.map(low);
        let named = self.read_address(call.arguments[1], length)?;
        let socket = self.duplicate(descriptor)?;
        let Named::Address(address) = named else {
            return Err(Errno::AFNOSUPPORT);
        };
        if self.network.is_host {
            let bound = socket.bind(address).inspect_err(|error| {
                if *error == Errno::ACCESS {
                    self.refuse_binding(&socket, address, BindFault::Privileged);
                }
            });
            return bound.map(|()| 0);
        }
        let inner = meant(address).ip();
        if !inner.is_loopback() {
            // Its own are the loopback's, and all.
            self.refuse_binding(&socket, address, BindFault::Foreign);
            return Err(Errno::ADDRNOTAVAIL);
        }
        let published = self.place(&socket, address.port());
        let shown = self.places(socket.protocol, address.port()).next();
        if published.is_none()
            && let Some((_, place)) = shown
        {
            let is_by_v6 = place.is_v6_only();
            self.refuse_binding(&socket, address, BindFault::OtherFamily { is_by_v6 });
            return Err(Errno::ADDRNOTAVAIL);
        }
        match (published, socket.protocol) {
            (Some(place), Protocol::Tcp) => {
                self.bind_shown(call, descriptor, &socket, address, place)?;
            }
            (Some(place), Protocol::Udp) => {
                self.bind_datagrams(descriptor, socket, address, place)?;
            }
            (None, Protocol::Tcp) => {
                match self.bind_privately(call, descriptor, &socket, address) {
                    // Any port does for what it will connect to.
                    Err(Errno::ACCESS) if address.port() == 0 => socket.bind(address)?,
                    bound => bound.inspect_err(|error| self.refuse_listening(*error, address))?,
                }
            }
            // Which one does not matter where nobody comes by it.
            (None, Protocol::Udp) => socket.bind(SocketAddr::new(address.ip(), 0))?,
        }
        Ok(0)
    }

    /// Binds a socket of UDP where the host shows its port, which the runner has from then on.
    fn bind_datagrams(
        &mut self,
        descriptor: RawFd,
        socket: Socket,
        address: SocketAddr,
        (index, port): (usize, PublishedPort),
    ) -> Result<(), Errno> {
        let key = (port.host_port, socket.is_v6);
        let bound = socket.bind_published(&port, true);
        if bound == Err(Errno::ADDRINUSE) {
            // It may be what is held here of a socket that the runner has closed.
            let held = self
                .memory
                .shown
                .held
                .remove(&key)
                .ok_or(Errno::ADDRINUSE)?;
            let cookie = held.cookie()?;
            drop(held);
            socket.bind_published(&port, true).inspect_err(|_| {
                self.hold_again(key, cookie);
            })?;
        } else {
            bound?;
        }
        socket.hear_all()?;
        self.take(index, descriptor, &socket, address)?;
        self.memory.shown.held.insert(key, socket);
        Ok(())
    }

    /// Holds a socket of UDP that the runner has not closed after all, if it is where it was.
    fn hold_again(&mut self, key: (u16, bool), cookie: u64) {
        let mut takers = self.memory.shown.takers.values();
        let taker = takers.find(|taker| taker.cookie == cookie).copied();
        if let Some(taker) = taker.filter(|taker| self.has(taker))
            && let Ok(socket) = self.duplicate(taker.descriptor)
        {
            self.memory.shown.held.insert(key, socket);
        }
    }

    /// Binds a socket of TCP where the host shows its port.
    fn bind_shown(
        &mut self,
        call: &Call,
        descriptor: RawFd,
        socket: &Socket,
        address: SocketAddr,
        (index, port): (usize, PublishedPort),
    ) -> Result<(), Errno> {
        let bind =
            |is_v6_only| self.beside_reservations(|| socket.bind_published(&port, is_v6_only));
        let takes_both = socket.is_v6 && !port.is_v6_only();
        match (bind(!takes_both), self.second(socket, &port)) {
            (Err(Errno::ADDRINUSE), Some(Second::OfV6)) => bind(true)?,
            (Err(Errno::ADDRINUSE), Some(Second::OfNobody)) => {
                return self.bind_privately(call, descriptor, socket, address);
            }
            (bound, _) => bound?,
        }
        self.take(index, descriptor, socket, address)
    }

    /// What is left for a socket of TCP where the program has another one already.
    fn second(&self, socket: &Socket, port: &PublishedPort) -> Option<Second> {
        let first = self.memory.shown.listening(port.host_port);
        match (socket.is_v6, first) {
            (true, _) if port.host_address.is_none() => Some(Second::OfV6),
            (true, Some(Listening::ForV4)) | (false, Some(Listening::ForBoth)) => {
                Some(Second::OfNobody)
            }
            _ => None,
        }
    }

    /// Does something with a port of the host's that is held for the runner: nobody else may meanwhile, or
    /// afterwards, when the runner has let go of it.
    fn beside_reservations<T>(&self, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let share = |is_shared: bool| {
            let mut reserved = self.network.reserved.iter();
            reserved.try_for_each(|reserved| set_socket_reuseaddr(reserved, is_shared))
        };
        share(true)?;
        let done = act();
        share(false)?;
        done
    }

    /// Binds a socket in the private network, which takes the place of the runner's.
    fn bind_privately(
        &mut self,
        call: &Call,
        descriptor: RawFd,
        socket: &Socket,
        address: SocketAddr,
    ) -> Result<(), Errno> {
        if self.memory.private.has(socket)? {
            // It is bound already, which the kernel says.
            return socket.bind(address);
        }
        if socket.local()?.port() != 0 {
            return Err(Errno::INVAL);
        }
        let twin = self.memory.private.twin(socket)?;
        twin.bind(address)?;
        self.memory.private.add(&twin)?;
        self.replace(call, descriptor, &twin)
    }

    /// Tells that an address is not to be had.
    fn refuse_binding(&self, socket: &Socket, address: SocketAddr, fault: BindFault) {
        self.refusals.add(Refusal::Bind {
            protocol: socket.protocol,
            address: address.to_string(),
            fault,
        });
    }

    /// Tells that a port could not be had where a private network is impossible.
    fn refuse_listening(&self, error: Errno, address: SocketAddr) {
        if error == Errno::ACCESS {
            self.refusals.add(Refusal::Listen {
                protocol: Protocol::Tcp,
                port: address.port(),
            });
        }
    }

    /// Lets a socket listen where it was bound: to what the host shows, or else in the private network. Without
    /// a bind before it the kernel chooses a port.
    pub(super) fn listen(&mut self, call: &Call) -> Answer {
        let [descriptor, backlog, ..] = call.arguments.map(low);
        let socket = self.duplicate(descriptor)?;
        if socket.protocol != Protocol::Tcp {
            return Err(Errno::OPNOTSUPP);
        }
        if self.memory.private.has(&socket)? || self.network.is_host {
            return socket.listen(backlog).map(|()| 0);
        }
        if self.is_shown(&socket)? {
            match self.beside_reservations(|| socket.listen(backlog)) {
                Err(Errno::ADDRINUSE) => self.listen_beside(call, descriptor, &socket, backlog)?,
                listening => {
                    listening?;
                    self.note_listening(&socket)?;
                }
            }
            self.tell_unlistened(&socket)?;
            return Ok(0);
        }
        let local = socket.local()?;
        let twin = self.memory.private.twin(&socket);
        let twin = twin.inspect_err(|error| self.refuse_listening(*error, local))?;
        if local.port() != 0 {
            // It is connected, which the kernel would say.
            return Err(Errno::INVAL);
        }
        twin.listen(backlog)?;
        self.memory.private.add(&twin)?;
        self.replace(call, descriptor, &twin)?;
        Ok(0)
    }

    /// Tells where else the host shows a port for which a socket listens: one listener has one place, and what
    /// has several binds them all before it listens.
    fn tell_unlistened(&self, socket: &Socket) -> Result<(), Errno> {
        let Some(name) = self.memory.shown.name(socket.cookie()?) else {
            return Ok(());
        };
        let places = self.places(Protocol::Tcp, name.port());
        let free = places.filter(|(index, _)| !self.memory.shown.takers.contains_key(index));
        for (_, place) in free.filter(|(_, place)| socket.may_be_at(place)) {
            let address = place.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            self.refusals.add(Refusal::Unlistened {
                port: name.port(),
                host: SocketAddr::new(address, place.host_port).to_string(),
            });
        }
        Ok(())
    }

    /// Notes who has a port of the host's.
    fn note_listening(&mut self, socket: &Socket) -> Result<(), Errno> {
        let listening = match socket.is_v6 {
            false => Listening::ForV4,
            true if !socket.is_v6_only()? => Listening::ForBoth,
            true => return Ok(()),
        };
        let port = socket.local()?.port();
        self.memory.shown.listening.insert(port, listening);
        Ok(())
    }

    /// Lets a socket listen that is one of two, for a family each, where the other one came first.
    fn listen_beside(
        &mut self,
        call: &Call,
        descriptor: RawFd,
        socket: &Socket,
        backlog: i32,
    ) -> Result<(), Errno> {
        let name = self.memory.shown.name(socket.cookie()?);
        let name = name.ok_or(Errno::ADDRINUSE)?;
        let port = self.place_of(socket.cookie()?).ok_or(Errno::ADDRINUSE)?;
        let twin = match self.second(socket, &port).ok_or(Errno::ADDRINUSE)? {
            Second::OfV6 => {
                let twin = socket.twin(host_socket)?;
                self.beside_reservations(|| {
                    twin.bind_published(&port, true)?;
                    twin.listen(backlog)
                })?;
                self.memory.shown.add(twin.cookie()?, name);
                twin
            }
            Second::OfNobody => {
                let twin = self.memory.private.twin(socket)?;
                if twin.is_v6 {
                    twin.set_v6_only(true)?;
                }
                twin.bind(name)?;
                twin.listen(backlog)?;
                self.memory.private.add(&twin)?;
                twin
            }
        };
        self.replace(call, descriptor, &twin)
    }

    /// Whether a socket is bound where the host shows a port, so that strangers may come.
    pub(super) fn is_shown(&self, socket: &Socket) -> Result<bool, Errno> {
        if self.network.is_host || self.network.published.is_empty() {
            return Ok(self.network.is_host);
        }
        if self.memory.shown.name(socket.cookie()?).is_some() {
            return Ok(true);
        }
        if socket.protocol == Protocol::Tcp {
            // A connection that was accepted there is at that address too, and so is what is left of it.
            return Ok(false);
        }
        let own = socket.local()?;
        let mut published = self.network.published.iter();
        Ok(published.any(|port| port.is_at(socket.protocol, own)))
    }
}
