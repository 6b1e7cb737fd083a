//! Plays a guest that has broken out of Wasm: native code inside a locked runner that tries what it
//! was not granted. `crates/boundary/tests/it` runs it, one case per test.
//!
//! ```text
//!   broken-out free CASE     performs the case as it is, to show that it works
//!   broken-out tree CASE     performs it in a runner with a code directory and two mounts
//!   broken-out empty CASE    performs it in a role that has one empty directory
//!   broken-out network CASE  performs it in a runner that may reach one address, and has no files
//!   broken-out reach ADDRESS GRANT...   connects and sends there, in a runner with these grants
//!   broken-out cases         lists the cases
//! ```
//!
//! One line per attempt goes to standard output: `succeeded`, `refused` or `killed`, what was
//! attempted, and the kernel's answer, divided by tabs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a program for tests fails the test that runs it"
)]

mod architectures;
mod attempts;
mod descriptors;
mod escapes;
mod files;
mod keeper;
mod kernel;
mod memory;
mod network;
mod processes;
mod random;
mod raw;
mod runner;
mod sockets;
mod stage;

use attempts::Attempts;
use stage::{Kind, Stage, Wish};
use std::io::{Read, Write};
use std::sync::atomic::AtomicU64;

/// One thing that a broken-out guest tries, in as many ways as there are.
type Case = (&'static str, fn(&Stage, &mut Attempts));

/// The exit code of a program that was executed although it should not have been.
const EXECUTED: i32 = 99;

/// What stands in the memory of a bystander, for others to read and to write.
static MARK: AtomicU64 = AtomicU64::new(u64::from_ne_bytes(*b"bystands"));

fn cases() -> impl Iterator<Item = &'static Case> {
    [
        files::CASES,
        escapes::CASES,
        processes::CASES,
        kernel::CASES,
        memory::CASES,
        descriptors::CASES,
        sockets::CASES,
        network::CASES,
        architectures::CASES,
        random::CASES,
    ]
    .into_iter()
    .flatten()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["runner"] => runner::play(),
        ["executed"] => std::process::exit(EXECUTED),
        ["bystander"] => stand_by(),
        ["cases"] => {
            let names: Vec<&str> = cases().map(|(name, _)| *name).collect();
            print(&names.join("\n"));
        }
        ["free", case] => keeper::keep(Kind::Free, case, None),
        ["tree", case] => keeper::keep(Kind::Tree, case, None),
        ["empty", case] => keeper::keep(Kind::Empty, case, None),
        ["network", case] => keeper::keep(Kind::Network, case, None),
        ["reach", address, grants @ ..] => keeper::keep(
            Kind::Network,
            network::REACH.0,
            Some(Wish {
                address: address.parse().expect("an address"),
                grants: grants.iter().map(|grant| (*grant).to_owned()).collect(),
            }),
        ),
        _ => panic!("broken-out free|tree|empty|network CASE, reach ADDRESS GRANT..., or cases"),
    }
}

fn print(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

/// Is there to be attacked, until standard input ends.
fn stand_by() {
    print(&MARK.as_ptr().addr().to_string());
    let read = std::io::stdin().read_to_end(&mut Vec::new());
    read.expect("standard input can be read");
}
