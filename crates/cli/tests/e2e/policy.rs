//! One table of grants and destinations, through each interface: the verdict is the same. Native code has its turn
//! in `crates/boundary/tests`.

use crate::workspace;
use lighter_testkit::{POLICY_TABLE, answer_everywhere, programs};
use std::net::{Ipv4Addr, Ipv6Addr};

#[test]
fn verdict_is_the_same_by_each_interface() {
    let (workspace, port) = (workspace(), answer_everywhere());
    let interfaces = [
        ("WASI 0.2", programs::sockets_component()),
        ("WASI 0.3", programs::sockets_p3()),
        ("WasmEdge's sockets", programs::wasmedge_sockets()),
    ];
    for row in POLICY_TABLE {
        let (to, grants) = (row.to(port), row.grants(port));
        for (name, program) in &interfaces {
            for (verb, is_reached) in [("connect", row.by_tcp), ("send", row.by_udp)] {
                // Who is on all addresses answers from the first one, which was not spoken to.
                let is_first = to.ip() == Ipv4Addr::LOCALHOST || to.ip() == Ipv6Addr::LOCALHOST;
                if verb == "send" && is_reached && !is_first {
                    continue;
                }
                let mut run = workspace.lighter(["run", "--timeout", "20s"]);
                for grant in &grants {
                    run = run.args(["--allow-net", grant]);
                }
                let outcome = run
                    .arg(program)
                    .args([verb, &to.to_string(), "hello"])
                    .run();
                let case = format!("{name}, {verb} {to} with {grants:?}");
                let told = outcome.stderr_text().contains("allow it with --allow-net");
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
