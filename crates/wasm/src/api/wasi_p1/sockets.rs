//! The socket functions, on descriptors none of which is a socket: a program has sockets only
//! where listeners were handed to it.

use super::errno::Errno;
use super::{Function, call_without_memory};
use crate::core::CoreState;
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

/// Answers for a descriptor that is open or not, but is no socket.
fn no_socket(caller: Caller<'_, CoreState>, fd: u32) -> u32 {
    call_without_memory(caller, |context| {
        context.descriptors.get(fd)?;
        Err(Errno::NOTSOCK)
    })
}

fn sock_accept(caller: Caller<'_, CoreState>, fd: u32, _flags: u32, _result: u32) -> u32 {
    no_socket(caller, fd)
}

#[expect(clippy::too_many_arguments, reason = "these are WASI's parameters")]
fn sock_recv(
    caller: Caller<'_, CoreState>,
    fd: u32,
    _pieces: u32,
    _count: u32,
    _flags: u32,
    _result: u32,
    _result_flags: u32,
) -> u32 {
    no_socket(caller, fd)
}

fn sock_send(
    caller: Caller<'_, CoreState>,
    fd: u32,
    _pieces: u32,
    _count: u32,
    _flags: u32,
    _result: u32,
) -> u32 {
    no_socket(caller, fd)
}

fn sock_shutdown(caller: Caller<'_, CoreState>, fd: u32, _how: u32) -> u32 {
    no_socket(caller, fd)
}
