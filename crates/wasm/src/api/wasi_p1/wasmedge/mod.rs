//! Sockets that a program makes itself: WasmEdge's extension of `wasi_snapshot_preview1`.
//!
//! ```text
//!   mod.rs        which function an import means; sockets and connections
//!   datagrams.rs  sending and receiving with an address beside it
//!   address.rs    addresses in a guest's memory
//!   options.rs    socket options
//!   lookup.rs     sock_getaddrinfo: a guest's question and its list of results
//!   resolve.rs    what the answer is
//!   services.rs   the ports of services
//! ```
//!
//! There are two generations of it. Some functions have two types under one name, and the number of
//! parameters tells which one a program means; where the types are equal, the addresses of both are taken.
//! Each function can also be imported as `NAME_v2`. All ports are in the machine's order.

mod address;
mod datagrams;
mod lookup;
mod options;
mod resolve;
mod services;

use super::errno::Errno;
use super::memory::Memory;
use super::socket::{self, Socket};
use super::types::rights;
use super::{Link, call, call_without_memory, sockets};
use crate::core::CoreState;
use address::{Family, Place};
use lighter_types::grant::Protocol;
use lighter_types::refusal::Refusal;
use rustix::net::{bind, getpeername, getsockname, listen};
use std::net::SocketAddr;
use wasmtime::Caller;

/// One function: its name, its number of parameters, and what adds it to a linker.
type Function = (&'static str, usize, Link);

/// All functions, file by file.
const FUNCTIONS: &[&[Function]] = &[
    CONNECTIONS,
    datagrams::FUNCTIONS,
    options::FUNCTIONS,
    lookup::FUNCTIONS,
];

const CONNECTIONS: &[Function] = &[
    ("sock_open", 3, |linker, module, name, _| {
        linker.func_wrap(module, name, sock_open).map(drop)
    }),
    ("sock_bind", 3, |linker, module, name, _| {
        linker.func_wrap(module, name, sock_bind).map(drop)
    }),
    ("sock_connect", 3, |linker, module, name, _| {
        linker.func_wrap(module, name, sock_connect).map(drop)
    }),
    ("sock_listen", 2, |linker, module, name, _| {
        linker.func_wrap(module, name, sock_listen).map(drop)
    }),
    (ACCEPT, ACCEPT_PARAMETERS, |linker, module, name, _| {
        linker.func_wrap(module, name, sock_accept).map(drop)
    }),
    ("sock_getlocaladdr", 4, |linker, module, name, _| {
        let get = |caller: Caller<'_, CoreState>, fd, address, kind, port| {
            get_address(caller, fd, local, (address, Some(kind), port))
        };
        linker.func_wrap(module, name, get).map(drop)
    }),
    ("sock_getlocaladdr", 3, |linker, module, name, _| {
        let get = |caller: Caller<'_, CoreState>, fd, address, port| {
            get_address(caller, fd, local, (address, None, port))
        };
        linker.func_wrap(module, name, get).map(drop)
    }),
    ("sock_getpeeraddr", 4, |linker, module, name, _| {
        let get = |caller: Caller<'_, CoreState>, fd, address, kind, port| {
            get_address(caller, fd, peer, (address, Some(kind), port))
        };
        linker.func_wrap(module, name, get).map(drop)
    }),
    ("sock_getpeeraddr", 3, |linker, module, name, _| {
        let get = |caller: Caller<'_, CoreState>, fd, address, port| {
            get_address(caller, fd, peer, (address, None, port))
        };
        linker.func_wrap(module, name, get).map(drop)
    }),
];

/// The one name that the standard has as well, with a type of its own; and the parameters that it has here.
const ACCEPT: &str = "sock_accept";
const ACCEPT_PARAMETERS: usize = 2;

/// What adds the function that an import means; without a number of parameters, any of that name.
pub(super) fn find(item: &str, parameters: Option<usize>) -> Option<Link> {
    let name = second_generation(item).unwrap_or(item);
    let of_name = || {
        let all = FUNCTIONS.iter().copied().flatten();
        all.filter(|(known, ..)| *known == name)
    };
    let exact = of_name().find(|(_, count, _)| parameters == Some(*count));
    // What has another type is refused by name when it is linked.
    let found = exact.or_else(|| of_name().find(|(known, ..)| *known != ACCEPT));
    found.map(|(.., link)| *link)
}

/// Whether an import by a name of the standard's is the extension's all the same.
pub(super) fn has_another_type(item: &str, parameters: Option<usize>) -> bool {
    item == ACCEPT && parameters == Some(ACCEPT_PARAMETERS)
}

/// The standard's name for what the extension has under another one.
pub(super) fn standard_name(item: &str) -> Option<&str> {
    match item {
        "epoll_oneoff" => Some("poll_oneoff"),
        _ => second_generation(item),
    }
}

/// The name of a function that is imported as the second generation's.
fn second_generation(item: &str) -> Option<&str> {
    item.strip_suffix("_v2")
        .filter(|name| name.starts_with("sock_"))
}

/// Whether a function is of no use without a network.
pub(super) fn needs_network(item: &str) -> bool {
    find(item, None).is_some()
}

/// The numbers of transports.
mod kind {
    pub(super) const DATAGRAM: u32 = 1;
    pub(super) const STREAM: u32 = 2;
}

fn sock_open(
    caller: Caller<'_, CoreState>,
    family: u32,
    kind: u32,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let is_v6 = match Family::of(family).ok_or(Errno::INVAL)? {
            Family::V4 => false,
            Family::V6 => true,
            Family::Any => return Err(Errno::AFNOSUPPORT),
            Family::Unix => return Err(Errno::NOSYS),
        };
        let (protocol, action) = match kind {
            kind::DATAGRAM => (Protocol::Udp, "create a UDP socket"),
            kind::STREAM => (Protocol::Tcp, "create a TCP socket"),
            _ => return Err(Errno::INVAL),
        };
        memory.check(result, 4)?;
        if !context.has_network {
            let action = action.to_owned();
            context.refuse(Refusal::Socket { action });
            return Err(Errno::ACCES);
        }
        let socket = Socket::open(protocol, is_v6)?;
        let number = context.descriptors.insert(socket.into_descriptor())?;
        memory.write_u32(result, number)
    })
}

fn sock_bind(
    caller: Caller<'_, CoreState>,
    fd: u32,
    address: u32,
    port: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket::of(&descriptor, 0)?;
        let address = read_address(memory, address, port)?;
        Ok(bind(socket, &address)?)
    })
}

fn sock_connect(
    caller: Caller<'_, CoreState>,
    fd: u32,
    address: u32,
    port: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket::of(&descriptor, 0)?;
        let address = read_address(memory, address, port)?;
        Ok(socket.connect(address)?)
    })
}

fn sock_listen(caller: Caller<'_, CoreState>, fd: u32, backlog: u32) -> u32 {
    call_without_memory(caller, |context| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket::of(&descriptor, rights::SOCK_ACCEPT)?;
        // The system has a bound of its own.
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        Ok(listen(socket, backlog)?)
    })
}

fn sock_accept(caller: Caller<'_, CoreState>, fd: u32, result: u32) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        sockets::accept(context, memory, fd, 0, result)
    })
}

/// Where a socket is: its own end.
fn local(socket: &Socket) -> Result<SocketAddr, Errno> {
    Ok(SocketAddr::try_from(getsockname(socket)?)?)
}

/// Where its peer is.
fn peer(socket: &Socket) -> Result<SocketAddr, Errno> {
    let address = getpeername(socket)?.ok_or(rustix::io::Errno::NOTCONN)?;
    Ok(SocketAddr::try_from(address)?)
}

/// Tells one end of a socket: its address, in the first generation also which kind of address it is, its port.
fn get_address(
    caller: Caller<'_, CoreState>,
    fd: u32,
    end: fn(&Socket) -> Result<SocketAddr, Errno>,
    (address, kind, port): (u32, Option<u32>, u32),
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let socket = socket::of(&descriptor, 0)?;
        let place = Place::read(memory, address)?;
        let found = end(socket)?;
        place.write(memory, found.ip())?;
        if let Some(kind) = kind {
            memory.write_u32(kind, if found.is_ipv6() { 6 } else { 4 })?;
        }
        memory.write_u32(port, found.port().into())
    })
}

/// Reads where to.
fn read_address(memory: &Memory<'_>, address: u32, port: u32) -> Result<SocketAddr, Errno> {
    let port = u16::try_from(port).map_err(|_| Errno::INVAL)?;
    let address = Place::read(memory, address)?.address(memory)?;
    Ok(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(one: Option<Link>, other: Option<Link>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => std::ptr::fn_addr_eq(one, other),
            _ => false,
        }
    }

    #[test]
    fn number_of_parameters_tells_the_generations_apart() {
        for (name, first, second) in [
            ("sock_recv_from", 7, 8),
            ("sock_getlocaladdr", 4, 3),
            ("sock_getpeeraddr", 4, 3),
        ] {
            let (first, second) = (find(name, Some(first)), find(name, Some(second)));
            assert!(first.is_some() && second.is_some(), "{name}");
            assert!(!is_same(first, second), "{name}");
        }
        assert!(find(ACCEPT, Some(2)).is_some());
        assert!(find(ACCEPT, Some(3)).is_none(), "that is the standard's");
    }

    #[test]
    fn every_function_has_a_name_of_the_second_generation() {
        let functions = FUNCTIONS.iter().copied().flatten();
        for (name, parameters, _) in functions {
            let found = find(&format!("{name}_v2"), Some(*parameters));
            assert!(found.is_some(), "{name}");
        }
        assert_eq!(standard_name("sock_recv_v2"), Some("sock_recv"));
        assert_eq!(standard_name("epoll_oneoff"), Some("poll_oneoff"));
        assert_eq!(standard_name("epoll_oneoff_v2"), None);
    }
}
