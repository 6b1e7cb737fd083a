//! The network: what is granted is reached, what is published is reachable, and nothing else.

use crate::{workspace, workspace_of_ordinary_user};
use lighter_testkit::{Outcome, Workspace, programs};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to be there.
const START_TIME: Duration = Duration::from_secs(60);

/// Runs a program with flags, and words for the program.
pub(crate) fn run(
    workspace: &Workspace,
    flags: &[&str],
    program: &Path,
    words: &[&str],
) -> Outcome {
    let run = workspace.lighter(["run"]).args(flags).arg(program);
    run.args(words).run()
}

/// An echo server for connections on a loopback address, for as long as it is held.
pub(crate) struct Echo {
    pub(crate) address: String,
}

impl Echo {
    pub(crate) fn tcp(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                thread::spawn(move || {
                    let mut bytes = Vec::new();
                    // A client that is gone needs no answer.
                    let _ = stream.read_to_end(&mut bytes);
                    let _ = stream.write_all(&bytes);
                });
            }
        });
        Self { address }
    }

    pub(crate) fn udp(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("a free port");
        let address = socket.local_addr().expect("bound").to_string();
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
        Self { address }
    }
}

pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const LOOPBACK_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Connects as soon as somebody listens, sends, and gives what comes back.
pub(crate) fn exchange(ip: IpAddr, port: u16, text: &str) -> String {
    let deadline = Instant::now() + START_TIME;
    let mut stream = loop {
        match TcpStream::connect((ip, port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "nobody listens: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    stream.write_all(text.as_bytes()).expect("it is connected");
    stream.shutdown(Shutdown::Write).expect("it is connected");
    let mut back = String::new();
    stream
        .read_to_string(&mut back)
        .expect("it answers in text");
    back
}

/// Sends a datagram until somebody answers, and gives the answer.
pub(crate) fn exchange_datagrams(ip: IpAddr, port: u16, text: &str) -> String {
    let socket = UdpSocket::bind((ip, 0)).expect("a free port");
    let pause = Some(Duration::from_millis(50));
    socket.set_read_timeout(pause).expect("a time");
    let deadline = Instant::now() + START_TIME;
    let mut buffer = [0; 64];
    loop {
        // Nobody may be there yet, which the socket is told.
        let _ = socket.send_to(text.as_bytes(), (ip, port));
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => break String::from_utf8_lossy(&buffer[..length]).into_owned(),
            Err(error) => assert!(Instant::now() < deadline, "no answer: {error}"),
        }
    }
}

#[test]
fn granted_address_is_reached_and_no_other() {
    let workspace = workspace();
    let program = programs::sockets_component();
    for ip in [LOOPBACK, LOOPBACK_V6] {
        let (granted, other) = (Echo::tcp(ip), Echo::tcp(ip));
        let flags = ["--allow-net", granted.address.as_str()];
        let reached = run(
            &workspace,
            &flags,
            &program,
            &["connect", &granted.address, "hello"],
        );
        reached.assert(0, "hello\n");
        let refused = run(
            &workspace,
            &flags,
            &program,
            &["connect", &other.address, "hello"],
        );
        refused.assert(1, "PermissionDenied\n");
        let told = format!(
            "lighter: refused: connect to {}: it is not granted; allow it with --allow-net {}\n",
            other.address,
            match ip {
                IpAddr::V4(_) => format!("tcp://{}", other.address),
                IpAddr::V6(_) => format!("'tcp://{}'", other.address),
            }
        );
        assert_eq!(refused.stderr_text(), told);
    }
}

#[test]
fn datagrams_go_where_it_is_granted_and_nowhere_else() {
    let workspace = workspace();
    let program = programs::sockets_component();
    for ip in [LOOPBACK, LOOPBACK_V6] {
        let (granted, other) = (Echo::udp(ip), Echo::udp(ip));
        let flag = format!("udp://{}", granted.address);
        let flags = ["--allow-net", flag.as_str()];
        let reached = run(
            &workspace,
            &flags,
            &program,
            &["send", &granted.address, "hello"],
        );
        reached.assert(0, "hello\n");
        let refused = run(
            &workspace,
            &flags,
            &program,
            &["send", &other.address, "hello"],
        );
        refused.assert(1, "PermissionDenied\n");
        let told = format!("send to {}: it is not granted", other.address);
        assert!(
            refused.stderr_text().contains(&told),
            "{}",
            refused.describe()
        );
    }
}

#[test]
fn scheme_of_a_grant_decides_on_the_transport() {
    let workspace = workspace();
    let program = programs::sockets_component();
    let (tcp, udp) = (Echo::tcp(LOOPBACK), Echo::udp(LOOPBACK));
    for (scheme, tcp_code, udp_code) in [("tcp://", 0, 1), ("udp://", 1, 0), ("", 0, 0)] {
        let flag = format!("{scheme}127.0.0.0/8");
        let flags = ["--allow-net", flag.as_str()];
        let connected = run(
            &workspace,
            &flags,
            &program,
            &["connect", &tcp.address, "a"],
        );
        assert_eq!(connected.code, Some(tcp_code), "{}", connected.describe());
        let sent = run(&workspace, &flags, &program, &["send", &udp.address, "a"]);
        assert_eq!(sent.code, Some(udp_code), "{}", sent.describe());
    }
}

#[test]
fn published_port_is_reached_from_the_host() {
    let workspace = workspace();
    let program = programs::sockets_component();
    for (publish, inner, ips) in [
        ("", "0.0.0.0:7000", &[LOOPBACK][..]),
        ("", "[::]:7000", &[LOOPBACK, LOOPBACK_V6]),
        ("127.0.0.1:", "0.0.0.0:7000", &[LOOPBACK]),
        ("127.0.0.1:", "127.0.0.1:7000", &[LOOPBACK]),
        ("[::1]:", "[::]:7000", &[LOOPBACK_V6]),
    ] {
        let port = free_port();
        let flag = format!("{publish}{port}:7000");
        let count = ips.len().to_string();
        let outcome = thread::scope(|scope| {
            let server = scope.spawn(|| {
                run(
                    &workspace,
                    &["-p", &flag],
                    &program,
                    &["serve", inner, &count],
                )
            });
            for ip in ips {
                assert_eq!(exchange(*ip, port, "hello"), "hello", "{flag} {inner}");
            }
            server.join().expect("it ends")
        });
        let bytes = 5 * ips.len();
        outcome.assert(0, &format!("ready\n{bytes} bytes\n"));
    }
}

#[test]
fn module_finds_its_published_ports_open() {
    let workspace = workspace();
    let port = free_port();
    let flag = format!("{port}:7000");
    let outcome = thread::scope(|scope| {
        let server = scope.spawn(|| {
            run(
                &workspace,
                &["-p", &flag],
                &programs::sockets(),
                &["inherit", "2"],
            )
        });
        for ip in [LOOPBACK, LOOPBACK_V6] {
            assert_eq!(exchange(ip, port, "hello"), "hello");
        }
        server.join().expect("it ends")
    });
    outcome.assert(0, "ready\n10 bytes\n");
}

#[test]
fn published_port_of_datagrams_is_reached_from_the_host() {
    let workspace = workspace();
    let program = programs::sockets_component();
    let port = free_port();
    let flag = format!("127.0.0.1:{port}:7000/udp");
    let words = ["receive", "0.0.0.0:7000", "1"];
    let outcome = thread::scope(|scope| {
        let server = scope.spawn(|| run(&workspace, &["-p", &flag], &program, &words));
        assert_eq!(exchange_datagrams(LOOPBACK, port, "hello"), "hello");
        server.join().expect("it ends")
    });
    // The answer goes to who asked, whom no grant names.
    outcome.assert(0, "ready\n5 bytes\n");
}

/// A program listens where the host has somebody else, and reaches itself.
fn listens_privately(workspace: &Workspace) {
    let program = workspace.copy(programs::sockets_component(), "sockets.wasm");
    for ip in [LOOPBACK, LOOPBACK_V6] {
        let taken = TcpListener::bind((ip, 0)).expect("a free port");
        taken.set_nonblocking(true).expect("it is a socket");
        let address = taken.local_addr().expect("bound").to_string();
        for flags in [["-p", "127.0.0.1::80"], ["--allow-net", "192.0.2.1:80"]] {
            let own = run(workspace, &flags, &program, &["own", &address, "hello"]);
            own.assert(0, "hello\n");
        }
        taken.accept().expect_err("it goes to nobody else");
    }
}

#[test]
fn port_that_is_not_published_is_the_programs_alone() {
    listens_privately(&workspace());
    listens_privately(&workspace_of_ordinary_user());
}

#[test]
fn socket_has_the_programs_port_and_not_the_hosts() {
    let workspace = workspace();
    let program = programs::sockets_component();
    for (flag, verb, address) in [
        ("127.0.0.1::7000", "bind", "127.0.0.1:7000"),
        ("7000", "bind", "[::]:7000"),
        ("7000", "bind", "0.0.0.0:7000"),
        ("127.0.0.1::7000/udp", "bind-udp", "127.0.0.1:7000"),
        ("80", "bind", "127.0.0.1:7000"),
    ] {
        let bound = run(&workspace, &["-p", flag], &program, &[verb, address]);
        bound.assert(0, &format!("{address}\n"));
    }
}

#[test]
fn published_port_is_reached_by_the_program_itself() {
    let workspace = workspace();
    let words = ["own", "127.0.0.1:7000", "hello"];
    for flag in ["127.0.0.1::7000", "0.0.0.0::7000", "7000"] {
        let program = programs::sockets_component();
        run(&workspace, &["-p", flag], &program, &words).assert(0, "hello\n");
    }
}

#[test]
fn published_port_of_datagrams_is_reached_by_the_program_itself() {
    let workspace = workspace();
    let program = programs::sockets_p3();
    for (flag, address) in [
        ("127.0.0.1::7000/udp", "127.0.0.1:7000"),
        ("7000/udp", "127.0.0.1:7000"),
        ("7000/udp", "[::1]:7000"),
        ("0.0.0.0::7000/udp", "127.0.0.1:7000"),
    ] {
        let words = ["own-datagrams", address, "hello"];
        run(&workspace, &["-p", flag], &program, &words).assert(0, "hello\n");
    }
    // What it has not bound may be somebody else's.
    let words = ["send", "127.0.0.1:7000", "hello"];
    let refused = run(&workspace, &["-p", "7000/udp"], &program, &words);
    refused.assert(1, "ErrorCode::AccessDenied\n");
    let told = "send to 127.0.0.1:7000: it is not granted";
    assert!(
        refused.stderr_text().contains(told),
        "{}",
        refused.describe()
    );
}

#[test]
fn program_may_listen_for_each_family() {
    let workspace = workspace();
    let program = programs::sockets_p3();
    for (publish, ips) in [
        ("", &[LOOPBACK, LOOPBACK_V6][..]),
        ("127.0.0.1:", &[LOOPBACK]),
    ] {
        for addresses in [["0.0.0.0:7000", "[::]:7000"], ["[::]:7000", "0.0.0.0:7000"]] {
            let port = free_port();
            let flag = format!("{publish}{port}:7000");
            let count = ips.len().to_string();
            let [first, second] = addresses;
            let words = ["serve-both", first, second, &count];
            let outcome = thread::scope(|scope| {
                let server = scope.spawn(|| run(&workspace, &["-p", &flag], &program, &words));
                for ip in ips {
                    assert_eq!(exchange(*ip, port, "hello"), "hello", "{flag} {first}");
                }
                server.join().expect("it ends")
            });
            outcome.assert(0, "ready\nover\n");
        }
    }
}

#[test]
fn datagram_socket_is_bound_where_nobody_comes() {
    let workspace = workspace();
    let taken = UdpSocket::bind((LOOPBACK, 0)).expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let program = programs::sockets_component();
    for flags in [
        ["-p", "127.0.0.1::80"],
        ["--allow-net", "tcp://192.0.2.1:80"],
    ] {
        let bound = run(&workspace, &flags, &program, &["bind-udp", &address]);
        assert_eq!(bound.code, Some(0), "{}", bound.describe());
    }
}

/// Runs a program and prints, after each of its words, how many descriptors the keeper and the runner have and how
/// much memory of their own, in KiB.
const PRINT_HELD: &str = r#"
"$0" run --allow-net 127.0.0.0/8 "$1" churn "$2" "$3" >said & keeper=$!
for word in first second; do
    until grep -q $word said; do sleep 0.05; done
    sleep 0.3
    for process in $keeper $(cat /proc/$keeper/task/$keeper/children); do
        descriptors=$(ls /proc/$process/fd | wc -l)
        memory=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$process/status)
        echo $descriptors $memory
    done
done
wait $keeper
"#;

#[test]
fn connections_that_are_over_leave_nothing_behind() {
    let workspace = workspace();
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // What is gone at once leaves no port in use: a reset takes the place of an end.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
    });
    let program = programs::sockets_component();
    let script = workspace.command("sh").args(["-c", PRINT_HELD]);
    let script = script.arg(env!("CARGO_BIN_EXE_lighter")).arg(program);
    let outcome = script.args([address.as_str(), "100000"]).run();
    let text = outcome.stdout_text();
    let numbers: Vec<Vec<u32>> = text
        .lines()
        .map(|line| {
            line.split(' ')
                .filter_map(|word| word.parse().ok())
                .collect()
        })
        .collect();
    let [keeper, runner, later_keeper, later_runner] = &numbers[..] else {
        panic!("{}", outcome.describe())
    };
    for (before, after) in [(keeper, later_keeper), (runner, later_runner)] {
        assert_eq!(before[0], after[0], "descriptors: {text}");
        assert!(after[1] <= before[1] + 256, "memory: {text}");
    }
}

#[test]
fn without_a_grant_no_socket_is_made() {
    let workspace = workspace();
    let program = programs::sockets_component();
    for (words, what) in [
        (["connect", "127.0.0.1:1", "a"], "create a TCP socket"),
        (["send", "127.0.0.1:1", "a"], "create a UDP socket"),
    ] {
        let outcome = run(&workspace, &[], &program, &words);
        outcome.assert(1, "PermissionDenied\n");
        let told = format!(
            "lighter: refused: {what}: no network is granted; allow it with --allow-net HOST:PORT or -p PORT\n"
        );
        assert_eq!(outcome.stderr_text(), told);
    }
}

#[test]
fn port_that_is_taken_is_refused_before_the_program_starts() {
    let workspace = workspace();
    let taken = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let flag = format!("127.0.0.1:{port}:80");
    let program = programs::sockets_component();
    let outcome = run(
        &workspace,
        &["-p", &flag],
        &program,
        &["bind", "0.0.0.0:80"],
    );
    let words = [
        &format!("lighter: failed to bind host port 127.0.0.1:{port}/tcp: Address in use"),
        "hint: another program has it: stop that, or publish another port",
    ];
    outcome.assert_refused(125, &words);
}

#[test]
fn address_that_is_not_the_programs_is_not_bound() {
    let workspace = workspace();
    let program = programs::sockets_component();
    for verb in ["bind", "bind-udp"] {
        let outcome = run(
            &workspace,
            &["-p", "127.0.0.1::80"],
            &program,
            &[verb, "192.0.2.1:80"],
        );
        outcome.assert(1, "AddrNotAvailable\n");
        let told = "it is none of the program's own; bind 0.0.0.0, [::] or loopback\n";
        assert!(
            outcome.stderr_text().contains(told),
            "{}",
            outcome.describe()
        );
    }
    for (flag, verb, address) in [
        ("[::1]::80", "bind", "0.0.0.0:80"),
        ("127.0.0.1::80/udp", "bind-udp", "[::]:80"),
    ] {
        let outcome = run(&workspace, &["-p", flag], &program, &[verb, address]);
        outcome.assert(1, "AddrNotAvailable\n");
        let told = "the host shows that port by ";
        assert!(
            outcome.stderr_text().contains(told),
            "{}",
            outcome.describe()
        );
    }
}

#[test]
fn published_ports_beside_those_of_the_host_are_warned_of() {
    let workspace = workspace();
    let flags = ["--network", "host", "-p", "8080:80"];
    let words = ["bind", "127.0.0.1:0"];
    let outcome = run(&workspace, &flags, &programs::sockets_component(), &words);
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    let told = "lighter: warning: with --network host a program's ports are the host's: of -p only the last number \
                counts\n";
    assert_eq!(outcome.stderr_text(), told);
}

#[test]
fn ordinary_user_has_the_same_network() {
    let workspace = workspace_of_ordinary_user();
    let program = workspace.copy(programs::sockets_component(), "sockets.wasm");
    let (granted, other) = (Echo::tcp(LOOPBACK), Echo::tcp(LOOPBACK));
    let flags = ["--allow-net", granted.address.as_str()];
    let reached = run(
        &workspace,
        &flags,
        &program,
        &["connect", &granted.address, "hello"],
    );
    reached.assert(0, "hello\n");
    let refused = run(
        &workspace,
        &flags,
        &program,
        &["connect", &other.address, "hello"],
    );
    refused.assert(1, "PermissionDenied\n");
    let port = free_port();
    let flag = format!("{port}:7000");
    let words = ["serve", "0.0.0.0:7000", "1"];
    let outcome = thread::scope(|scope| {
        let server = scope.spawn(|| run(&workspace, &["-p", &flag], &program, &words));
        assert_eq!(exchange(LOOPBACK, port, "hello"), "hello");
        server.join().expect("it ends")
    });
    outcome.assert(0, "ready\n5 bytes\n");
}

#[test]
fn ports_are_the_host_s_in_its_network() {
    let workspace = workspace();
    let program = programs::sockets_component();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let words = ["serve", address.as_str(), "1"];
    let outcome = thread::scope(|scope| {
        let server = scope.spawn(|| run(&workspace, &["--network", "host"], &program, &words));
        assert_eq!(exchange(LOOPBACK, port, "hello"), "hello");
        server.join().expect("it ends")
    });
    outcome.assert(0, "ready\n5 bytes\n");
    // What goes out needs its grant there too.
    let echo = Echo::tcp(LOOPBACK);
    let words = ["connect", echo.address.as_str(), "hello"];
    let refused = run(&workspace, &["--network", "host"], &program, &words);
    refused.assert(1, "PermissionDenied\n");
    let flags = ["--network", "host", "--allow-net", echo.address.as_str()];
    run(&workspace, &flags, &program, &words).assert(0, "hello\n");
}

#[test]
fn no_network_is_none_whatever_is_granted() {
    let workspace = workspace();
    let echo = Echo::tcp(LOOPBACK);
    let flags = ["--allow-net", echo.address.as_str(), "--network", "none"];
    let words = ["connect", echo.address.as_str(), "hello"];
    let refused = run(&workspace, &flags, &programs::sockets_component(), &words);
    refused.assert(1, "PermissionDenied\n");
    assert!(
        refused
            .stderr_text()
            .contains("create a TCP socket: --network none takes the network away; leave it out")
    );
}

#[test]
fn network_that_is_not_there_is_refused() {
    let workspace = workspace();
    let flags = ["--network", "shop"];
    let refused = run(
        &workspace,
        &flags,
        &programs::sockets_component(),
        &["bind", "[::]:1"],
    );
    let words = ["invalid grant network \"shop\": there is no network of that name"];
    refused.assert_refused(125, &words);
}

#[test]
fn sockets_of_wasi_0_3_serve_and_reach() {
    let workspace = workspace();
    let program = programs::sockets_p3();
    let port = free_port();
    let flag = format!("{port}:7000");
    let words = ["serve", "[::]:7000", "2"];
    let outcome = thread::scope(|scope| {
        let server = scope.spawn(|| run(&workspace, &["-p", &flag], &program, &words));
        for ip in [LOOPBACK, LOOPBACK_V6] {
            assert_eq!(exchange(ip, port, "hello"), "hello");
        }
        server.join().expect("it ends")
    });
    outcome.assert(0, "ready\n10 bytes\n");
    let own = ["own", "127.0.0.1:7001", "hello"];
    run(&workspace, &["-p", &flag], &program, &own).assert(0, "hello\n");
    let (granted, other) = (Echo::udp(LOOPBACK), Echo::udp(LOOPBACK));
    let flags = ["--allow-net", granted.address.as_str()];
    for verb in ["send", "send-connected"] {
        let sent = [verb, granted.address.as_str(), "hello"];
        run(&workspace, &flags, &program, &sent).assert(0, "hello\n");
        let sent = [verb, other.address.as_str(), "hello"];
        let refused = run(&workspace, &flags, &program, &sent);
        refused.assert(1, "ErrorCode::AccessDenied\n");
    }
    let denied = run(&workspace, &[], &program, &["send", "127.0.0.1:1", "a"]);
    denied.assert(1, "ErrorCode::AccessDenied\n");
}
