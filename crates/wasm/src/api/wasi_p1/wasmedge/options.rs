//! Socket options.

use super::{Function, kind};
use crate::api::wasi_p1::call;
use crate::api::wasi_p1::errno::Errno;
use crate::api::wasi_p1::memory::Memory;
use crate::api::wasi_p1::socket::{self, Socket, TimeLimit};
use crate::core::CoreState;
use lighter_types::grant::Protocol;
use rustix::net::sockopt;
use std::time::Duration;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("sock_getsockopt", 5, |linker, module, name, _| {
        linker.func_wrap(module, name, sock_getsockopt).map(drop)
    }),
    ("sock_setsockopt", 5, |linker, module, name, _| {
        linker.func_wrap(module, name, sock_setsockopt).map(drop)
    }),
];

/// The one level: of all sockets.
const LEVEL: u32 = 0;

/// An option, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    ReuseAddress,
    Kind,
    Error,
    DoNotRoute,
    Broadcast,
    SendBuffer,
    ReceiveBuffer,
    KeepAlive,
    OutOfBandInline,
    Linger,
    ReceiveLowWater,
    ReceiveTimeout,
    SendTimeout,
    AcceptsConnections,
}

impl Name {
    /// The option of a level and a number. Devices have no names here.
    fn of(level: u32, number: u32) -> Result<Self, Errno> {
        if level != LEVEL {
            return Err(Errno::NOPROTOOPT);
        }
        Ok(match number {
            0 => Self::ReuseAddress,
            1 => Self::Kind,
            2 => Self::Error,
            3 => Self::DoNotRoute,
            4 => Self::Broadcast,
            5 => Self::SendBuffer,
            6 => Self::ReceiveBuffer,
            7 => Self::KeepAlive,
            8 => Self::OutOfBandInline,
            9 => Self::Linger,
            10 => Self::ReceiveLowWater,
            11 => Self::ReceiveTimeout,
            12 => Self::SendTimeout,
            13 => Self::AcceptsConnections,
            _ => return Err(Errno::NOPROTOOPT),
        })
    }
}

/// A value as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Number(i32),
    /// Seconds, of which none is off.
    Linger(i32),
    /// `struct timeval`.
    Time(Duration),
}

impl Value {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Number(number) => number.to_le_bytes().to_vec(),
            Self::Linger(seconds) => {
                [i32::from(seconds != 0).to_le_bytes(), seconds.to_le_bytes()].concat()
            }
            Self::Time(time) => {
                let parts = [time.as_secs(), time.subsec_micros().into()];
                parts.map(u64::to_le_bytes).concat()
            }
        }
    }
}

fn sock_getsockopt(
    caller: Caller<'_, CoreState>,
    fd: u32,
    level: u32,
    number: u32,
    value: u32,
    size: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket::of(&descriptor, 0)?;
        let name = Name::of(level, number)?;
        let room = u32::from_le_bytes(memory.read(size)?);
        // Reading an error takes it away, so the room for it is looked at before.
        memory.check(value, room)?;
        if room < 4 {
            return Err(Errno::INVAL);
        }
        let bytes = get(socket, name)?.bytes();
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::INVAL)?;
        if room < length {
            return Err(Errno::INVAL);
        }
        memory.write(value, &bytes)?;
        memory.write_u32(size, length)
    })
}

fn get(socket: &Socket, name: Name) -> Result<Value, Errno> {
    let flag = |is_on: bool| Value::Number(i32::from(is_on));
    let size = |bytes: usize| Value::Number(i32::try_from(bytes).unwrap_or(i32::MAX));
    Ok(match name {
        Name::ReuseAddress => flag(sockopt::socket_reuseaddr(socket)?),
        Name::Kind => Value::Number(match socket.protocol {
            Protocol::Udp => kind::DATAGRAM.cast_signed(),
            Protocol::Tcp => kind::STREAM.cast_signed(),
        }),
        Name::Error => Value::Number(match sockopt::socket_error(socket)? {
            Ok(()) => 0,
            Err(error) => Errno::from(error).number().into(),
        }),
        Name::Broadcast => flag(sockopt::socket_broadcast(socket)?),
        Name::SendBuffer => size(sockopt::socket_send_buffer_size(socket)?),
        Name::ReceiveBuffer => size(sockopt::socket_recv_buffer_size(socket)?),
        Name::KeepAlive => flag(sockopt::socket_keepalive(socket)?),
        Name::AcceptsConnections => flag(sockopt::socket_acceptconn(socket)?),
        Name::ReceiveTimeout => time(&socket.receive_limit),
        Name::SendTimeout => time(&socket.send_limit),
        // What cannot be set is as it always is.
        Name::DoNotRoute | Name::OutOfBandInline => Value::Number(0),
        Name::ReceiveLowWater => Value::Number(1),
        Name::Linger => Value::Linger(0),
    })
}

fn time(limit: &TimeLimit) -> Value {
    Value::Time(limit.get().unwrap_or_default())
}

fn sock_setsockopt(
    caller: Caller<'_, CoreState>,
    fd: u32,
    level: u32,
    number: u32,
    value: u32,
    size: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket::of(&descriptor, 0)?;
        let name = Name::of(level, number)?;
        memory.check(value, size)?;
        match name {
            Name::ReceiveTimeout => socket.receive_limit.set(read_time(memory, value, size)?),
            Name::SendTimeout => socket.send_limit.set(read_time(memory, value, size)?),
            _ => set(socket, name, read_number(memory, value, size)?)?,
        }
        Ok(())
    })
}

/// Sets what a number says. What a runner may not set can be left as it is, and not be changed.
fn set(socket: &Socket, name: Name, number: i32) -> Result<(), Errno> {
    let size = || usize::try_from(number).map_err(|_| Errno::INVAL);
    let is_on = number != 0;
    match name {
        Name::ReuseAddress => sockopt::set_socket_reuseaddr(socket, is_on)?,
        Name::Broadcast => sockopt::set_socket_broadcast(socket, is_on)?,
        Name::KeepAlive => sockopt::set_socket_keepalive(socket, is_on)?,
        Name::SendBuffer => sockopt::set_socket_send_buffer_size(socket, size()?)?,
        Name::ReceiveBuffer => sockopt::set_socket_recv_buffer_size(socket, size()?)?,
        // Of linger, the first number says whether.
        Name::DoNotRoute | Name::OutOfBandInline | Name::Linger if !is_on => {}
        Name::ReceiveLowWater if number == 1 => {}
        Name::DoNotRoute | Name::OutOfBandInline | Name::Linger | Name::ReceiveLowWater => {
            return Err(Errno::NOTSUP);
        }
        Name::Kind
        | Name::Error
        | Name::AcceptsConnections
        | Name::ReceiveTimeout
        | Name::SendTimeout => return Err(Errno::NOPROTOOPT),
    }
    Ok(())
}

fn read_number(memory: &Memory<'_>, at: u32, size: u32) -> Result<i32, Errno> {
    if size < 4 {
        return Err(Errno::INVAL);
    }
    Ok(i32::from_le_bytes(memory.read(at)?))
}

/// Reads a `struct timeval`: seconds and microseconds, eight bytes each.
fn read_time(memory: &Memory<'_>, at: u32, size: u32) -> Result<Duration, Errno> {
    if size < 16 {
        return Err(Errno::INVAL);
    }
    let behind_seconds = at.checked_add(8).ok_or(Errno::FAULT)?;
    let seconds = i64::from_le_bytes(memory.read(at)?);
    let micros = i64::from_le_bytes(memory.read(behind_seconds)?);
    let seconds = u64::try_from(seconds).map_err(|_| Errno::INVAL)?;
    match u32::try_from(micros) {
        Ok(micros) if micros < 1_000_000 => Ok(Duration::new(seconds, micros * 1000)),
        _ => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_in_memory_as_c_has_them() {
        assert_eq!(Value::Number(-1).bytes(), [255; 4]);
        assert_eq!(Value::Linger(2).bytes(), [1, 0, 0, 0, 2, 0, 0, 0]);
        let time = Value::Time(Duration::from_micros(1_000_002)).bytes();
        assert_eq!(time, [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn time_has_less_than_a_second_of_microseconds() {
        let read = |seconds: i64, micros: i64| {
            let mut bytes = [seconds, micros].map(i64::to_le_bytes).concat();
            read_time(&Memory::Own(&mut bytes), 0, 16)
        };
        assert_eq!(read(1, 999_999), Ok(Duration::from_micros(1_999_999)));
        assert_eq!(read(1, 1_000_000), Err(Errno::INVAL));
        assert_eq!(read(-1, 0), Err(Errno::INVAL));
        let longest = read(i64::MAX, 0).expect("a time");
        assert_eq!(longest.subsec_nanos(), 0);
    }

    #[test]
    fn option_of_another_level_is_not_known() {
        assert_eq!(Name::of(0, 0), Ok(Name::ReuseAddress));
        assert_eq!(Name::of(6, 1), Err(Errno::NOPROTOOPT));
        assert_eq!(Name::of(0, 14), Err(Errno::NOPROTOOPT));
        assert_eq!(Name::of(0, u32::MAX), Err(Errno::NOPROTOOPT));
    }
}
