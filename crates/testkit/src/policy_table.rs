//! One table of grants and destinations, for each interface by which a program comes to the network.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

/// Grants, a destination, and whether it is reached. Somebody is at each destination.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRow {
    /// `--allow-net`, with PORT for the destination's port and NEXT for the one behind it.
    grants: &'static [&'static str],
    /// The destination.
    to: &'static str,
    /// By what it is reached, in words.
    by: &'static str,
}

/// The table.
#[rustfmt::skip]
pub const POLICY_TABLE: &[PolicyRow] = &[
    row(&["127.0.0.1:PORT"], "127.0.0.1", ALL),
    row(&["127.0.0.1:NEXT"], "127.0.0.1", NONE),
    row(&["127.0.0.1:1-NEXT"], "127.0.0.1", ALL),
    row(&["127.0.0.1"], "127.0.0.1", ALL),
    row(&["127.0.0.1"], "127.0.0.2", NONE),
    row(&["127.0.0.0/8"], "127.0.0.2", ALL),
    row(&["127.0.0.0/31"], "127.0.0.2", NONE),
    // What opens a connection opens requests, and nothing the other way round.
    row(&["tcp://127.0.0.1:PORT"], "127.0.0.1", "tcp http https"),
    row(&["udp://127.0.0.1:PORT"], "127.0.0.1", "udp"),
    row(&["http://127.0.0.1:PORT"], "127.0.0.1", "http"),
    row(&["https://127.0.0.1:PORT"], "127.0.0.1", "https"),
    row(&["http://127.0.0.1:PORT", "https://127.0.0.1:PORT"], "127.0.0.1", "http https"),
    // The ports that the schemes imply.
    row(&["http://127.0.0.1", "https://127.0.0.1"], "127.0.0.1", NONE),
    row(&["http://127.0.0.1:*"], "127.0.0.1", "http"),
    row(&["https://127.0.0.0/8:1-NEXT"], "127.0.0.2", "https"),
    row(&["http://*:PORT", "https://*:PORT"], "127.0.0.1", NONE),
    row(&["http://a.example:PORT"], "127.0.0.1", NONE),
    row(&["http://[::1]:PORT"], "::1", "http"),
    row(&["http://[::1]:PORT"], "127.0.0.1", NONE),
    row(&["tcp://127.0.0.1:NEXT", "udp://127.0.0.1"], "127.0.0.1", "udp"),
    row(&["tcp://127.0.0.1:NEXT", "https://127.0.0.1:PORT"], "127.0.0.1", "https"),
    row(&["[::1]:PORT"], "::1", ALL),
    row(&["[::1]:PORT"], "127.0.0.1", NONE),
    row(&["127.0.0.1:PORT"], "::1", NONE),
    row(&["[::/0]"], "::1", ALL),
    row(&["0.0.0.0/0"], "127.0.0.1", ALL),
    // Every public address, and no name's: loopback is neither.
    row(&["*"], "127.0.0.1", NONE),
    row(&["*:PORT"], "::1", NONE),
    row(&["a.example:PORT"], "127.0.0.1", NONE),
    row(&["*.example"], "127.0.0.1", NONE),
];

const ALL: &str = "tcp udp http https";
const NONE: &str = "";

const fn row(grants: &'static [&'static str], to: &'static str, by: &'static str) -> PolicyRow {
    PolicyRow { grants, to, by }
}

impl PolicyRow {
    /// The grants, for a destination's port.
    pub fn grants(&self, port: u16) -> Vec<String> {
        let (own, next) = (port.to_string(), (port + 1).to_string());
        let fill = |grant: &&str| grant.replace("PORT", &own).replace("NEXT", &next);
        self.grants.iter().map(fill).collect()
    }

    /// Whether the destination is reached by `tcp`, `udp`, `http` or `https`.
    pub fn is_reached_by(&self, transport: &str) -> bool {
        self.by.split(' ').any(|by| by == transport)
    }

    /// The destination.
    pub fn to(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.to.parse().expect("an address"), port)
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut beginning = [0; 4096];
    let length = stream.read(&mut beginning)?;
    let beginning = &beginning[..length];
    if beginning.starts_with(b"GET ") {
        return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n");
    }
    stream.write_all(beginning)?;
    io::copy(&mut stream.try_clone()?, &mut stream).map(drop)
}

/// Sends everything back at all destinations, on one port of both transports and families, which is returned.
/// Requests are answered.
pub fn answer_everywhere() -> u16 {
    let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let (listener, socket, port) = loop {
        let listener = TcpListener::bind((any, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        if let Ok(socket) = UdpSocket::bind((any, port)) {
            break (listener, socket, port);
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever came may be gone.
            thread::spawn(move || drop(answer(stream)));
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    port
}
