//! Debian's tools of the network at the other end of a program: `iperf3`, `dig`, `nc` and `socat`.

use crate::network::{LOOPBACK, free_port, run};
use crate::workspace;
use lighter_testkit::{NameServer, Outcome, Reply, programs, require};
use std::path::Path;
use std::process::Command;
use std::thread;

/// Whether a tool is here, having said so if it is not.
fn is_there(tool: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", tool])
        .status();
    let is_there = found.is_ok_and(|status| status.success());
    require(tool, is_there, "scripts/needs.sh names Debian's package")
}

/// Runs a script whose first word is this `lighter` and its second a program. What it started ends with it.
fn script(text: &str, program: &Path, words: &[&str]) -> Outcome {
    let workspace = workspace();
    let text = format!("{FUNCTIONS}{text}");
    let script = workspace.command("sh").args(["-c", &text, "sh"]);
    let script = script.arg(env!("CARGO_BIN_EXE_lighter")).arg(program);
    script.args(words).run()
}

/// `start` runs a command beside the script, and ends it with it; `there` waits until somebody listens on a port
/// of TCP.
pub(crate) const FUNCTIONS: &str = r#"
set -eu
started=
trap 'kill $started 2>/dev/null || :' EXIT
start() {
    # A shell gives no input to what runs beside it.
    { "$@" <&3 & } 3<&0
    started="$started $!"
}
there() {
    until nc -z 127.0.0.1 "$1" 2>/dev/null; do sleep 0.05; done
}
"#;

/// A program that passes all on that it is sent, and what comes back: `$3` is its port, `$4` whom it reaches.
const RELAY: &str = r#"
start "$1" run -p "127.0.0.1:$3:7000" -p "127.0.0.1:$3:7000/udp" --allow-net "$4" "$2" relay 0.0.0.0:7000 "$4" \
    >/dev/null
there "$3"
"#;

#[test]
fn iperf3_measures_through_a_program() {
    if !is_there("iperf3") {
        return;
    }
    let [outer, inner] = [free_port(), free_port()].map(|port| port.to_string());
    let text = format!(
        "start iperf3 --server --port \"$5\" >/dev/null\nthere \"$5\"\n{RELAY}{}",
        r#"
# The server has one client at a time, and is busy for a moment after each.
measure() {
    for turn in 1 2 3 4 5 6 7 8 9 10; do
        iperf3 -c 127.0.0.1 -p "$port" -t 1 -J "$@" >result.json || :
        if grep -q '"bits_per_second":.*[1-9]' result.json; then return; fi
        sleep 0.2
    done
    cat result.json
    exit 1
}
port=$3
for flags in '' -R '-P 4' '--bidir -P 2' '-u -b 20M' '-u -b 20M -R'; do
    measure $flags
    echo "measured $flags"
done
"#
    );
    let to = format!("127.0.0.1:{inner}");
    let outcome = script(&text, &programs::sockets_p3(), &[&outer, &to, &inner]);
    let expected = "measured \nmeasured -R\nmeasured -P 4\nmeasured --bidir -P 2\nmeasured -u -b 20M\n\
                    measured -u -b 20M -R\n";
    outcome.assert(0, expected);
}

#[test]
fn dig_asks_through_a_program() {
    if !is_there("dig") {
        return;
    }
    let server = NameServer::start(|name| match name {
        "public.example" => Reply::Addresses(vec![[192, 0, 2, 7].into()]),
        "long.example" => Reply::Long((1..=40).map(|last| [192, 0, 2, last].into()).collect()),
        _ => Reply::NoName,
    });
    let text = format!(
        "{RELAY}{}",
        r#"
ask() {
    dig @127.0.0.1 -p "$port" +time=10 +tries=2 +noedns "$@"
}
port=$3
ask +short public.example A
ask +short +tcp public.example A
ask +short long.example A | wc -l
ask nowhere.example A | grep -o NXDOMAIN
"#
    );
    let words = [&free_port().to_string(), &format!("{}:53", server.address)];
    let outcome = script(&text, &programs::sockets_p3(), &words.map(String::as_str));
    outcome.assert(0, "192.0.2.7\n192.0.2.7\n40\nNXDOMAIN\n");
}

#[test]
fn nc_is_reached_and_reaches() {
    if !is_there("nc") {
        return;
    }
    let ports = [free_port(), free_port(), free_port()].map(|port| port.to_string());
    let text = r#"
program=$2
run() { "$lighter" run --allow-net 127.0.0.1 "$@"; }
lighter=$1
echo 'from nc' >said
start nc -l -N 127.0.0.1 "$3" <said >heard
until run "$program" connect "127.0.0.1:$3" 'to nc' 2>refusals; do sleep 0.05; done
wait $started
cat heard
echo
start nc -d -u -l 127.0.0.1 "$4" >datagrams
until [ -s datagrams ]; do
    start run --timeout 5s "$program" send "127.0.0.1:$4" datagram 2>refusals
    sleep 0.2
done
head -c 8 datagrams
echo
start "$lighter" run -p "127.0.0.1:$5:7000" "$program" serve 0.0.0.0:7000 3 >served
server=$!
there "$5"
echo 'over the port' | nc -N 127.0.0.1 "$5"
head -c 1000000 /dev/zero | nc -N 127.0.0.1 "$5" | wc -c
wait $server
cat served
"#;
    let words = [&ports[0], &ports[1], &ports[2]].map(String::as_str);
    let outcome = script(text, &programs::sockets_component(), &words);
    outcome.assert(
        0,
        "from nc\n\nto nc\ndatagram\nover the port\n1000000\nready\n1000014 bytes\n",
    );
}

#[test]
fn socat_closes_halves_and_answers_datagrams() {
    if !is_there("socat") {
        return;
    }
    let workspace = workspace();
    let program = programs::sockets_component();
    // It takes the whole question before it says anything, on either family.
    for (listen, ip) in [("TCP4-LISTEN", "127.0.0.1"), ("TCP6-LISTEN", "[::1]")] {
        let port = free_port();
        let mut peer = Command::new("socat")
            .args([
                "-t",
                "10",
                &format!("{listen}:{port},bind={ip},reuseaddr,fork"),
            ])
            .arg("SYSTEM:wc -c; echo end")
            .spawn()
            .expect("it is there");
        let address = format!("{ip}:{port}");
        let text = "x".repeat(70_000);
        let outcome = eventually(|| {
            let flags = ["--allow-net", address.as_str()];
            run(&workspace, &flags, &program, &["connect", &address, &text])
        });
        let _ = peer.kill();
        let _ = peer.wait();
        outcome.assert(0, "70000\nend\n\n");
    }
    let port = free_port();
    let mut peer = Command::new("socat")
        .arg(format!("UDP-RECVFROM:{port},bind={LOOPBACK},fork"))
        .arg("SYSTEM:tr a-z A-Z")
        .spawn()
        .expect("it is there");
    let address = format!("{LOOPBACK}:{port}");
    let flag = format!("udp://{address}");
    let flags = ["--timeout", "5s", "--allow-net", flag.as_str()];
    let outcome = eventually(|| run(&workspace, &flags, &program, &["send", &address, "shout"]));
    let _ = peer.kill();
    let _ = peer.wait();
    outcome.assert(0, "SHOUT\n");
}

/// Tries until somebody listens.
fn eventually(attempt: impl Fn() -> Outcome) -> Outcome {
    for _ in 0..100 {
        let outcome = attempt();
        if outcome.code == Some(0) {
            return outcome;
        }
        thread::sleep(std::time::Duration::from_millis(50));
    }
    attempt()
}
