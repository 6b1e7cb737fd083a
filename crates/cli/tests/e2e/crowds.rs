//! Many of everything on the network, and the largest of it: listeners, connections, descriptors, datagrams.

use crate::network::{Echo, LOOPBACK, LOOPBACK_V6, free_port, run};
use crate::{workspace, workspace_of_ordinary_user};
use lighter_testkit::{Workspace, programs, require};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

fn listen(workspace: &Workspace, address: &str, count: &str) -> String {
    let flags = ["--allow-net", "127.0.0.1"];
    let words = ["listen", address, count];
    let program = workspace.copy(programs::sockets_component(), "sockets.wasm");
    let outcome = run(workspace, &flags, &program, &words);
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    outcome.stdout_text()
}

#[test]
fn thousand_listeners_have_a_port_each() {
    for workspace in [workspace(), workspace_of_ordinary_user()] {
        for address in ["127.0.0.1:0", "[::]:0"] {
            assert_eq!(listen(&workspace, address, "1000"), "1000\n");
        }
    }
}

#[test]
fn program_without_descriptors_left_is_told_so() {
    let workspace = workspace();
    let script = workspace
        .command("sh")
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]);
    let script = script.arg(env!("CARGO_BIN_EXE_lighter"));
    let script = script.args(["run", "--allow-net", "127.0.0.1"]);
    let script = script.arg(programs::sockets_component());
    let outcome = script.args(["listen", "127.0.0.1:0", "100"]).run();
    let text = outcome.stdout_text();
    let (count, why) = text.split_once(" and ").expect("it has run out");
    let count: u32 = count.parse().expect("a number");
    assert!((32..64).contains(&count), "{text}");
    // What std says of `new-socket-limit`.
    assert_eq!((why, outcome.code), ("Unsupported\n", Some(0)));
}

#[test]
fn largest_datagram_comes_and_goes_and_a_larger_one_does_not() {
    let workspace = workspace();
    let by_0_3 = programs::sockets_p3();
    let by_0_2 = programs::sockets_component();
    // An IPv6 packet carries its own header beside what it counts.
    for (ip, most) in [(LOOPBACK, 65_507), (LOOPBACK_V6, 65_527)] {
        let echo = Echo::udp(ip);
        let flags = ["--allow-net", echo.address.as_str()];
        let text = "x".repeat(most);
        for program in [&by_0_2, &by_0_3] {
            let sent = run(&workspace, &flags, program, &["send", &echo.address, &text]);
            sent.assert(0, &format!("{text}\n"));
        }
        let text = "x".repeat(most + 1);
        let words = ["send", &echo.address, &text];
        let refused = run(&workspace, &flags, &by_0_3, &words);
        refused.assert(1, "ErrorCode::DatagramTooLarge\n");
        // What std says of that.
        run(&workspace, &flags, &by_0_2, &words).assert(1, "Uncategorized\n");
    }
}

/// What a process has of memory that is no file's, in KiB.
fn anonymous_kib(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let size = line.and_then(|line| line.trim().strip_suffix(" kB"));
    size.and_then(|size| size.parse().ok())
        .expect("it has memory")
}

#[test]
fn idle_connections_cost_the_keeper_nothing_and_the_runner_little() {
    let limits = getrlimit(Resource::Nofile);
    let (mut raised, hard) = (limits, limits.maximum.unwrap_or(u64::MAX));
    raised.current = limits.maximum;
    setrlimit(Resource::Nofile, raised).expect("a soft limit may be raised");
    let count = hard.saturating_sub(1000).min(10_000);
    if !require(
        "10,000 connections",
        count == 10_000,
        "the limit of descriptors is too low",
    ) {
        return;
    }
    let workspace = workspace();
    let port = free_port();
    let mut keeper = Command::new(env!("CARGO_BIN_EXE_lighter"))
        .args(["run", "-p", &format!("127.0.0.1:{port}:7000")])
        .arg(programs::sockets_p3())
        .args(["hold", "0.0.0.0:7000", &count.to_string()])
        .env("LIGHTER_DATA_ROOT", workspace.data())
        .env("LIGHTER_RUN_ROOT", workspace.run_root())
        .stdout(Stdio::piped())
        .spawn()
        .expect("lighter is there");
    let mut lines = BufReader::new(keeper.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "ready");
    let keeper_id = keeper.id().to_string();
    let children = format!("/proc/{keeper_id}/task/{keeper_id}/children");
    let runner_id = fs::read_to_string(children)
        .expect("it runs")
        .trim()
        .to_owned();
    let before = [&keeper_id, &runner_id].map(|id| anonymous_kib(id));
    let connections: Vec<TcpStream> = (0..count)
        .map(|_| TcpStream::connect((LOOPBACK, port)).expect("it listens"))
        .collect();
    assert_eq!(next(), "held");
    let after = [&keeper_id, &runner_id].map(|id| anonymous_kib(id));
    drop(connections);
    assert_eq!(next(), "over");
    assert!(keeper.wait().expect("it ends").success());
    assert!(
        after[0] <= before[0] + 64,
        "keeper: {before:?} {after:?} KiB"
    );
    // What the guest keeps of them, and what WASI does.
    let each_bytes = after[1].saturating_sub(before[1]) * 1024 / count;
    assert!(each_bytes <= 1024, "runner: {each_bytes} bytes each");
}
