//! Other machines: a network namespace is one, joined to this one by a cable, with addresses that are private,
//! public and of one link.

use crate::tools::FUNCTIONS;
use crate::workspace;
use lighter_testkit::{is_root, programs, require};
use std::process::Command;

/// Runs in a network of its own, with another machine in it. `$1` is `lighter`, `$2` a program.
const TWO_MACHINES: &str = r#"
lighter=$1 program=$2
ip link set lo up
ip link add here type veth peer name there
start unshare -n sleep 60
other=$!
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
ip link set there netns $other
over() {
    nsenter -t $other -n "$@"
}
over ip link set lo up
for address in 10.77.0 9.9.9; do
    ip address add $address.1/24 dev here
    over ip address add $address.2/24 dev there
done
for address in fd77:: fe80::77:; do
    ip address add ${address}1/64 dev here nodad
    over ip address add ${address}2/64 dev there nodad
done
ip link set here up
over ip link set there up
until over ip -6 address show dev there | grep -q fd77::2; do sleep 0.02; done
start nsenter -t $other -n socat TCP6-LISTEN:7,fork,reuseaddr,ipv6only=0 EXEC:cat >log
start nsenter -t $other -n socat UDP6-RECVFROM:7,fork,ipv6only=0 EXEC:cat >log
start socat TCP6-LISTEN:7,fork,reuseaddr,ipv6only=0 EXEC:cat >log
until nc -z 10.77.0.2 7 && nc -z fd77::2 7 && nc -z 127.0.0.1 7; do sleep 0.05; done
link=$(cat /sys/class/net/here/ifindex 2>/dev/null || ip -o link show here | cut -d: -f1)
try() {
    grant=$1 verb=$2 address=$3
    said=$("$lighter" run --timeout 10s --allow-net "$grant" "$program" "$verb" "$address" reached 2>refusals) || :
    echo "$grant $verb $address $said" | sed "s/%$link/%here/"
}
serve() {
    start "$lighter" run -p "$1" "$program" serve "$2" 9 >served
    until grep -q ready served; do sleep 0.05; done
}
"#;

/// What is tried between two machines, and what comes of it.
fn assert_said(script: &str, expected: &str) {
    assert_alone(&format!("{TWO_MACHINES}{script}"), expected);
}

/// What a script says in a network of its own.
fn assert_alone(text: &str, expected: &str) {
    let found = Command::new("sh")
        .args(["-c", "command -v ip && command -v socat && command -v nc"])
        .output();
    let has_tools = found.is_ok_and(|found| found.status.success());
    if !require(
        "other hosts",
        is_root() && has_tools,
        "root and iproute2 make them",
    ) {
        return;
    }
    let workspace = workspace();
    let text = format!("{FUNCTIONS}{text}");
    let run = workspace.command("unshare").args(["-n", "sh", "-c"]);
    let run = run.arg(text).arg("sh").arg(env!("CARGO_BIN_EXE_lighter"));
    run.arg(programs::sockets_component())
        .run()
        .assert(0, expected);
}

#[test]
fn other_host_is_reached_by_what_grants_it() {
    assert_said(
        r#"
try 10.77.0.2:7 connect 10.77.0.2:7
try 10.77.0.0/24 connect 10.77.0.2:7
try tcp://10.77.0.2:7 send 10.77.0.2:7
try udp://10.77.0.2:7 send 10.77.0.2:7
try 10.77.0.2:8 connect 10.77.0.2:7
try 10.77.0.1 connect 10.77.0.2:7
try '[fd77::2]:7' connect '[fd77::2]:7'
try '[fd77::2]:7' send '[fd77::2]:7'
try '[fd77::/64]' connect '[fd77::2]:7'
try '[fe80::77:2]:7' connect "[fe80::77:2%$link]:7"
try '[fd77::2]:7' connect "[fe80::77:2%$link]:7"
try 10.0.0.0/8 connect '[::ffff:10.77.0.2]:7'
try 10.78.0.1 connect 10.78.0.1:7
"#,
        "\
10.77.0.2:7 connect 10.77.0.2:7 reached
10.77.0.0/24 connect 10.77.0.2:7 reached
tcp://10.77.0.2:7 send 10.77.0.2:7 PermissionDenied
udp://10.77.0.2:7 send 10.77.0.2:7 reached
10.77.0.2:8 connect 10.77.0.2:7 PermissionDenied
10.77.0.1 connect 10.77.0.2:7 PermissionDenied
[fd77::2]:7 connect [fd77::2]:7 reached
[fd77::2]:7 send [fd77::2]:7 reached
[fd77::/64] connect [fd77::2]:7 reached
[fe80::77:2]:7 connect [fe80::77:2%here]:7 reached
[fd77::2]:7 connect [fe80::77:2%here]:7 PermissionDenied
10.0.0.0/8 connect [::ffff:10.77.0.2]:7 InvalidInput
10.78.0.1 connect 10.78.0.1:7 HostUnreachable
",
    );
}

#[test]
fn everything_public_is_neither_private_nor_this_machine() {
    assert_said(
        r#"
for address in 9.9.9.2:7 10.77.0.2:7 '[fd77::2]:7' "[fe80::77:2%$link]:7" 127.0.0.1:7 9.9.9.1:7; do
    try '*' connect "$address"
done
try 0.0.0.0/0 connect 9.9.9.1:7
"#,
        "\
* connect 9.9.9.2:7 reached
* connect 10.77.0.2:7 PermissionDenied
* connect [fd77::2]:7 PermissionDenied
* connect [fe80::77:2%here]:7 PermissionDenied
* connect 127.0.0.1:7 PermissionDenied
* connect 9.9.9.1:7 PermissionDenied
0.0.0.0/0 connect 9.9.9.1:7 reached
",
    );
}

#[test]
fn published_port_is_where_it_was_published_and_no_other_is_anywhere() {
    assert_said(
        r#"
knock() {
    for address in 10.77.0.1 9.9.9.1 fd77::1; do
        answer=$(echo "$1" | over nc -w 5 -N $address "$2" 2>/dev/null) || answer=nobody
        echo "$1 $address $answer"
    done
}
serve 7000:80 '[::]:80'
knock all 7000
serve 10.77.0.1:7001:80 0.0.0.0:80
knock one 7001
serve 127.0.0.1:7002:80 0.0.0.0:80
knock loopback 7002
serve 80/udp 0.0.0.0:7003
knock none 7003
"#,
        "\
all 10.77.0.1 all
all 9.9.9.1 all
all fd77::1 all
one 10.77.0.1 one
one 9.9.9.1 nobody
one fd77::1 nobody
loopback 10.77.0.1 nobody
loopback 9.9.9.1 nobody
loopback fd77::1 nobody
none 10.77.0.1 nobody
none 9.9.9.1 nobody
none fd77::1 nobody
",
    );
}

#[test]
fn machine_without_ipv6_has_the_rest() {
    assert_alone(
        r#"
for which in all default; do echo 1 >/proc/sys/net/ipv6/conf/$which/disable_ipv6; done
ip link set lo up
for address in 0.0.0.0:7000 '[::]:7000'; do
    start "$1" run -p 7000:7000 "$2" serve "$address" 1
    there 7000
    wait $!
done
"$1" run --allow-net '[::1]' "$2" connect '[::1]:7' lost || echo $?
"$1" run -p '[::1]:7000:80' "$2" serve '[::]:80' 1 2>&1 || echo $?
"$1" run --allow-net 127.0.0.1 "$2" own 127.0.0.1:7 own
"#,
        "\
ready
0 bytes
ready
0 bytes
AddrNotAvailable
1
lighter: failed to bind host port [::1]:7000/tcp: Address not available (os error 99)
hint: it is none of this machine's addresses
125
own
",
    );
}
