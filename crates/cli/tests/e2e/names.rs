//! Names: what is granted is looked up, truthfully, and leads nowhere that names do not lead.

use crate::{workspace, workspace_of_ordinary_user};
use lighter_testkit::{NameServer, Outcome, Reply, Workspace, programs};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    let parsed = texts.iter().map(|text| text.parse());
    parsed.collect::<Result<_, _>>().expect("addresses")
}

/// A server whose names say what they are answered with.
fn server() -> NameServer {
    NameServer::start(|name| match name {
        "public.example" | "public.corp.example" => {
            Reply::Addresses(addresses(&["192.0.2.7", "2001:db8::7"]))
        }
        "loopback.example" => Reply::Addresses(vec![LOOPBACK]),
        "my_db.example" => Reply::Addresses(addresses(&["192.0.2.6"])),
        "metadata.example" => Reply::Addresses(addresses(&["169.254.169.254"])),
        "mapped.example" => Reply::Addresses(addresses(&["::ffff:127.0.0.1"])),
        "alias.example" => Reply::Alias("elsewhere.test", addresses(&["192.0.2.9"])),
        "empty.example" => Reply::Addresses(Vec::new()),
        "silent.example" => Reply::Silence,
        "long.example" => Reply::Long(
            (1..=40)
                .map(|last| IpAddr::from([192, 0, 2, last]))
                .collect(),
        ),
        "stalls.example" => Reply::LongSilence,
        "refused.example" => Reply::Refusal,
        "lies.example" => Reply::AfterLies(addresses(&["192.0.2.8"])),
        "loop.example" => Reply::Loop,
        _ => Reply::NoName,
    })
}

/// Runs the program that uses sockets, with this server and flags.
fn run(workspace: &Workspace, server: &NameServer, flags: &[&str], words: &[&str]) -> Outcome {
    let dns = server.address.to_string();
    let run = workspace.lighter(["run", "--dns", &dns]).args(flags);
    run.arg(programs::sockets_component()).args(words).run()
}

/// What a lookup comes to with all names granted: one line.
fn look_up(workspace: &Workspace, server: &NameServer, name: &str) -> (Option<i32>, String) {
    let outcome = run(workspace, server, &["--allow-dns", "*"], &["lookup", name]);
    let text = outcome.stdout_text();
    (outcome.code, text.trim_end().to_owned())
}

#[test]
fn name_is_looked_up_with_its_aliases_and_in_both_families() {
    let (workspace, server) = (workspace(), server());
    for (name, expected) in [
        ("public.example", &["192.0.2.7", "2001:db8::7"][..]),
        ("my_db.example", &["192.0.2.6"]),
        ("PUBLIC.example.", &["192.0.2.7", "2001:db8::7"]),
        ("alias.example", &["192.0.2.9"]),
        ("lies.example", &["192.0.2.8"]),
        ("192.0.2.1", &["192.0.2.1"]),
        ("localhost", &["127.0.0.1", "::1"]),
        ("a.localhost", &["127.0.0.1", "::1"]),
    ] {
        let (code, text) = look_up(&workspace, &server, name);
        let mut found: Vec<&str> = text.split(' ').collect();
        found.sort_unstable();
        assert_eq!((code, found.as_slice()), (Some(0), expected), "{name}");
    }
}

#[test]
fn name_is_looked_up_by_wasi_0_3() {
    let (workspace, server) = (workspace(), server());
    let dns = server.address.to_string();
    let look_up = |grant: &str, name: &str| {
        let flags = ["run", "--dns", &dns, "--allow-dns", grant];
        let run = workspace.lighter(flags).arg(programs::sockets_p3());
        run.args(["lookup", name]).run()
    };
    look_up("alias.example", "alias.example").assert(0, "192.0.2.9\n");
    look_up("*", "nothing.example").assert(1, "ErrorCode::NameUnresolvable\n");
    look_up("*", "refused.example").assert(1, "ErrorCode::TemporaryResolverFailure\n");
    look_up("*", "a b").assert(1, "ErrorCode::InvalidArgument\n");
    look_up("other.example", "alias.example").assert(1, "ErrorCode::AccessDenied\n");
}

#[test]
fn answer_that_does_not_fit_is_asked_for_again() {
    let (workspace, server) = (workspace(), server());
    let (code, text) = look_up(&workspace, &server, "long.example");
    assert_eq!(code, Some(0));
    // As many of one family as are taken.
    assert_eq!(text.split(' ').count(), 32, "{text}");
}

#[test]
fn what_has_no_address_is_an_error_at_once() {
    let (workspace, server) = (workspace(), server());
    for name in ["nothing.example", "empty.example", "loop.example", "a b"] {
        let start = Instant::now();
        let (code, text) = look_up(&workspace, &server, name);
        assert_eq!(code, Some(1), "{name}: {text}");
        assert!(start.elapsed() < Duration::from_secs(4), "{name}");
    }
}

#[test]
fn servers_that_cannot_say_are_told() {
    let (workspace, server) = (workspace(), server());
    let words = ["lookup", "refused.example."];
    let outcome = run(&workspace, &server, &["--allow-dns", "*"], &words);
    assert_eq!(outcome.code, Some(1), "{}", outcome.describe());
    assert_eq!(
        outcome.stderr_text(),
        format!(
            "lighter: warning: look up refused.example: the name servers answered that they cannot say (asked: {}); \
             name another with --dns\n",
            server.address
        )
    );
}

#[test]
fn lookup_without_a_network_or_above_the_ceiling_says_so() {
    let (workspace, server) = (workspace(), server());
    let config = workspace.write("config.toml", "[ceiling]\nallow-dns = \"*.corp\"\n");
    let config = config.to_str().expect("a path");
    for (flags, why) in [
        (
            &[][..],
            "no network is granted; allow it with --allow-net HOST:PORT or -p PORT",
        ),
        (
            &["--network", "none", "--allow-dns", "*"],
            "--network none takes the network away; leave it out",
        ),
        (
            &["--config", config, "--allow-dns", "*"],
            "[ceiling] of the configuration forbids it",
        ),
    ] {
        let run = workspace.lighter(["run"]).args(flags);
        let run = run.arg(programs::sockets_component());
        let outcome = run.args(["lookup", "public.example."]).run();
        assert_eq!(outcome.code, Some(1), "{}", outcome.describe());
        let told = format!("lighter: refused: look up public.example: {why}\n");
        assert_eq!(outcome.stderr_text(), told);
    }
    assert_eq!(server.questions(), 0);
}

#[test]
fn name_that_is_not_granted_is_not_asked_for() {
    let (workspace, server) = (workspace(), server());
    let flags = [
        "--allow-net",
        "other.example:80",
        "--allow-dns",
        "*.public.example",
    ];
    let outcome = run(&workspace, &server, &flags, &["lookup", "public.example"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stderr_text(),
        "lighter: refused: look up public.example: it is not granted; allow it with \
         --allow-net public.example:PORT or --allow-dns public.example\n"
    );
    assert_eq!(server.questions(), 0);
}

/// A server on this machine's loopback that greets who connects.
fn greeter() -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Whoever connected may be gone.
            let _ = std::io::Write::write_all(&mut stream, b"hello");
        }
    });
    port
}

#[test]
fn name_leads_inside_only_by_the_address_or_the_users_own_word() {
    let (workspace, server, port) = (workspace(), server(), greeter());
    let to = |name: &str| format!("{name}:{port}");
    let connect = |flags: &[&str], name: &str| {
        let target = to(name);
        run(&workspace, &server, flags, &["connect", &target, ""])
    };
    for name in ["loopback.example", "mapped.example", "metadata.example"] {
        let refused = connect(&["--allow-net", &to(name)], name);
        refused.assert(1, "PermissionDenied\n");
        let told = format!("{name} is granted, but names lead to no");
        assert!(
            refused.stderr_text().contains(&told),
            "{}",
            refused.describe()
        );
    }
    let by_address = ["--allow-net", &to("127.0.0.1"), "--allow-dns", "*.example"];
    connect(&by_address, "loopback.example").assert(0, "hello\n");
    connect(&by_address, "mapped.example").assert(0, "hello\n");
    let any = connect(&["--allow-net", "*"], "loopback.example");
    any.assert(1, "PermissionDenied\n");
    let told = "* is granted, but that opens no loopback addresses; allow it with --allow-net tcp://127.0.0.1";
    assert!(any.stderr_text().contains(told), "{}", any.describe());
    for mapping in ["db.example:127.0.0.1", "db.example=host-gateway"] {
        let mapped = ["--add-host", mapping, "--allow-net", &to("db.example")];
        connect(&mapped, "db.example").assert(0, "hello\n");
        // Another port of it is refused by the name that would be granted.
        let elsewhere = run(
            &workspace,
            &server,
            &mapped,
            &["connect", "db.example:1", ""],
        );
        elsewhere.assert(1, "PermissionDenied\n");
        assert_eq!(
            elsewhere.stderr_text(),
            "lighter: refused: connect to 127.0.0.1:1 (db.example): it is not granted; allow it with \
             --allow-net tcp://db.example:1\n"
        );
        // It grants nothing by itself.
        let alone = ["--add-host", mapping, "--allow-net", "other.example"];
        connect(&alone, "db.example").assert(1, "PermissionDenied\n");
    }
    // What was mapped was not asked for.
    let before = server.questions();
    let mapped = ["--add-host", "public.example:10.1.2.3", "--allow-dns", "*"];
    run(&workspace, &server, &mapped, &["lookup", "public.example"]).assert(0, "10.1.2.3\n");
    assert_eq!(server.questions(), before);
}

#[test]
fn server_that_does_not_answer_is_given_up() {
    let workspace = workspace();
    let server = NameServer::start(|_| Reply::Silence);
    let start = Instant::now();
    let words = ["lookup", "silent.example."];
    let outcome = run(&workspace, &server, &["--allow-dns", "*"], &words);
    assert_eq!(outcome.code, Some(1), "{}", outcome.describe());
    assert_eq!(
        outcome.stderr_text(),
        format!(
            "lighter: warning: look up silent.example: no name server answered (asked: {}); name another \
             with --dns\n",
            server.address
        )
    );
    // Twice five seconds, as everywhere.
    let time = start.elapsed();
    assert!(
        time > Duration::from_secs(9) && time < Duration::from_secs(25),
        "{time:?}"
    );
}

#[test]
fn servers_that_are_not_asked_are_told() {
    let (workspace, server) = (workspace(), server());
    let more = ["--dns", "192.0.2.1"].repeat(3);
    let flags = [&more[..], &["--allow-dns", "*"]].concat();
    let outcome = run(&workspace, &server, &flags, &["lookup", "public.example"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    assert_eq!(
        outcome.stderr_text(),
        "lighter: warning: of the 4 name servers (--dns) only the first 3 are asked\n"
    );
}

#[test]
fn run_ends_in_the_middle_of_a_lookup() {
    let (workspace, server) = (workspace(), server());
    for name in ["silent.example", "stalls.example"] {
        let start = Instant::now();
        let flags = ["--allow-dns", "*", "--timeout", "1s"];
        let outcome = run(&workspace, &server, &flags, &["lookup", name]);
        assert_eq!(outcome.code, Some(124), "{}", outcome.describe());
        assert!(start.elapsed() < Duration::from_secs(4), "{name}");
    }
}

#[test]
fn ordinary_user_looks_names_up() {
    let (workspace, server) = (workspace_of_ordinary_user(), server());
    let program = workspace.copy(programs::sockets_component(), "sockets.wasm");
    let dns = server.address.to_string();
    let flags = ["run", "--dns", &dns, "--allow-dns", "alias.example"];
    let run = workspace.lighter(flags).arg(program);
    run.args(["lookup", "alias.example"])
        .run()
        .assert(0, "192.0.2.9\n");
}

#[test]
fn ceiling_is_not_exceeded() {
    let (workspace, server, port) = (workspace(), server(), greeter());
    let config = workspace.write(
        "config.toml",
        format!(
            "[ceiling]\nallow-net = [\"loopback.example\", \"{}:53\"]\nallow-dns = \"*.example\"\n",
            server.address
        ),
    );
    let config = config.to_str().expect("a path");
    let target = format!("127.0.0.1:{port}");
    let refused = run(
        &workspace,
        &server,
        &["--config", config, "--allow-net", "127.0.0.0/8"],
        &["connect", &target, ""],
    );
    refused.assert(1, "PermissionDenied\n");
    assert!(
        refused
            .stderr_text()
            .contains("[ceiling] of the configuration forbids it")
    );
    // Nor does a user say himself what its names lead to.
    let target = format!("loopback.example:{port}");
    let mapped = [
        "--config",
        config,
        "--allow-net",
        &target,
        "--add-host",
        "loopback.example:127.0.0.1",
    ];
    let refused = run(&workspace, &server, &mapped, &["connect", &target, ""]);
    refused.assert(1, "PermissionDenied\n");
    let told = "forbids it: names lead there where the system's servers say, not --add-host";
    assert!(
        refused.stderr_text().contains(told),
        "{}",
        refused.describe()
    );
    // Nor whom it tells them.
    let other = workspace.write("other.toml", "[ceiling]\nallow-dns = \"*\"\n");
    let other = [
        "--config",
        other.to_str().expect("a path"),
        "--allow-dns",
        "*",
    ];
    let refused = run(&workspace, &server, &other, &["lookup", "public.example"]);
    let told = format!("may not ask the name server {}", server.address);
    refused.assert_refused(125, &[&told]);
}

#[test]
fn what_a_ceiling_forbids_is_explained() {
    let (workspace, server) = (workspace(), server());
    let config = workspace.write(
        "config.toml",
        "[ceiling]\nallow-net = \"loopback.example\"\nallow-dns = \"*.example\"\n",
    );
    let config = config.to_str().expect("a path");
    let other = ["--config", config, "--allow-dns", "*"];
    let told = format!("may not ask the name server {}", server.address);
    let explain = |flags: &[&str]| {
        let explain = workspace.lighter(["explain"]).args(flags);
        explain.arg(programs::sockets_component()).run()
    };
    let dns = server.address.to_string();
    let outcome = explain(&[&["--dns", &dns], &other[..]].concat());
    assert_eq!(outcome.code, Some(126), "{}", outcome.describe());
    assert!(
        outcome.stdout_text().contains(&told),
        "{}",
        outcome.describe()
    );
    let wide = [
        "--config",
        config,
        "--allow-net",
        "10.1.2.3:80",
        "--allow-net",
        "*.example:80",
    ];
    let outcome = explain(&wide);
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    for line in [
        "may not reach 10.1.2.3:80: [ceiling] forbids it",
        "may reach *.example:80",
    ] {
        assert!(
            outcome.stdout_text().contains(line),
            "{}",
            outcome.describe()
        );
    }
}
