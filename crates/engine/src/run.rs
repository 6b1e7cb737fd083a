//! `run`: one program, in the foreground, to its end.

use crate::Error;
use crate::cache::{CODE_FILE, Cache, Code};
use crate::code::failure_error;
use crate::coredump::Coredump;
use crate::egress;
use crate::engine::{Engine, Observer, open_directory};
use crate::mounts::{self, Secret};
use crate::network;
use crate::program::{self, Program, ProgramSource};
use crate::tls::{self, Tls, TlsFiles};
use lighter_boundary::process::ProcessBoundary;
use lighter_boundary::{Content, Ids, Mount, Network, Root};
use lighter_container::{EgressService, NameService, Outcome, RunRequest, Start, Streams};
use lighter_types::bundle::{Bundle, Entry, GuestNetwork};
use lighter_types::egress::Credential;
use lighter_types::escape::escape;
use lighter_types::grant::{Grant, Grants, Setting};
use lighter_types::http::HttpSettings;
use lighter_types::interface::InterfacePattern;
use lighter_types::limits::{Limits, NANO_CPU};
use lighter_types::program::ProgramKind;
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::Failure;
use lighter_types::secret::SecretBytes;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What to run, and what it is given.
pub struct RunOptions {
    /// The program.
    pub program: ProgramSource,
    /// What follows the program's name.
    pub arguments: Vec<String>,
    /// The guest's first argument, in place of the file's name.
    pub argv0: Option<String>,
    /// All grants.
    pub grants: Grants,
    /// The guest's environment, resolved.
    pub environment: Vec<(String, String)>,
    /// The guest's initial working directory.
    pub working_directory: Option<String>,
    /// Whether the guest's streams are one terminal.
    pub has_terminal: bool,
    /// The export that is called in place of the program's entry.
    pub invoke: Option<String>,
    /// Where a core dump goes after a trap.
    pub coredump: Option<PathBuf>,
    /// What it may use up.
    pub limits: Limits,
    /// How long the guest may run.
    pub time_limit: Option<Duration>,
    /// How its requests are answered, if it is there for that. The number of workers is the engine's.
    pub http: HttpSettings,
    /// The certificate with which it serves TLS, if it does.
    pub tls: Option<TlsFiles>,
}

impl Engine {
    /// Runs a program in the foreground, on the caller's streams.
    ///
    /// # Errors
    /// The program was not found or cannot be run, or a grant cannot be given; the guest has then
    /// not started. What a guest that did start comes to is the [`Outcome`].
    pub fn run(
        &self,
        options: RunOptions,
        find_variable: &dyn Fn(&str) -> Option<OsString>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, Error> {
        refuse_unsupported(&options.grants)?;
        self.warn_of_what_is_missing(observer);
        let program = program::open(&options.program)?;
        let secrets = mounts::read_secrets(&options.grants, find_variable)?;
        let credentials = egress::read_credentials(&options.grants, find_variable)?;
        let authorities = egress::read_authorities(&options.grants)?;
        let tls = options.tls.as_ref().map(tls::read).transpose()?;
        if let Some(warning) = tls.as_ref().and_then(|tls| tls.warning.as_deref()) {
            observer.warn(warning);
        }
        // What is kept and hidden from mounts has to be there before they are looked at.
        let cache = self.cache(observer);
        if options.grants.mounts().next().is_some() {
            self.scratch()?;
        }
        let mut mounts = mounts::resolve(&options.grants, &secrets, &self.settings)?;
        bound_memory_mounts(&mut mounts, &options.limits);
        check_working_directory(options.working_directory.as_deref(), &mounts)?;
        let network = network::resolve(&options.grants, &self.settings.ceilings)?;
        for warning in network::warnings(&options.grants) {
            observer.warn(&warning);
        }
        if let Some(network) = &network {
            network::chosen(&options.grants, network).for_each(|port| observer.published(port));
        }
        let coredump = options
            .coredump
            .as_deref()
            .map(Coredump::create)
            .transpose()?;
        let run = Run {
            options: &options,
            secrets: &secrets,
            credentials: &credentials,
            authorities: &authorities,
            tls: tls.as_ref(),
            mounts: &mounts,
            network: network.as_ref(),
            workers: workers(&options, network.as_deref()),
            coredump: coredump.as_ref().map(Coredump::file),
        };
        let outcome = self.run_program(&cache, &program, &run, observer)?;
        if let (Some(coredump), Outcome::Trapped { .. }) = (coredump, &outcome) {
            coredump.keep()?;
        }
        match outcome {
            Outcome::Failed(failure) => Err(failure_error(&program.name, failure)),
            outcome => Ok(outcome),
        }
    }

    fn run_program(
        &self,
        cache: &Cache,
        program: &Program,
        run: &Run<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, Error> {
        let stubs: Vec<InterfacePattern> = run.options.grants.stubs().cloned().collect();
        let denials: Vec<InterfacePattern> = run.options.grants.denials().cloned().collect();
        let code = self.code(cache, program, (&stubs, &denials), observer)?;
        let outcome = self.run_code(program, &code, run, observer)?;
        if outcome != Outcome::Failed(Failure::StaleArtifact) {
            return Ok(outcome);
        }
        // The engine that made it differs in something the key does not hold: make it again, once.
        cache.forget(&code);
        drop(code);
        let code = self.code(cache, program, (&stubs, &denials), observer)?;
        self.run_code(program, &code, run, observer)
    }

    fn run_code(
        &self,
        program: &Program,
        code: &Code,
        run: &Run<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, Error> {
        let entry_directory;
        // What may answer requests makes instances, over and over.
        let has_page_map = code.kind == ProgramKind::Component && run.workers > 0;
        let root = if run.mounts.is_empty() && !has_page_map {
            entry_directory = open_directory(&code.directory)?;
            Root::Directory(entry_directory.as_fd())
        } else {
            Root::Tree {
                code: code.directory.clone(),
                mounts: run.mounts.to_vec(),
                scratch: self.scratch()?,
                has_page_map,
            }
        };
        let request = RunRequest {
            root,
            owner: run.options.grants.user().map(|user| Ids {
                user: user.uid,
                group: user.gid.unwrap_or_else(default_group),
            }),
            streams: if run.options.has_terminal {
                Streams::Terminal
            } else {
                Streams::Caller
            },
            limits: run.limits(code),
            network: run.network.map(Arc::clone),
            names: self.names(run.options, run.network)?,
            egress: self.egress(run, code)?,
            signer: run.tls.map(|tls| Arc::clone(&tls.signer)),
            code_bytes: run.code_bytes(code),
            coredump: run.coredump.map(File::as_fd),
            time_limit: run.options.time_limit,
            drain_time: run.options.http.drain_time,
        };
        let bundle = |start: &Start| run.bundle(program, code, start);
        let mut listener = Listener(observer);
        let outcome = lighter_container::run(
            self.boundary.as_ref(),
            request,
            bundle,
            self.signals()?,
            &mut listener,
        )?;
        Ok(outcome)
    }

    /// How a component sends requests that may send some.
    fn egress(&self, run: &Run<'_>, code: &Code) -> Result<Option<Arc<EgressService>>, Error> {
        let Some(network) = run
            .network
            .and_then(|network| egress::network(network, code.kind))
        else {
            return Ok(None);
        };
        let names = self.names(run.options, Some(&network))?;
        let boundary: Arc<ProcessBoundary> = Arc::clone(&self.boundary);
        let service = names.map(|names| EgressService {
            boundary,
            empty_directory: names.empty_directory.clone(),
            network,
            names,
            order: egress::order(run.credentials.to_vec(), run.authorities.to_vec()),
        });
        Ok(service.map(Arc::new))
    }

    /// How a run with a network finds names.
    fn names(
        &self,
        options: &RunOptions,
        network: Option<&Arc<Network>>,
    ) -> Result<Option<Arc<NameService>>, Error> {
        let Some(network) = network else {
            return Ok(None);
        };
        let grants = &options.grants;
        let boundary: Arc<ProcessBoundary> = Arc::clone(&self.boundary);
        Ok(Some(Arc::new(NameService {
            boundary,
            empty_directory: self.scratch()?,
            hosts: grants.hosts().cloned().collect(),
            servers: grants.name_servers().copied().collect(),
            network: Arc::clone(network),
        })))
    }
}

/// Files in memory are memory: no more of them than the limit allows.
fn bound_memory_mounts(mounts: &mut [Mount], limits: &Limits) {
    for mount in mounts {
        if let Content::Memory { size_bytes, .. } = &mut mount.content {
            *size_bytes = size_bytes.or(limits.memory_bytes);
        }
    }
}

/// The group of `--user UID`: root's where Docker's would be, else the caller's.
fn default_group() -> u32 {
    if rustix::process::geteuid().is_root() {
        0
    } else {
        rustix::process::getegid().as_raw()
    }
}

/// Passes a container's events on.
struct Listener<'a>(&'a mut dyn Observer);

impl lighter_container::Observer for Listener<'_> {
    fn refused(&mut self, refusal: &Refusal) {
        self.0.refused(refusal);
    }

    fn refusals_cut(&mut self) {
        self.0.refusals_cut();
    }
}

/// One run, with all that was read and checked for it.
struct Run<'a> {
    options: &'a RunOptions,
    secrets: &'a [Secret],
    credentials: &'a [Credential],
    /// Certificates of authorities that the user believes besides the system's, as PEM.
    authorities: &'a [u8],
    tls: Option<&'a Tls>,
    mounts: &'a [Mount],
    network: Option<&'a Arc<Network>>,
    /// How many processors it may use at once, if it may answer requests.
    workers: u32,
    coredump: Option<&'a File>,
}

/// The threads of a server besides those that work: spare ones, and those that look after it.
const SERVER_THREADS: u32 = 16;
/// The most processors that one server uses.
const MOST_WORKERS: u32 = 64;

/// How many processors a program may use at once that answers requests on published ports.
fn workers(options: &RunOptions, network: Option<&Network>) -> u32 {
    let is_published = network.is_some() && options.grants.published().next().is_some();
    if !is_published {
        return 0;
    }
    let own = rustix::thread::sched_getaffinity(None).map_or(1, |own| own.count());
    let granted = options.limits.nano_cpus.map(|cpus| cpus.div_ceil(NANO_CPU));
    let granted = granted.and_then(|cpus| u32::try_from(cpus).ok());
    own.min(granted.unwrap_or(u32::MAX)).clamp(1, MOST_WORKERS)
}

impl Run<'_> {
    /// What its process may use up. A component starts no threads, but one that answers requests has some.
    fn limits(&self, code: &Code) -> Limits {
        let mut limits = self.options.limits;
        if let Some(threads) = &mut limits.threads
            && code.kind == ProgramKind::Component
            && self.workers > 0
        {
            *threads = threads.saturating_add(self.workers + SERVER_THREADS);
        }
        limits
    }

    /// How large the code is, where that has to be known.
    fn code_bytes(&self, code: &Code) -> u64 {
        match self.options.limits.memory_bytes {
            // What cannot be looked at cannot be mapped either, and that is told.
            Some(_) => fs::metadata(code.directory.join(CODE_FILE)).map_or(0, |code| code.len()),
            None => 0,
        }
    }

    fn bundle(&self, program: &Program, code: &Code, start: &Start) -> Bundle {
        let options = self.options;
        let layout = &start.layout;
        let mut arguments = vec![
            options
                .argv0
                .clone()
                .unwrap_or_else(|| program.file_name.clone()),
        ];
        let entry = match &options.invoke {
            Some(export) => Entry::Invoke {
                export: export.clone(),
                arguments: options.arguments.clone(),
            },
            None => {
                arguments.extend(options.arguments.iter().cloned());
                Entry::Command
            }
        };
        Bundle {
            kind: code.kind,
            artifact: format!("{}/{CODE_FILE}", layout.code),
            arguments,
            environment: self.environment(),
            preopens: mounts::preopens(self.mounts, layout),
            file_rights: mounts::file_rights(self.mounts, layout),
            initial_directory: options.working_directory.clone(),
            terminals: start.terminals,
            config: self.config(),
            stubs: options.grants.stubs().cloned().collect(),
            denials: options.grants.denials().cloned().collect(),
            entry,
            cpu: code.cpu,
            limits: start.limits,
            http: HttpSettings {
                workers: self.workers,
                ..self.options.http
            },
            network: self.network.map(|network| GuestNetwork {
                published: network::guest_ports(&self.options.grants, network),
                has_egress: egress::network(network, code.kind).is_some(),
            }),
            tls: self.tls.map(|tls| tls.server.clone()),
            has_coredump: self.coredump.is_some(),
        }
    }

    /// The environment given, and what Docker's flags imply.
    fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.options.environment.clone();
        let mut imply = |name: &str, value: &str| {
            if !environment.iter().any(|(known, _)| known == name) {
                environment.push((name.to_owned(), value.to_owned()));
            }
        };
        if self.options.has_terminal {
            imply("TERM", "xterm");
        }
        if let Some(directory) = &self.options.working_directory {
            imply("PWD", directory);
        }
        environment
    }

    /// What `wasi:config` answers: of several settings with one key the last.
    fn config(&self) -> Vec<(String, SecretBytes)> {
        let mut config: Vec<(String, SecretBytes)> = Vec::new();
        for Setting { key, value } in self.options.grants.settings() {
            let value = SecretBytes::new(value.clone().into_bytes());
            match config.iter_mut().find(|(known, _)| known == key) {
                Some((_, old)) => *old = value,
                None => config.push((key.clone(), value)),
            }
        }
        let secrets = self
            .secrets
            .iter()
            .map(|secret| (secret.name.clone(), secret.value.clone()));
        config.extend(secrets);
        config
    }
}

/// A grant that this version parses and cannot give is refused, never ignored.
pub(crate) fn refuse_unsupported(grants: &Grants) -> Result<(), Error> {
    match grants.unsupported() {
        None => Ok(()),
        // Volumes are refused with the other mounts that cannot be made.
        Some((Grant::Mount(_), _)) => Ok(()),
        Some((grant, reason)) => Err(Error::Refused {
            reason: format!("cannot grant {grant}: {reason}"),
            hint: Some(
                "leave it out; what the program would use it for is refused while it runs"
                    .to_owned(),
            ),
        }),
    }
}

fn check_working_directory(directory: Option<&str>, mounts: &[Mount]) -> Result<(), Error> {
    let Some(directory) = directory else {
        return Ok(());
    };
    if !directory.starts_with('/') {
        return Err(Error::Refused {
            reason: format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                escape(directory)
            ),
            hint: None,
        });
    }
    if mounts.is_empty() {
        return Err(Error::Refused {
            reason: format!(
                "the working directory {} does not exist: the program has no files at all",
                escape(directory)
            ),
            hint: Some("mount a directory there, as -v ./data:/data:ro -w /data".to_owned()),
        });
    }
    Ok(())
}
