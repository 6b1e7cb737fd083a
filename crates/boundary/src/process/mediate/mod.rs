//! The network of a runner: its calls that name an address wait here, and are made here or refused.
//!
//! ```text
//!   runner                      keeper, a thread for each runner
//!   socket ───────────────────▶ makes it, gives it
//!   connect, bind, listen ────▶ copies the address once      ┐
//!   sendto, recvfrom with one   takes a duplicate, asks it   │ so what is decided on
//!                               what it is                   │ is what is done
//!                               decides                      │
//!                               makes the call with its own  ┘
//!   its result  ◀────────────── copy; drops the duplicate
//!   send, recv, accept, ...     between the runner and the kernel
//! ```
//!
//! The runner may lie, race and change anything meanwhile: its memory and its descriptors are looked at
//! once, through copies. A duplicate that was kept would keep the connection open, so none is, but for sockets of
//! datagrams on ports that the host shows: those are not to become somebody else's.

mod address;
mod names;
mod peers;
mod ports;
mod private;
mod sockets;

use crate::refusals::Refusals;
use crate::sys::notify::{Call, Listener};
use crate::sys::{peek, socket_filter};
use address::Named;
use lighter_types::grant::Protocol;
use lighter_types::network::{
    AddressKind, Destination, NetworkPolicy, PinnedName, Pins, PublishedPort, Reason, Transport,
    Verdict, meant,
};
use lighter_types::refusal::Refusal;
use peers::Peers;
use ports::Shown;
use private::Private;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, PidfdGetfdFlags, pidfd_getfd};
use sockets::{CONNECT_TIME, Socket};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What a runner may do with the network.
#[derive(Debug, Default)]
pub struct Network {
    /// What it may reach.
    pub policy: NetworkPolicy,
    /// Its ports that the host shows.
    pub published: Vec<PublishedPort>,
    /// The host's ports of TCP, bound so that nobody else gets them before the guest does.
    pub reserved: Vec<OwnedFd>,
    /// Whether its own ports are the host's (`--network host`).
    pub is_host: bool,
    /// Whether it is who sends requests for others: it connects where some request may go.
    pub sends_requests: bool,
    /// What allowed names were looked up as.
    pub pins: Mutex<Pins>,
}

impl Network {
    /// Whether an address may be reached, by some transport of a protocol.
    fn may_reach(&self, protocol: Protocol, address: SocketAddr) -> Verdict {
        let names = self
            .pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .names_of(address.ip(), Instant::now());
        let verdict = |transport| self.may_reach_by(transport, address, &names);
        if !self.sends_requests {
            return verdict(transport(protocol));
        }
        match protocol {
            Protocol::Tcp => match verdict(Transport::Https) {
                Verdict::Allowed => Verdict::Allowed,
                Verdict::Refused(_) => verdict(Transport::Http),
            },
            Protocol::Udp => Verdict::Refused(Reason::NotGranted { name: None }),
        }
    }

    /// Whether an address may be reached that is what these names lead to.
    #[must_use]
    pub fn may_reach_by(
        &self,
        transport: Transport,
        address: SocketAddr,
        names: &[PinnedName],
    ) -> Verdict {
        let kind = match AddressKind::of(address.ip()) {
            AddressKind::Public if sockets::is_own(address.ip()) => AddressKind::Loopback,
            kind => kind,
        };
        let to = Destination {
            address,
            kind,
            names,
        };
        self.policy.may_reach(transport, &to)
    }
}

/// Answers the calls of one runner until it is gone.
#[derive(Debug)]
pub(super) struct Mediator {
    pub(super) listener: Listener,
    /// The runner, which is not reaped before this has ended: its number is nobody else's.
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) network: Arc<Network>,
    /// Where it is told what was refused.
    pub(super) refusals: Arc<Refusals>,
    pub(super) memory: Memory,
}

/// What is remembered from call to call.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Room for a datagram.
    datagram: Vec<u8>,
    peers: Peers,
    private: Private,
    shown: Shown,
}

/// The longest datagram, in bytes.
const DATAGRAM_BYTES: usize = 65_535;

/// The flags of a receive that pass: `MSG_PEEK`, `MSG_TRUNC` and `MSG_DONTWAIT`.
const RECEIVE_FLAGS: i32 = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;

/// What becomes of a call.
type Answer = Result<i64, Errno>;

/// The flags of a datagram that pass: `MSG_CONFIRM`, `MSG_DONTROUTE`, `MSG_DONTWAIT` and
/// `MSG_NOSIGNAL`.
const SEND_FLAGS: i32 =
    libc::MSG_CONFIRM | libc::MSG_DONTROUTE | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl Mediator {
    /// Answers call after call. When it ends by an error of our own the listener is closed, and each call
    /// that would have waited fails.
    pub(super) fn serve(mut self) {
        while let Ok(Some(call)) = self.listener.next(self.pidfd.as_fd()) {
            let answered = match self.answer(&call) {
                // The descriptor was given, and the call ended by it.
                Ok(None) => Ok(()),
                Ok(Some(value)) => self.listener.answer(&call, Ok(value)),
                Err(errno) => self.listener.answer(&call, Err(errno)),
            };
            if answered.is_err() {
                break;
            }
        }
    }

    fn answer(&mut self, call: &Call) -> Result<Option<i64>, Errno> {
        let answer = match call.number {
            libc::SYS_socket => return self.make(call).map(|()| None),
            libc::SYS_connect => self.connect(call),
            libc::SYS_bind => self.bind(call),
            libc::SYS_listen => self.listen(call),
            libc::SYS_setsockopt => self.set_option(call),
            libc::SYS_sendto => self.send(call),
            libc::SYS_recvfrom => self.receive(call),
            libc::SYS_getsockname => self.name(call),
            _ => Err(Errno::NOSYS),
        };
        answer.map(Some)
    }

    /// Makes a socket of TCP or UDP, of which the runner gets the only descriptor.
    fn make(&self, call: &Call) -> Result<(), Errno> {
        let [family, kind, protocol, ..] = call.arguments.map(low);
        let family = match family {
            libc::AF_INET => AddressFamily::INET,
            libc::AF_INET6 => AddressFamily::INET6,
            _ => return Err(Errno::AFNOSUPPORT),
        };
        let flags = kind & !0xf;
        let kind = match (kind & 0xf, protocol) {
            (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => SocketType::STREAM,
            (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => SocketType::DGRAM,
            (libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => return Err(Errno::PROTONOSUPPORT),
            _ => return Err(Errno::ACCESS),
        };
        let mut made = SocketFlags::CLOEXEC;
        if flags & libc::SOCK_NONBLOCK != 0 {
            made |= SocketFlags::NONBLOCK;
        }
        let socket = socket_with(family, kind, made, None)?;
        // A connect that would wait does not: this thread makes it.
        set_socket_timeout(&socket, Timeout::Send, Some(CONNECT_TIME))?;
        if kind == SocketType::DGRAM && !self.network.is_host {
            // It hears whom it has spoken to, or whoever comes to a port that the host shows.
            socket_filter::hear_only(&socket, &[])?;
        }
        self.listener.give(call, socket.as_fd(), None)
    }

    fn connect(&mut self, call: &Call) -> Answer {
        let [descriptor, _, length, ..] = call.arguments.map(low);
        let named = self.read_address(call.arguments[1], length)?;
        let socket = self.duplicate(descriptor)?;
        let address = match (named, socket.protocol) {
            (Named::Address(address), _) => meant(address),
            (_, Protocol::Udp) => return socket.disconnect().map(|()| 0),
            // A connection that is taken apart leaves a socket that is nobody's.
            (_, Protocol::Tcp) => return Err(Errno::AFNOSUPPORT),
        };
        if socket.protocol == Protocol::Udp {
            let address = self.allow_datagrams(&socket, address)?;
            return socket.connect(address).map(|()| 0);
        }
        let is_own = address.ip().is_loopback() && self.memory.private.has_port(address.port());
        if is_own {
            match self.connect_privately(call, descriptor, &socket, address) {
                // Nobody listens there, so somebody of the host's may be meant.
                Err(Errno::CONNREFUSED) => {}
                connected => return connected.map(|()| 0),
            }
        }
        let address = match self.own_published(Protocol::Tcp, address) {
            // A socket of IPv4 finds nobody where the host shows it by IPv6 alone.
            Some(shown) if shown.is_ipv6() && !socket.is_v6 => return Err(Errno::CONNREFUSED),
            Some(shown) => shown,
            None if is_own && self.verdict(Protocol::Tcp, address) != Verdict::Allowed => {
                return Err(Errno::CONNREFUSED);
            }
            None => {
                self.check(Protocol::Tcp, address)?;
                address
            }
        };
        if !self.memory.private.has(&socket)? {
            return socket.connect(address).map(|()| 0);
        }
        // Nothing leads out of a private network.
        let twin = socket.twin(host_socket)?;
        let connected = twin.connect(address);
        self.replace(call, descriptor, &twin)?;
        connected.map(|()| 0)
    }

    /// Connects to a port of the runner's own that the host does not show.
    fn connect_privately(
        &mut self,
        call: &Call,
        descriptor: RawFd,
        socket: &Socket,
        address: SocketAddr,
    ) -> Result<(), Errno> {
        if self.memory.private.has(socket)? {
            return socket.connect_at_once(address);
        }
        let twin = self.memory.private.twin(socket)?;
        match twin.connect_at_once(address) {
            Err(Errno::CONNREFUSED) => Err(Errno::CONNREFUSED),
            connected => self.replace(call, descriptor, &twin).and(connected),
        }
    }

    /// Puts a socket in the place of the runner's.
    fn replace(&self, call: &Call, descriptor: RawFd, socket: &Socket) -> Result<(), Errno> {
        let number = u32::try_from(descriptor).map_err(|_| Errno::BADF)?;
        self.listener.give(call, socket.as_fd(), Some(number))
    }

    /// Lets a peer be heard that a socket speaks to, to which no stranger may come.
    fn admit(&mut self, socket: &Socket, peer: SocketAddr) -> Result<(), Errno> {
        let cookie = socket.cookie()?;
        let heard = self.memory.peers.speak(cookie, peer);
        match heard.map(<[SocketAddr]>::to_vec) {
            Some(peers) => socket.hear_only(&peers).inspect_err(|_| {
                self.memory.peers.forget(cookie);
            }),
            None => Ok(()),
        }
    }

    /// Sets what decides on whom a port is shared with: whether a socket of IPv6 is for that alone, which must
    /// not change while it is bound, and whether its address may be used again.
    fn set_option(&self, call: &Call) -> Answer {
        let [descriptor, level, option, _, length, _] = call.arguments.map(low);
        if length != 4 {
            return Err(Errno::INVAL);
        }
        let mut value = [0; 4];
        peek::read(self.pid, call.arguments[3], &mut value)?;
        let is_set = value != [0; 4];
        let socket = self.duplicate(descriptor)?;
        match (level, option) {
            (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => socket.set_v6_only(is_set)?,
            (libc::SOL_SOCKET, libc::SO_REUSEADDR) => socket.set_reuse(is_set)?,
            _ => return Err(Errno::INVAL),
        }
        Ok(0)
    }

    /// Sends a datagram to the address beside it.
    fn send(&mut self, call: &Call) -> Answer {
        let [descriptor, _, _, flags, _, length] = call.arguments.map(low);
        let named = self.read_address(call.arguments[4], length)?;
        let size = usize::try_from(call.arguments[2]).unwrap_or(usize::MAX);
        if size > DATAGRAM_BYTES {
            return Err(Errno::MSGSIZE);
        }
        self.memory.datagram.resize(size, 0);
        peek::read(self.pid, call.arguments[1], &mut self.memory.datagram)?;
        let socket = self.duplicate(descriptor)?;
        if socket.protocol != Protocol::Udp {
            // TCP knows where it sends to.
            return Err(Errno::ISCONN);
        }
        let Named::Address(address) = named else {
            return Err(Errno::AFNOSUPPORT);
        };
        if flags & !SEND_FLAGS != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let address = self.allow_datagrams(&socket, meant(address))?;
        let sent = socket.send(&self.memory.datagram, flags, address)?;
        Ok(i64::try_from(sent).unwrap_or(i64::MAX))
    }

    /// Decides on datagrams to an address, and says where that is.
    fn allow_datagrams(
        &mut self,
        socket: &Socket,
        address: SocketAddr,
    ) -> Result<SocketAddr, Errno> {
        let own = self.own_published(Protocol::Udp, address);
        let to = own.unwrap_or(address);
        let is_shown = self.is_shown(socket)?;
        // Who has sent something is answered, as anywhere.
        let is_answer = is_shown && self.memory.peers.has(socket.cookie()?, to);
        if own.is_none() && !is_answer {
            self.check(Protocol::Udp, to)?;
        }
        if !is_shown {
            self.admit(socket, to)?;
        }
        Ok(to)
    }

    /// Takes a datagram that has arrived, and notes who sent it.
    fn receive(&mut self, call: &Call) -> Answer {
        let [descriptor, _, _, flags, ..] = call.arguments.map(low);
        let [_, buffer, size, _, address_at, length_at] = call.arguments;
        let socket = self.duplicate(descriptor)?;
        if socket.protocol != Protocol::Udp {
            // TCP has no address to tell.
            return Err(Errno::OPNOTSUPP);
        }
        let room = self.room(length_at)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Memory {
            datagram, peers, ..
        } = &mut self.memory;
        datagram.resize(size.min(DATAGRAM_BYTES), 0);
        let (received, length, from) = socket.receive(datagram, flags & RECEIVE_FLAGS)?;
        peers.add(socket.cookie()?, meant(from));
        let datagram = datagram.get(..received).unwrap_or_default();
        peek::write(self.pid, buffer, datagram)?;
        let from = self.inner_name(Protocol::Udp, from);
        self.write_address(from, (address_at, length_at), room)?;
        Ok(i64::try_from(length).unwrap_or(i64::MAX))
    }

    /// Copies an address out of the runner's memory, once.
    fn read_address(&self, at: u64, length: i32) -> Result<Named, Errno> {
        let length = usize::try_from(length).map_err(|_| Errno::INVAL)?;
        // A longer one is longer by what nobody looks at.
        let mut bytes = [0; address::LONGEST];
        let bytes = bytes
            .get_mut(..length.min(address::LONGEST))
            .ok_or(Errno::INVAL)?;
        peek::read(self.pid, at, bytes)?;
        address::parse(bytes)
    }

    /// A descriptor of our own for what the runner has under a number now, if it is a socket of TCP or
    /// UDP.
    fn duplicate(&self, descriptor: RawFd) -> Result<Socket, Errno> {
        let duplicate = pidfd_getfd(&self.pidfd, descriptor, PidfdGetfdFlags::empty())?;
        Socket::examine(duplicate)
    }

    /// Refuses an address that may not be reached.
    fn check(&self, protocol: Protocol, address: SocketAddr) -> Result<(), Errno> {
        match self.verdict(protocol, address) {
            Verdict::Allowed => Ok(()),
            Verdict::Refused(reason) => {
                self.refuse(transport(protocol), address, reason);
                Err(Errno::ACCESS)
            }
        }
    }

    /// Whether an address may be reached.
    fn verdict(&self, protocol: Protocol, address: SocketAddr) -> Verdict {
        self.network.may_reach(protocol, address)
    }

    fn refuse(&self, transport: Transport, address: SocketAddr, reason: Reason) {
        self.refusals.add(Refusal::Reach {
            transport,
            address: address.to_string(),
            reason,
        });
    }
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
    }
}

/// Makes a socket where this process is.
fn host_socket(family: i32, kind: i32) -> Result<OwnedFd, Errno> {
    let family = match family {
        libc::AF_INET => AddressFamily::INET,
        _ => AddressFamily::INET6,
    };
    let kind = SocketType::from_raw(kind.cast_unsigned());
    socket_with(family, kind, SocketFlags::CLOEXEC, None)
}

/// The low half of an argument, which is all that a call looks at that takes an `int`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the high half is not looked at"
)]
fn low(argument: u64) -> i32 {
    argument as i32
}
