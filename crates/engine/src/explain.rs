//! `explain`: what a program is, what it imports, what the flags give it, and what is missing.

use crate::Error;
use crate::code::failure_error;
use crate::egress;
use crate::engine::{Engine, Observer, open_directory};
use crate::mounts;
use crate::network;
use crate::program::{self, ProgramSource, seal};
use crate::run::refuse_unsupported;
use crate::tls::{self, TlsFiles};
use lighter_boundary::Content;
use lighter_container::{Failed, RoleRequest};
use lighter_types::cpu::CpuFeatures;
use lighter_types::grant::{Grants, Protocol};
use lighter_types::limits::Limits;
use lighter_types::program::{FileKind, ProgramKind};
use lighter_types::runner_protocol::{
    Bounds, Failure, FromRunner, InspectOrder, ProgramFacts, Task,
};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

/// What to explain.
pub struct ExplainOptions {
    /// The program.
    pub program: ProgramSource,
    /// The grants that a run would get.
    pub grants: Grants,
    /// What a run could use up.
    pub limits: Limits,
    /// The certificate with which a run would serve TLS.
    pub tls: Option<TlsFiles>,
    /// The export that a run would call in place of the program's entry.
    pub invoke: Option<String>,
}

/// What a program is and what it would be given.
pub struct Explanation {
    /// The program's name, as it is shown.
    pub program: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The digest of its bytes.
    pub digest: lighter_types::digest::Digest,
    /// What the inspect role found: a stranger's words, to be escaped.
    pub facts: ProgramFacts,
    /// The files it would see.
    pub directories: Vec<Directory>,
    /// What `run` would warn of.
    pub warnings: Vec<String>,
    /// Why `run` would refuse it, if it would.
    pub refusal: Option<Error>,
}

/// Something in the guest's tree.
pub struct Directory {
    /// Where the guest sees it.
    pub target: String,
    /// What it is of the host's; `None` for memory and secrets.
    pub source: Option<PathBuf>,
    /// Whether it can be changed.
    pub is_writable: bool,
}

impl Engine {
    /// Explains a program without running or compiling it.
    ///
    /// # Errors
    /// The program was not found, is not WebAssembly, or is not valid.
    pub fn explain(
        &self,
        options: &ExplainOptions,
        find_variable: &dyn Fn(&str) -> Option<OsString>,
        observer: &mut dyn Observer,
    ) -> Result<Explanation, Error> {
        let program = program::open(&options.program)?;
        let sealed = seal(&program)?;
        let order = InspectOrder {
            is_text: program.kind == FileKind::Text,
            stubs: options.grants.stubs().cloned().collect(),
            denials: options.grants.denials().cloned().collect(),
            cpu: CpuFeatures::detect(),
            bounds: Bounds::for_program(sealed.length),
        };
        let empty_directory = open_directory(&self.scratch()?)?;
        let request = RoleRequest {
            program: sealed.file.as_fd(),
            artifact: None,
            empty_directory: empty_directory.as_fd(),
            time_limit: Duration::from_secs(order.bounds.cpu_seconds),
            task: Task::Inspect(order),
        };
        let FromRunner::Inspected(facts) = self.play(request, &program, sealed.length, observer)?
        else {
            return Err(Error::Internal {
                reason: "the runner broke the protocol: it answered what it was not asked"
                    .to_owned(),
            });
        };
        let mounts = mounts::resolve(&options.grants, &[], &self.settings)?;
        let directories = mounts
            .into_iter()
            .map(|mount| match mount.content {
                Content::Bind {
                    source,
                    is_read_only,
                    ..
                } => Directory {
                    target: mount.target,
                    source: Some(source),
                    is_writable: !is_read_only,
                },
                Content::Memory { is_read_only, .. } => Directory {
                    target: mount.target,
                    source: None,
                    is_writable: !is_read_only,
                },
                Content::Files(_) | Content::Mask => Directory {
                    target: mount.target,
                    source: None,
                    is_writable: false,
                },
            })
            .collect();
        let limits = || self.boundary.check_limits(&options.limits);
        let ceilings = &self.settings.ceilings;
        let refusal = refuse_unsupported(&options.grants)
            .and_then(|()| network::check(&options.grants, ceilings))
            .and_then(|()| Ok(limits().map_err(Failed::Start)?))
            .and_then(|()| egress::read_credentials(&options.grants, find_variable).map(drop))
            .and_then(|()| egress::read_authorities(&options.grants).map(drop))
            .and_then(|()| options.tls.as_ref().map(tls::read).transpose().map(drop))
            .err()
            .or_else(|| {
                let failure = failure(&facts, options)?;
                Some(failure_error(&program.name, failure))
            });
        Ok(Explanation {
            program: program.name,
            size_bytes: sealed.length,
            digest: sealed.digest,
            warnings: warnings(&options.grants, &facts),
            facts: *facts,
            directories,
            refusal,
        })
    }
}

/// What is to be said of the grants, for such a program.
fn warnings(grants: &Grants, facts: &ProgramFacts) -> Vec<String> {
    let mut warnings = network::warnings(grants);
    let makes_sockets = facts.kind == ProgramKind::Component
        || facts
            .imports
            .iter()
            .any(|import| import.item.as_deref() == Some("sock_open"));
    if !makes_sockets && grants.destinations().next().is_some() {
        let text =
            "a module of WASI 0.1 connects to nothing: build it for WASI 0.2 (Rust: wasm32-wasip2)";
        warnings.push(text.to_owned());
    }
    warnings
}

/// Why a run would fail: a function that is called by its name needs no entry.
fn failure(facts: &ProgramFacts, options: &ExplainOptions) -> Option<Failure> {
    let Some(export) = options.invoke.as_deref() else {
        let entry = facts.entry.as_deref().unwrap_or_default();
        let mut published = options.grants.published();
        let has_port = published.any(|publish| publish.protocol == Protocol::Tcp);
        let lacks_port = entry.starts_with("wasi:http/") && !has_port;
        return facts
            .failure
            .clone()
            .or(lacks_port.then_some(Failure::NoPort));
    };
    match &facts.failure {
        None | Some(Failure::NoEntry { .. }) => {}
        Some(failure) => return Some(failure.clone()),
    }
    // `INTERFACE#FUNCTION` names a function of an exported interface.
    let name = export
        .split_once('#')
        .map_or(export, |(interface, _)| interface);
    let is_cut = facts.exports.len() < usize::try_from(facts.export_count).unwrap_or(usize::MAX);
    let is_there = facts.exports.iter().any(|known| known == name);
    (!is_there && !is_cut).then(|| Failure::InvalidInvoke {
        reason: format!("no function {export} is exported"),
    })
}
