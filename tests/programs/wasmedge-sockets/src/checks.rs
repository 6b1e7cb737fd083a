//! What is held against the table of the interface, without anybody at the other end.

use crate::lookup::look_up;
use crate::wasi::{self, DATAGRAM, Layout, Result, STREAM, raw};
use std::time::{Duration, Instant};

const ACCES: u32 = 2;
const AFNOSUPPORT: u32 = 5;
const AGAIN: u32 = 6;
const BADF: u32 = 8;
const FAULT: u32 = 21;
const INVAL: u32 = 28;
const NOPROTOOPT: u32 = 50;
const NOSYS: u32 = 52;
const NOTCONN: u32 = 53;
const MSGSIZE: u32 = 35;
const NOTSOCK: u32 = 57;
const NOTSUP: u32 = 58;

pub fn families() -> Result<String> {
    assert_eq!(wasi::open(0, STREAM), Err(AFNOSUPPORT));
    assert_eq!(wasi::open(3, STREAM), Err(NOSYS));
    assert_eq!(wasi::open(4, STREAM), Err(INVAL));
    assert_eq!(wasi::open(1, 0), Err(INVAL));
    assert_eq!(wasi::open(1, 3), Err(INVAL));
    for family in [1, 2] {
        for (kind, name) in [(DATAGRAM, 5), (STREAM, 6)] {
            let fd = wasi::open(family, kind)?;
            assert_eq!(wasi::status(fd)?, (name, 0));
            assert_eq!(wasi::option(fd, 1)?, kind as i32);
            assert_eq!(wasi::peer(fd), Err(NOTCONN));
            let local = wasi::local(fd)?;
            assert!(local.ip().is_unspecified() && local.port() == 0 && local.is_ipv6() == (family == 2));
            wasi::close(fd)?;
        }
    }
    let v4 = wasi::open(1, STREAM)?;
    let to = "[::1]:1".parse().expect("an address");
    assert_eq!(wasi::connect(v4, &to, Layout::Short), Err(AFNOSUPPORT));
    let mut path = [0_u8; 128];
    path[0] = 3;
    let place = raw::Address { buffer: path.as_mut_ptr(), length: 128 };
    assert_eq!(unsafe { raw::sock_connect(v4, &place, 1) }, NOSYS);
    path[0] = 9;
    assert_eq!(unsafe { raw::sock_bind(v4, &place, 1) }, INVAL);
    let odd = raw::Address { buffer: path.as_mut_ptr(), length: 5 };
    assert_eq!(unsafe { raw::sock_bind(v4, &odd, 1) }, INVAL);
    let whole = raw::Address { buffer: path.as_mut_ptr(), length: 4 };
    assert_eq!(unsafe { raw::sock_bind(v4, &whole, 65_536) }, INVAL);
    Ok("families".to_owned())
}

pub fn options() -> Result<String> {
    let fd = wasi::open(1, STREAM)?;
    for name in [0, 7] {
        assert_eq!(wasi::option(fd, name)?, 0);
        wasi::set_option(fd, name, &1_i32.to_le_bytes())?;
        assert_eq!(wasi::option(fd, name)?, 1);
    }
    for name in [5, 6] {
        wasi::set_option(fd, name, &16_384_i32.to_le_bytes())?;
        assert!(wasi::option(fd, name)? >= 16_384);
        assert_eq!(wasi::set_option(fd, name, &(-1_i32).to_le_bytes()), Err(INVAL));
    }
    // As they are, and not otherwise.
    for name in [3, 8] {
        assert_eq!(wasi::option(fd, name)?, 0);
        wasi::set_option(fd, name, &[0; 4])?;
        assert_eq!(wasi::set_option(fd, name, &1_i32.to_le_bytes()), Err(NOTSUP));
    }
    wasi::set_option(fd, 9, &[0; 8])?;
    assert_eq!(wasi::set_option(fd, 9, &[1, 0, 0, 0, 5, 0, 0, 0]), Err(NOTSUP));
    assert_eq!(wasi::option(fd, 10)?, 1);
    assert_eq!(wasi::option(fd, 13)?, 0);
    assert_eq!(wasi::option(fd, 2)?, 0);
    for name in [1, 2, 13] {
        assert_eq!(wasi::set_option(fd, name, &[0; 4]), Err(NOPROTOOPT));
    }
    for name in [14, 15, u32::MAX] {
        assert_eq!(wasi::option(fd, name), Err(NOPROTOOPT));
        assert_eq!(wasi::set_option(fd, name, &[0; 4]), Err(NOPROTOOPT));
    }
    assert_eq!(wasi::set_option(fd, 0, &[1, 0]), Err(INVAL));
    let (mut value, mut size) = ([0; 4], 2);
    assert_eq!(unsafe { raw::sock_getsockopt(fd, 0, 0, value.as_mut_ptr(), &mut size) }, INVAL);
    assert_eq!(unsafe { raw::sock_getsockopt(fd, 6, 1, value.as_mut_ptr(), &mut size) }, NOPROTOOPT);
    let datagrams = wasi::open(2, DATAGRAM)?;
    wasi::set_option(datagrams, 4, &1_i32.to_le_bytes())?;
    assert_eq!(wasi::option(datagrams, 4)?, 1);
    timeouts()?;
    Ok("options".to_owned())
}

/// A time for waiting is kept, and is waited for.
fn timeouts() -> Result<()> {
    let fd = wasi::open(1, DATAGRAM)?;
    wasi::connect(fd, &"127.0.0.1:9".parse().expect("an address"), Layout::Short)?;
    let time = [0_i64, 100_000].map(i64::to_le_bytes).concat();
    for name in [11, 12] {
        wasi::set_option(fd, name, &time)?;
        let (mut value, mut size) = ([0; 16], 16);
        wasi::check(unsafe { raw::sock_getsockopt(fd, 0, name, value.as_mut_ptr(), &mut size) })?;
        assert_eq!((&value[..], size), (&time[..], 16));
        assert_eq!(wasi::set_option(fd, name, &[0; 4]), Err(INVAL));
        let wrong = [0_i64, 1_000_000].map(i64::to_le_bytes).concat();
        assert_eq!(wasi::set_option(fd, name, &wrong), Err(INVAL));
    }
    let start = Instant::now();
    assert_eq!(wasi::receive(fd, &mut [0; 4], 0), Err(AGAIN));
    assert!(start.elapsed() >= Duration::from_millis(90));
    assert_eq!(wasi::read(fd, &mut [0; 4]), Err(AGAIN));
    Ok(())
}

/// Without a network nothing is made and no name is looked up.
pub fn denied() -> Result<String> {
    let mut fd = 0;
    assert_eq!(wasi::open(1, STREAM), Err(ACCES));
    assert_eq!(unsafe { raw::sock_open_v2(2, DATAGRAM, &mut fd) }, ACCES);
    assert_eq!(look_up("name.example", "80", [0; 4]), Err(ACCES));
    // Whoever listens finds out by itself where.
    assert_eq!(look_up("", "80", [1, 1, 2, 0]), Ok(vec!["0.0.0.0:80 2 1".to_owned()]));
    Ok("denied".to_owned())
}

/// Pointers that lead nowhere are errors, one by one.
pub fn pointers() -> Result<String> {
    let fd = wasi::open(1, STREAM)?;
    let datagrams = wasi::open(1, DATAGRAM)?;
    let (bad, bad_address, bad_piece) = (usize::MAX as *mut u32, usize::MAX as *mut raw::Address, usize::MAX as *mut raw::Piece);
    let (mut number, mut flags, mut octets) = (0, 0, [127, 0, 0, 1]);
    let place = raw::Address { buffer: octets.as_mut_ptr(), length: 4 };
    let nowhere = raw::Address { buffer: bad.cast(), length: 4 };
    let piece = raw::Piece(octets.as_mut_ptr(), 4);
    let no_piece = raw::Piece(bad.cast(), 4);
    let (head, no_list) = (0_u32, u32::MAX - 8);
    let text = b"127.0.0.1";
    unsafe {
        let faults = [
            raw::sock_open(1, STREAM, bad),
            raw::sock_bind(fd, bad_address, 1),
            raw::sock_bind(fd, &nowhere, 1),
            raw::sock_connect(fd, bad_address, 1),
            raw::sock_connect(fd, &nowhere, 1),
            raw::sock_accept(fd, bad),
            raw::sock_recv_from(datagrams, bad_piece, 1, &place, 0, &mut number, &mut flags),
            raw::sock_recv_from(datagrams, &no_piece, 1, &place, 0, &mut number, &mut flags),
            raw::sock_recv_from(datagrams, &piece, u32::MAX, &place, 0, &mut number, &mut flags),
            raw::sock_recv_from(datagrams, &piece, 1, &nowhere, 0, &mut number, &mut flags),
            raw::sock_recv_from(datagrams, &piece, 1, &place, 0, bad, &mut flags),
            raw::sock_recv_from(datagrams, &piece, 1, &place, 0, &mut number, bad.cast()),
            raw::sock_recv_from_v2(datagrams, &piece, 1, &place, 0, bad, &mut number, &mut flags),
            raw::sock_send_to(datagrams, &no_piece, 1, &place, 1, 0, &mut number),
            raw::sock_send_to(datagrams, &piece, 1, &nowhere, 1, 0, &mut number),
            raw::sock_send_to(datagrams, &piece, 1, &place, 1, 0, bad),
            raw::sock_getlocaladdr(fd, bad_address, &mut number, &mut number),
            raw::sock_getlocaladdr(fd, &nowhere, &mut number, &mut number),
            raw::sock_getlocaladdr(fd, &place, bad, &mut number),
            raw::sock_getlocaladdr_v2(fd, &place, bad),
            raw::sock_getsockopt(fd, 0, 0, bad.cast(), &mut 4),
            raw::sock_getsockopt(fd, 0, 0, octets.as_mut_ptr(), bad),
            raw::sock_getsockopt(fd, 0, 0, octets.as_mut_ptr(), &mut u32::MAX.clone()),
            raw::sock_setsockopt(fd, 0, 0, bad.cast(), 4),
            raw::sock_setsockopt(fd, 0, 0, octets.as_ptr(), u32::MAX),
            raw::sock_getaddrinfo(bad.cast(), 4, text.as_ptr(), 0, text.as_ptr(), &head, 1, &mut number),
            raw::sock_getaddrinfo(text.as_ptr(), 9, bad.cast(), 4, std::ptr::null(), &head, 1, &mut number),
            raw::sock_getaddrinfo(text.as_ptr(), 9, text.as_ptr(), 0, bad.cast(), &head, 1, &mut number),
            raw::sock_getaddrinfo(text.as_ptr(), 9, text.as_ptr(), 0, std::ptr::null(), bad, 1, &mut number),
            raw::sock_getaddrinfo(text.as_ptr(), 9, text.as_ptr(), 0, std::ptr::null(), &head, 1, &mut number),
            raw::sock_getaddrinfo(text.as_ptr(), 9, text.as_ptr(), 0, std::ptr::null(), &no_list, u32::MAX, &mut number),
            raw::sock_getaddrinfo(text.as_ptr(), 9, text.as_ptr(), 0, std::ptr::null(), &head, 1, bad),
        ];
        for (index, errno) in faults.into_iter().enumerate() {
            assert_eq!(errno, FAULT, "number {index}");
        }
        // A datagram goes in one call, or not at all.
        let many: Vec<raw::Piece> = (0..1025).map(|_| raw::Piece(octets.as_mut_ptr(), 1)).collect();
        assert_eq!(raw::sock_send_to(datagrams, many.as_ptr(), 1025, &place, 1, 0, &mut number), MSGSIZE);
        assert_eq!(raw::sock_send(datagrams, many.as_ptr(), 1025, 0, &mut number), MSGSIZE);
        assert_eq!(raw::fd_write(datagrams, many.as_ptr(), 1025, &mut number), MSGSIZE);
        assert_eq!(raw::sock_bind(0, &place, 1), NOTSOCK);
        assert_eq!(raw::sock_listen(1, 1), NOTSOCK);
        assert_eq!(raw::sock_connect(99, &place, 1), BADF);
        assert_eq!(raw::sock_getpeeraddr(99, &place, &mut number, &mut number), BADF);
    }
    Ok("pointers".to_owned())
}
