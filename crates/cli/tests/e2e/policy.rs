//! One table of grants and destinations, through each interface: the verdict is the same. Native code has its turn
//! in `crates/boundary/tests`.

use crate::workspace;
use lighter_testkit::{POLICY_TABLE, PolicyRow, Workspace, answer_everywhere, programs};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// A program, what it is asked, and whether it reaches the row's destination by that.
struct Case<'a> {
    interface: &'a str,
    program: &'a Path,
    words: Vec<String>,
    is_reached: bool,
    /// What it prints when it does.
    printed: &'a str,
}

fn check(workspace: &Workspace, grants: &[String], case: &Case<'_>) {
    let mut run = workspace.lighter(["run", "--timeout", "20s"]);
    for grant in grants {
        run = run.args(["--allow-net", grant]);
    }
    let outcome = run.arg(case.program).args(&case.words).run();
    let what = format!("{}, {:?} with {grants:?}", case.interface, case.words);
    let is_reached = outcome.stdout_text().contains(case.printed);
    assert_eq!(
        is_reached,
        case.is_reached,
        "{what}: {}",
        outcome.describe()
    );
    let is_told = outcome.stderr_text().contains("allow it with --allow-net");
    assert_eq!(is_told, !case.is_reached, "{what}: {}", outcome.describe());
}

/// Through sockets.
fn by_sockets(workspace: &Workspace, row: &PolicyRow, port: u16) {
    let interfaces = [
        ("WASI 0.2", programs::sockets_component()),
        ("WASI 0.3", programs::sockets_p3()),
        ("WasmEdge's sockets", programs::wasmedge_sockets()),
    ];
    let to = row.to(port);
    for (interface, program) in &interfaces {
        for (verb, transport) in [("connect", "tcp"), ("send", "udp")] {
            let is_reached = row.is_reached_by(transport);
            // Who is on all addresses answers from the first one, which was not spoken to.
            let is_first = to.ip() == Ipv4Addr::LOCALHOST || to.ip() == Ipv6Addr::LOCALHOST;
            if verb == "send" && is_reached && !is_first {
                continue;
            }
            let case = Case {
                interface,
                program,
                words: [verb, &to.to_string(), "hello"].map(str::to_owned).to_vec(),
                is_reached,
                printed: "hello",
            };
            check(workspace, &row.grants(port), &case);
        }
    }
}

/// Through requests, by address and by a name that the user maps there.
fn by_requests(workspace: &Workspace, row: &PolicyRow, port: u16) {
    let interfaces = [
        ("HTTP of WASI 0.2", programs::requests()),
        ("HTTP of WASI 0.3", programs::requests_p3()),
    ];
    for (interface, program) in &interfaces {
        // Who is there speaks no TLS, which shows that it was reached.
        for (scheme, printed) in [("http", "hello"), ("https", "TlsProtocolError")] {
            let case = Case {
                interface,
                program,
                words: vec!["get".to_owned(), format!("{scheme}://{}/", row.to(port))],
                is_reached: row.is_reached_by(scheme),
                printed,
            };
            check(workspace, &row.grants(port), &case);
        }
    }
}

#[test]
fn verdict_is_the_same_by_each_interface_of_sockets() {
    let (workspace, port) = (workspace(), answer_everywhere());
    for row in POLICY_TABLE {
        by_sockets(&workspace, row, port);
    }
}

#[test]
fn verdict_is_the_same_by_each_interface_of_requests() {
    let (workspace, port) = (workspace(), answer_everywhere());
    for row in POLICY_TABLE {
        by_requests(&workspace, row, port);
    }
}
