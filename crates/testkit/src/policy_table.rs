//! One table of grants and destinations, for each interface by which a program comes to the network.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

/// Grants, a destination, and whether it is reached. Somebody is at each destination.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRow {
    /// `--allow-net`, with PORT for the destination's port and NEXT for the one behind it.
    grants: &'static [&'static str],
    /// The destination.
    to: &'static str,
    /// Whether connections reach it.
    pub by_tcp: bool,
    /// Whether datagrams do.
    pub by_udp: bool,
}

/// The table.
#[rustfmt::skip]
pub const POLICY_TABLE: &[PolicyRow] = &[
    row(&["127.0.0.1:PORT"], "127.0.0.1", true, true),
    row(&["127.0.0.1:NEXT"], "127.0.0.1", false, false),
    row(&["127.0.0.1:1-NEXT"], "127.0.0.1", true, true),
    row(&["127.0.0.1"], "127.0.0.1", true, true),
    row(&["127.0.0.1"], "127.0.0.2", false, false),
    row(&["127.0.0.0/8"], "127.0.0.2", true, true),
    row(&["127.0.0.0/31"], "127.0.0.2", false, false),
    row(&["tcp://127.0.0.1:PORT"], "127.0.0.1", true, false),
    row(&["udp://127.0.0.1:PORT"], "127.0.0.1", false, true),
    row(&["tcp://127.0.0.1:NEXT", "udp://127.0.0.1"], "127.0.0.1", false, true),
    row(&["[::1]:PORT"], "::1", true, true),
    row(&["[::1]:PORT"], "127.0.0.1", false, false),
    row(&["127.0.0.1:PORT"], "::1", false, false),
    row(&["[::/0]"], "::1", true, true),
    row(&["0.0.0.0/0"], "127.0.0.1", true, true),
    // Every public address, and no name's: loopback is neither.
    row(&["*"], "127.0.0.1", false, false),
    row(&["*:PORT"], "::1", false, false),
    row(&["a.example:PORT"], "127.0.0.1", false, false),
    row(&["*.example"], "127.0.0.1", false, false),
];

const fn row(
    grants: &'static [&'static str],
    to: &'static str,
    by_tcp: bool,
    by_udp: bool,
) -> PolicyRow {
    PolicyRow {
        grants,
        to,
        by_tcp,
        by_udp,
    }
}

impl PolicyRow {
    /// The grants, for a destination's port.
    pub fn grants(&self, port: u16) -> Vec<String> {
        let (own, next) = (port.to_string(), (port + 1).to_string());
        let fill = |grant: &&str| grant.replace("PORT", &own).replace("NEXT", &next);
        self.grants.iter().map(fill).collect()
    }

    /// The destination.
    pub fn to(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.to.parse().expect("an address"), port)
    }
}

/// Sends everything back at all destinations, on one port of both transports and families, which is returned.
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
        for mut stream in listener.incoming().flatten() {
            // Whoever came may be gone.
            let _ = std::io::copy(&mut stream.try_clone().expect("a copy"), &mut stream);
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
