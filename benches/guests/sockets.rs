//! Measures what it takes to make a socket of TCP and to connect it, and prints the medians of COUNT of both in
//! nanoseconds: as a native program by the system's calls, and as a guest of WASI 0.1 by WasmEdge's.
//!
//!     sockets COUNT ADDRESS        of IPv4, of a server that closes each connection

use std::net::SocketAddrV4;
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [count, server] = &words[..] else {
        panic!("COUNT ADDRESS");
    };
    let count: usize = count.parse().unwrap();
    let server: SocketAddrV4 = server.parse().unwrap();
    let (mut made, mut connected) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let start = Instant::now();
        let socket = calls::open();
        let between = Instant::now();
        calls::connect(socket, server);
        connected.push(between.elapsed().as_nanos());
        made.push((between - start).as_nanos());
        calls::close(socket);
    }
    println!("{} {}", median(made), median(connected));
}

fn median(mut numbers: Vec<u128>) -> u128 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[cfg(target_family = "wasm")]
mod calls {
    use std::net::SocketAddrV4;

    #[repr(C)]
    struct Address {
        octets: *const u8,
        length: u32,
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn sock_open(family: u32, kind: u32, socket: *mut u32) -> u32;
        fn sock_connect(socket: u32, address: *const Address, port: u32) -> u32;
        fn fd_close(socket: u32) -> u32;
    }

    pub fn open() -> u32 {
        let mut socket = 0;
        assert_eq!(unsafe { sock_open(1, 2, &mut socket) }, 0);
        socket
    }

    pub fn connect(socket: u32, server: SocketAddrV4) {
        let octets = server.ip().octets();
        let address = Address { octets: octets.as_ptr(), length: 4 };
        assert_eq!(unsafe { sock_connect(socket, &address, server.port().into()) }, 0);
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

    unsafe extern "C" {
        fn socket(family: i32, kind: i32, protocol: i32) -> i32;
        #[link_name = "connect"]
        fn connect_to(socket: i32, address: *const Address, length: u32) -> i32;
        #[link_name = "close"]
        fn close_it(socket: i32) -> i32;
    }

    pub fn open() -> i32 {
        let made = unsafe { socket(2, 1, 0) };
        assert!(made >= 0);
        made
    }

    pub fn connect(socket: i32, server: SocketAddrV4) {
        let address = Address {
            family: 2,
            port: server.port().to_be_bytes(),
            octets: server.ip().octets(),
            zero: [0; 8],
        };
        assert_eq!(unsafe { connect_to(socket, &address, 16) }, 0);
    }

    pub fn close(socket: i32) {
        assert_eq!(unsafe { close_it(socket) }, 0);
    }
}
