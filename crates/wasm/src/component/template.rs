//! What each instance of a component is given.

use super::{ComponentState, stdio};
use crate::api::http::{HttpState, Outgoing};
use crate::budget::{Budget, Limiter};
use crate::directories::open_initial;
use crate::host::Host;
use lighter_types::bundle::Bundle;
use lighter_types::escape::escape;
use lighter_types::runner_protocol::Failure;
use lighter_types::secret::SecretBytes;
use std::path::Path;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// The bundle, with what all instances share.
pub(crate) struct Template {
    bundle: Bundle,
    host: Arc<dyn Host>,
    outgoing: Arc<Outgoing>,
    budget: Arc<Budget>,
    config: Arc<[(String, SecretBytes)]>,
    initial_directory: Option<Arc<str>>,
    input: stdio::Input,
    output: stdio::Output,
    errors: stdio::Output,
}

impl Template {
    pub(crate) fn new(mut bundle: Bundle, host: Arc<dyn Host>) -> Self {
        let terminals = bundle.terminals;
        let network = bundle.network.as_ref();
        let sends = network.is_some_and(|network| network.has_egress);
        Self {
            budget: Budget::new(bundle.limits.memory_bytes),
            config: std::mem::take(&mut bundle.config).into(),
            initial_directory: bundle.initial_directory.as_deref().map(Arc::from),
            input: stdio::Input::stdin(terminals.stdin, &host),
            output: stdio::Output::stdout(terminals.stdout),
            errors: stdio::Output::stderr(terminals.stderr),
            outgoing: Arc::new(Outgoing::new(Arc::clone(&host), sends)),
            host,
            bundle,
        }
    }

    /// What the store of a new instance holds.
    ///
    /// # Errors
    /// A directory cannot be opened, or the initial one is not there.
    pub(crate) fn state(&self) -> Result<ComponentState, Failure> {
        let bundle = &self.bundle;
        let mut builder = WasiCtxBuilder::new();
        builder
            .args(&bundle.arguments)
            .envs(&bundle.environment)
            .stdin(self.input.clone())
            .stdout(self.output.clone())
            .stderr(self.errors.clone());
        // Before the directories, which copy the setting.
        builder.allow_blocking_current_thread(true);
        open_directories(&mut builder, bundle)?;
        if bundle.network.is_some() {
            // The keeper decides on each address, and the kernel asks it.
            builder
                .allow_tcp(true)
                .allow_udp(true)
                .socket_addr_check(|_, _| Box::pin(async { true }));
        }
        if let Some(directory) = &bundle.initial_directory {
            builder.initial_cwd(directory);
        }
        Ok(ComponentState {
            limiter: Limiter::new(Arc::clone(&self.budget)),
            wasi: builder.build(),
            table: ResourceTable::new(),
            http: HttpState::new(Arc::clone(&self.outgoing)),
            host: Arc::clone(&self.host),
            has_network: bundle.network.is_some(),
            config: Arc::clone(&self.config),
            initial_directory: self.initial_directory.clone(),
        })
    }
}

/// Opens the bundle's directories, the initial one first, under the name `.`.
///
/// All are open for writing: the kernel holds what is read-only.
fn open_directories(builder: &mut WasiCtxBuilder, bundle: &Bundle) -> Result<(), Failure> {
    let mut open = |path: &Path, name: &str| {
        builder
            .preopened_dir(path, name, FsPerms::ReadWrite)
            .map(drop)
            .map_err(|error| Failure::Internal {
                reason: format!("could not open directory {}: {error}", escape(name)),
            })
    };
    if let Some(directory) = &bundle.initial_directory {
        let (_, path) = open_initial(&bundle.preopens, directory)?;
        open(&path, ".")?;
    }
    bundle
        .preopens
        .iter()
        .try_for_each(|preopen| open(Path::new(&preopen.runner_path), &preopen.guest_path))
}
