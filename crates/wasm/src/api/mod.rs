//! API sets: families of host interfaces that a guest may import.
//!
//! ```text
//!   core modules                        components
//!   wasi_p1        WASI 0.1, unstable,  wasi_p2    cli clocks filesystem io random sockets 0.2
//!                  WasmEdge's sockets
//!   wasi_threads   thread-spawn         wasi_p3    the same without io, 0.3
//!                                       http       wasi:http 0.2 and 0.3
//!                                       config     wasi:config
//!                                       logging    wasi:logging
//! ```

use lighter_types::interface::InterfacePattern;

pub(crate) mod config;
pub(crate) mod http;
pub(crate) mod logging;
pub(crate) mod wasi_p1;
pub(crate) mod wasi_p2;
pub(crate) mod wasi_p3;
pub(crate) mod wasi_threads;

/// One import of a program: all that is known before anything is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Import<'a> {
    /// A component's import name, as `wasi:cli/stdout@0.2.6`; a core module's import module.
    pub(crate) interface: &'a str,
    /// The item of a core module's import, as `fd_write`; `None` for a component.
    pub(crate) item: Option<&'a str>,
    /// How many parameters a core module's import has, where it is linked and a function: some functions have
    /// several types under one name.
    pub(crate) parameters: Option<usize>,
}

impl<'a> Import<'a> {
    /// An import by its name.
    pub(crate) fn named(interface: &'a str, item: Option<&'a str>) -> Self {
        Self {
            interface,
            item,
            parameters: None,
        }
    }
}

/// A family of host interfaces, for linkers of type `L`: `wasmtime::Linker<CoreState>` for core
/// modules, `wasmtime::component::Linker<ComponentState>` for components.
///
/// A set is a constant without state; what one container may do with it lives in the store's
/// state. `provides` is asked first, by the role that inspects a program before anything is
/// compiled; `link` is called in the runner, with those of the program's imports that the set
/// provides and that are neither stubbed nor denied, and adds these and no others: linking is a
/// cost of each start.
pub(crate) trait ApiSet<L>: Sync {
    /// The set's name as shown to a person.
    fn name(&self) -> &'static str;

    /// Whether the set meets this import.
    fn provides(&self, import: &Import<'_>) -> bool;

    /// The flags without which every use of this import is refused, if there are such.
    fn needs_grant(&self, _import: &Import<'_>) -> Option<&'static str> {
        None
    }

    /// Adds what the program imports of this set.
    ///
    /// # Errors
    /// A name that is defined already, which is a fault of the sets.
    fn link(&self, linker: &mut L, imports: &[Import<'_>]) -> wasmtime::Result<()>;
}

/// The flags without which there is no network.
pub(crate) const NETWORK_FLAGS: &str = "--allow-net or -p";

/// The flags without which `wasi:sockets` refuses everything, for an import of it.
pub(crate) fn needs_network(import: &Import<'_>) -> Option<&'static str> {
    import
        .interface
        .starts_with("wasi:sockets/")
        .then_some(NETWORK_FLAGS)
}

/// Who meets one import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// The set at this index of the list that was asked.
    Set(usize),
    /// A trap on use: `--stub` names it.
    Stub,
    /// Nobody, although a set would: `--deny` names it.
    Denied,
    /// Nobody.
    Missing,
}

/// Decides who meets one import. `--stub` goes before `--deny`, and both before the sets.
pub(crate) fn provider<L>(
    import: &Import<'_>,
    sets: &[&dyn ApiSet<L>],
    stubs: &[InterfacePattern],
    denials: &[InterfacePattern],
) -> Provider {
    let is_named = |pattern: &InterfacePattern| match import.item {
        Some(item) => pattern.matches_core(import.interface, item),
        None => pattern.matches_interface(import.interface),
    };
    if stubs.iter().any(is_named) {
        return Provider::Stub;
    }
    match sets.iter().position(|set| set.provides(import)) {
        Some(_) if denials.iter().any(is_named) => Provider::Denied,
        Some(index) => Provider::Set(index),
        None => Provider::Missing,
    }
}
