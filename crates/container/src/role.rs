//! Work on a program in a locked role: compiling it, telling what it is.

use crate::failed::Failed;
use crate::relay::Relay;
use crate::session::{Caller, Event, Session};
use crate::{Observer, Outcome};
use libc::{STDERR_FILENO, STDIN_FILENO, STDOUT_FILENO};
use lighter_boundary::sys::signal::SignalEvents;
use lighter_boundary::{Boundary, Exit, Root, Spec};
use lighter_types::limits::Limits;
use lighter_types::runner_protocol::{ARTIFACT_FD, End, FromRunner, PROGRAM_FD, SERVER_FD, Task};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// How often an observer hears that the work goes on.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// What a role works on.
pub struct RoleRequest<'a> {
    /// The program's bytes, sealed.
    pub program: BorrowedFd<'a>,
    /// Where the compile role writes what it made.
    pub artifact: Option<BorrowedFd<'a>>,
    /// An empty directory: all that the role sees of the file system.
    pub empty_directory: BorrowedFd<'a>,
    /// What it does.
    pub task: Task,
    /// How long the work may take.
    pub time_limit: Duration,
}

/// Plays a role to its end: the last message, or how it ended without one.
///
/// # Errors
/// The role did not start, or the keeper failed.
pub fn play_role(
    boundary: &dyn Boundary,
    request: RoleRequest<'_>,
    signals: &SignalEvents,
    observer: &mut dyn Observer,
) -> Result<Result<FromRunner, Outcome>, Failed> {
    let nowhere = nowhere()?;
    let mut descriptors = vec![(request.program, PROGRAM_FD)];
    descriptors.extend(request.artifact.map(|artifact| (artifact, ARTIFACT_FD)));
    let spec = spec(request.empty_directory, descriptors, &nowhere);
    let mut session = Session::start(boundary, spec, None)?;
    session.order(request.task)?;
    let start = Instant::now();
    let mut relay = Relay::default();
    let mut last = None;
    loop {
        if start.elapsed() >= request.time_limit {
            return Ok(Err(Outcome::TimedOut));
        }
        let next_report = Instant::now() + PROGRESS_INTERVAL;
        match session.next(Caller::Signals(signals), &mut relay, Some(next_report))? {
            Event::Message(FromRunner::Ended(End::Failed(failure))) => {
                return Ok(Err(failure.into()));
            }
            Event::Message(message @ (FromRunner::Compiled { .. } | FromRunner::Inspected(_)))
                if last.is_none() =>
            {
                last = Some(message)
            }
            Event::Message(_) => {
                let reason = "it said what it was not asked".to_owned();
                return Ok(Err(Outcome::Misbehaved { reason }));
            }
            Event::Misbehaved(reason) => return Ok(Err(Outcome::Misbehaved { reason })),
            Event::Signal(
                signal @ (libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT),
            ) => {
                return Ok(Err(Outcome::Interrupted(signal)));
            }
            Event::Signal(libc::SIGTSTP) => stop(&session),
            // It has no network to be refused something of.
            Event::Signal(_) | Event::Refused(_) | Event::Over => {}
            Event::Deadline => observer.waiting(start.elapsed()),
            Event::Ended(Exit::Code(0)) => {
                return Ok(last.ok_or_else(|| Outcome::Misbehaved {
                    reason: "it ended without a word".to_owned(),
                }));
            }
            Event::Ended(exit) => return Ok(Err(ended_early(exit))),
        }
    }
}

/// What a role has for streams: nothing of the caller's, since what it has to say it says in frames.
pub(crate) fn nowhere() -> Result<File, Failed> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|source| Failed::Keeper {
            action: "open /dev/null",
            source,
        })
}

/// A role that sees an empty directory and these descriptors.
fn spec<'a>(
    empty_directory: BorrowedFd<'a>,
    mut descriptors: Vec<(BorrowedFd<'a>, RawFd)>,
    nowhere: &'a File,
) -> Spec<'a> {
    let streams = [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO];
    descriptors.extend(streams.map(|number| (nowhere.as_fd(), number)));
    Spec {
        descriptors,
        root: Root::Directory(empty_directory),
        owner: None,
        limits: Limits::default(),
        is_looked_into: false,
        // The compiler takes all processors that there are.
        is_pinned: false,
    }
}

/// Asks the role that has these sockets one thing, and gives its answer: none if it had none, or `end` became readable or the deadline
/// passed before.
///
/// # Errors
/// As [`play_role`].
pub(crate) fn ask_role(
    boundary: &dyn Boundary,
    (empty_directory, sockets): (BorrowedFd<'_>, &[OwnedFd]),
    task: Task,
    end: BorrowedFd<'_>,
    deadline: Instant,
) -> Result<Option<FromRunner>, Failed> {
    let nowhere = nowhere()?;
    let numbered = sockets.iter().zip(SERVER_FD..);
    let descriptors = numbered
        .map(|(socket, number)| (socket.as_fd(), number))
        .collect();
    let spec = spec(empty_directory, descriptors, &nowhere);
    let mut session = Session::start(boundary, spec, None)?;
    session.order(task)?;
    Ok(session.answer(end, deadline))
}

/// Ctrl-Z stops the runner with the keeper, and both go on together.
pub(crate) fn stop(session: &Session) {
    session.set_stopped(true);
    stop_with_caller();
    session.set_stopped(false);
}

/// Stops this process, as Ctrl-Z does, until somebody continues it.
pub fn stop_with_caller() {
    // Our own process can always be signalled.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
}

/// How a run ended whose runner said nothing of it.
pub(crate) fn ended_early(exit: Exit) -> Outcome {
    match exit {
        Exit::Signal(signal) => Outcome::Killed(signal),
        Exit::OutOfMemory => Outcome::OutOfMemory,
        Exit::Code(code) => Outcome::Misbehaved {
            reason: format!("it ended with code {code} and without a word"),
        },
    }
}
