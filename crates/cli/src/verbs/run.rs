//! `lighter run`.

use crate::arguments::{ProcessFlags, Program, RunArguments};
use crate::flags::{EngineFlags, environment, program};
use crate::printer::{self, Reporter, memory};
use crate::settings;
use lighter_engine::{Engine, Error, Outcome, RunOptions, signal_code};
use lighter_types::escape::{escape, escape_lines};
use lighter_types::exit;
use lighter_types::limits::Limits;
use std::io::IsTerminal;

/// The longest trap report that is shown, in characters.
const REPORT_CHARACTERS: usize = 16_000;

pub(crate) fn run(flags: &EngineFlags, arguments: RunArguments) -> u8 {
    let limits = arguments.limits.limits();
    match limits.and_then(|limits| Ok((try_run(flags, arguments, limits)?, limits))) {
        Ok((outcome, limits)) => tell(outcome, &limits),
        Err(error) => printer::failure(&error),
    }
}

fn try_run(flags: &EngineFlags, arguments: RunArguments, limits: Limits) -> Result<Outcome, Error> {
    let RunArguments {
        grants,
        limits: limit_flags,
        http,
        process,
        program: Program::Words(words),
    } = arguments;
    let (source, program_arguments) = program(words)?;
    let configuration = settings::read(flags)?;
    let grants = grants.grants(&configuration)?;
    check_terminal(&process)?;
    let time_limit = limit_flags.time_limit()?;
    if time_limit.is_some() {
        printer::hurry();
    }
    let mut reporter = Reporter::new(grants.clone());
    let options = RunOptions {
        program: source,
        arguments: program_arguments,
        argv0: process.argv0,
        environment: environment(&grants)?,
        grants,
        working_directory: process.workdir,
        has_terminal: process.tty,
        invoke: process.invoke,
        coredump: process.coredump,
        limits,
        time_limit,
        http: http.settings()?,
        tls: http.tls(),
    };
    Engine::open(configuration.engine)?.run(options, &settings::variable, &mut reporter)
}

/// As Docker: a terminal for the guest's input needs one of the caller's.
fn check_terminal(process: &ProcessFlags) -> Result<(), Error> {
    if process.tty && process.interactive && !std::io::stdin().is_terminal() {
        return Err(Error::Refused {
            reason: "the input device is not a TTY".to_owned(),
            hint: Some("leave -t out, or run it in a terminal".to_owned()),
        });
    }
    Ok(())
}

/// Words for how a guest ended, and the exit code.
fn tell(outcome: Outcome, limits: &Limits) -> u8 {
    match outcome {
        Outcome::Exited(code) => code,
        Outcome::Trapped { report } => {
            let report = escape_lines(&report, REPORT_CHARACTERS);
            printer::err(&format!("lighter: {}\n", report.trim_end()));
            exit::TRAPPED
        }
        Outcome::Interrupted(signal) => signal_code(signal),
        Outcome::TimedOut => {
            printer::error(
                "the program was ended: its time (--timeout) was over",
                &[],
                None,
            );
            exit::TIMED_OUT
        }
        Outcome::OutOfMemory => {
            let (reason, hint) = match limits.memory_bytes {
                Some(bytes) => (
                    format!(
                        "the program was ended: it needs more memory than --memory allows ({})",
                        memory(bytes)
                    ),
                    "give it more with --memory",
                ),
                None => (
                    "the program was ended: the system has no more memory for it".to_owned(),
                    "bound it with --memory, so that it takes none from others",
                ),
            };
            printer::error(&reason, &[], Some(hint));
            exit::KILLED
        }
        Outcome::Killed(signal) => {
            let reason = match signal {
                9 => "the program was killed: by a limit of the system, or from outside".to_owned(),
                signal => format!("the runner was ended by signal {signal}"),
            };
            printer::error(&reason, &[], None);
            signal_code(signal)
        }
        Outcome::Misbehaved { reason } => {
            let reason = format!("the runner broke the protocol: {}", escape(&reason));
            printer::error(&reason, &[], None);
            exit::FAILED
        }
        Outcome::Failed(failure) => {
            printer::error(&escape(&format!("{failure:?}")), &[], None);
            exit::FAILED
        }
    }
}
