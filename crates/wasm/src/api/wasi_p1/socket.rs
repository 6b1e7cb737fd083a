//! A socket of the program's: what it is, and how a call on it waits.
//!
//! No socket of the system's ever blocks. What blocks is the program's call, unless it asked for another
//! answer: then it waits here, so a thread that ends its program is not held up, and for no longer than the
//! program said.

use super::descriptor::{Descriptor, Kind};
use super::errno::Errno;
use super::memory::PIECES;
use super::types::rights;
use lighter_types::grant::Protocol;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::sockopt::{socket_domain, socket_error};
use rustix::net::{AddressFamily, SocketFlags, SocketType, accept_with, connect, socket_with};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A socket of the program's.
pub(super) struct Socket {
    fd: OwnedFd,
    origin: Origin,
    /// Its transport.
    pub(super) protocol: Protocol,
    /// Whether its addresses are those of IPv6.
    pub(super) is_v6: bool,
    is_nonblocking: AtomicBool,
    /// How long a call that receives waits.
    pub(super) receive_limit: TimeLimit,
    /// How long a call that sends or connects waits.
    pub(super) send_limit: TimeLimit,
}

/// How a program came by a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It was there, listening, when the program started.
    Found,
    /// From a listener.
    Accepted,
    /// The program made it.
    Opened,
}

impl Socket {
    /// A socket of the program's making.
    ///
    /// # Errors
    /// The keeper's refusal, or the system's.
    pub(super) fn open(protocol: Protocol, is_v6: bool) -> rustix::io::Result<Self> {
        let family = if is_v6 {
            AddressFamily::INET6
        } else {
            AddressFamily::INET
        };
        let kind = match protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
        };
        let fd = socket_with(family, kind, NEW, None)?;
        Ok(Self::new(fd, Origin::Opened, protocol, is_v6))
    }

    /// A listener that was there when the program started.
    pub(super) fn found(fd: OwnedFd) -> rustix::io::Result<Self> {
        let is_v6 = socket_domain(&fd)? == AddressFamily::INET6;
        Ok(Self::new(fd, Origin::Found, Protocol::Tcp, is_v6))
    }

    fn new(fd: OwnedFd, origin: Origin, protocol: Protocol, is_v6: bool) -> Self {
        Self {
            fd,
            origin,
            protocol,
            is_v6,
            is_nonblocking: AtomicBool::new(false),
            receive_limit: TimeLimit::default(),
            send_limit: TimeLimit::default(),
        }
    }

    /// Whether it was there, listening, when the program started.
    pub(super) fn was_found(&self) -> bool {
        self.origin == Origin::Found
    }

    /// Whether it may take connections; the system knows whether it does.
    pub(super) fn may_listen(&self) -> bool {
        self.origin != Origin::Accepted
    }

    /// Takes a connection, and waits for one if the program wants to.
    ///
    /// # Errors
    /// The system's: `inval` for a socket that does not listen.
    pub(super) fn accept(&self) -> rustix::io::Result<Self> {
        let fd = self.patiently(PollFlags::IN, || accept_with(self, NEW))?;
        Ok(Self::new(fd, Origin::Accepted, self.protocol, self.is_v6))
    }

    /// Connects it, and waits for the outcome if the program wants to.
    ///
    /// # Errors
    /// The keeper's refusal, or the system's; `inprogress` where nobody waits for the outcome any longer.
    pub(super) fn connect(&self, address: SocketAddr) -> rustix::io::Result<()> {
        use rustix::io::Errno;
        loop {
            match connect(self, &address) {
                Err(Errno::INTR) => {}
                // The same call, after a stop, finds that it was made.
                Err(Errno::INPROGRESS | Errno::ALREADY) if !self.is_nonblocking() => break,
                done => return done,
            }
        }
        let mut deadline = None;
        while !self.is_ready(PollFlags::OUT, &mut deadline)? {}
        socket_error(self)?
    }

    /// As a descriptor with the rights that go with it.
    pub(super) fn into_descriptor(self) -> Descriptor {
        let both =
            rights::FD_FDSTAT_SET_FLAGS | rights::FD_FILESTAT_GET | rights::POLL_FD_READWRITE;
        let connection = both | rights::FD_READ | rights::FD_WRITE | rights::SOCK_SHUTDOWN;
        let (base, inheriting) = match self.origin {
            Origin::Found => (both | rights::FD_READ | rights::SOCK_ACCEPT, connection),
            Origin::Accepted => (connection, 0),
            Origin::Opened => (connection | rights::SOCK_ACCEPT, connection),
        };
        Descriptor::new(Kind::Socket(self), String::new(), base, inheriting)
    }

    /// Whether the program asked not to be kept waiting.
    pub(super) fn is_nonblocking(&self) -> bool {
        self.is_nonblocking.load(Ordering::Relaxed)
    }

    /// What the program asked for.
    pub(super) fn set_nonblocking(&self, is_nonblocking: bool) {
        self.is_nonblocking.store(is_nonblocking, Ordering::Relaxed);
    }

    /// Refuses a datagram of more pieces than go in one call.
    ///
    /// # Errors
    /// `msgsize`.
    pub(super) fn check_pieces(&self, count: u32) -> Result<(), Errno> {
        match self.protocol {
            Protocol::Udp if count > PIECES.into() => Err(Errno::MSGSIZE),
            Protocol::Udp | Protocol::Tcp => Ok(()),
        }
    }

    /// Notes that the program looks after a listener that was there: who asks what it is, or waits for it
    /// with others, does not expect `accept` to wait. Who just calls that does.
    pub(super) fn looked_after(&self) {
        if self.was_found() {
            self.set_nonblocking(true);
        }
    }

    /// Does it, again after a signal, and waits where the program wants to.
    ///
    /// # Errors
    /// Those of the operation; `again` when the program's time for it is over.
    pub(super) fn patiently<T>(
        &self,
        events: PollFlags,
        mut operation: impl FnMut() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        use rustix::io::Errno;
        let mut deadline = None;
        loop {
            match operation() {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if !self.is_nonblocking() => {
                    match self.is_ready(events, &mut deadline) {
                        Ok(_) => {}
                        Err(Errno::INPROGRESS) => return Err(Errno::AGAIN),
                        Err(error) => return Err(error),
                    }
                }
                done => return done,
            }
        }
    }

    /// Waits for it to be ready; a signal may end that. The first wait sets the deadline of a call.
    ///
    /// # Errors
    /// `inprogress` when the time is over, or the system's.
    fn is_ready(
        &self,
        events: PollFlags,
        deadline: &mut Option<Instant>,
    ) -> rustix::io::Result<bool> {
        let limit = match events {
            PollFlags::IN => &self.receive_limit,
            _ => &self.send_limit,
        };
        if let Some(limit) = limit.get() {
            *deadline = deadline.or_else(|| Instant::now().checked_add(limit));
        }
        let rest = deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
            .map(timespec);
        lighter_memory::before_wait();
        match poll(&mut [PollFd::new(&self.fd, events)], rest.as_ref()) {
            Ok(0) => Err(rustix::io::Errno::INPROGRESS),
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// How new sockets are.
const NEW: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How long something may take, if there is a bound; all threads see it.
#[derive(Debug, Default)]
pub(super) struct TimeLimit {
    /// In microseconds; 0 is none.
    limit_us: AtomicU64,
}

impl TimeLimit {
    /// The bound.
    pub(super) fn get(&self) -> Option<Duration> {
        let limit_us = self.limit_us.load(Ordering::Relaxed);
        (limit_us > 0).then(|| Duration::from_micros(limit_us))
    }

    /// Sets it; no time is no bound.
    pub(super) fn set(&self, limit: Duration) {
        let limit_us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        self.limit_us.store(limit_us, Ordering::Relaxed);
    }
}

/// The socket of a descriptor, checked for a right.
///
/// # Errors
/// `notsock`, and those of [`Descriptor::check`].
pub(super) fn of(descriptor: &Descriptor, right: u64) -> Result<&Socket, Errno> {
    match &descriptor.kind {
        Kind::Socket(socket) => descriptor.check(right).map(|()| socket),
        Kind::Stream(_) | Kind::File(_) | Kind::Directory(_) => Err(Errno::NOTSOCK),
    }
}
