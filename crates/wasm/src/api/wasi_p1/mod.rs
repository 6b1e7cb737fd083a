//! WASI 0.1 for core modules: `wasi_snapshot_preview1`, and `wasi_unstable` before it.
//!
//! Reading order: `types` and `errno` are the format; `memory` is how a guest's memory is
//! touched; `descriptor` holds what is open; the other files are the functions, by what they
//! are about, each with the list of those it has.
//!
//! `socket` and `receive` are what the functions of sockets are made of, those of the standard in
//! `sockets` and those of WasmEdge's extension in `wasmedge`.
//!
//! All functions have numbers for parameters and return an error number. A pointer that leads
//! out of the memory is the error `fault`, not a trap: one wrong pointer should not end a
//! program that would handle the error.

mod clocks;
mod context;
mod descriptor;
mod directories;
mod errno;
mod files;
mod memory;
mod open;
mod paths;
mod poll;
mod process;
mod receive;
mod socket;
mod sockets;
mod status;
mod types;
mod wasmedge;

pub(crate) use context::{Exit, WasiContext, WasiState};
pub(crate) use errno::Errno;

use crate::api::{ApiSet, Import, NETWORK_FLAGS};
use crate::core::{CoreLinker, CoreState};
use memory::Memory;
use types::Dialect;
use wasmtime::{Caller, Extern};

/// WASI 0.1 and `wasi_unstable`.
pub(crate) struct WasiP1;

/// What adds a function to a linker, under a module's name and its own.
type Link = fn(&mut CoreLinker, &str, &str, Dialect) -> wasmtime::Result<()>;

/// One function: its name, and what adds it to a linker.
type Function = (&'static str, Link);

/// All functions, file by file.
const FUNCTIONS: &[&[Function]] = &[
    process::FUNCTIONS,
    clocks::FUNCTIONS,
    files::FUNCTIONS,
    status::FUNCTIONS,
    directories::FUNCTIONS,
    paths::FUNCTIONS,
    open::FUNCTIONS,
    poll::FUNCTIONS,
    sockets::FUNCTIONS,
];

/// What adds a function that a program imports, in its dialect.
fn find(import: &Import<'_>) -> Option<(Dialect, Link)> {
    let dialect = Dialect::of(import.interface)?;
    let item = import.item?;
    let link = match dialect {
        Dialect::Unstable => standard(item).filter(|_| item != "sock_accept"),
        // What most programs import comes first.
        Dialect::Preview1 => standard(item)
            .filter(|_| !wasmedge::has_another_type(item, import.parameters))
            .or_else(|| wasmedge::find(item, import.parameters))
            .or_else(|| standard(wasmedge::standard_name(item)?)),
    };
    link.map(|link| (dialect, link))
}

fn standard(item: &str) -> Option<Link> {
    let mut functions = FUNCTIONS.iter().copied().flatten();
    let found = functions.find(|(name, _)| *name == item);
    found.map(|(_, link)| *link)
}

impl ApiSet<CoreLinker> for WasiP1 {
    fn name(&self) -> &'static str {
        "wasi 0.1"
    }

    fn provides(&self, import: &Import<'_>) -> bool {
        find(import).is_some()
    }

    fn needs_grant(&self, import: &Import<'_>) -> Option<&'static str> {
        let is_of_sockets = Dialect::of(import.interface) == Some(Dialect::Preview1)
            && import.item.is_some_and(wasmedge::needs_network);
        is_of_sockets.then_some(NETWORK_FLAGS)
    }

    fn link(&self, linker: &mut CoreLinker, imports: &[Import<'_>]) -> wasmtime::Result<()> {
        for import in imports {
            if let (Some((dialect, link)), Some(item)) = (find(import), import.item) {
                link(linker, import.interface, item, dialect)?;
            }
        }
        Ok(())
    }
}

/// Where a guest's memory is: found once, at its first host call.
#[derive(Clone)]
pub(crate) enum MemoryHandle {
    /// A memory of one instance.
    Own(wasmtime::Memory),
    /// A memory that instances share.
    Shared(wasmtime::SharedMemory),
}

/// Does the work of one function on the guest's memory, and answers its error number.
///
/// # Errors
/// A trap if the program has no memory to work on.
fn call(
    mut caller: Caller<'_, CoreState>,
    body: impl FnOnce(&WasiContext, &mut Memory<'_>) -> Result<(), Errno>,
) -> wasmtime::Result<u32> {
    let handle = match &caller.data().wasi.memory {
        Some(handle) => handle.clone(),
        None => find_memory(&mut caller)?,
    };
    let result = match handle {
        MemoryHandle::Own(memory) => {
            let (bytes, state) = memory.data_and_store_mut(&mut caller);
            body(&state.wasi.context, &mut Memory::Own(bytes))
        }
        MemoryHandle::Shared(memory) => body(
            &caller.data().wasi.context,
            &mut Memory::Shared(memory.data()),
        ),
    };
    Ok(match result {
        Ok(()) => 0,
        Err(errno) => u32::from(errno.number()),
    })
}

/// As [`call`], for functions that leave the memory alone: they work without one.
fn call_without_memory(
    caller: Caller<'_, CoreState>,
    body: impl FnOnce(&WasiContext) -> Result<(), Errno>,
) -> u32 {
    match body(&caller.data().wasi.context) {
        Ok(()) => 0,
        Err(errno) => u32::from(errno.number()),
    }
}

fn find_memory(caller: &mut Caller<'_, CoreState>) -> wasmtime::Result<MemoryHandle> {
    let handle = match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => MemoryHandle::Own(memory),
        Some(Extern::SharedMemory(memory)) => MemoryHandle::Shared(memory),
        _ => {
            return Err(wasmtime::Error::msg(
                "the program called a WASI function but exports no memory named \"memory\"",
            ));
        }
    };
    caller.data_mut().wasi.memory = Some(handle.clone());
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provides(interface: &str, item: &str) -> bool {
        WasiP1.provides(&Import::named(interface, Some(item)))
    }

    #[test]
    fn both_dialects_have_their_functions() {
        let count = FUNCTIONS.iter().map(|list| list.len()).sum::<usize>();
        assert_eq!(count, 46);
        assert!(provides("wasi_snapshot_preview1", "sock_accept"));
        assert!(provides("wasi_unstable", "fd_write"));
        assert!(!provides("wasi_unstable", "sock_accept"));
        assert!(provides("wasi_snapshot_preview1", "sock_open"));
        assert!(provides("wasi_snapshot_preview1", "sock_recv_from_v2"));
        assert!(provides("wasi_snapshot_preview1", "sock_accept_v2"));
        assert!(provides("wasi_snapshot_preview1", "epoll_oneoff"));
        assert!(!provides("wasi_snapshot_preview1", "fd_write_v2"));
        assert!(!provides("wasi_unstable", "sock_open"));
        assert!(!provides("wasi_snapshot_preview1", "fd_writ"));
        assert!(!provides("env", "fd_write"));
    }

    #[test]
    fn what_makes_sockets_needs_a_network() {
        let needs = |item| WasiP1.needs_grant(&Import::named("wasi_snapshot_preview1", Some(item)));
        assert_eq!(needs("sock_open"), Some(NETWORK_FLAGS));
        assert_eq!(needs("sock_getaddrinfo_v2"), Some(NETWORK_FLAGS));
        for item in ["sock_accept", "sock_recv", "epoll_oneoff", "fd_write"] {
            assert_eq!(needs(item), None, "{item}");
        }
    }
}
