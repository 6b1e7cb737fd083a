//! The built `lighter`, run as its users run it, on real programs.
//!
//! [`run`] is what `lighter run` promises, shown by one small program; [`programs`] are other people's
//! programs and other languages; [`surprises`] are what breaks engines; [`wasi_p3`] is what the specification
//! of 0.3 says of files; [`cache`] is compiled code; [`bad_input`] is what users get wrong;
//! [`owners`] is who owns files and processes; [`poor`] is systems that lack something; [`terminal`] is a program at one;
//! [`network`] is sockets, [`ports`] what is published, [`wasmedge`] those of WasmEdge's extension of WASI 0.1; [`databases`] are
//! real servers, used by real clients, [`http`] is requests, [`tools`] what Debian has for the network, [`hosts`] other machines, and
//! [`crowds`] many of everything;
//! [`mounts`] and [`limits`] are what stands in the way of a mount and of an end; [`robust`] is ends at the
//! worst time; [`start`] is what a start costs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test and what helps it may fail where they like"
)]

mod bad_input;
mod cache;
mod crowds;
mod databases;
mod floods;
mod hosts;
mod http;
mod limits;
mod mounts;
mod names;
mod network;
mod owners;
mod policy;
mod poor;
mod ports;
mod programs;
mod requests;
mod robust;
mod run;
mod sending;
mod start;
mod surprises;
mod terminal;
mod tls;
mod tools;
mod wasi_p3;
mod wasmedge;

use lighter_testkit::Workspace;

/// A workspace with nothing in it.
fn workspace() -> Workspace {
    Workspace::new(env!("CARGO_BIN_EXE_lighter"))
}

/// A workspace that keeps compiled code for the next test, for large programs.
fn workspace_for_large_programs() -> Workspace {
    Workspace::with_shared_data(env!("CARGO_BIN_EXE_lighter"))
}

/// A workspace of an ordinary user.
fn workspace_of_ordinary_user() -> Workspace {
    Workspace::of_ordinary_user(env!("CARGO_BIN_EXE_lighter"))
}

/// A mount as `-v` takes it.
fn mount(source: &std::path::Path, target: &str) -> String {
    format!("{}:{target}", source.display())
}

/// A number as WebAssembly writes it (core specification, "Integers": unsigned LEB128).
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A module of these sections, each a number and its content (core specification, "Modules").
fn module(sections: impl IntoIterator<Item = (u8, Vec<u8>)>) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (number, content) in sections {
        module.push(number);
        module.extend(leb(content.len()));
        module.extend(content);
    }
    module
}
