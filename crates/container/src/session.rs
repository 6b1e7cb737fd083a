//! One runner and the keeper's conversation with it.

use crate::lookups::{Answer, Lookups, MOST_WORKERS, NameService, wait};
use crate::relay::Relay;
use lighter_boundary::sys::signal::SignalEvents;
use lighter_boundary::{
    Boundary, Exit, Files, Layout, Network, Refusals, Spec, StartError, Workload,
};
use lighter_types::limits::{Limits, RUNTIME_THREADS};
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{
    CONTROL_FD, Confinement, FROM_RUNNER_BYTES, FromRunner, Order, TO_RUNNER_BYTES, Task, ToRunner,
    encode, take_message,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use serde::Serialize;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why the keeper could not do its part.
#[derive(Debug)]
pub enum Failed {
    /// The runner did not start.
    Start(StartError),
    /// The keeper's own resources failed.
    Keeper {
        /// What it was doing.
        action: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// Arguments, environment and secrets together are too long.
    TooLong,
    /// One of the caller's standard streams is a directory: a way out of the runner's root.
    DirectoryAsStream {
        /// Which one.
        name: &'static str,
    },
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(formatter),
            Self::Keeper { action, .. } => write!(formatter, "could not {action}"),
            Self::TooLong => write!(
                formatter,
                "arguments, environment and secrets are longer than {} MiB together",
                TO_RUNNER_BYTES >> 20
            ),
            Self::DirectoryAsStream { name } => {
                write!(
                    formatter,
                    "{name} is a directory, which no program can read or write"
                )
            }
        }
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) => error.source(),
            Self::Keeper { source, .. } => Some(source),
            Self::TooLong | Self::DirectoryAsStream { .. } => None,
        }
    }
}

pub(crate) fn keeper_failed(action: &'static str) -> impl Fn(Errno) -> Failed {
    move |error| Failed::Keeper {
        action,
        source: error.into(),
    }
}

/// What happened next.
#[derive(Debug)]
pub(crate) enum Event {
    /// The runner said something.
    Message(FromRunner),
    /// The runner was refused something.
    Refused(Refusal),
    /// The runner broke the protocol.
    Misbehaved(String),
    /// The runner's process has ended, and all it said was heard.
    Ended(Exit),
    /// The caller sent a signal.
    Signal(i32),
    /// The deadline passed.
    Deadline,
}

/// The most messages that are taken in one second; a runner that sends more has to wait.
const MESSAGES_PER_SECOND: u32 = 1024;

/// A runner that was started, and what of its words was not understood yet.
pub(crate) struct Session {
    workload: Box<dyn Workload>,
    limits: Limits,
    code_bytes: u64,
    control: OwnedFd,
    network: Option<Arc<Network>>,
    names: Option<Arc<NameService>>,
    lookups: Option<Lookups>,
    refusals: Option<Arc<Refusals>>,
    untold: Vec<Refusal>,
    incoming: Vec<u8>,
    has_hung_up: bool,
    has_exited: bool,
    budget: u32,
    budget_since: Instant,
}

impl Session {
    /// Starts a runner; it waits for its order. `network` is what it may do with the network, if
    /// anything.
    pub(crate) fn start(
        boundary: &dyn Boundary,
        spec: Spec<'_>,
        network: Option<Arc<Network>>,
    ) -> Result<Self, Failed> {
        let (control, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(keeper_failed("make a socket for the runner"))?;
        // It ends before the socket does that it speaks of.
        let mut spec = spec;
        let limits = spec.limits;
        spec.descriptors.push((theirs.as_fd(), CONTROL_FD));
        let workload = boundary.start(&spec).map_err(Failed::Start)?;
        let limits = if workload.is_memory_held() {
            limits
        } else {
            limits.uncounted()
        };
        Ok(Self {
            workload,
            limits,
            code_bytes: 0,
            control,
            network,
            names: None,
            lookups: None,
            refusals: None,
            untold: Vec::new(),
            incoming: Vec::new(),
            has_hung_up: false,
            has_exited: false,
            budget: MESSAGES_PER_SECOND,
            budget_since: Instant::now(),
        })
    }

    pub(crate) fn layout(&self) -> Layout {
        self.workload.layout()
    }

    /// Tells how large the code is that the runner maps, in bytes.
    pub(crate) fn set_code_bytes(&mut self, code_bytes: u64) {
        self.code_bytes = code_bytes;
    }

    /// Tells how the runner's names are found.
    pub(crate) fn set_names(&mut self, names: Option<Arc<NameService>>) {
        self.names = names;
    }

    /// What the guest is held to.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// What the runner's own lock has to hold.
    fn confinement(&self) -> Confinement {
        // Who looks names up for it has its user id.
        let lookups = self.names.as_ref().map_or(0, |_| MOST_WORKERS.into());
        let threads = self.limits.most_threads() + RUNTIME_THREADS + lookups;
        Confinement {
            has_own_root: self.workload.layout().files != Files::Hosts,
            may_lack_parts: self.workload.may_lack_parts(),
            data_bytes: self
                .limits
                .data_bytes(self.code_bytes)
                .filter(|_| !self.workload.is_memory_held()),
            threads: self.workload.are_threads_own().then_some(threads),
            has_network: self.network.is_some(),
            has_published: self
                .network
                .as_ref()
                .is_some_and(|network| !network.published.is_empty()),
        }
    }

    /// Gives the runner its order. A runner that died already is found out by its exit.
    pub(crate) fn order(&mut self, task: Task) -> Result<(), Failed> {
        let order = Order {
            confinement: self.confinement(),
            task,
        };
        self.say(&order, "give the runner its order")
    }

    /// Sends the runner a message.
    fn say<M: Serialize>(&self, message: &M, action: &'static str) -> Result<(), Failed> {
        let frame = encode(message, TO_RUNNER_BYTES).map_err(|_| Failed::TooLong)?;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            match rustix::net::send(&self.control, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => break,
                Err(error) => return Err(keeper_failed(action)(error)),
            }
        }
        Ok(())
    }

    /// Takes the listener of a runner that asks for some calls, and has them answered from now on. A
    /// runner does so once, before anything of the guest's is loaded.
    fn mediate(&mut self, listener: RawFd) -> Result<Option<Event>, Failed> {
        let Some(network) = self.network.take() else {
            let reason = "it asked for a network that it has not".to_owned();
            return Ok(Some(Event::Misbehaved(reason)));
        };
        let refusals = self.workload.mediate(listener, network);
        self.refusals = Some(refusals.map_err(Failed::Start)?);
        self.say(&ToRunner::Taken, "answer the runner")?;
        Ok(None)
    }

    /// Looks a name up for the runner.
    fn look_up(&mut self, id: u32, name: String) -> Result<Option<Event>, Failed> {
        let Some(service) = &self.names else {
            let reason = "it asked for a name without a network".to_owned();
            return Ok(Some(Event::Misbehaved(reason)));
        };
        let lookups = match &mut self.lookups {
            Some(lookups) => lookups,
            none => {
                let lookups = Lookups::new(Arc::clone(service))
                    .map_err(keeper_failed("look names up for the runner"))?;
                none.insert(lookups)
            }
        };
        let answer = lookups.ask(id, &name);
        Ok(answer.and_then(|answer| self.tell_found(answer)))
    }

    /// Tells the runner to answer what it has, and to end.
    pub(crate) fn drain(&mut self) -> Option<Event> {
        self.tell(&ToRunner::Drain)
    }

    /// Tells the runner what became of a lookup.
    fn tell_found(&mut self, answer: Answer) -> Option<Event> {
        self.untold.extend(answer.refusal);
        let Answer { id, lookup, .. } = answer;
        self.tell(&ToRunner::Found { id, lookup })
    }

    /// Says something, if there is room for it: a keeper waits for nobody.
    fn tell(&self, message: &ToRunner) -> Option<Event> {
        let frame = encode(message, TO_RUNNER_BYTES).ok()?;
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match rustix::net::send(&self.control, &frame, flags) {
            // It is gone, which is seen by that.
            Err(Errno::PIPE | Errno::CONNRESET) => None,
            Ok(sent) if sent == frame.len() => None,
            Ok(_) | Err(_) => {
                let reason = "it did not take what it was told".to_owned();
                Some(Event::Misbehaved(reason))
            }
        }
    }

    /// Waits for the one thing that a role has to say, if it comes before `end` is readable and before the
    /// deadline.
    pub(crate) fn answer(&mut self, end: BorrowedFd<'_>, deadline: Instant) -> Option<FromRunner> {
        loop {
            match take_message(&mut self.incoming, FROM_RUNNER_BYTES) {
                Ok(None) if !self.has_hung_up => {}
                message => return message.ok().flatten(),
            }
            let mut awaited = [
                PollFd::from_borrowed_fd(self.control.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(end, PollFlags::IN),
            ];
            wait(&mut awaited, deadline).ok()?;
            let [has_spoken, is_over] = awaited.map(|awaited| !awaited.revents().is_empty());
            if is_over || !has_spoken {
                return None;
            }
            self.receive();
        }
    }

    /// Lets the runner have all processors.
    pub(crate) fn settle(&mut self) {
        self.workload.settle();
    }

    pub(crate) fn kill(&mut self) {
        // The process is our child and not reaped, so the only refusal is that it has ended.
        let _ = self.workload.kill();
    }

    pub(crate) fn set_stopped(&self, is_stopped: bool) {
        // As for `kill`.
        let _ = self.workload.set_stopped(is_stopped);
    }

    /// Waits for what happens next, relaying streams meanwhile.
    pub(crate) fn next(
        &mut self,
        signals: &SignalEvents,
        relay: &mut Relay,
        deadline: Option<Instant>,
    ) -> Result<Event, Failed> {
        loop {
            if let Some(refusal) = self.untold.pop() {
                return Ok(Event::Refused(refusal));
            }
            match take_message(&mut self.incoming, FROM_RUNNER_BYTES) {
                Ok(Some(FromRunner::Asks { listener })) => match self.mediate(listener)? {
                    Some(event) => return Ok(event),
                    None => continue,
                },
                Ok(Some(FromRunner::LooksUp { id, name })) => match self.look_up(id, name)? {
                    Some(event) => return Ok(event),
                    None => continue,
                },
                Ok(Some(message)) => return Ok(Event::Message(message)),
                Ok(None) => {}
                Err(error) => return Ok(Event::Misbehaved(error.to_string())),
            }
            // All that it will ever say is there: no more than the socket holds.
            if self.has_exited && !self.has_hung_up {
                self.receive();
                continue;
            }
            if self.has_exited && self.take_refusals() {
                continue;
            }
            if self.has_exited && relay.is_drained() {
                return self.reap().map(Event::Ended);
            }
            let now = Instant::now();
            if now.duration_since(self.budget_since) >= Duration::from_secs(1) {
                (self.budget, self.budget_since) = (MESSAGES_PER_SECOND, now);
            }
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(Event::Deadline);
            }
            if let Some(event) = self.wait(signals, relay, deadline, now)? {
                return Ok(event);
            }
        }
    }

    /// Polls once.
    fn wait(
        &mut self,
        signals: &SignalEvents,
        relay: &mut Relay,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<Option<Event>, Failed> {
        let listens = !self.has_hung_up && self.budget > 0;
        let mut wake = deadline.map(|deadline| deadline.duration_since(now));
        let mut wake_within =
            |time: Duration| wake = Some(wake.map_or(time, |wake| wake.min(time)));
        if self.budget == 0 {
            wake_within(Duration::from_secs(1));
        }
        if let Some(time) = relay.pause() {
            wake_within(time);
        }
        let mut polled = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        if listens {
            polled.push(PollFd::from_borrowed_fd(
                self.control.as_fd(),
                PollFlags::IN,
            ));
        }
        let exit_at = polled.len();
        if !self.has_exited {
            let exit = self.workload.exit_event();
            polled.push(PollFd::from_borrowed_fd(exit, PollFlags::IN));
        }
        let refusals_at = polled.len();
        if let Some(refusals) = &self.refusals {
            polled.push(PollFd::from_borrowed_fd(refusals.as_fd(), PollFlags::IN));
        }
        let lookups_at = polled.len();
        if let Some(lookups) = &self.lookups {
            polled.push(PollFd::from_borrowed_fd(lookups.event(), PollFlags::IN));
        }
        let call_at = polled.len();
        if let Some(call) = self.workload.call_event() {
            polled.push(PollFd::from_borrowed_fd(call, PollFlags::IN));
        }
        let relayed_from = polled.len();
        relay.register(&mut polled);
        let timeout = wake.map(|wake| Timespec {
            tv_sec: i64::try_from(wake.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wake.subsec_nanos()),
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(keeper_failed("wait for the runner")(error)),
        }
        let ready: Vec<bool> = polled
            .iter()
            .map(|polled| !polled.revents().is_empty())
            .collect();
        drop(polled);
        relay.pump(ready.get(relayed_from..).unwrap_or_default());
        if ready.first() == Some(&true)
            && let Some(signal) = signals.next().map_err(|source| Failed::Keeper {
                action: "read a signal",
                source,
            })?
        {
            return Ok(Some(Event::Signal(signal)));
        }
        if relayed_from > call_at && ready.get(call_at) == Some(&true) {
            self.workload.answer_calls().map_err(Failed::Start)?;
        }
        if call_at > lookups_at && ready.get(lookups_at) == Some(&true) {
            let found = self.lookups.as_mut().map(Lookups::take);
            for answer in found.into_iter().flatten() {
                if let Some(event) = self.tell_found(answer) {
                    return Ok(Some(event));
                }
            }
        }
        if lookups_at > refusals_at && ready.get(refusals_at) == Some(&true) {
            self.take_refusals();
        }
        if listens && ready.get(1) == Some(&true) {
            self.receive();
        } else if !self.has_exited && ready.get(exit_at) == Some(&true) {
            self.has_exited = true;
        }
        Ok(None)
    }

    /// Takes what was refused since the last time; whether there was something.
    fn take_refusals(&mut self) -> bool {
        let Some(refusals) = &self.refusals else {
            return false;
        };
        self.untold.extend(refusals.take().into_iter().rev());
        !self.untold.is_empty()
    }

    /// Takes what is there of the runner's words, at most what one message may take.
    fn receive(&mut self) {
        let mut chunk = [0; 4096];
        match rustix::net::recv(&self.control, &mut chunk[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.has_hung_up = true,
            Ok((received, _)) => {
                self.budget = self.budget.saturating_sub(1);
                self.incoming
                    .extend_from_slice(chunk.get(..received).unwrap_or_default());
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => self.has_hung_up = self.has_exited,
            Err(_) => self.has_hung_up = true,
        }
    }

    /// Stops listening: the runner has said its last word.
    pub(crate) fn hang_up(&mut self) {
        self.has_hung_up = true;
        self.incoming.clear();
    }

    /// Whether the runner's process is gone, though what it wrote may not have been taken yet.
    pub(crate) fn has_exited(&self) -> bool {
        self.has_exited
    }

    /// Learns how the process ended, which has.
    fn reap(&mut self) -> Result<Exit, Failed> {
        self.workload.wait().map_err(|source| Failed::Keeper {
            action: "learn how the runner ended",
            source,
        })
    }
}
