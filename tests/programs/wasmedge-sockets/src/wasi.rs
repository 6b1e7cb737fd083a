//! The functions as they are imported, and what makes them bearable: an errno is an error.

use std::net::{IpAddr, SocketAddr};

/// Both generations, one by the plain name and one as `NAME_v2`.
pub mod raw {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub fn sock_open(family: u32, kind: u32, fd: *mut u32) -> u32;
        pub fn sock_open_v2(family: u32, kind: u32, fd: *mut u32) -> u32;
        pub fn sock_bind(fd: u32, address: *const Address, port: u32) -> u32;
        pub fn sock_connect(fd: u32, address: *const Address, port: u32) -> u32;
        pub fn sock_listen(fd: u32, backlog: u32) -> u32;
        pub fn sock_accept(fd: u32, out: *mut u32) -> u32;
        pub fn sock_accept_v2(fd: u32, flags: u32, out: *mut u32) -> u32;
        pub fn sock_recv(fd: u32, pieces: *const Piece, n: u32, flags: u32, length: *mut u32, out: *mut u16) -> u32;
        pub fn sock_send(fd: u32, pieces: *const Piece, n: u32, flags: u32, length: *mut u32) -> u32;
        pub fn sock_shutdown(fd: u32, how: u32) -> u32;
        pub fn sock_recv_from(
            fd: u32,
            pieces: *const Piece,
            n: u32,
            address: *const Address,
            flags: u32,
            length: *mut u32,
            out: *mut u16,
        ) -> u32;
        pub fn sock_recv_from_v2(
            fd: u32,
            pieces: *const Piece,
            n: u32,
            address: *const Address,
            flags: u32,
            port: *mut u32,
            length: *mut u32,
            out: *mut u16,
        ) -> u32;
        pub fn sock_send_to(
            fd: u32,
            pieces: *const Piece,
            n: u32,
            address: *const Address,
            port: u32,
            flags: u32,
            length: *mut u32,
        ) -> u32;
        pub fn sock_getlocaladdr(fd: u32, address: *const Address, kind: *mut u32, port: *mut u32) -> u32;
        pub fn sock_getlocaladdr_v2(fd: u32, address: *const Address, port: *mut u32) -> u32;
        pub fn sock_getpeeraddr(fd: u32, address: *const Address, kind: *mut u32, port: *mut u32) -> u32;
        pub fn sock_getpeeraddr_v2(fd: u32, address: *const Address, port: *mut u32) -> u32;
        pub fn sock_getsockopt(fd: u32, level: u32, name: u32, value: *mut u8, size: *mut u32) -> u32;
        pub fn sock_setsockopt(fd: u32, level: u32, name: u32, value: *const u8, size: u32) -> u32;
        pub fn sock_getaddrinfo(
            host: *const u8,
            host_length: u32,
            service: *const u8,
            service_length: u32,
            hints: *const u8,
            list: *const u32,
            most: u32,
            count: *mut u32,
        ) -> u32;
        pub fn epoll_oneoff(from: *const u64, to: *mut u64, n: u32, count: *mut u32) -> u32;
        pub fn poll_oneoff(from: *const u64, to: *mut u64, n: u32, count: *mut u32) -> u32;
        pub fn fd_read(fd: u32, pieces: *const Piece, n: u32, length: *mut u32) -> u32;
        pub fn fd_write(fd: u32, pieces: *const Piece, n: u32, length: *mut u32) -> u32;
        pub fn fd_close(fd: u32) -> u32;
        pub fn fd_fdstat_get(fd: u32, out: *mut u64) -> u32;
        pub fn fd_fdstat_set_flags(fd: u32, flags: u32) -> u32;
    }

    #[repr(C)]
    pub struct Piece(pub *mut u8, pub usize);

    #[repr(C)]
    pub struct Address {
        pub buffer: *mut u8,
        pub length: u32,
    }
}

use raw::{Address, Piece};

pub type Result<T> = std::result::Result<T, u32>;

pub const DATAGRAM: u32 = 1;
pub const STREAM: u32 = 2;
pub const READ: u8 = 1;
pub const WRITE: u8 = 2;
pub const NONBLOCK: u32 = 4;

pub fn check(errno: u32) -> Result<()> {
    if errno == 0 { Ok(()) } else { Err(errno) }
}

pub fn family(address: &SocketAddr) -> u32 {
    if address.is_ipv6() { 2 } else { 1 }
}

/// How an address is laid out.
#[derive(Clone, Copy)]
pub enum Layout {
    /// Of its own length.
    Short,
    /// Of 128 bytes, the family first.
    Storage,
}

/// Calls a function with an address in memory.
pub fn with(address: &SocketAddr, layout: Layout, call: impl FnOnce(*const Address, u32) -> u32) -> Result<()> {
    let octets = match address.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut bytes = octets.clone();
    if let Layout::Storage = layout {
        bytes = vec![family(address) as u8, 0];
        bytes.extend(octets);
        bytes.resize(128, 0);
    }
    let length = bytes.len() as u32;
    let place = Address { buffer: bytes.as_mut_ptr(), length };
    check(call(&place, address.port().into()))
}

pub fn open(family: u32, kind: u32) -> Result<u32> {
    let mut fd = u32::MAX;
    check(unsafe { raw::sock_open(family, kind, &mut fd) })?;
    Ok(fd)
}

pub fn bind(fd: u32, address: &SocketAddr, layout: Layout) -> Result<()> {
    with(address, layout, |place, port| unsafe { raw::sock_bind(fd, place, port) })
}

pub fn connect(fd: u32, address: &SocketAddr, layout: Layout) -> Result<()> {
    with(address, layout, |place, port| unsafe { raw::sock_connect(fd, place, port) })
}

pub fn send(fd: u32, text: &[u8]) -> Result<u32> {
    let (piece, mut length) = (Piece(text.as_ptr().cast_mut(), text.len()), 0);
    check(unsafe { raw::sock_send(fd, &piece, 1, 0, &mut length) })?;
    Ok(length)
}

/// Receives with flags; the length and the flags that come back.
pub fn receive(fd: u32, buffer: &mut [u8], flags: u32) -> Result<(usize, u16)> {
    let (piece, mut length, mut out) = (Piece(buffer.as_mut_ptr(), buffer.len()), 0, 9);
    check(unsafe { raw::sock_recv(fd, &piece, 1, flags, &mut length, &mut out) })?;
    Ok((length as usize, out))
}

pub fn write(fd: u32, text: &[u8]) -> Result<u32> {
    let (piece, mut length) = (Piece(text.as_ptr().cast_mut(), text.len()), 0);
    check(unsafe { raw::fd_write(fd, &piece, 1, &mut length) })?;
    Ok(length)
}

pub fn read(fd: u32, buffer: &mut [u8]) -> Result<usize> {
    let (piece, mut length) = (Piece(buffer.as_mut_ptr(), buffer.len()), 0);
    check(unsafe { raw::fd_read(fd, &piece, 1, &mut length) })?;
    Ok(length as usize)
}

/// Sends a datagram in two pieces.
pub fn send_to(fd: u32, text: &[u8], to: &SocketAddr, layout: Layout) -> Result<u32> {
    let (first, second) = text.split_at(text.len() / 2);
    let piece = |part: &[u8]| Piece(part.as_ptr().cast_mut(), part.len());
    let (pieces, mut length) = ([piece(first), piece(second)], 0);
    with(to, layout, |place, port| unsafe {
        raw::sock_send_to(fd, pieces.as_ptr(), 2, place, port, 0, &mut length)
    })?;
    Ok(length)
}

/// Receives a datagram as the second generation does.
pub fn receive_from(fd: u32, buffer: &mut [u8]) -> Result<(usize, SocketAddr, u16)> {
    let mut storage = [0; 128];
    let place = Address { buffer: storage.as_mut_ptr(), length: 128 };
    let piece = Piece(buffer.as_mut_ptr(), buffer.len());
    let (mut port, mut length, mut out) = (0, 0, 9);
    check(unsafe { raw::sock_recv_from_v2(fd, &piece, 1, &place, 0, &mut port, &mut length, &mut out) })?;
    Ok((length as usize, SocketAddr::new(of_storage(&storage), port as u16), out))
}

/// Receives a datagram as the first generation does, which tells no port.
pub fn receive_from_first(fd: u32, buffer: &mut [u8], is_v6: bool) -> Result<(usize, IpAddr)> {
    let mut octets = [0_u8; 16];
    let place = Address { buffer: octets.as_mut_ptr(), length: if is_v6 { 16 } else { 4 } };
    let piece = Piece(buffer.as_mut_ptr(), buffer.len());
    let (mut length, mut out) = (0, 9);
    check(unsafe { raw::sock_recv_from(fd, &piece, 1, &place, 0, &mut length, &mut out) })?;
    Ok((length as usize, of_octets(octets, is_v6)))
}

type First = unsafe extern "C" fn(u32, *const Address, *mut u32, *mut u32) -> u32;
type Second = unsafe extern "C" fn(u32, *const Address, *mut u32) -> u32;

/// One end of a socket, as both generations tell it.
fn end(fd: u32, first: First, second: Second) -> Result<SocketAddr> {
    let (mut octets, mut kind, mut port) = ([0_u8; 16], 0, 0);
    let place = Address { buffer: octets.as_mut_ptr(), length: 16 };
    check(unsafe { first(fd, &place, &mut kind, &mut port) })?;
    let told = SocketAddr::new(of_octets(octets, kind == 6), port as u16);
    let (mut storage, mut port) = ([0; 128], 0);
    let place = Address { buffer: storage.as_mut_ptr(), length: 128 };
    check(unsafe { second(fd, &place, &mut port) })?;
    assert_eq!(told, SocketAddr::new(of_storage(&storage), port as u16));
    Ok(told)
}

pub fn local(fd: u32) -> Result<SocketAddr> {
    end(fd, raw::sock_getlocaladdr, raw::sock_getlocaladdr_v2)
}

pub fn peer(fd: u32) -> Result<SocketAddr> {
    end(fd, raw::sock_getpeeraddr, raw::sock_getpeeraddr_v2)
}

fn of_octets(octets: [u8; 16], is_v6: bool) -> IpAddr {
    if is_v6 { octets.into() } else { <[u8; 4]>::try_from(&octets[..4]).unwrap().into() }
}

fn of_storage(storage: &[u8; 128]) -> IpAddr {
    let octets = storage[2..18].try_into().unwrap();
    match storage[..2] {
        [1, 0] => of_octets(octets, false),
        [2, 0] => of_octets(octets, true),
        _ => panic!("no family: {:?}", &storage[..2]),
    }
}

pub fn option(fd: u32, name: u32) -> Result<i32> {
    let (mut value, mut size) = ([0; 4], 4);
    check(unsafe { raw::sock_getsockopt(fd, 0, name, value.as_mut_ptr(), &mut size) })?;
    assert_eq!(size, 4);
    Ok(i32::from_le_bytes(value))
}

pub fn set_option(fd: u32, name: u32, value: &[u8]) -> Result<()> {
    check(unsafe { raw::sock_setsockopt(fd, 0, name, value.as_ptr(), value.len() as u32) })
}

/// The type and the flags of a descriptor.
pub fn status(fd: u32) -> Result<(u8, u16)> {
    let mut status = [0; 3];
    check(unsafe { raw::fd_fdstat_get(fd, status.as_mut_ptr()) })?;
    let [kind, _, low, high, ..] = status[0].to_le_bytes();
    Ok((kind, u16::from_le_bytes([low, high])))
}

pub fn set_flags(fd: u32, flags: u32) -> Result<()> {
    check(unsafe { raw::fd_fdstat_set_flags(fd, flags) })
}

pub fn close(fd: u32) -> Result<()> {
    check(unsafe { raw::fd_close(fd) })
}

/// Waits until a descriptor is ready, with one of the two functions that there are for it.
pub fn wait(fd: u32, event: u8, is_epoll: bool) -> Result<()> {
    let (mut from, mut to, mut count) = ([0_u64; 6], [0; 4], 0);
    from[0] = 7;
    from[1] = event.into();
    from[2] = fd.into();
    let function = if is_epoll { raw::epoll_oneoff } else { raw::poll_oneoff };
    check(unsafe { function(from.as_ptr(), to.as_mut_ptr(), 1, &mut count) })?;
    assert_eq!((count, to[0], to[1] as u16), (1, 7, 0));
    Ok(())
}
