//! Receiving from sockets: streams with flags, and datagrams.

use super::errno::Errno;
use super::memory::Memory;
use super::socket::Socket;
use lighter_types::grant::Protocol;
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, recv, recvfrom};
use std::io::IoSliceMut;
use std::net::SocketAddr;

/// The most bytes that one call receives of a stream with flags.
const BUFFER_BYTES: usize = 64 << 10;

/// The longest datagram, in bytes.
pub(super) const DATAGRAM_BYTES: usize = 65_535;

/// `riflags` of the standard.
mod riflags {
    pub(super) const PEEK: u32 = 1;
    pub(super) const WAITALL: u32 = 2;
}

/// `roflags` of the standard: there was more of the datagram than room for it.
pub(super) const TRUNCATED: u16 = 1;

/// What was received.
pub(super) struct Received {
    /// How many bytes.
    pub(super) length: u32,
    /// `roflags` of the standard.
    pub(super) flags: u16,
    /// Who sent it, if that was asked for.
    pub(super) sender: Option<SocketAddr>,
}

/// Receives into the pieces that the guest names.
///
/// # Errors
/// `inval` for flags that there are not, `fault`, and the system's.
pub(super) fn receive(
    socket: &Socket,
    memory: &mut Memory<'_>,
    (pieces, count): (u32, u32),
    flags: u32,
    asks_sender: bool,
) -> Result<Received, Errno> {
    if flags & !(riflags::PEEK | riflags::WAITALL) != 0 {
        return Err(Errno::INVAL);
    }
    let mut received = Received {
        length: 0,
        flags: 0,
        sender: None,
    };
    received.length = memory.read_into(pieces, count, |pieces| match socket.protocol {
        Protocol::Tcp if flags == 0 => {
            socket.patiently(PollFlags::IN, || rustix::io::readv(socket, pieces))
        }
        Protocol::Tcp => stream(socket, pieces, flags),
        Protocol::Udp => datagram(socket, pieces, flags, asks_sender, &mut received),
    })?;
    Ok(received)
}

/// Receives of a stream through a buffer, with flags.
fn stream(socket: &Socket, pieces: &mut [IoSliceMut<'_>], flags: u32) -> rustix::io::Result<usize> {
    let mut buffer = vec![0; room(pieces).min(BUFFER_BYTES)];
    let mut had = 0;
    while let Some(rest) = buffer.get_mut(had..).filter(|rest| !rest.is_empty()) {
        let is_peek = flags & riflags::PEEK != 0;
        let received = socket.patiently(PollFlags::IN, || {
            recv(socket, &mut *rest, peek(flags)).map(|(received, _)| received)
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
    scatter(buffer.get(..had).unwrap_or_default(), pieces);
    Ok(had)
}

/// Receives one datagram, of which there may be more than room for it.
fn datagram(
    socket: &Socket,
    pieces: &mut [IoSliceMut<'_>],
    flags: u32,
    asks_sender: bool,
    told: &mut Received,
) -> rustix::io::Result<usize> {
    let mut buffer = vec![0; room(pieces).min(DATAGRAM_BYTES)];
    // The system then says how long the datagram was.
    let flags = peek(flags) | RecvFlags::TRUNC;
    let (had, length) = socket.patiently(PollFlags::IN, || {
        if !asks_sender {
            return recv(socket, &mut *buffer, flags);
        }
        let (had, length, sender) = recvfrom(socket, &mut *buffer, flags)?;
        told.sender = sender.map(SocketAddr::try_from).transpose()?;
        Ok((had, length))
    })?;
    if length > had {
        told.flags = TRUNCATED;
    }
    scatter(buffer.get(..had).unwrap_or_default(), pieces);
    Ok(had)
}

fn peek(flags: u32) -> RecvFlags {
    if flags & riflags::PEEK != 0 {
        RecvFlags::PEEK
    } else {
        RecvFlags::empty()
    }
}

/// How much the pieces hold.
fn room(pieces: &[IoSliceMut<'_>]) -> usize {
    let lengths = pieces.iter().map(|piece| piece.len());
    lengths.fold(0, usize::saturating_add)
}

/// Lays bytes out over the pieces, in order.
fn scatter(mut rest: &[u8], pieces: &mut [IoSliceMut<'_>]) {
    for piece in pieces {
        let (first, others) = rest.split_at(rest.len().min(piece.len()));
        if let Some(place) = piece.get_mut(..first.len()) {
            place.copy_from_slice(first);
        }
        rest = others;
    }
}
