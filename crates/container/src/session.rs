//! One runner and the keeper's conversation with it.

use crate::egress::{Links, decide, literal, unfound};
use crate::failed::{Failed, keeper_failed};
use crate::lookups::{Answer, Lookups, MOST_WORKERS, NameService, wait};
use crate::relay::Relay;
use lighter_boundary::sys::signal::SignalEvents;
use lighter_boundary::{Boundary, Exit, Files, Layout, Network, Refusals, Spec, Workload};
use lighter_types::egress::{Origin, Reached};
use lighter_types::limits::{EGRESS_THREADS, Limits, RUNTIME_THREADS};
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{
    CONTROL_FD, Confinement, FROM_RUNNER_BYTES, FromRunner, Order, TO_RUNNER_BYTES, Task, ToRunner,
    encode, take_message,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use serde::Serialize;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Nobody needs it any more.
    Over,
}

/// What a session waits for, besides what it relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Caller,
    /// The runner's words.
    Control,
    /// Its end.
    Exit,
    Refusals,
    /// Answers for names.
    Lookups,
    /// The first call that waits.
    Call,
    /// The first bytes of a link.
    Link,
}

/// Who has a session attended to.
#[derive(Clone, Copy)]
pub(crate) enum Caller<'a> {
    /// The user, by signals.
    Signals(&'a SignalEvents),
    /// A thread of this process, which ends it by this.
    Thread(BorrowedFd<'a>),
}

impl Caller<'_> {
    fn event(&self) -> BorrowedFd<'_> {
        match self {
            Self::Signals(signals) => signals.as_fd(),
            Self::Thread(end) => end.as_fd(),
        }
    }

    /// What it wants, which is readable.
    fn next(&self) -> Result<Option<Event>, Failed> {
        match self {
            Self::Thread(_) => Ok(Some(Event::Over)),
            Self::Signals(signals) => {
                let signal = signals.next().map_err(|source| Failed::Keeper {
                    action: "read a signal",
                    source,
                })?;
                Ok(signal.map(Event::Signal))
            }
        }
    }
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
    /// Lookups that are for requests, and for which.
    reaching: HashMap<u32, Origin>,
    links: Option<Links>,
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
            reaching: HashMap::new(),
            links: None,
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

    /// Tells by what the runner's requests leave.
    pub(crate) fn set_links(&mut self, links: Option<Links>) {
        self.links = links;
    }

    /// Tells whose threads are counted with its own.
    pub(crate) fn share_threads(&mut self, others: Limits) {
        self.limits.threads = others.threads;
    }

    /// What the guest is held to.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// What the runner's own lock has to hold.
    fn confinement(&self) -> Confinement {
        // Who looks names up and sends requests for it has its user id.
        let companions = self
            .names
            .as_ref()
            .map_or(0, |_| u32::from(MOST_WORKERS) + EGRESS_THREADS);
        let threads = self.limits.most_threads() + RUNTIME_THREADS + companions;
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

    /// Finds out where requests for an origin may go, for who sends them.
    fn reach(&mut self, id: u32, origin: Origin) -> Result<Option<Event>, Failed> {
        let service = self.names.as_ref();
        let Some(service) = service.filter(|service| service.network.sends_requests) else {
            let reason = "it asked where requests may go".to_owned();
            return Ok(Some(Event::Misbehaved(reason)));
        };
        if let Some(address) = literal(&origin.host) {
            let decided = decide(&service.network, &origin, &[address], &[]);
            return Ok(self.tell_reached(id, decided));
        }
        let name = origin.host.clone();
        if self.reaching.insert(id, origin).is_some() {
            let reason = "it asked two things at once".to_owned();
            return Ok(Some(Event::Misbehaved(reason)));
        }
        self.look_up(id, &name)
    }

    /// Looks a name up for the runner.
    fn look_up(&mut self, id: u32, name: &str) -> Result<Option<Event>, Failed> {
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
        let answer = lookups.ask(id, name);
        Ok(answer.and_then(|answer| self.tell_found(answer)))
    }

    /// Tells the runner to answer what it has, and to end.
    pub(crate) fn drain(&mut self) -> Option<Event> {
        self.tell(&ToRunner::Drain)
    }

    /// Tells the runner what became of a lookup, or of a request that it was for.
    fn tell_found(&mut self, answer: Answer) -> Option<Event> {
        let Answer {
            id,
            lookup,
            names,
            refusal,
        } = answer;
        let (Some(origin), Some(service)) = (self.reaching.remove(&id), &self.names) else {
            self.untold.extend(refusal);
            return self.tell(&ToRunner::Found { id, lookup });
        };
        let decided = match (lookup, refusal) {
            (Ok(addresses), _) => decide(&service.network, &origin, &addresses, &names),
            (Err(error), Some(Refusal::Lookup { reason, .. })) => {
                let refusal = Refusal::Request {
                    origin: origin.to_text(),
                    address: None,
                    reason,
                };
                (Err(unfound(error)), Some(refusal))
            }
            (Err(error), refusal) => (Err(unfound(error)), refusal),
        };
        self.tell_reached(id, decided)
    }

    /// Tells who sends requests where some may go.
    fn tell_reached(&mut self, id: u32, decided: (Reached, Option<Refusal>)) -> Option<Event> {
        let (reached, refusal) = decided;
        self.untold.extend(refusal);
        self.tell(&ToRunner::Reached { id, reached })
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
        caller: Caller<'_>,
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
                Ok(Some(FromRunner::LooksUp { id, name })) => match self.look_up(id, &name)? {
                    Some(event) => return Ok(event),
                    None => continue,
                },
                Ok(Some(FromRunner::Reaches { id, origin })) => match self.reach(id, origin)? {
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
            if self.has_exited
                && let Some(links) = &mut self.links
            {
                links.wind_down();
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
            if let Some(event) = self.wait(caller, relay, deadline, now)? {
                return Ok(event);
            }
        }
    }

    /// Polls once.
    fn wait(
        &mut self,
        caller: Caller<'_>,
        relay: &mut Relay,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<Option<Event>, Failed> {
        let ready = self.poll(caller, relay, deadline, now)?;
        if ready.contains(&Source::Caller)
            && let Some(event) = caller.next()?
        {
            return Ok(Some(event));
        }
        if ready.contains(&Source::Call) {
            self.workload.answer_calls().map_err(Failed::Start)?;
        }
        if let Some(links) = &mut self.links {
            links.look_after();
            if ready.contains(&Source::Link) {
                links.start();
            }
        }
        if ready.contains(&Source::Lookups) {
            let found = self.lookups.as_mut().map(Lookups::take);
            for answer in found.into_iter().flatten() {
                if let Some(event) = self.tell_found(answer) {
                    return Ok(Some(event));
                }
            }
        }
        if ready.contains(&Source::Refusals) {
            self.take_refusals();
        }
        if ready.contains(&Source::Control) {
            self.receive();
        } else if ready.contains(&Source::Exit) {
            self.has_exited = true;
        }
        Ok(None)
    }

    /// Waits for whatever comes first, relays what is to be relayed, and says what else there is.
    fn poll(
        &self,
        caller: Caller<'_>,
        relay: &mut Relay,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<Vec<Source>, Failed> {
        let wakes = [
            deadline.map(|deadline| deadline.duration_since(now)),
            (self.budget == 0).then_some(Duration::from_secs(1)),
            relay.pause(),
        ];
        let timeout = wakes.into_iter().flatten().min().map(|wake| Timespec {
            tv_sec: i64::try_from(wake.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wake.subsec_nanos()),
        });
        let listens = !self.has_hung_up && self.budget > 0;
        let links = self.links.as_ref();
        let sources = [
            (Source::Caller, Some(caller.event())),
            (Source::Control, listens.then(|| self.control.as_fd())),
            (
                Source::Exit,
                (!self.has_exited).then(|| self.workload.exit_event()),
            ),
            (
                Source::Refusals,
                self.refusals.as_ref().map(|own| own.as_fd()),
            ),
            (
                Source::Refusals,
                links.map(|links| links.refusals().as_fd()),
            ),
            (Source::Lookups, self.lookups.as_ref().map(Lookups::event)),
            (Source::Call, self.workload.call_event()),
            (Source::Link, links.and_then(Links::event)),
        ];
        let (names, mut polled): (Vec<Source>, Vec<PollFd<'_>>) = sources
            .into_iter()
            .filter_map(|(source, event)| Some((source, event?)))
            .map(|(source, event)| (source, PollFd::from_borrowed_fd(event, PollFlags::IN)))
            .unzip();
        relay.register(&mut polled);
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(keeper_failed("wait for the runner")(error)),
        }
        let ready: Vec<bool> = polled
            .iter()
            .map(|polled| !polled.revents().is_empty())
            .collect();
        drop(polled);
        relay.pump(ready.get(names.len()..).unwrap_or_default());
        let ready = names.into_iter().zip(ready);
        Ok(ready
            .filter_map(|(name, is_ready)| is_ready.then_some(name))
            .collect())
    }

    /// Takes what was refused since the last time; whether there was something.
    fn take_refusals(&mut self) -> bool {
        let own = self.refusals.as_ref().map(|refusals| refusals.take());
        let of_links = self.links.as_mut().map(Links::take_refusals);
        let refusals = own.into_iter().chain(of_links).flatten();
        let refusals: Vec<Refusal> = refusals.collect();
        self.untold.extend(refusals.into_iter().rev());
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
