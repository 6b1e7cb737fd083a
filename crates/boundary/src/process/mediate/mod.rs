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
//! once, through copies. A duplicate that was kept would keep the connection open, so none is.

mod address;
mod peers;
mod sockets;

use crate::refusals::Refusals;
use crate::sys::notify::{Call, Listener};
use crate::sys::peek;
use address::Named;
use lighter_types::grant::Protocol;
use lighter_types::network::{
    AddressKind, Destination, NetworkPolicy, Pins, PublishedPort, Reason, Transport, Verdict, meant,
};
use lighter_types::refusal::Refusal;
use peers::Peers;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_reuseaddr, set_socket_timeout};
use rustix::net::{SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, PidfdGetfdFlags, pidfd_getfd};
use sockets::Socket;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// What allowed names were looked up as.
    pub pins: Mutex<Pins>,
}

/// Answers the calls of one runner until it is gone.
pub(super) struct Mediator {
    pub(super) listener: Listener,
    /// The runner, which is not reaped before this has ended: its number is nobody else's.
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) network: Arc<Network>,
    /// Where it is told what was refused.
    pub(super) refusals: Arc<Refusals>,
}

/// The longest datagram, in bytes.
const DATAGRAM_BYTES: usize = 65_535;

/// How long a connect may hold up the calls of other threads.
const CONNECT_TIME: Duration = Duration::from_millis(100);

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
    pub(super) fn serve(self) {
        let mut datagram = Vec::new();
        let mut peers = Peers::default();
        while let Ok(Some(call)) = self.listener.next(self.pidfd.as_fd()) {
            let answered = match self.answer(&call, &mut datagram, &mut peers) {
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

    fn answer(
        &self,
        call: &Call,
        datagram: &mut Vec<u8>,
        peers: &mut Peers,
    ) -> Result<Option<i64>, Errno> {
        let answer = match call.number {
            libc::SYS_socket => return self.make(call).map(|()| None),
            libc::SYS_connect => self.connect(call),
            libc::SYS_bind => self.bind(call),
            libc::SYS_listen => self.listen(call),
            libc::SYS_setsockopt => self.set_v6_only(call),
            libc::SYS_sendto => self.send(call, datagram, peers),
            libc::SYS_recvfrom => self.receive(call, datagram, peers),
            _ => Err(Errno::NOSYS),
        };
        answer.map(Some)
    }

    /// Makes a socket of TCP or UDP, of which the runner gets the only descriptor.
    fn make(&self, call: &Call) -> Result<(), Errno> {
        let [family, kind, protocol, ..] = call.arguments.map(low);
        let family = match family {
            libc::AF_INET => rustix::net::AddressFamily::INET,
            libc::AF_INET6 => rustix::net::AddressFamily::INET6,
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
        self.listener.give(call, socket.as_fd(), None)
    }

    fn connect(&self, call: &Call) -> Answer {
        let [descriptor, _, length, ..] = call.arguments.map(low);
        let named = self.read_address(call.arguments[1], length)?;
        let socket = self.duplicate(descriptor)?;
        let Named::Address(address) = named else {
            return socket.disconnect().map(|()| 0);
        };
        let address = meant(address);
        self.check(socket.protocol, address)?;
        socket.connect(address).map(|()| 0)
    }

    fn bind(&self, call: &Call) -> Answer {
        let [descriptor, _, length, ..] = call.arguments.map(low);
        let named = self.read_address(call.arguments[1], length)?;
        let socket = self.duplicate(descriptor)?;
        let Named::Address(address) = named else {
            return Err(Errno::AFNOSUPPORT);
        };
        if self.network.is_host {
            return socket.bind(address).map(|()| 0);
        }
        let inner = meant(address).ip();
        if AddressKind::of(inner) != AddressKind::Loopback {
            // Its own are the loopback's, and all.
            return Err(Errno::ADDRNOTAVAIL);
        }
        let published =
            self.network.published.iter().find(|port| {
                port.protocol == socket.protocol && port.container_port == address.port()
            });
        match published {
            Some(port) => {
                for reserved in &self.network.reserved {
                    // From now on the guest's own socket holds it.
                    set_socket_reuseaddr(reserved, true)?;
                }
                socket.bind_published(port).map(|()| 0)
            }
            // Any port: for what it will connect or send to.
            None if address.port() == 0 && self.may_send(socket.protocol) => {
                socket.bind(address).map(|()| 0)
            }
            None => {
                self.refusals.add(Refusal::Listen {
                    protocol: socket.protocol,
                    port: address.port(),
                });
                Err(Errno::ACCESS)
            }
        }
    }

    /// Sets whether a socket of IPv6 is for that alone, which must not change while it is bound.
    fn set_v6_only(&self, call: &Call) -> Answer {
        let [descriptor, level, option, _, length, _] = call.arguments.map(low);
        if (level, option, length) != (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 4) {
            return Err(Errno::INVAL);
        }
        let mut value = [0; 4];
        peek::read(self.pid, call.arguments[3], &mut value)?;
        let socket = self.duplicate(descriptor)?;
        socket.set_v6_only(value != [0; 4]).map(|()| 0)
    }

    /// Lets a socket listen where it was bound to what is published. Without a bind before it the kernel
    /// would choose a port, for all to see.
    fn listen(&self, call: &Call) -> Answer {
        let [descriptor, backlog, ..] = call.arguments.map(low);
        let socket = self.duplicate(descriptor)?;
        if socket.protocol != Protocol::Tcp {
            return Err(Errno::OPNOTSUPP);
        }
        if self.is_shown(&socket)? {
            return socket.listen(backlog).map(|()| 0);
        }
        self.refusals.add(Refusal::Listen {
            protocol: Protocol::Tcp,
            port: socket.local()?.port(),
        });
        Err(Errno::ACCESS)
    }

    /// Whether a socket is bound where the host shows a port, so that strangers may come.
    fn is_shown(&self, socket: &Socket) -> Result<bool, Errno> {
        let own = socket.local()?;
        let mut published = self.network.published.iter();
        Ok(self.network.is_host || published.any(|port| port.is_at(socket.protocol, own)))
    }

    /// Whether there is anywhere to send datagrams to; a connection is nobody's until it is made.
    fn may_send(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Tcp || self.network.policy.has_datagrams()
    }

    /// Sends a datagram to the address beside it.
    fn send(&self, call: &Call, datagram: &mut Vec<u8>, peers: &Peers) -> Answer {
        let [descriptor, _, _, flags, _, length] = call.arguments.map(low);
        let named = self.read_address(call.arguments[4], length)?;
        let size = usize::try_from(call.arguments[2]).unwrap_or(usize::MAX);
        if size > DATAGRAM_BYTES {
            return Err(Errno::MSGSIZE);
        }
        datagram.resize(size, 0);
        peek::read(self.pid, call.arguments[1], datagram)?;
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
        let address = meant(address);
        // Who has sent something is answered, as anywhere.
        if !(peers.has(socket.cookie()?, address) && self.is_shown(&socket)?) {
            self.check(Protocol::Udp, address)?;
        }
        let sent = socket.send(datagram, flags, address)?;
        Ok(i64::try_from(sent).unwrap_or(i64::MAX))
    }

    /// Takes a datagram that has arrived, and notes who sent it.
    fn receive(&self, call: &Call, datagram: &mut Vec<u8>, peers: &mut Peers) -> Answer {
        let [descriptor, _, _, flags, ..] = call.arguments.map(low);
        let [_, buffer, size, _, address_at, length_at] = call.arguments;
        let socket = self.duplicate(descriptor)?;
        if socket.protocol != Protocol::Udp {
            // TCP has no address to tell.
            return Err(Errno::OPNOTSUPP);
        }
        let mut room = [0; 4];
        peek::read(self.pid, length_at, &mut room)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        datagram.resize(size.min(DATAGRAM_BYTES), 0);
        let (received, length, from) = socket.receive(datagram, flags & RECEIVE_FLAGS)?;
        peers.add(socket.cookie()?, meant(from));
        let (bytes, address_length) = address::write(from);
        let room = usize::try_from(i32::from_ne_bytes(room)).map_err(|_| Errno::INVAL)?;
        let bytes = bytes.get(..address_length.min(room)).unwrap_or(&bytes);
        let told = u32::try_from(address_length).unwrap_or(0).to_ne_bytes();
        peek::write(
            self.pid,
            buffer,
            datagram.get(..received).unwrap_or_default(),
        )?;
        peek::write(self.pid, address_at, bytes)?;
        peek::write(self.pid, length_at, &told)?;
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

    /// Whether an address may be reached.
    fn check(&self, protocol: Protocol, address: SocketAddr) -> Result<(), Errno> {
        let transport = match protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
        };
        let names = self
            .network
            .pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .names_of(address.ip(), Instant::now());
        let kind = match AddressKind::of(address.ip()) {
            AddressKind::Public if sockets::is_own(address.ip()) => AddressKind::Loopback,
            kind => kind,
        };
        let to = Destination {
            address,
            kind,
            names: &names,
        };
        match self.network.policy.may_reach(transport, &to) {
            Verdict::Allowed => Ok(()),
            Verdict::Refused(reason) => {
                self.refuse(transport, address, reason);
                Err(Errno::ACCESS)
            }
        }
    }

    fn refuse(&self, transport: Transport, address: SocketAddr, reason: Reason) {
        self.refusals.add(Refusal::Reach {
            transport,
            address: address.to_string(),
            reason,
        });
    }
}

/// The low half of an argument, which is all that a call looks at that takes an `int`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the high half is not looked at"
)]
fn low(argument: u64) -> i32 {
    argument as i32
}
