//! The `wasi 0.3` API set: the command world for components, 0.3.0 and what is compatible.
//!
//! ```text
//!   filesystem.rs   changes that are refused are reported, with the right error code
//!   sockets.rs      every way to a socket or a name: denied (the network comes with its issue)
//!   the rest        as wasmtime-wasi has it
//! ```

mod filesystem;
mod listing;
mod sockets;
mod status;

use super::{ApiSet, Import};
use crate::component::catalog::{self, Interface};
use crate::component::{ComponentLinker, ComponentState as State};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p3::bindings as wasi;
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};

/// The set.
pub(crate) struct WasiP3;

impl ApiSet<ComponentLinker> for WasiP3 {
    fn name(&self) -> &'static str {
        "wasi 0.3"
    }

    fn provides(&self, import: &Import<'_>) -> bool {
        catalog::provides(INTERFACES, import)
    }

    fn needs_grant(&self, import: &Import<'_>) -> Option<&'static str> {
        super::needs_network(import)
    }

    fn link(&self, linker: &mut ComponentLinker, imports: &[Import<'_>]) -> wasmtime::Result<()> {
        catalog::link(INTERFACES, linker, imports)
    }
}

/// What the set provides.
pub(crate) const INTERFACES: &[Interface] = &[
    Interface {
        name: "wasi:cli/environment@0.3.0",
        link: |linker| wasi::cli::environment::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/exit@0.3.0",
        link: |linker| wasi::cli::exit::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/stdin@0.3.0",
        link: |linker| wasi::cli::stdin::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/stdout@0.3.0",
        link: |linker| wasi::cli::stdout::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/stderr@0.3.0",
        link: |linker| wasi::cli::stderr::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-input@0.3.0",
        link: |linker| wasi::cli::terminal_input::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-output@0.3.0",
        link: |linker| wasi::cli::terminal_output::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-stdin@0.3.0",
        link: |linker| wasi::cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-stdout@0.3.0",
        link: |linker| wasi::cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-stderr@0.3.0",
        link: |linker| wasi::cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:clocks/monotonic-clock@0.3.0",
        link: |linker| {
            wasi::clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, State::clocks)
        },
    },
    Interface {
        name: "wasi:clocks/system-clock@0.3.0",
        link: |linker| {
            wasi::clocks::system_clock::add_to_linker::<_, WasiClocks>(linker, State::clocks)
        },
    },
    Interface {
        name: "wasi:random/random@0.3.0",
        link: |linker| wasi::random::random::add_to_linker::<_, WasiRandom>(linker, State::random),
    },
    Interface {
        name: "wasi:random/insecure@0.3.0",
        link: |linker| {
            wasi::random::insecure::add_to_linker::<_, WasiRandom>(linker, State::random)
        },
    },
    Interface {
        name: "wasi:random/insecure-seed@0.3.0",
        link: |linker| {
            wasi::random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, State::random)
        },
    },
    Interface {
        name: "wasi:filesystem/preopens@0.3.0",
        link: |linker| {
            wasi::filesystem::preopens::add_to_linker::<_, WasiFilesystem>(
                linker,
                State::filesystem,
            )
        },
    },
    Interface {
        name: filesystem::TYPES,
        link: filesystem::link,
    },
    Interface {
        name: "wasi:cli/types@0.3.0",
        link: catalog::types_only,
    },
    Interface {
        name: "wasi:clocks/types@0.3.0",
        link: catalog::types_only,
    },
    Interface {
        name: sockets::TYPES,
        link: sockets::link_types,
    },
    Interface {
        name: "wasi:sockets/ip-name-lookup@0.3.0",
        link: sockets::link_ip_name_lookup,
    },
];
