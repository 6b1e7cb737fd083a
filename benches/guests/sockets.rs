//! Measures sockets of TCP over IPv4: as a native program by the system's calls, and as a guest of WASI 0.1 by
//! WasmEdge's.
//!
//!     sockets COUNT CLOSING ECHOING SWALLOWING
//!
//! prints, with addresses of servers that do that: of COUNT sockets the medians of making and of connecting one, of
//! as many questions of one byte the median of an answer, all in nanoseconds, and of connections that 64 MiB are
//! sent on the median of the bytes in a second.
//!
//!     sockets flood ADDRESS
//!
//! connects for ever, which must fail, and prints how often it did in the first second.

use std::io::Write;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

const BLOCK: [u8; 64 << 10] = [b'x'; 64 << 10];

/// How often it is sent: the rate of a connection depends on where the system wakes whom.
const SENDS: usize = 20;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [flag, address] if flag == "flood" => flood(address.parse().unwrap()),
        [count, closing, echoing, swallowing] => {
            let count = count.parse().unwrap();
            let (made, connected) = connect(count, closing.parse().unwrap());
            let answered = ask(count, echoing.parse().unwrap());
            let swallowing = swallowing.parse().unwrap();
            let rate = median((0..SENDS).map(|_| send(swallowing)).collect());
            println!("{made} {connected} {answered} {rate}");
        }
        _ => panic!("COUNT CLOSING ECHOING SWALLOWING"),
    }
}

fn connect(count: usize, server: SocketAddrV4) -> (u128, u128) {
    let (mut made, mut connected) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let start = Instant::now();
        let socket = calls::open();
        let between = Instant::now();
        assert!(calls::connect(socket, server));
        connected.push(between.elapsed().as_nanos());
        made.push((between - start).as_nanos());
        calls::close(socket);
    }
    (median(made), median(connected))
}

fn ask(count: usize, server: SocketAddrV4) -> u128 {
    let socket = calls::open();
    assert!(calls::connect(socket, server));
    let answered = (0..count).map(|_| {
        let start = Instant::now();
        assert_eq!(calls::write(socket, b"x"), 1);
        assert_eq!(calls::read(socket, &mut [0]), 1);
        start.elapsed().as_nanos()
    });
    median(answered.collect())
}

fn send(server: SocketAddrV4) -> u128 {
    let socket = calls::open();
    assert!(calls::connect(socket, server));
    let start = Instant::now();
    let bytes = 64 << 20;
    let mut sent = 0;
    while sent < bytes {
        sent += calls::write(socket, &BLOCK);
    }
    calls::end(socket);
    assert_eq!(calls::read(socket, &mut [0]), 1);
    calls::close(socket);
    sent as u128 * 1_000_000_000 / start.elapsed().as_nanos()
}

fn flood(nobody: SocketAddrV4) {
    let socket = calls::open();
    let start = Instant::now();
    let mut count = 0;
    let mut is_told = false;
    loop {
        for _ in 0..100 {
            assert!(!calls::connect(socket, nobody));
        }
        count += 100;
        if !is_told && start.elapsed() >= Duration::from_secs(1) {
            println!("{count}");
            std::io::stdout().flush().unwrap();
            is_told = true;
        }
    }
}

fn median(mut numbers: Vec<u128>) -> u128 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[cfg(target_family = "wasm")]
mod calls {
    use std::net::SocketAddrV4;

    #[repr(C)]
    struct Piece(*const u8, usize);

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn sock_open(family: u32, kind: u32, socket: *mut u32) -> u32;
        fn sock_connect(socket: u32, address: *const Piece, port: u32) -> u32;
        fn sock_shutdown(socket: u32, how: u32) -> u32;
        fn fd_read(fd: u32, pieces: *const Piece, count: u32, length: *mut u32) -> u32;
        fn fd_write(fd: u32, pieces: *const Piece, count: u32, length: *mut u32) -> u32;
        fn fd_close(fd: u32) -> u32;
    }

    pub fn open() -> u32 {
        let mut socket = 0;
        assert_eq!(unsafe { sock_open(1, 2, &mut socket) }, 0);
        socket
    }

    pub fn connect(socket: u32, server: SocketAddrV4) -> bool {
        let octets = server.ip().octets();
        let address = Piece(octets.as_ptr(), octets.len());
        unsafe { sock_connect(socket, &address, server.port().into()) == 0 }
    }

    pub fn write(socket: u32, bytes: &[u8]) -> usize {
        let mut length = 0;
        let piece = Piece(bytes.as_ptr(), bytes.len());
        assert_eq!(unsafe { fd_write(socket, &piece, 1, &mut length) }, 0);
        length as usize
    }

    pub fn read(socket: u32, bytes: &mut [u8]) -> usize {
        let mut length = 0;
        let piece = Piece(bytes.as_mut_ptr(), bytes.len());
        assert_eq!(unsafe { fd_read(socket, &piece, 1, &mut length) }, 0);
        length as usize
    }

    pub fn end(socket: u32) {
        // For sending.
        assert_eq!(unsafe { sock_shutdown(socket, 2) }, 0);
    }

    pub fn close(socket: u32) {
        assert_eq!(unsafe { fd_close(socket) }, 0);
    }
}

#[cfg(not(target_family = "wasm"))]
mod calls {
    use std::net::SocketAddrV4;

    /// As Linux has it.
    #[repr(C)]
    struct Address {
        family: u16,
        port: [u8; 2],
        octets: [u8; 4],
        zero: [u8; 8],
    }

    mod system {
        unsafe extern "C" {
            pub fn socket(family: i32, kind: i32, protocol: i32) -> i32;
            pub fn connect(socket: i32, address: *const super::Address, length: u32) -> i32;
            pub fn shutdown(socket: i32, how: i32) -> i32;
            pub fn read(fd: i32, bytes: *mut u8, length: usize) -> isize;
            pub fn write(fd: i32, bytes: *const u8, length: usize) -> isize;
            pub fn close(fd: i32) -> i32;
        }
    }

    pub fn open() -> i32 {
        let made = unsafe { system::socket(2, 1, 0) };
        assert!(made >= 0);
        made
    }

    pub fn connect(socket: i32, server: SocketAddrV4) -> bool {
        let address = Address {
            family: 2,
            port: server.port().to_be_bytes(),
            octets: server.ip().octets(),
            zero: [0; 8],
        };
        unsafe { system::connect(socket, &address, 16) == 0 }
    }

    pub fn write(socket: i32, bytes: &[u8]) -> usize {
        let sent = unsafe { system::write(socket, bytes.as_ptr(), bytes.len()) };
        sent.try_into().unwrap()
    }

    pub fn read(socket: i32, bytes: &mut [u8]) -> usize {
        let received = unsafe { system::read(socket, bytes.as_mut_ptr(), bytes.len()) };
        received.try_into().unwrap()
    }

    pub fn end(socket: i32) {
        assert_eq!(unsafe { system::shutdown(socket, 1) }, 0);
    }

    pub fn close(socket: i32) {
        assert_eq!(unsafe { system::close(socket) }, 0);
    }
}
