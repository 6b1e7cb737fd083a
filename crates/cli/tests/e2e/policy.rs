//! One table of grants and destinations, through each interface: the verdict is the same.

use crate::workspace;
use lighter_testkit::{Outcome, Workspace, programs};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::thread;

/// A grant, in which PORT stands for the destination's port and NEXT for the one behind it.
type Grant = &'static str;

/// Grants, a destination, and whether it is reached by TCP and by UDP. Somebody is at each destination.
const TABLE: &[(&[Grant], &str, bool, bool)] = &[
    (&["127.0.0.1:PORT"], "127.0.0.1", true, true),
    (&["127.0.0.1:NEXT"], "127.0.0.1", false, false),
    (&["127.0.0.1:1-NEXT"], "127.0.0.1", true, true),
    (&["127.0.0.1"], "127.0.0.1", true, true),
    (&["127.0.0.1"], "127.0.0.2", false, false),
    (&["127.0.0.0/8"], "127.0.0.2", true, true),
    (&["127.0.0.0/31"], "127.0.0.2", false, false),
    (&["tcp://127.0.0.1:PORT"], "127.0.0.1", true, false),
    (&["udp://127.0.0.1:PORT"], "127.0.0.1", false, true),
    (
        &["tcp://127.0.0.1:NEXT", "udp://127.0.0.1"],
        "127.0.0.1",
        false,
        true,
    ),
    (&["[::1]:PORT"], "::1", true, true),
    (&["[::1]:PORT"], "127.0.0.1", false, false),
    (&["127.0.0.1:PORT"], "::1", false, false),
    (&["[::]/0"], "127.0.0.1", false, false),
    (&["[::/0]"], "::1", true, true),
    (&["0.0.0.0/0"], "127.0.0.1", true, true),
    // Every public address, and no name's: loopback is neither.
    (&["*"], "127.0.0.1", false, false),
    (&["*:PORT"], "::1", false, false),
    (&["localhost:PORT"], "127.0.0.1", false, false),
    (&["*.localhost"], "127.0.0.1", false, false),
];

/// Who answers at all destinations: one port of both transports and families.
fn answer() -> u16 {
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

/// Tries one destination by one program.
fn attempt(
    workspace: &Workspace,
    grants: &[Grant],
    port: u16,
    program: &PathBuf,
    words: &[&str],
) -> Outcome {
    let mut run = workspace.lighter(["run", "--timeout", "20s"]);
    for grant in grants {
        let grant = grant.replace("PORT", &port.to_string());
        let grant = grant.replace("NEXT", &(port + 1).to_string());
        run = run.args(["--allow-net", &grant]);
    }
    run.arg(program).args(words).run()
}

#[test]
fn verdict_is_the_same_by_each_interface() {
    let (workspace, port) = (workspace(), answer());
    let by_hand = programs::wasmedge_sockets();
    let component = programs::sockets_component();
    let interfaces = [
        ("WASI 0.2", component),
        ("WASI 0.3", programs::sockets_p3()),
        ("WasmEdge's sockets", by_hand),
    ];
    for (grants, to, by_tcp, by_udp) in TABLE {
        if grants.contains(&"[::]/0") {
            // No network is written so.
            let refused = attempt(&workspace, grants, port, &interfaces[0].1, &[]);
            refused.assert_refused(125, &["invalid grant allow-net"]);
            continue;
        }
        let ip: IpAddr = to.parse().expect("an address");
        let address = SocketAddr::new(ip, port).to_string();
        for (name, program) in &interfaces {
            for (verb, is_reached) in [("connect", *by_tcp), ("send", *by_udp)] {
                // Who is on all addresses answers from the first one, which was not spoken to.
                let is_first = ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST;
                if verb == "send" && is_reached && !is_first {
                    continue;
                }
                let words = [verb, &address, "hello"];
                let outcome = attempt(&workspace, grants, port, program, &words);
                let case = format!("{name}, {verb} {address} with {grants:?}");
                let told = outcome.stderr_text().contains("it is not granted");
                assert_eq!(
                    outcome.code == Some(0),
                    is_reached,
                    "{case}: {}",
                    outcome.describe()
                );
                assert_eq!(told, !is_reached, "{case}: {}", outcome.describe());
            }
        }
    }
}
