//! Runs components: links what they import, finds the entry, calls it, tells how it ended.
//!
//! ```text
//!   link.rs         imports -> linker, or the list of what is missing
//!   entry.rs        exports -> what is called
//!   template.rs     the bundle -> what an instance is given
//!   call.rs         calls it, and says how it ended
//!   invoke.rs       arguments and results as text
//! ```
//!
//! One thread and one runtime run everything; a helper thread starts only when a standard stream
//! would block.

mod call;
pub(crate) mod catalog;
pub(crate) mod entry;
mod invoke;
pub(crate) mod link;
pub(crate) mod refused;
pub(crate) mod status;
pub(crate) mod stdio;
pub(crate) mod template;

use crate::budget::Limiter;
use crate::host::Host;
use lighter_types::bundle::Bundle;
use lighter_types::runner_protocol::{End, Failure};
use lighter_types::secret::SecretBytes;
use std::sync::Arc;
use template::Template;
use wasmtime::component::{Component, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// What the store of a component holds.
pub(crate) struct ComponentState {
    /// What its memories and tables may take.
    pub(crate) limiter: Limiter,
    /// What wasmtime-wasi's interfaces answer.
    pub(crate) wasi: WasiCtx,
    /// The guest's handles.
    pub(crate) table: ResourceTable,
    /// What outgoing HTTP is made of.
    pub(crate) http: crate::api::http::HttpState,
    /// The embedding role.
    pub(crate) host: Arc<dyn Host>,
    /// Whether it may make sockets; where they lead is decided outside.
    pub(crate) has_network: bool,
    /// What `wasi:config` answers.
    pub(crate) config: Arc<[(String, SecretBytes)]>,
    /// The guest's path of the directory that is also open as `.`.
    pub(crate) initial_directory: Option<Arc<str>>,
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// The linker that the component sets fill.
pub(crate) type ComponentLinker = wasmtime::component::Linker<ComponentState>;

/// The sets a component may import.
pub(crate) const SETS: &[&dyn crate::api::ApiSet<ComponentLinker>] = &[
    &crate::api::wasi_p2::WasiP2,
    &crate::api::wasi_p3::WasiP3,
    &crate::api::http::Http,
    &crate::api::config::Config,
    &crate::api::logging::Logging,
];

/// Runs a component to its end.
pub(crate) fn run(component: &Component, bundle: Bundle, host: Arc<dyn Host>) -> End {
    try_run(component, bundle, host).unwrap_or_else(End::Failed)
}

fn try_run(component: &Component, bundle: Bundle, host: Arc<dyn Host>) -> Result<End, Failure> {
    let program = link::link(component, &bundle)?;
    let entry = entry::choose(component, &bundle.entry)?;
    let has_coredump = bundle.has_coredump;
    let name = bundle.arguments.first().cloned().unwrap_or_default();
    let state = Template::new(bundle, host).state()?;
    // File operations run on this thread; a wait for a slow standard stream takes a helper.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time();
    builder.on_thread_park(lighter_memory::before_wait);
    if state.has_network {
        builder.enable_io();
    }
    let runtime = builder.build().map_err(|error| Failure::Internal {
        reason: format!("could not make the runtime: {error}"),
    })?;
    let run = call::Run {
        program,
        entry,
        dump_name: has_coredump.then_some(name),
    };
    let end = runtime.block_on(call::call(run, state));
    // A helper may wait for a stream for ever; the process ends without it.
    runtime.shutdown_background();
    end
}
