//! Sockets as the standard has them: listeners that are open when the program starts, and the
//! connections that they accept. What others opened works with them too.

use super::context::WasiContext;
use super::descriptor::Descriptor;
use super::errno::Errno;
use super::memory::Memory;
use super::receive::receive;
use super::socket::{self, Socket};
use super::types::{fdflags, rights};
use super::{Function, call, call_without_memory};
use crate::core::CoreState;
use lighter_types::network::PublishedPort;
use rustix::event::PollFlags;
use rustix::net::{Shutdown, shutdown};
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

/// The listeners that a program finds open: one for each port of TCP that was published.
///
/// # Errors
/// The port that could not be listened on, and why.
pub(super) fn listeners(
    published: &[PublishedPort],
) -> Result<Vec<Descriptor>, (u16, rustix::io::Errno)> {
    let listeners = crate::listeners::listeners(published)?;
    let found = |listener| Socket::found(listener).map(Socket::into_descriptor);
    let found = listeners.into_iter().map(found).collect::<Result<_, _>>();
    found.map_err(|error| (0, error))
}

fn sock_accept(
    caller: Caller<'_, CoreState>,
    fd: u32,
    flags: u32,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        accept(context, memory, fd, flags, result)
    })
}

/// Takes a connection, and gives it a number.
pub(super) fn accept(
    context: &WasiContext,
    memory: &mut Memory<'_>,
    fd: u32,
    flags: u32,
    result: u32,
) -> Result<(), Errno> {
    let listener = context.descriptors.get(fd)?;
    let socket = socket::of(&listener, 0)?;
    if !socket.may_listen() || flags & !fdflags::NONBLOCK != 0 {
        return Err(Errno::INVAL);
    }
    listener.check(rights::SOCK_ACCEPT)?;
    memory.check(result, 4)?;
    let connection = socket.accept()?;
    connection.set_nonblocking(flags & fdflags::NONBLOCK != 0);
    let number = context.descriptors.insert(connection.into_descriptor())?;
    memory.write_u32(result, number)
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
        let socket = socket::of(&descriptor, rights::FD_READ)?;
        memory.check(result, 4)?;
        memory.check(result_flags, 2)?;
        let received = receive(socket, memory, (pieces, count), flags, false)?;
        memory.write(result_flags, &received.flags.to_le_bytes())?;
        memory.write_u32(result, received.length)
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
        let socket = socket::of(&descriptor, rights::FD_WRITE)?;
        if flags != 0 {
            return Err(Errno::INVAL);
        }
        memory.check(result, 4)?;
        socket.check_pieces(count)?;
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
        let socket = socket::of(&descriptor, rights::SOCK_SHUTDOWN)?;
        Ok(shutdown(socket, how)?)
    })
}
