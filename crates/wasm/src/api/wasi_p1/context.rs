//! What one program has of WASI 0.1, for all its threads, and how it is made of a bundle.

use super::MemoryHandle;
use super::descriptor::{Descriptor, DescriptorTable};
use super::errno::Errno;
use super::sockets;
use crate::directories::{is_escape, open_initial, open_preopen};
use crate::host::Host;
use crate::names;
use lighter_types::bundle::Bundle;
use lighter_types::network::Lookup;
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::Failure;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The end that a guest asked for with `proc_exit`: an error that unwinds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u32);

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "exited with code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// What the store of one thread holds of WASI 0.1.
pub(crate) struct WasiState {
    /// What the threads share.
    pub(crate) context: Arc<WasiContext>,
    /// The memory of the thread's instance, once it is known.
    pub(super) memory: Option<MemoryHandle>,
}

impl WasiState {
    /// The state of a thread that has not called anything yet.
    pub(crate) fn new(context: Arc<WasiContext>) -> Self {
        Self {
            context,
            memory: None,
        }
    }
}

/// What one program has: arguments, environment, descriptors.
pub(crate) struct WasiContext {
    pub(super) arguments: Vec<String>,
    /// `KEY=VALUE`, one each.
    pub(super) environment: Vec<String>,
    pub(super) descriptors: DescriptorTable,
    /// Whether any of the network was granted.
    pub(super) has_network: bool,
    host: Arc<dyn Host>,
}

impl WasiContext {
    /// Opens the granted directories and makes the program's descriptors. `wants_listeners` is whether it
    /// expects to find listeners open.
    ///
    /// # Errors
    /// A directory that could not be opened.
    pub(crate) fn new(
        bundle: &Bundle,
        wants_listeners: bool,
        host: Arc<dyn Host>,
    ) -> Result<Self, Failure> {
        let terminals = bundle.terminals;
        let mut descriptors = vec![
            Descriptor::stdin(terminals.stdin, &host),
            Descriptor::output(rustix::stdio::stdout(), terminals.stdout),
            Descriptor::output(rustix::stdio::stderr(), terminals.stderr),
        ];
        // Programs expect listeners from 3 up, and look for directories only after them.
        if let Some(network) = bundle.network.as_ref().filter(|_| wants_listeners) {
            let listeners = sockets::listeners(&network.published);
            descriptors.extend(listeners.map_err(|(port, error)| Failure::Listen {
                port,
                reason: error.to_string(),
            })?);
        }
        if let Some(path) = &bundle.initial_directory {
            let (dir, _) = open_initial(&bundle.preopens, path)?;
            descriptors.push(Descriptor::preopen(dir, ".".to_owned(), path.clone()));
        }
        for preopen in &bundle.preopens {
            let path = preopen.guest_path.clone();
            let dir = open_preopen(preopen)?;
            descriptors.push(Descriptor::preopen(dir, path.clone(), path));
        }
        Ok(Self {
            arguments: bundle.arguments.clone(),
            environment: bundle
                .environment
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            descriptors: DescriptorTable::new(descriptors),
            has_network: bundle.network.is_some(),
            host,
        })
    }

    /// Tells the host what the program was refused.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.host.refused(refusal);
    }

    /// Looks a host name up, and waits for the answer.
    pub(super) fn look_up(&self, text: &str) -> Lookup {
        let answer = names::look_up(self.host.as_ref(), text);
        lighter_memory::before_wait();
        names::answer(answer.blocking_recv())
    }

    /// The error number for a failed call on a path or on what was opened by it. What a grant
    /// would have allowed is told to the host.
    pub(super) fn fail(&self, action: &str, path: String, error: io::Error) -> Errno {
        let is_directory_link = action == "link";
        let refusal = match rustix::io::Errno::from_io_error(&error) {
            Some(rustix::io::Errno::ROFS) => Some(Refusal::ReadOnly {
                action: action.to_owned(),
                path,
            }),
            // The system's answer to a hard link to a directory is no matter of rights.
            Some(rustix::io::Errno::PERM) if is_directory_link => None,
            Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
                Some(Refusal::Permission {
                    action: action.to_owned(),
                    path,
                })
            }
            _ if is_escape(&error) => Some(Refusal::Escape { path }),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.refuse(refusal);
        }
        Errno::from(error)
    }
}
