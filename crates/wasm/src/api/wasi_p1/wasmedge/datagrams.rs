//! Sending and receiving with an address beside the bytes.

use super::address::Place;
use super::{Function, peer, read_address};
use crate::api::wasi_p1::call;
use crate::api::wasi_p1::errno::Errno;
use crate::api::wasi_p1::receive::{DATAGRAM_BYTES, receive};
use crate::api::wasi_p1::socket;
use crate::api::wasi_p1::types::rights;
use crate::core::CoreState;
use lighter_types::grant::Protocol;
use rustix::event::PollFlags;
use rustix::net::{SendFlags, sendto};
use std::io::IoSlice;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("sock_recv_from", 7, |linker, module, name, _| {
        let receive = |caller: Caller<'_, CoreState>,
                       fd: u32,
                       pieces: u32,
                       count: u32,
                       address: u32,
                       flags: u32,
                       length: u32,
                       result_flags: u32| {
            let results = Results {
                address,
                port: None,
                length,
                flags: result_flags,
            };
            sock_recv_from(caller, fd, (pieces, count), flags, results)
        };
        linker.func_wrap(module, name, receive).map(drop)
    }),
    ("sock_recv_from", 8, |linker, module, name, _| {
        let receive = |caller: Caller<'_, CoreState>,
                       fd: u32,
                       pieces: u32,
                       count: u32,
                       address: u32,
                       flags: u32,
                       port: u32,
                       length: u32,
                       result_flags: u32| {
            let results = Results {
                address,
                port: Some(port),
                length,
                flags: result_flags,
            };
            sock_recv_from(caller, fd, (pieces, count), flags, results)
        };
        linker.func_wrap(module, name, receive).map(drop)
    }),
    ("sock_send_to", 7, |linker, module, name, _| {
        let send = |caller: Caller<'_, CoreState>,
                    fd: u32,
                    pieces: u32,
                    count: u32,
                    address: u32,
                    port: u32,
                    flags: u32,
                    result: u32| {
            sock_send_to(caller, fd, (pieces, count), (address, port), flags, result)
        };
        linker.func_wrap(module, name, send).map(drop)
    }),
];

/// Where what was received is told.
struct Results {
    /// The sender's address, as [`Place`] is pointed to.
    address: u32,
    /// Its port, in the second generation.
    port: Option<u32>,
    length: u32,
    flags: u32,
}

fn sock_recv_from(
    caller: Caller<'_, CoreState>,
    fd: u32,
    pieces: (u32, u32),
    flags: u32,
    results: Results,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket::of(&descriptor, rights::FD_READ)?;
        // All that may fail comes first: a datagram is received once.
        let place = Place::read(memory, results.address)?;
        if !place.has_room(socket.is_v6) {
            return Err(Errno::INVAL);
        }
        memory.check(results.length, 4)?;
        memory.check(results.flags, 2)?;
        if let Some(port) = results.port {
            memory.check(port, 4)?;
        }
        let received = receive(socket, memory, pieces, flags, true)?;
        let sender = match (socket.protocol, received.sender) {
            (Protocol::Udp, sender) => sender,
            // Who is gone sent nothing more.
            (Protocol::Tcp, _) => peer(socket).ok(),
        };
        if let Some(sender) = sender {
            place.write(memory, sender.ip())?;
            if let Some(port) = results.port {
                memory.write_u32(port, sender.port().into())?;
            }
        }
        memory.write(results.flags, &received.flags.to_le_bytes())?;
        memory.write_u32(results.length, received.length)
    })
}

fn sock_send_to(
    caller: Caller<'_, CoreState>,
    fd: u32,
    (pieces, count): (u32, u32),
    (address, port): (u32, u32),
    flags: u32,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket::of(&descriptor, rights::FD_WRITE)?;
        if flags != 0 {
            return Err(Errno::INVAL);
        }
        let to = read_address(memory, address, port)?;
        memory.check(result, 4)?;
        socket.check_pieces(count)?;
        let sent = memory.write_from(pieces, count, |pieces| match socket.protocol {
            Protocol::Udp => {
                let datagram = gather(pieces)?;
                socket.patiently(PollFlags::OUT, || {
                    sendto(socket, &datagram, SendFlags::empty(), &to)
                })
            }
            // A connection knows where it leads.
            Protocol::Tcp => {
                socket.patiently(PollFlags::OUT, || rustix::io::writev(socket, pieces))
            }
        })?;
        memory.write_u32(result, sent)
    })
}

/// One datagram of all the pieces.
fn gather(pieces: &[IoSlice<'_>]) -> rustix::io::Result<Vec<u8>> {
    let mut datagram = Vec::new();
    for piece in pieces {
        if piece.len() > DATAGRAM_BYTES - datagram.len() {
            return Err(rustix::io::Errno::MSGSIZE);
        }
        datagram.extend_from_slice(piece);
    }
    Ok(datagram)
}
