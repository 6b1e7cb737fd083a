//! Several places for one port, ports in the host's network, and what is said of ports that cannot be had.

use crate::network::{exchange, free_port, run};
use crate::workspace;
use lighter_testkit::{Outcome, programs};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;
use std::thread;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Runs a server of one connection, and makes that.
fn serve_one(
    (flags, program, words): (&[&str], &Path, &[&str]),
    (ip, port): (IpAddr, u16),
) -> Outcome {
    let workspace = workspace();
    let outcome = thread::scope(|scope| {
        let server = scope.spawn(|| run(&workspace, flags, program, words));
        assert_eq!(exchange(ip, port, "hello"), "hello", "{flags:?}");
        server.join().expect("it ends")
    });
    outcome.assert(0, "ready\n5 bytes\n");
    outcome
}

#[test]
fn port_that_the_host_chose_is_told() {
    let workspace = workspace();
    let program = programs::sockets_component();
    let flags = ["-p", "127.0.0.1::80", "-p", "127.0.0.1:0:81/udp"];
    let outcome = run(&workspace, &flags, &program, &["bind", "0.0.0.0:80"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    let told = outcome.stderr_text();
    let places = told.lines().zip(["80/tcp", "81/udp"]).map(|(line, port)| {
        let place = line.strip_prefix(&format!("lighter: port {port} is published at 127.0.0.1:"));
        place
            .and_then(|number| number.parse::<u16>().ok())
            .is_some_and(|number| number > 0)
    });
    assert_eq!(places.collect::<Vec<_>>(), [true, true], "{told}");
}

#[test]
fn two_ports_that_want_one_of_the_hosts_are_refused_beforehand() {
    let workspace = workspace();
    let program = programs::sockets_component();
    let ports = ["-p", "127.0.0.1:8080:80", "-p", "8080:81"];
    for verb in ["run", "explain"] {
        let outcome = workspace.lighter([verb]).args(ports).arg(&program).run();
        let told = "-p 127.0.0.1:8080:80 and -p 8080:81 want one port of the host's";
        assert!(
            (outcome.stderr_text() + &outcome.stdout_text()).contains(told),
            "{}",
            outcome.describe()
        );
        assert_ne!(outcome.code, Some(0));
    }
    // Where nothing is published nothing collides.
    for network in ["none", "host"] {
        let flags = [&["--network", network][..], &ports].concat();
        let outcome = run(&workspace, &flags, &program, &["bind", "127.0.0.1:0"]);
        assert_ne!(outcome.code, Some(125), "{}", outcome.describe());
    }
}

#[test]
fn named_port_is_not_taken_by_a_range() {
    let workspace = workspace();
    let port = free_port();
    let range = format!("127.0.0.1:{port}-{}:80", port.saturating_add(50));
    let exact = format!("127.0.0.1:{port}:81");
    let flags = ["-p", &range, "-p", &exact];
    let outcome = run(
        &workspace,
        &flags,
        &programs::sockets_component(),
        &["bind", "0.0.0.0:80"],
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
}

#[test]
fn one_listener_has_one_place_and_the_others_are_told() {
    let (first, second) = (free_port(), free_port());
    let ports = [first, second].map(|port| format!("127.0.0.1:{port}:80"));
    let flags = ["-p", ports[0].as_str(), "-p", ports[1].as_str()];
    let program = programs::sockets_component();
    let server = (
        &flags[..],
        program.as_path(),
        &["serve", "0.0.0.0:80", "1"][..],
    );
    let outcome = serve_one(server, (LOOPBACK, first));
    assert_eq!(
        outcome.stderr_text(),
        format!(
            "lighter: warning: port 80 is not served at 127.0.0.1:{second}: the program has one listener for it, \
             which is shown elsewhere\n"
        )
    );
    // A module has a listener for each.
    let program = programs::sockets();
    let server = (&flags[..], program.as_path(), &["inherit", "1"][..]);
    let outcome = serve_one(server, (LOOPBACK, first));
    assert_eq!(outcome.stderr_text(), "");
}

#[test]
fn listener_is_shown_where_its_family_is() {
    let program = programs::sockets_component();
    for (inner, ip) in [("0.0.0.0:80", LOOPBACK), ("[::]:80", LOOPBACK_V6)] {
        let port = free_port();
        let ports = ["[::1]", "127.0.0.1"].map(|address| format!("{address}:{port}:80"));
        let flags = ["-p", ports[0].as_str(), "-p", ports[1].as_str()];
        let server = (&flags[..], program.as_path(), &["serve", inner, "1"][..]);
        serve_one(server, (ip, port));
    }
}

#[test]
fn module_listens_in_the_hosts_network() {
    let port = free_port();
    let flag = format!("9:{port}");
    let program = programs::sockets();
    let flags = ["--network", "host", "-p", flag.as_str()];
    let server = (&flags[..], program.as_path(), &["inherit", "1"][..]);
    serve_one(server, (LOOPBACK, port));
}

#[test]
fn address_that_is_taken_is_named_by_its_family() {
    let workspace = workspace();
    let taken = TcpListener::bind((LOOPBACK_V6, 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let outcome = run(
        &workspace,
        &["-p", &format!("{port}:80")],
        &programs::sockets_component(),
        &["bind", "0.0.0.0:80"],
    );
    let told = format!("lighter: failed to bind host port [::]:{port}/tcp: Address in use");
    outcome.assert_refused(125, &[&told]);
}

#[test]
fn destination_by_which_nothing_is_reached_is_refused_with_the_way() {
    let workspace = workspace();
    let program = programs::sockets_component();
    let words = ["bind", "127.0.0.1:0"];
    for (grant, told) in [
        (
            "localhost:80",
            "hint: grant the addresses: --allow-net 127.0.0.1:80 --allow-net '[::1]:80'",
        ),
        (
            "0.0.0.0:80",
            "\"0.0.0.0\" is no destination: this machine is 127.0.0.1",
        ),
    ] {
        let outcome = run(&workspace, &["--allow-net", grant], &program, &words);
        outcome.assert_refused(125, &[told]);
    }
    // Unless the user says where it leads.
    let mapped = [
        "--allow-net",
        "db.localhost:80",
        "--add-host",
        "db.localhost:10.1.2.3",
    ];
    let outcome = run(&workspace, &mapped, &program, &words);
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
}

#[test]
fn module_that_connects_to_nothing_is_explained() {
    let workspace = workspace();
    let explain = |program| {
        let explain = workspace.lighter(["explain", "--allow-net", "10.1.2.3:80"]);
        explain.arg(program).run().stdout_text()
    };
    let told = "warning: a module of WASI 0.1 connects to nothing";
    assert!(explain(programs::sockets()).contains(told));
    assert!(!explain(programs::sockets_component()).contains(told));
}
