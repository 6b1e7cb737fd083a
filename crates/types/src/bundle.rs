//! What one runner is told to run: everything a guest will see, and nothing else.

use crate::cpu::CpuFeatures;
use crate::http::{HttpSettings, ServerTls};
use crate::interface::InterfacePattern;
use crate::limits::Limits;
use crate::network::PublishedPort;
use crate::program::ProgramKind;
use crate::secret::SecretBytes;
use serde::{Deserialize, Serialize};

/// One program with the arguments, environment, directories and interfaces of one run.
///
/// The keeper makes it from grants that it has checked; the runner believes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// What the compiled code is.
    pub kind: ProgramKind,
    /// Where the compiled code lies, as a path in the runner's own root.
    pub artifact: String,
    /// The arguments, the program's name first.
    pub arguments: Vec<String>,
    /// The environment, each name once, in the order given.
    pub environment: Vec<(String, String)>,
    /// Directories that are open when the guest starts, in order.
    pub preopens: Vec<Preopen>,
    /// What of the runner's own root it may open, besides the compiled code.
    pub file_rights: Vec<FileRight>,
    /// The guest's path of its initial working directory, if one was asked for.
    pub initial_directory: Option<String>,
    /// Which of the three standard streams are terminals to the guest.
    pub terminals: Terminals,
    /// What `wasi:config` answers: settings and secrets.
    pub config: Vec<(String, SecretBytes)>,
    /// Imports that are replaced by a trap on use.
    pub stubs: Vec<InterfacePattern>,
    /// Imports that are withheld although they would be there.
    pub denials: Vec<InterfacePattern>,
    /// What is called.
    pub entry: Entry,
    /// The processor, as it was when the code was compiled on this boot.
    pub cpu: CpuFeatures,
    /// What it may use up.
    pub limits: Limits,
    /// What it has of the network, if anything: its keeper holds it to that.
    pub network: Option<GuestNetwork>,
    /// How its requests are answered, if it is there for that.
    pub http: HttpSettings,
    /// By what it serves TLS, if it does.
    pub tls: Option<ServerTls>,
    /// Whether a core dump is written to [`crate::runner_protocol::COREDUMP_FD`] after a trap.
    pub has_coredump: bool,
}

/// A directory that the guest finds open when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preopen {
    /// The name that the guest sees.
    pub guest_path: String,
    /// The directory's path in the runner's own root.
    pub runner_path: String,
}

/// What a guest knows of its network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestNetwork {
    /// Its ports that the host shows.
    pub published: Vec<PublishedPort>,
    /// Whether it sends requests: then [`crate::runner_protocol::EGRESS_FDS`] are there.
    pub has_egress: bool,
}

/// A tree of files that the runner may open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRight {
    /// The tree's path in the runner's own root.
    pub runner_path: String,
    /// Whether files in it may be changed.
    pub is_writable: bool,
}

/// Which standard streams are terminals, as the guest is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminals {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

/// What of the program is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// The program's own entry: the first of `wasi:cli/run` 0.3, 0.2 and `_start` that it exports.
    Command,
    /// One exported function, with arguments and result as text.
    Invoke {
        /// The export's name. In a component, `INTERFACE#FUNCTION` names a function of an
        /// exported interface.
        export: String,
        /// The arguments: numbers for a core module, WAVE for a component.
        arguments: Vec<String>,
    },
}
