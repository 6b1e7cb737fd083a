//! The `wasi 0.2` API set: the command world for components, any version from 0.2.0 on.
//!
//! ```text
//!   filesystem.rs   changes that are refused are reported, with the right error code
//!   streams.rs      files are read and written at once
//!   sockets.rs      every way to a socket or a name: denied (the network comes with its issue)
//!   the rest        as wasmtime-wasi has it
//! ```

mod filesystem;
mod names;
mod sockets;
mod status;
mod streams;

use super::{ApiSet, Import};
use crate::component::catalog::{self, Interface};
use crate::component::{ComponentLinker, ComponentState as State};
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};

/// The set.
pub(crate) struct WasiP2;

impl ApiSet<ComponentLinker> for WasiP2 {
    fn name(&self) -> &'static str {
        "wasi 0.2"
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

/// The view that `wasi:io` works on: the guest's handles.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

fn table(state: &mut State) -> &mut ResourceTable {
    &mut state.table
}

/// What the set provides.
pub(crate) const INTERFACES: &[Interface] = &[
    Interface {
        name: "wasi:io/error@0.2.12",
        link: |linker| wasi::io::error::add_to_linker::<_, Io>(linker, table),
    },
    Interface {
        name: "wasi:io/poll@0.2.12",
        link: |linker| wasi::io::poll::add_to_linker::<_, Io>(linker, table),
    },
    Interface {
        name: "wasi:io/streams@0.2.12",
        link: |linker| wasi::io::streams::add_to_linker::<_, Io>(linker, table),
    },
    Interface {
        name: "wasi:cli/environment@0.2.12",
        link: |linker| wasi::cli::environment::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/exit@0.2.12",
        link: |linker| wasi::cli::exit::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/stdin@0.2.12",
        link: |linker| wasi::cli::stdin::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/stdout@0.2.12",
        link: |linker| wasi::cli::stdout::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/stderr@0.2.12",
        link: |linker| wasi::cli::stderr::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-input@0.2.12",
        link: |linker| wasi::cli::terminal_input::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-output@0.2.12",
        link: |linker| wasi::cli::terminal_output::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-stdin@0.2.12",
        link: |linker| wasi::cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-stdout@0.2.12",
        link: |linker| wasi::cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:cli/terminal-stderr@0.2.12",
        link: |linker| wasi::cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, State::cli),
    },
    Interface {
        name: "wasi:clocks/monotonic-clock@0.2.12",
        link: |linker| {
            wasi::clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, State::clocks)
        },
    },
    Interface {
        name: "wasi:clocks/wall-clock@0.2.12",
        link: |linker| {
            wasi::clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, State::clocks)
        },
    },
    Interface {
        name: "wasi:random/random@0.2.12",
        link: |linker| wasi::random::random::add_to_linker::<_, WasiRandom>(linker, State::random),
    },
    Interface {
        name: "wasi:random/insecure@0.2.12",
        link: |linker| {
            wasi::random::insecure::add_to_linker::<_, WasiRandom>(linker, State::random)
        },
    },
    Interface {
        name: "wasi:random/insecure-seed@0.2.12",
        link: |linker| {
            wasi::random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, State::random)
        },
    },
    Interface {
        name: "wasi:filesystem/preopens@0.2.12",
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
        name: "wasi:sockets/network@0.2.12",
        link: |linker| {
            let options = wasi::sockets::network::LinkOptions::default();
            wasi::sockets::network::add_to_linker::<_, WasiSockets>(
                linker,
                &options,
                State::sockets,
            )
        },
    },
    Interface {
        name: "wasi:sockets/instance-network@0.2.12",
        link: |linker| {
            wasi::sockets::instance_network::add_to_linker::<_, WasiSockets>(linker, State::sockets)
        },
    },
    Interface {
        name: "wasi:sockets/tcp@0.2.12",
        link: |linker| wasi::sockets::tcp::add_to_linker::<_, WasiSockets>(linker, State::sockets),
    },
    Interface {
        name: "wasi:sockets/udp@0.2.12",
        link: |linker| wasi::sockets::udp::add_to_linker::<_, WasiSockets>(linker, State::sockets),
    },
    Interface {
        name: sockets::TCP,
        link: sockets::link_tcp,
    },
    Interface {
        name: sockets::UDP,
        link: sockets::link_udp,
    },
    Interface {
        name: names::NAMES,
        link: names::link,
    },
];
