//! A run in the foreground: the caller's streams, the caller's signals, one guest.

use crate::egress::{EgressService, Links};
use crate::failed::{Failed, keeper_failed};
use crate::relay::Relay;
use crate::role::{ended_early, stop};
use crate::session::{Caller, Event, Session};
use crate::signing::{Signer, Signing};
use crate::{NameService, Observer, Outcome};
use lighter_boundary::sys::signal::SignalEvents;
use lighter_boundary::{Boundary, Ids, Layout, Network, Root, Spec};
use lighter_types::bundle::{Bundle, Terminals};
use lighter_types::limits::Limits;
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{COREDUMP_FD, End, FromRunner, SIGN_FD, Task};
use rustix::fs::FileType;
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most distinct refusals that are told one by one.
const TOLD_REFUSALS: usize = 32;

/// How long a refusal waits to be told, so that it does not land in the middle of what the guest
/// has to say of it.
const TELL_DELAY: Duration = Duration::from_millis(50);

/// How long a runner that said its last word may take to end.
const LAST_WORD_TIME: Duration = Duration::from_secs(2);

/// What a guest's standard streams are to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// What the caller's are: a terminal exactly if the caller's is one.
    Caller,
    /// All three one terminal (`-t`), whatever the caller's are.
    Terminal,
}

/// A run.
pub struct RunRequest<'a> {
    /// The files that the runner sees.
    pub root: Root<'a>,
    /// Who owns what it writes.
    pub owner: Option<Ids>,
    /// What the guest may use up.
    pub limits: Limits,
    /// What it may do with the network, if anything.
    pub network: Option<Arc<Network>>,
    /// How its names are found, if it has a network.
    pub names: Option<Arc<NameService>>,
    /// How its requests are sent, if it may send some.
    pub egress: Option<Arc<EgressService>>,
    /// The key of its certificate, if it serves TLS.
    pub signer: Option<Arc<dyn Signer>>,
    /// How large its code is, in bytes, if its memory is limited.
    pub code_bytes: u64,
    /// The streams.
    pub streams: Streams,
    /// Where a core dump goes.
    pub coredump: Option<BorrowedFd<'a>>,
    /// How long the guest may run, from its start.
    pub time_limit: Option<Duration>,
    /// How long its requests may go on once it is to end, if it answers any.
    pub drain_time: Duration,
}

/// What is known of a runner once it has started, and goes into its order.
#[derive(Clone, Debug)]
pub struct Start {
    /// Where it finds its files.
    pub layout: Layout,
    /// Which of its streams are terminals.
    pub terminals: Terminals,
    /// What the guest is held to.
    pub limits: Limits,
}

/// Runs a guest to its end. `bundle` makes the runner's order.
///
/// # Errors
/// The runner did not start, or the keeper failed; then nothing is left of the run.
pub fn run(
    boundary: &dyn Boundary,
    request: RunRequest<'_>,
    bundle: impl FnOnce(&Start) -> Bundle,
    signals: &SignalEvents,
    observer: &mut dyn Observer,
) -> Result<Outcome, Failed> {
    let mut relay = Relay::default();
    let wiring = Wiring::make(request.streams, &mut relay)?;
    let mut descriptors = wiring.descriptors();
    descriptors.extend(request.coredump.map(|file| (file, COREDUMP_FD)));
    let links = request
        .egress
        .map(|service| Links::make(service, request.limits));
    let (links, their_links) = links.transpose()?.unzip();
    descriptors.extend(Links::descriptors(
        their_links.as_deref().unwrap_or_default(),
    ));
    let signing = request.signer.map(Signing::start).transpose()?;
    let (signing, their_signer) = signing.unzip();
    descriptors.extend(
        their_signer
            .as_ref()
            .map(|signer| (signer.as_fd(), SIGN_FD)),
    );
    let spec = Spec {
        descriptors,
        root: request.root,
        owner: request.owner,
        limits: request.limits,
        is_looked_into: request.network.is_some(),
        is_pinned: true,
    };
    let mut session = Session::start(boundary, spec, request.network)?;
    session.set_code_bytes(request.code_bytes);
    session.set_names(request.names);
    session.set_links(links);
    let bundle = bundle(&Start {
        layout: session.layout(),
        terminals: wiring.terminals,
        limits: session.limits(),
    });
    // The runner's ends of the pipes are the runner's alone, so that their end is seen.
    drop(wiring);
    drop(their_links);
    drop(their_signer);
    session.order(Task::Run(Box::new(bundle)))?;
    Run {
        observer,
        refusals: BTreeSet::new(),
        untold: Vec::new(),
        tell_at: None,
        settle_at: Some(Instant::now() + SETTLE_TIME),
        time_limit: request.time_limit,
        is_loaded: false,
        serving: Serving::No,
        drain_time: request.drain_time,
        last: None,
        deadline: None,
    }
    .attend(&mut session, signals, &mut relay)
    .inspect(|_| drop(signing))
}

/// The keeper's memory of a run that goes on.
struct Run<'a> {
    observer: &'a mut dyn Observer,
    refusals: BTreeSet<Refusal>,
    /// Those that were not told yet, `None` for all that come after, and when they will be.
    untold: Vec<Option<Refusal>>,
    tell_at: Option<Instant>,
    /// When the runner gets all processors.
    settle_at: Option<Instant>,
    time_limit: Option<Duration>,
    drain_time: Duration,
    is_loaded: bool,
    serving: Serving,
    last: Option<Outcome>,
    deadline: Option<Instant>,
}

/// Whether it answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    No,
    Yes,
    /// It answers those that it has, and ends, as this signal wants it to.
    Draining(i32),
}

/// For how long keeper and runner share a processor: they take turns until the guest runs, and a
/// short one has ended by then.
const SETTLE_TIME: Duration = Duration::from_millis(3);

fn is_past(time: Option<Instant>) -> bool {
    time.is_some_and(|time| time <= Instant::now())
}

impl Run<'_> {
    fn attend(
        mut self,
        session: &mut Session,
        signals: &SignalEvents,
        relay: &mut Relay,
    ) -> Result<Outcome, Failed> {
        let outcome = self.attend_to_the_end(session, signals, relay);
        self.tell();
        outcome
    }

    fn attend_to_the_end(
        &mut self,
        session: &mut Session,
        signals: &SignalEvents,
        relay: &mut Relay,
    ) -> Result<Outcome, Failed> {
        loop {
            let wakes = [self.deadline, self.tell_at, self.settle_at];
            let wake = wakes.into_iter().flatten().min();
            match session.next(Caller::Signals(signals), relay, wake)? {
                Event::Deadline if is_past(self.settle_at) => {
                    self.settle_at = None;
                    session.settle();
                    lighter_memory::before_wait();
                }
                Event::Deadline if self.is_time_to_tell() => self.tell(),
                Event::Message(message) => {
                    self.hear(message, relay);
                    if self.last.is_some() {
                        session.hang_up();
                    }
                }
                Event::Refused(refusal) => self.hear_refusal(refusal),
                Event::Misbehaved(reason) => {
                    session.kill();
                    return Ok(Outcome::Misbehaved { reason });
                }
                Event::Signal(signal @ (libc::SIGINT | libc::SIGTERM))
                    if self.serving == Serving::Yes =>
                {
                    self.serving = Serving::Draining(signal);
                    self.deadline = Some(Instant::now() + self.drain_time);
                    if let Some(Event::Misbehaved(reason)) = session.drain() {
                        self.misbehaved(&reason);
                    }
                }
                Event::Signal(
                    signal @ (libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT),
                ) => {
                    session.kill();
                    relay.drain_now();
                    return Ok(Outcome::Interrupted(signal));
                }
                Event::Signal(libc::SIGTSTP) => stop(session),
                Event::Signal(_) | Event::Over => {}
                // It is gone, and somebody is slow to take what it wrote.
                Event::Deadline if session.has_exited() => self.deadline = None,
                Event::Deadline => {
                    session.kill();
                    relay.drain_now();
                    let outcome = match self.serving {
                        Serving::Draining(signal) => Outcome::Interrupted(signal),
                        Serving::No | Serving::Yes => Outcome::TimedOut,
                    };
                    return Ok(self.last.take().unwrap_or(outcome));
                }
                Event::Ended(exit) => {
                    return Ok(self.last.take().unwrap_or_else(|| ended_early(exit)));
                }
            }
        }
    }

    fn hear(&mut self, message: FromRunner, relay: &mut Relay) {
        match message {
            FromRunner::Loaded if self.is_loaded => {
                self.misbehaved("it told its start twice");
            }
            FromRunner::Loaded => {
                self.is_loaded = true;
                self.observer.loaded();
                self.deadline = self.time_limit.map(|limit| Instant::now() + limit);
            }
            // Those are the keeper's own.
            FromRunner::Refused(
                Refusal::Unanswered { .. } | Refusal::Unsent { .. } | Refusal::Certificate { .. },
            ) => {
                self.misbehaved("it spoke of what it cannot know");
            }
            FromRunner::Refused(refusal) => self.hear_refusal(refusal),
            FromRunner::Ended(end) => {
                self.last = Some(match end {
                    End::Exited(code) => Outcome::Exited(code),
                    End::Trapped { report } => Outcome::Trapped { report },
                    End::Failed(failure) => failure.into(),
                });
                self.deadline = Some(Instant::now() + LAST_WORD_TIME);
            }
            FromRunner::WantsInput => relay.want_input(),
            FromRunner::Serving if self.serving == Serving::No => self.serving = Serving::Yes,
            FromRunner::Serving => self.misbehaved("it told twice that it serves"),
            FromRunner::Compiled { .. }
            | FromRunner::Inspected(_)
            | FromRunner::Resolved(_)
            | FromRunner::LooksUp { .. }
            | FromRunner::Reaches { .. }
            | FromRunner::Asks { .. } => {
                self.misbehaved("it answered what it was not asked");
            }
        }
    }

    /// Whether a deadline that passed is the one to tell what was refused.
    fn is_time_to_tell(&self) -> bool {
        is_past(self.tell_at) && !is_past(self.deadline)
    }

    fn tell(&mut self) {
        self.tell_at = None;
        for refusal in self.untold.drain(..) {
            match refusal {
                Some(refusal) => self.observer.refused(&refusal),
                None => self.observer.refusals_cut(),
            }
        }
    }

    /// Ends a runner that broke the protocol.
    fn misbehaved(&mut self, reason: &str) {
        self.last = Some(Outcome::Misbehaved {
            reason: reason.to_owned(),
        });
        self.deadline = Some(Instant::now());
    }

    fn hear_refusal(&mut self, refusal: Refusal) {
        if self.refusals.len() > TOLD_REFUSALS || self.refusals.contains(&refusal) {
            return;
        }
        let is_cut = self.refusals.len() == TOLD_REFUSALS;
        self.untold.push((!is_cut).then(|| refusal.clone()));
        self.tell_at.get_or_insert(Instant::now() + TELL_DELAY);
        self.refusals.insert(refusal);
    }
}

/// The runner's standard streams: the caller's own, or pipes where those are terminals.
struct Wiring {
    streams: [Option<OwnedFd>; 3],
    is_merged: bool,
    terminals: Terminals,
}

impl Wiring {
    fn make(streams: Streams, relay: &mut Relay) -> Result<Self, Failed> {
        let caller = Terminals {
            stdin: std::io::stdin().is_terminal(),
            stdout: std::io::stdout().is_terminal(),
            stderr: std::io::stderr().is_terminal(),
        };
        refuse_directories()?;
        let failed = keeper_failed("make pipes for the runner");
        let new_pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(&failed);
        let (terminals, is_merged) = match streams {
            Streams::Terminal => (
                Terminals {
                    stdin: true,
                    stdout: true,
                    stderr: true,
                },
                true,
            ),
            // One terminal behind both: one pipe keeps what is written in order.
            Streams::Caller => (caller, caller.stdout && caller.stderr),
        };
        let mut wiring = Self {
            streams: [None, None, None],
            is_merged,
            terminals,
        };
        if caller.stdin {
            let (theirs, ours) = new_pipe()?;
            rustix::io::ioctl_fionbio(&ours, true).map_err(&failed)?;
            relay.relay_input(ours);
            wiring.streams[0] = Some(theirs);
        }
        if terminals.stdout {
            let (ours, theirs) = new_pipe()?;
            relay.relay_output(ours, false, !caller.stdout);
            wiring.streams[1] = Some(theirs);
        }
        if terminals.stderr && !is_merged {
            let (ours, theirs) = new_pipe()?;
            relay.relay_output(ours, true, !caller.stderr);
            wiring.streams[2] = Some(theirs);
        }
        Ok(wiring)
    }

    fn descriptors(&self) -> Vec<(BorrowedFd<'_>, RawFd)> {
        let caller = [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ];
        let merged = if self.is_merged {
            self.streams[1].as_ref()
        } else {
            None
        };
        let mut descriptors = Vec::with_capacity(8);
        for (number, (own, caller)) in self.streams.iter().zip(caller).enumerate() {
            let pipe = if number == 2 {
                own.as_ref().or(merged)
            } else {
                own.as_ref()
            };
            let fd = pipe.map_or(caller, |pipe| pipe.as_fd());
            descriptors.push((fd, RawFd::try_from(number).unwrap_or(RawFd::MAX)));
        }
        descriptors
    }
}

fn refuse_directories() -> Result<(), Failed> {
    let named = [
        (rustix::stdio::stdin(), "standard input"),
        (rustix::stdio::stdout(), "standard output"),
        (rustix::stdio::stderr(), "standard error"),
    ];
    for (stream, name) in named {
        let kind = rustix::fs::fstat(stream).map(|status| FileType::from_raw_mode(status.st_mode));
        if kind == Ok(FileType::Directory) {
            return Err(Failed::DirectoryAsStream { name });
        }
    }
    Ok(())
}
