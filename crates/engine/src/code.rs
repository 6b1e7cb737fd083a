//! From a program to code that can be mapped: out of the cache, or by the compile role.

use crate::Error;
use crate::cache::{Cache, Code, Found, Slot};
use crate::engine::{Engine, Observer, open_directory};
use crate::program::Program;
use lighter_boundary::sys::memory_file;
use lighter_container::{Outcome, RoleRequest, play_role};
use lighter_types::escape::{escape, escape_lines};
use lighter_types::interface::InterfacePattern;
use lighter_types::program::{FileKind, ProgramKind};
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{
    Bounds, Failure, FromRunner, InspectOrder, MissingImport, Task,
};
use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The longest line of a guest's or a compiler's own words.
const REASON_CHARACTERS: usize = 4000;

impl Engine {
    /// Finds or makes the code of a program.
    pub(crate) fn code(
        &self,
        cache: &Cache,
        program: &Program,
        patterns: (&[InterfacePattern], &[InterfacePattern]),
        observer: &mut dyn Observer,
    ) -> Result<Code, Error> {
        let slot = match cache.find(program)? {
            Found::Code(code) => return Ok(code),
            Found::Nothing(slot) => slot,
        };
        let lock = cache.lock_file(&slot);
        if let Some(lock) = &lock
            && let Some(code) = self.wait_for_another(cache, &slot, lock, program, observer)?
        {
            return Ok(code);
        }
        let made = self.compile_slot(&slot, program, patterns, observer);
        observer.compiled();
        let (kind, mut artifact) = made?;
        cache.keep(program, &slot, kind, &mut artifact, &mut |text| {
            observer.warn(&text)
        })
    }

    /// Waits while another process makes the same code; gives it, or nothing once it is our turn.
    fn wait_for_another(
        &self,
        cache: &Cache,
        slot: &Slot,
        lock: &File,
        program: &Program,
        observer: &mut dyn Observer,
    ) -> Result<Option<Code>, Error> {
        let start = Instant::now();
        while !Cache::try_lock(lock) {
            let patience = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 20_000_000,
            };
            let signals = self.signals()?;
            let mut polled = [rustix::event::PollFd::from_borrowed_fd(
                signals.as_fd(),
                rustix::event::PollFlags::IN,
            )];
            // A wait that was cut short only looks sooner.
            let _ = rustix::event::poll(&mut polled, Some(&patience));
            match signals.next() {
                Ok(Some(libc::SIGTSTP)) => lighter_container::stop_with_caller(),
                Ok(Some(signal)) => return Err(Error::Interrupted(signal)),
                _ => {}
            }
            observer.compiling(&program.name, slot.sealed.length, start.elapsed());
        }
        Ok(cache.find_again(slot))
    }

    fn compile_slot(
        &self,
        slot: &Slot,
        program: &Program,
        (stubs, denials): (&[InterfacePattern], &[InterfacePattern]),
        observer: &mut dyn Observer,
    ) -> Result<(ProgramKind, File), Error> {
        let failed = |source| Error::File {
            action: "make room for compiled code in memory".to_owned(),
            source,
        };
        let artifact = memory_file::create(c"lighter-artifact").map_err(failed)?;
        let order = InspectOrder {
            is_text: program.kind == FileKind::Text,
            stubs: stubs.to_vec(),
            denials: denials.to_vec(),
            cpu: slot.cpu,
            bounds: Bounds::for_program(slot.sealed.length),
        };
        let time_limit = Duration::from_secs(order.bounds.cpu_seconds);
        let answer = self.play(
            RoleRequest {
                program: slot.sealed.file.as_fd(),
                artifact: Some(artifact.as_fd()),
                empty_directory: open_directory(&self.scratch()?)?.as_fd(),
                task: Task::Compile(order),
                time_limit,
            },
            program,
            slot.sealed.length,
            observer,
        )?;
        // The role has ended; what it wrote stays as it is.
        memory_file::seal(&artifact).map_err(failed)?;
        match answer {
            FromRunner::Compiled { kind } => Ok((kind, artifact)),
            _ => Err(misbehaved("it answered what it was not asked")),
        }
    }

    /// Plays a role on a program to its answer.
    pub(crate) fn play(
        &self,
        request: RoleRequest<'_>,
        program: &Program,
        size_bytes: u64,
        observer: &mut dyn Observer,
    ) -> Result<FromRunner, Error> {
        let bounds = match &request.task {
            Task::Compile(order) | Task::Inspect(order) => order.bounds,
            Task::Run(_) | Task::Resolve(_) | Task::Egress(_) => Bounds::for_program(size_bytes),
        };
        let mut progress = Progress {
            observer,
            program: &program.name,
            size_bytes,
        };
        match play_role(
            self.boundary.as_ref(),
            request,
            self.signals()?,
            &mut progress,
        )? {
            Ok(answer) => Ok(answer),
            Err(outcome) => Err(role_error(&program.name, outcome, bounds)),
        }
    }
}

/// Tells an observer that a program is being worked on.
struct Progress<'a> {
    observer: &'a mut dyn Observer,
    program: &'a str,
    size_bytes: u64,
}

impl lighter_container::Observer for Progress<'_> {
    fn refused(&mut self, refusal: &Refusal) {
        self.observer.refused(refusal);
    }

    fn refusals_cut(&mut self) {
        self.observer.refusals_cut();
    }

    fn waiting(&mut self, elapsed: Duration) {
        self.observer
            .compiling(self.program, self.size_bytes, elapsed);
    }
}

fn role_error(program: &str, outcome: Outcome, bounds: Bounds) -> Error {
    let reason = match outcome {
        Outcome::OutOfMemory => format!(
            "takes more than {} MiB of memory to read and compile",
            bounds.memory_bytes >> 20
        ),
        Outcome::TimedOut => format!(
            "takes more than {} seconds to read and compile",
            bounds.cpu_seconds
        ),
        // The kernel kills what has used up its time, and what takes too much of the machine.
        Outcome::Killed(libc::SIGKILL) => format!(
            "was killed while it was compiled: after {} seconds of processor time, or because \
             the system has no memory left",
            bounds.cpu_seconds
        ),
        Outcome::Killed(signal) => {
            return Error::not_runnable(
                program,
                format!("made the compiler crash (signal {signal})"),
                Some("please report it with the program".to_owned()),
            );
        }
        Outcome::Failed(failure) => return failure_error(program, failure),
        Outcome::Interrupted(signal) => return Error::Interrupted(signal),
        Outcome::Misbehaved { reason } => return misbehaved(&reason),
        Outcome::Exited(_) | Outcome::Trapped { .. } => {
            return misbehaved("it ran what it should compile");
        }
    };
    let hint = "make it smaller: split it, or build it with fewer or smaller functions";
    Error::not_runnable(program, reason, Some(hint.to_owned()))
}

fn misbehaved(reason: &str) -> Error {
    Error::Internal {
        reason: format!("the runner broke the protocol: {}", escape(reason)),
    }
}

/// Words for what a role could not do.
pub(crate) fn failure_error(program: &str, failure: Failure) -> Error {
    let shown = |text: &str| escape_lines(text, REASON_CHARACTERS).replace('\n', " ");
    match failure {
        Failure::Invalid { reason } => {
            Error::not_runnable(
                program,
                format!("is not valid: {}", shown(&reason)),
                Some("build it again, or fetch it again if it was cut short".to_owned()),
            )
        }
        Failure::Unsupported { reason } => {
            Error::not_runnable(program, format!("cannot run: {}", shown(&reason)), None)
        }
        Failure::MissingImports(missing) => missing_imports(program, &missing),
        Failure::StaleArtifact => Error::Internal {
            reason: format!("the engine does not accept the code that it made of {program}"),
        },
        Failure::NoEntry { exports } => {
            let exports: Vec<String> = exports.iter().map(|name| escape(name)).collect();
            let (list, hint) = match exports.first() {
                None => ("it exports no function at all".to_owned(), None),
                Some(first) => (
                    format!("it exports {}", exports.join(", ")),
                    Some(format!("call one of its functions with --invoke, as --invoke {first}")),
                ),
            };
            Error::not_runnable(program, format!("has nothing to run: {list}"), hint)
        }
        Failure::InvalidInvoke { reason } => Error::Refused { reason: shown(&reason), hint: None },
        Failure::WorkingDirectory { reason } => Error::Refused {
            reason: shown(&reason),
            hint: Some("create it first, or name another with -w".to_owned()),
        },
        Failure::Listen { port, reason } => Error::Refused {
            reason: format!("cannot listen on the published port {port}: {}", shown(&reason)),
            hint: None,
        },
        Failure::NoPort => Error::Refused {
            reason: format!("{program} answers HTTP requests, and no port is published"),
            hint: Some("publish one, as -p 8080:80".to_owned()),
        },
        Failure::NotServed => Error::Refused {
            reason: format!("--tls-cert is for components that answer HTTP requests: {program} serves its ports itself"),
            hint: Some("leave --tls-cert and --tls-key out".to_owned()),
        },
        Failure::OutOfMemory => {
            Error::not_runnable(program, "reached a limit: no memory was left", None)
        }
        Failure::LimitReached { reason } => {
            Error::not_runnable(program, format!("reached a limit: {}", shown(&reason)), None)
        }
        Failure::Lock { reason } => Error::Refused {
            reason: format!("the runner could not be locked: {}", shown(&reason)),
            hint: Some(
                "Lighter needs seccomp and Landlock (Linux 5.13 or later, with landlock among the lsm= \
                 of the kernel's command line), see lighter info; to run without what is missing, \
                 add --insecure-no-boundary"
                    .to_owned(),
            ),
        },
        Failure::Internal { reason } => Error::Internal { reason: shown(&reason) },
    }
}

/// The most missing imports that are listed.
const LISTED_MISSING: usize = 40;

fn missing_imports(program: &str, missing: &[MissingImport]) -> Error {
    let mut details: Vec<String> = missing
        .iter()
        .take(LISTED_MISSING)
        .map(|import| match &import.note {
            Some(note) => format!("{} ({})", escape(&import.name), escape(note)),
            None => escape(&import.name),
        })
        .collect();
    if missing.len() > LISTED_MISSING {
        details.push(format!("and {} more", missing.len() - LISTED_MISSING));
    }
    Error::NotRunnable {
        program: program.to_owned(),
        reason: "imports what nobody here provides:".to_owned(),
        details,
        hint: missing.first().map(|first| stub_hint(&escape(&first.name))),
    }
}

/// How to run the program without an import: a component's interface or a foreign module as a
/// whole, but of WASI's own module only the function, since the rest of it is there.
fn stub_hint(name: &str) -> String {
    let whole = match name.split_once('.') {
        Some((module, _)) if !name.contains(['/', ':']) => module,
        _ => name,
    };
    if whole.starts_with("wasi_") {
        return format!(
            "if the program can do without, a flag for each of them, as --stub {name}, makes its \
             uses traps"
        );
    }
    format!("if the program can do without, --stub {whole} makes each use of it a trap")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_of_wasi_is_not_advised_away() {
        let hint = stub_hint("wasi_snapshot_preview1.sock_open");
        assert!(
            hint.contains("--stub wasi_snapshot_preview1.sock_open,"),
            "{hint}"
        );
        assert!(stub_hint("env.log").contains("--stub env makes"));
        let component = stub_hint("acme:db/query@1.0.0");
        assert!(component.contains("--stub acme:db/query@1.0.0 makes"));
    }
}
