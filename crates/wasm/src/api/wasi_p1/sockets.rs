//! Sockets as the standard has them: listeners that are open when the program starts, and the
//! connections that they accept.
//!
//! No socket of the system's ever blocks. What blocks is the program's call, unless it asked for another
//! answer: then it waits here, so a thread that ends its program is not held up.

use super::descriptor::{Descriptor, Kind};
use super::errno::Errno;
use super::memory::Memory;
use super::types::{fdflags, rights};
use super::{Function, call, call_without_memory};
use crate::core::CoreState;
use lighter_types::grant::Protocol;
use lighter_types::network::PublishedPort;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, accept_with, bind, listen, recv,
    shutdown, socket_with,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("sock_accept", |linker, module, name, _| {
        linker.func_wrap(module, name, sock_accept).map(drop)
    }),
    ("sock_recv", |linker, module, name, _| {
        linker.func_wrap(module, name, sock_recv).map(drop)
    }),
    ("sock_send", |linker, module, name, _| {
        linker.func_wrap(module, name, sock_send).map(drop)
    }),
    ("sock_shutdown", |linker, module, name, _| {
        linker.func_wrap(module, name, sock_shutdown).map(drop)
    }),
];

/// How many connections wait to be accepted.
const BACKLOG: i32 = 1024;

/// The most bytes that one call receives or sends with flags.
const BUFFER_BYTES: usize = 64 << 10;

/// A socket of the program's.
pub(super) struct Socket {
    fd: OwnedFd,
    /// Whether it takes connections.
    pub(super) is_listener: bool,
    is_nonblocking: AtomicBool,
}

impl Socket {
    /// A connection.
    fn connection(fd: OwnedFd, is_nonblocking: bool) -> Self {
        Self {
            fd,
            is_listener: false,
            is_nonblocking: AtomicBool::new(is_nonblocking),
        }
    }

    /// A listener on a port of the program's that the host shows.
    ///
    /// # Errors
    /// The keeper's refusal, or the system's.
    pub(super) fn listener(port: &PublishedPort) -> rustix::io::Result<Self> {
        let made = |address: IpAddr| {
            let family = if address.is_ipv6() {
                AddressFamily::INET6
            } else {
                AddressFamily::INET
            };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let fd = socket_with(family, SocketType::STREAM, flags, None)?;
            bind(&fd, &SocketAddr::new(address, port.container_port))?;
            listen(&fd, BACKLOG)?;
            Ok(Self {
                fd,
                is_listener: true,
                is_nonblocking: AtomicBool::new(false),
            })
        };
        // For both families, unless the machine has only one.
        match made(Ipv6Addr::UNSPECIFIED.into()) {
            Err(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL) => {
                made(Ipv4Addr::UNSPECIFIED.into())
            }
            made => made,
        }
    }

    /// Whether the program asked not to be kept waiting.
    pub(super) fn is_nonblocking(&self) -> bool {
        self.is_nonblocking.load(Ordering::Relaxed)
    }

    /// What the program asked for.
    pub(super) fn set_nonblocking(&self, is_nonblocking: bool) {
        self.is_nonblocking.store(is_nonblocking, Ordering::Relaxed);
    }

    /// Notes that the program looks after a listener that was there: who asks what it is, or waits for it
    /// with others, does not expect `accept` to wait. Who just calls that does.
    pub(super) fn looked_after(&self) {
        if self.is_listener {
            self.set_nonblocking(true);
        }
    }

    /// Does it, again after a signal, and waits where the program wants to.
    pub(super) fn patiently<T>(
        &self,
        events: PollFlags,
        mut operation: impl FnMut() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        use rustix::io::Errno;
        loop {
            match operation() {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if !self.is_nonblocking() => {
                    match poll(&mut [PollFd::new(&self.fd, events)], None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error),
                    }
                }
                done => return done,
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The listeners that a program finds open: one for each port of TCP that was published.
///
/// # Errors
/// The port that could not be listened on, and why.
pub(super) fn listeners(
    published: &[PublishedPort],
) -> Result<Vec<Descriptor>, (u16, rustix::io::Errno)> {
    published
        .iter()
        .filter(|port| port.protocol == Protocol::Tcp)
        .map(|port| {
            let socket = Socket::listener(port).map_err(|error| (port.container_port, error))?;
            Ok(descriptor(socket))
        })
        .collect()
}

fn descriptor(socket: Socket) -> Descriptor {
    let both = rights::FD_FDSTAT_SET_FLAGS | rights::FD_FILESTAT_GET | rights::POLL_FD_READWRITE;
    let connection = both | rights::FD_READ | rights::FD_WRITE | rights::SOCK_SHUTDOWN;
    let (base, inheriting) = if socket.is_listener {
        (both | rights::FD_READ | rights::SOCK_ACCEPT, connection)
    } else {
        (connection, 0)
    };
    Descriptor::new(Kind::Socket(socket), String::new(), base, inheriting)
}

/// The socket of a descriptor, checked for a right.
fn socket(descriptor: &Descriptor, right: u64) -> Result<&Socket, Errno> {
    match &descriptor.kind {
        Kind::Socket(socket) => descriptor.check(right).map(|()| socket),
        Kind::Stream(_) | Kind::File(_) | Kind::Directory(_) => Err(Errno::NOTSOCK),
    }
}

fn sock_accept(
    caller: Caller<'_, CoreState>,
    fd: u32,
    flags: u32,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let listener = context.descriptors.get(fd)?;
        let socket = socket(&listener, 0)?;
        if !socket.is_listener || flags & !fdflags::NONBLOCK != 0 {
            return Err(Errno::INVAL);
        }
        listener.check(rights::SOCK_ACCEPT)?;
        memory.check(result, 4)?;
        let system = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accepted = socket.patiently(PollFlags::IN, || accept_with(socket, system))?;
        let connection = Socket::connection(accepted, flags & fdflags::NONBLOCK != 0);
        let number = context.descriptors.insert(descriptor(connection))?;
        memory.write_u32(result, number)
    })
}

/// `riflags` of the standard.
mod riflags {
    pub(super) const PEEK: u32 = 1;
    pub(super) const WAITALL: u32 = 2;
}

#[expect(clippy::too_many_arguments, reason = "these are WASI's parameters")]
fn sock_recv(
    caller: Caller<'_, CoreState>,
    fd: u32,
    pieces: u32,
    count: u32,
    flags: u32,
    result: u32,
    result_flags: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket(&descriptor, rights::FD_READ)?;
        if flags & !(riflags::PEEK | riflags::WAITALL) != 0 {
            return Err(Errno::INVAL);
        }
        memory.check(result, 4)?;
        memory.check(result_flags, 2)?;
        let done = if flags == 0 {
            memory.read_into(pieces, count, |pieces| {
                socket.patiently(PollFlags::IN, || rustix::io::readv(socket, pieces))
            })?
        } else {
            receive_with(socket, memory, (pieces, count), flags)?
        };
        memory.write(result_flags, &[0; 2])?;
        memory.write_u32(result, done)
    })
}

/// Receives through a buffer, with flags.
fn receive_with(
    socket: &Socket,
    memory: &mut Memory<'_>,
    (pieces, count): (u32, u32),
    flags: u32,
) -> Result<u32, Errno> {
    memory.read_into(pieces, count, |pieces| {
        let wanted: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut buffer = vec![0; wanted.min(BUFFER_BYTES)];
        let mut had = 0;
        while let Some(rest) = buffer.get_mut(had..).filter(|rest| !rest.is_empty()) {
            let is_peek = flags & riflags::PEEK != 0;
            let system = if is_peek {
                RecvFlags::PEEK
            } else {
                RecvFlags::empty()
            };
            let received = socket.patiently(PollFlags::IN, || {
                recv(socket, &mut *rest, system).map(|(received, _)| received)
            });
            match received {
                Ok(received) => had += received,
                // What is there already is not lost.
                Err(_) if had > 0 => break,
                Err(error) => return Err(error),
            }
            if flags & riflags::WAITALL == 0 || is_peek || received == Ok(0) {
                break;
            }
        }
        let mut rest = buffer.get(..had).unwrap_or_default();
        for piece in pieces.iter_mut() {
            let (first, others) = rest.split_at(rest.len().min(piece.len()));
            if let Some(place) = piece.get_mut(..first.len()) {
                place.copy_from_slice(first);
            }
            rest = others;
        }
        Ok(had)
    })
}

fn sock_send(
    caller: Caller<'_, CoreState>,
    fd: u32,
    pieces: u32,
    count: u32,
    flags: u32,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket(&descriptor, rights::FD_WRITE)?;
        if flags != 0 {
            return Err(Errno::INVAL);
        }
        memory.check(result, 4)?;
        let done = memory.write_from(pieces, count, |pieces| {
            socket.patiently(PollFlags::OUT, || rustix::io::writev(socket, pieces))
        })?;
        memory.write_u32(result, done)
    })
}

fn sock_shutdown(caller: Caller<'_, CoreState>, fd: u32, how: u32) -> u32 {
    call_without_memory(caller, |context| {
        let how = match how {
            1 => Shutdown::Read,
            2 => Shutdown::Write,
            3 => Shutdown::Both,
            _ => return Err(Errno::INVAL),
        };
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket(&descriptor, rights::SOCK_SHUTDOWN)?;
        Ok(shutdown(socket, how)?)
    })
}
