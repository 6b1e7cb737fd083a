//! Modules of WASI 0.1 that make their sockets by WasmEdge's extension, both generations of it.

use crate::network::{Echo, LOOPBACK, LOOPBACK_V6, exchange, exchange_datagrams, free_port, run};
use crate::{mount, workspace, workspace_for_large_programs, workspace_of_ordinary_user};
use lighter_testkit::{Outcome, Workspace, programs};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The address that a program serves at, inside.
fn any(ip: IpAddr) -> &'static str {
    if ip.is_ipv6() {
        "[::]:7000"
    } else {
        "0.0.0.0:7000"
    }
}

/// The two programs, by hand and by crate.
fn programs() -> [PathBuf; 2] {
    [
        programs::wasmedge_sockets(),
        programs::wasmedge_sockets_by_crate(),
    ]
}

/// Serves from the published port 7000 while somebody asks.
fn serve<T>(
    workspace: &Workspace,
    publish: &str,
    program: &Path,
    words: &[&str],
    ask: impl FnOnce() -> T,
) -> (T, Outcome) {
    thread::scope(|scope| {
        let server = scope.spawn(|| run(workspace, &["-p", publish], program, words));
        let told = ask();
        (told, server.join().expect("it ends"))
    })
}

#[test]
fn granted_address_is_reached_and_no_other() {
    let (workspace, program) = (workspace(), programs::wasmedge_sockets());
    for ip in [LOOPBACK, LOOPBACK_V6] {
        let (granted, other) = (Echo::tcp(ip), Echo::tcp(ip));
        let flags = ["--allow-net", granted.address.as_str()];
        for verb in ["connect", "connect-storage", "connect-nonblocking"] {
            let words = [verb, &granted.address, "hello"];
            run(&workspace, &flags, &program, &words).assert(0, "hello\n");
        }
        let refused = run(
            &workspace,
            &flags,
            &program,
            &["connect", &other.address, "hello"],
        );
        refused.assert(1, "errno 2\n");
        let told = format!("refused: connect to {}: it is not granted", other.address);
        assert!(
            refused.stderr_text().contains(&told),
            "{}",
            refused.describe()
        );
    }
}

#[test]
fn nobody_at_the_other_end_is_a_refusal_of_the_systems() {
    let (workspace, program) = (workspace(), programs::wasmedge_sockets());
    let address = format!("127.0.0.1:{}", free_port());
    for verb in ["connect", "connect-nonblocking"] {
        let words = [verb, &address, "hello"];
        let outcome = run(&workspace, &["--allow-net", &address], &program, &words);
        outcome.assert(1, "errno 14\n");
    }
}

/// Echoes connections, but takes the first of them only after a while, and has no room for others until then.
fn late_echo() -> String {
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    rustix::net::listen(&listener, 0).expect("it listens");
    let address = listener.local_addr().expect("bound").to_string();
    let first = TcpStream::connect(&address).expect("there is room for one");
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(400));
        drop(first);
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            // Whoever connected may be gone.
            let _ = stream.read_to_end(&mut bytes);
            let _ = stream.write_all(&bytes);
        }
    });
    address
}

#[test]
fn connection_that_takes_its_time_is_waited_for() {
    let (workspace, program) = (workspace(), programs::wasmedge_sockets());
    for verb in ["connect", "connect-nonblocking"] {
        let address = late_echo();
        let start = Instant::now();
        let words = [verb, &address, "hello"];
        let outcome = run(&workspace, &["--allow-net", &address], &program, &words);
        outcome.assert(0, "hello\n");
        // The keeper itself waits for a tenth of a second at most.
        assert!(start.elapsed() > Duration::from_millis(300), "{verb}");
    }
}

#[test]
fn datagrams_go_where_it_is_granted() {
    let (workspace, program) = (workspace(), programs::wasmedge_sockets());
    for ip in [LOOPBACK, LOOPBACK_V6] {
        let (granted, other) = (Echo::udp(ip), Echo::udp(ip));
        let flag = format!("udp://{}", granted.address);
        let flags = ["--allow-net", flag.as_str()];
        for verb in ["send", "send-first", "send-connected"] {
            let words = [verb, &granted.address, "hello"];
            run(&workspace, &flags, &program, &words).assert(0, "hello\n");
        }
        let words = ["send", other.address.as_str(), "hello"];
        run(&workspace, &flags, &program, &words).assert(1, "errno 2\n");
    }
}

#[test]
fn program_made_with_the_crate_connects_and_sends() {
    let (workspace, program) = (workspace(), programs::wasmedge_sockets_by_crate());
    let (tcp, udp) = (Echo::tcp(LOOPBACK), Echo::udp(LOOPBACK));
    let flags = ["--allow-net", "127.0.0.0/8"];
    let connected = run(
        &workspace,
        &flags,
        &program,
        &["connect", &tcp.address, "hello"],
    );
    connected.assert(0, "hello\n");
    let sent = run(
        &workspace,
        &flags,
        &program,
        &["send", &udp.address, "hello"],
    );
    sent.assert(0, &format!("hello from {}\n", udp.address));
    let udp = Echo::udp(LOOPBACK_V6);
    let flags = ["--allow-net", "[::1]"];
    let sent = run(
        &workspace,
        &flags,
        &program,
        &["send", &udp.address, "hello"],
    );
    sent.assert(0, &format!("hello from {}\n", udp.address));
}

#[test]
fn published_port_is_reached_from_the_host() {
    let workspace = workspace();
    for program in programs() {
        for ip in [LOOPBACK, LOOPBACK_V6] {
            let port = free_port();
            let publish = format!("{port}:7000");
            let words = ["serve", any(ip), "2"];
            let (told, outcome) = serve(&workspace, &publish, &program, &words, || {
                [0, 1].map(|_| exchange(ip, port, "hello"))
            });
            assert_eq!(told, ["hello", "hello"]);
            outcome.assert(0, "ready\n10 bytes\n");
        }
    }
}

#[test]
fn server_that_does_not_wait_is_told_when_to_accept() {
    let (workspace, program) = (workspace(), programs::wasmedge_sockets());
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:7000");
    let words = ["serve-nonblocking", "0.0.0.0:7000", "1"];
    let (told, outcome) = serve(&workspace, &publish, &program, &words, || {
        exchange(LOOPBACK, port, "hello")
    });
    assert_eq!(told, "hello");
    outcome.assert(0, "ready\n5 bytes\n");
}

#[test]
fn published_port_of_datagrams_is_reached_from_the_host() {
    let workspace = workspace();
    for program in programs() {
        let port = free_port();
        let publish = format!("127.0.0.1:{port}:7000/udp");
        let words = ["receive", "0.0.0.0:7000", "1"];
        let (told, outcome) = serve(&workspace, &publish, &program, &words, || {
            exchange_datagrams(LOOPBACK, port, "hello")
        });
        assert_eq!(told, "hello");
        outcome.assert(0, "ready\n5 bytes\n");
    }
}

#[test]
fn port_that_is_not_published_is_the_programs_alone() {
    let (workspace, program) = (workspace(), programs::wasmedge_sockets());
    for ip in [LOOPBACK, LOOPBACK_V6] {
        let taken = TcpListener::bind((ip, 0)).expect("a free port");
        let address = taken.local_addr().expect("bound").to_string();
        let words = ["own", address.as_str(), "hello"];
        let outcome = run(&workspace, &["-p", "127.0.0.1::80"], &program, &words);
        outcome.assert(0, "hello\n");
    }
}

#[test]
fn ordinary_user_has_the_same_sockets() {
    let workspace = workspace_of_ordinary_user();
    let program = workspace.copy(programs::wasmedge_sockets(), "sockets.wasm");
    let echo = Echo::tcp(LOOPBACK);
    let words = ["connect", echo.address.as_str(), "hello"];
    let flags = ["--allow-net", echo.address.as_str()];
    run(&workspace, &flags, &program, &words).assert(0, "hello\n");
    let port = free_port();
    let publish = format!("{port}:7000");
    let words = ["serve", "0.0.0.0:7000", "1"];
    let (told, outcome) = serve(&workspace, &publish, &program, &words, || {
        exchange(LOOPBACK, port, "hello")
    });
    assert_eq!(told, "hello");
    outcome.assert(0, "ready\n5 bytes\n");
}

/// What a lookup comes to, with a name of the user's.
fn look_up(workspace: &Workspace, words: &[&str]) -> Outcome {
    let flags = [
        "--add-host",
        "db.example:10.1.2.3",
        "--add-host",
        "db.example:fd00::3",
        "--allow-dns",
        "*.example",
    ];
    let mut all = vec!["lookup"];
    all.extend(words);
    run(workspace, &flags, &programs::wasmedge_sockets(), &all)
}

#[test]
fn name_is_looked_up() {
    let workspace = workspace();
    let both = look_up(&workspace, &["db.example", "http", "0", "0", "2", "0"]);
    both.assert(0, "10.1.2.3:80 2 1\n[fd00::3]:80 2 1\n");
    let named = look_up(&workspace, &["DB.example", "53", "2", "1", "0", "0"]);
    named.assert(0, "10.1.2.3:53 2 1 DB.example\n10.1.2.3:53 1 2\n");
    let mapped = look_up(&workspace, &["10.1.2.3", "ntp", "16", "2", "1", "2"]);
    mapped.assert(0, "[::ffff:10.1.2.3]:123 1 2\n");
    let own = look_up(&workspace, &["localhost", "", "0", "2", "2", "0"]);
    own.assert(0, "[::1]:0 2 1\n");
}

#[test]
fn name_is_looked_up_by_the_crate() {
    let workspace = workspace();
    let flags = [
        "--add-host",
        "db.example:10.1.2.3",
        "--allow-dns",
        "*.example",
    ];
    let words = ["lookup", "db.example", "https"];
    let program = programs::wasmedge_sockets_by_crate();
    run(&workspace, &flags, &program, &words).assert(0, "[10.1.2.3:443]\n");
    // A server that is named, as well.
    let echo = Echo::tcp(LOOPBACK);
    let port = echo.address.rsplit(':').next().expect("a port");
    let address = format!("db.example:{port}");
    let flags = [
        "--add-host",
        "db.example:127.0.0.1",
        "--allow-net",
        &address,
    ];
    let words = ["connect", &address, "hello"];
    run(&workspace, &flags, &program, &words).assert(0, "hello\n");
}

#[test]
fn lookup_that_fails_says_how() {
    let workspace = workspace();
    for (words, errno) in [
        // No name, of its form or by its flags: noname.
        (["a b", "80", "0", "0", "0", "0"], 84),
        (["db.example", "80", "4", "0", "0", "0"], 84),
        (["", "", "0", "0", "0", "0"], 84),
        // Not granted: fail, and told.
        (["db.test", "80", "0", "0", "0", "0"], 80),
        (["10.1.2.3", "80", "0", "2", "0", "0"], 77),
        (["10.1.2.3", "80", "128", "0", "0", "0"], 79),
        (["10.1.2.3", "80", "0", "3", "0", "0"], 81),
        (["10.1.2.3", "nothing", "0", "0", "0", "0"], 85),
        (["10.1.2.3", "80", "0", "0", "2", "2"], 86),
    ] {
        let outcome = look_up(&workspace, &words);
        outcome.assert(1, &format!("errno {errno}\n"));
        let is_told = outcome.stderr_text().contains("refused: look up db.test");
        assert_eq!(is_told, words[0] == "db.test", "{}", outcome.describe());
    }
}

#[test]
fn without_a_grant_no_socket_is_made_and_no_name_is_looked_up() {
    let outcome = run(
        &workspace(),
        &[],
        &programs::wasmedge_sockets(),
        &["denied"],
    );
    outcome.assert(0, "denied\n");
    let told = outcome.stderr_text();
    for what in [
        "create a TCP socket",
        "create a UDP socket",
        "look up name.example",
    ] {
        assert_eq!(told.matches(what).count(), 1, "{told}");
    }
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn functions_do_what_their_table_says() {
    let workspace = workspace();
    for what in ["families", "options", "pointers"] {
        let flags = ["--allow-net", "127.0.0.0/8", "--allow-net", "[::1]"];
        let outcome = run(&workspace, &flags, &programs::wasmedge_sockets(), &[what]);
        outcome.assert(0, &format!("{what}\n"));
    }
}

#[test]
fn threads_share_sockets_and_their_memory() {
    let (workspace, program) = (workspace(), programs::wasmedge_sockets_with_threads());
    for (echo, verbs) in [
        (Echo::tcp(LOOPBACK), &["connect", "connect-threads"][..]),
        (Echo::udp(LOOPBACK_V6), &["send", "send-connected"]),
    ] {
        for verb in verbs {
            let words = [verb, echo.address.as_str(), "hello"];
            let flags = ["--allow-net", echo.address.as_str()];
            run(&workspace, &flags, &program, &words).assert(0, "hello\n");
        }
    }
    let flags = ["--allow-net", "127.0.0.1"];
    run(&workspace, &flags, &program, &["pointers"]).assert(0, "pointers\n");
    let words = ["lookup", "127.1", "smtp", "0", "0", "0", "0"];
    run(&workspace, &flags, &program, &words).assert(0, "127.0.0.1:25 2 1\n");
}

#[test]
fn extension_is_explained() {
    let workspace = workspace();
    let explain = workspace.lighter(["explain"]);
    let outcome = explain.arg(programs::wasmedge_sockets()).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    let text = outcome.stdout_text();
    assert!(text.contains("It would run."), "{text}");
    let refused = "every use refused without --allow-net or -p";
    assert!(text.contains(refused), "{text}");
}

/// Greets who connects, and hangs up.
struct Greeter {
    address: String,
}

impl Greeter {
    fn start() -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Whoever connected may be gone.
                let _ = stream.write_all(b"hello");
            }
        });
        Self { address }
    }
}

/// A script for `QuickJS`, in a directory that the program finds as `/`.
fn run_script(workspace: &Workspace, flags: &[&str], script: &str) -> Outcome {
    workspace.write("scripts/app.js", script);
    let scripts = mount(&workspace.path("scripts"), "/");
    let run = workspace.lighter(["run", "-v", &scripts]).args(flags);
    run.arg(programs::quickjs()).arg("/app.js").run()
}

#[test]
fn quickjs_connects() {
    let (workspace, echo) = (workspace_for_large_programs(), Greeter::start());
    let script = format!(
        "import * as net from 'wasi_net';
        async function main() {{
            let connection = await net.WasiTcpConn.connect('{0}');
            let bytes = new Uint8Array(await connection.read());
            print(String.fromCharCode(...bytes), connection.peer());
        }}
        main().catch(error => print(error));",
        echo.address
    );
    let flags = ["--allow-net", echo.address.as_str()];
    let outcome = run_script(&workspace, &flags, &script);
    outcome.assert(0, &format!("hello {}\n", echo.address));
}

#[test]
fn quickjs_serves() {
    let (workspace, port) = (workspace_for_large_programs(), free_port());
    let script = "import * as net from 'wasi_net';
        async function main() {
            let listener = new net.WasiTcpServer(7000);
            for (let count = 0; count < 2; count++) {
                let connection = await listener.accept();
                connection.write(await connection.read());
            }
            print('done');
        }
        main().catch(error => print(error));";
    let publish = format!("127.0.0.1:{port}:7000");
    let outcome = thread::scope(|scope| {
        let server = scope.spawn(|| run_script(&workspace, &["-p", &publish], script));
        for _ in 0..2 {
            assert_eq!(exchange(LOOPBACK, port, "hello"), "hello");
        }
        server.join().expect("it ends")
    });
    outcome.assert(0, "done\n");
}

#[test]
fn quickjs_looks_names_up() {
    let script = "import * as net from 'wasi_net';
        print(net.nsloopup('db.example', 'http'));";
    let flags = ["--add-host", "db.example:10.1.2.3", "--allow-dns", "*"];
    let outcome = run_script(&workspace_for_large_programs(), &flags, script);
    outcome.assert(0, "10.1.2.3:80\n");
}
