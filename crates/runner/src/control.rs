//! The control socket, seen from the role.

use lighter_egress::Reply;
use lighter_types::egress::{Origin, RequestError};
use lighter_types::network::{Lookup, LookupError};
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{
    CONTROL_FD, End, FROM_RUNNER_BYTES, Failure, FrameError, FromRunner, HEADER_BYTES, Order,
    TO_RUNNER_BYTES, ToRunner, decode, encode, message_length,
};
use lighter_wasm::LookupReply;
use rustix::fd::{FromRawFd, OwnedFd};
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// The most distinct refusals that are told; a guest that collects more is not worth hearing.
const TOLD_REFUSALS: usize = 256;

/// The socket to the keeper, and what was said on it already.
pub(crate) struct Control {
    socket: Arc<Mutex<File>>,
    refusals: Mutex<BTreeSet<Refusal>>,
    lookups: Arc<Mutex<Lookups>>,
    reaches: Arc<Mutex<Reaches>>,
    /// By which its requests leave, those that were not used yet.
    links: Mutex<VecDeque<OwnedFd>>,
    /// What is done when the keeper says to end.
    drain: Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>,
}

/// The lookups that the keeper has not answered yet.
#[derive(Default)]
struct Lookups {
    /// Who waits for which; `None` as long as nobody hears the keeper's answers.
    waiting: Option<HashMap<u32, LookupReply>>,
    /// Those that the keeper is not asked yet.
    later: VecDeque<(String, LookupReply)>,
    next: u32,
}

/// What the keeper was asked for connections, and has not answered.
#[derive(Default)]
struct Reaches {
    waiting: HashMap<u32, Reply>,
    next: u32,
}

/// The most lookups that the keeper is asked at once: what its answers to them take has room in the socket.
const MOST_ASKED: usize = 64;

impl Lookups {
    /// The question for the next one that may be asked now.
    fn next_question(&mut self) -> Option<FromRunner> {
        let waiting = self.waiting.as_mut()?;
        if waiting.len() >= MOST_ASKED {
            return None;
        }
        let (name, reply) = self.later.pop_front()?;
        let id = self.next;
        self.next = id.wrapping_add(1);
        waiting.insert(id, reply);
        Some(FromRunner::LooksUp { id, name })
    }
}

fn guard<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    /// Takes the descriptor that the keeper left at its place.
    pub(crate) fn open() -> io::Result<Self> {
        #[expect(
            unsafe_code,
            reason = "the number is a convention between keeper and role"
        )]
        // SAFETY: nothing else in this process uses this number; whether it is open is asked next.
        let socket = unsafe { OwnedFd::from_raw_fd(CONTROL_FD) };
        let kind = rustix::fs::fstat(&socket)
            .map(|status| rustix::fs::FileType::from_raw_mode(status.st_mode));
        if kind != Ok(rustix::fs::FileType::Socket) {
            std::mem::forget(socket);
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        Ok(Self {
            socket: Arc::new(Mutex::new(File::from(socket))),
            refusals: Mutex::default(),
            lookups: Arc::default(),
            reaches: Arc::default(),
            links: Mutex::default(),
            drain: Arc::default(),
        })
    }

    /// Waits for the one order.
    pub(crate) fn order(&self) -> io::Result<Order> {
        self.read()
    }

    /// Waits for what the keeper says after its order.
    pub(crate) fn hear(&self) -> io::Result<ToRunner> {
        self.read()
    }

    fn read<M: DeserializeOwned>(&self) -> io::Result<M> {
        read(&mut self.socket.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts to hear the keeper's answers, on a thread of its own.
    fn hear_answers(&self) -> io::Result<()> {
        let writing = Arc::clone(&self.socket);
        let mut reading = {
            let socket = writing.lock().unwrap_or_else(PoisonError::into_inner);
            socket.try_clone()?
        };
        let lookups = Arc::clone(&self.lookups);
        let reaches = Arc::clone(&self.reaches);
        let drain = Arc::clone(&self.drain);
        let hear = move || {
            while let Ok(message) = read(&mut reading) {
                match message {
                    ToRunner::Found { id, lookup } => found(&writing, &lookups, id, lookup),
                    ToRunner::Drain => {
                        if let Some(drain) = drain.get() {
                            drain();
                        }
                    }
                    ToRunner::Reached { id, reached } => {
                        let reply = guard(&reaches).waiting.remove(&id);
                        if let Some(reply) = reply {
                            reply(reached);
                        }
                    }
                    // It is told once, before this thread is there.
                    ToRunner::Taken => {}
                }
            }
            // The keeper is gone, and this process with it.
        };
        thread::Builder::new()
            .name("answers".to_owned())
            .stack_size(ANSWERS_STACK_BYTES)
            .spawn(hear)
            .map(drop)
    }

    /// Has something done when the keeper says to end.
    pub(crate) fn hear_drain(&self, drain: impl Fn() + Send + Sync + 'static) -> io::Result<()> {
        // There is one server in a process.
        let _ = self.drain.set(Box::new(drain));
        self.hear_from_now_on()
    }

    /// Sees to it that the keeper's answers are heard.
    fn hear_from_now_on(&self) -> io::Result<()> {
        let mut lookups = guard(&self.lookups);
        if lookups.waiting.is_none() {
            self.hear_answers()?;
            lookups.waiting = Some(HashMap::new());
        }
        Ok(())
    }

    /// Keeps what its requests leave by.
    pub(crate) fn set_links(&self, links: VecDeque<OwnedFd>) {
        *guard(&self.links) = links;
    }

    /// Sends a message. If the keeper is gone there is nobody to tell, and the process is about
    /// to die with it.
    pub(crate) fn send(&self, message: &FromRunner) {
        send(&self.socket, message);
    }
}

/// Hands over what became of a lookup, and asks the next question.
fn found(writing: &Mutex<File>, lookups: &Mutex<Lookups>, id: u32, lookup: Lookup) {
    let (reply, question) = {
        let mut lookups = guard(lookups);
        let waiting = lookups.waiting.as_mut();
        let reply = waiting.and_then(|waiting| waiting.remove(&id));
        (reply, lookups.next_question())
    };
    if let Some(question) = question {
        send(writing, &question);
    }
    if let Some(reply) = reply {
        reply(lookup);
    }
}

fn send(socket: &Mutex<File>, message: &FromRunner) {
    let too_long = || {
        FromRunner::Ended(End::Failed(Failure::Internal {
            reason: "what the runner has to say is longer than a frame".to_owned(),
        }))
    };
    let frame =
        encode(message, FROM_RUNNER_BYTES).or_else(|_| encode(&too_long(), FROM_RUNNER_BYTES));
    if let Ok(frame) = frame {
        let mut socket = socket.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.write_all(&frame);
    }
}

/// The stack of the thread that hears answers.
const ANSWERS_STACK_BYTES: usize = 64 << 10;

fn read<M: DeserializeOwned>(socket: &mut File) -> io::Result<M> {
    let mut header = [0; HEADER_BYTES];
    socket.read_exact(&mut header)?;
    let invalid = |error: FrameError| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut body = vec![0; message_length(header, TO_RUNNER_BYTES).map_err(invalid)?];
    socket.read_exact(&mut body)?;
    decode(&body).map_err(invalid)
}

impl lighter_wasm::Host for Control {
    fn refused(&self, refusal: Refusal) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() < TOLD_REFUSALS && refusals.insert(refusal.clone()) {
            drop(refusals);
            self.send(&FromRunner::Refused(refusal));
        }
    }

    fn look_up(&self, name: String, reply: LookupReply) {
        if self.hear_from_now_on().is_err() {
            return reply(Err(LookupError::Temporary));
        }
        let question = {
            let mut lookups = guard(&self.lookups);
            lookups.later.push_back((name, reply));
            lookups.next_question()
        };
        if let Some(question) = question {
            self.send(&question);
        }
    }

    fn wants_input(&self) {
        self.send(&FromRunner::WantsInput);
    }

    fn next_link(&self) -> Option<OwnedFd> {
        guard(&self.links).pop_front()
    }
}

impl lighter_egress::Keeper for Control {
    fn reach(&self, origin: Origin, reply: Reply) {
        if self.hear_from_now_on().is_err() {
            return reply(Err(RequestError::Internal));
        }
        let id = {
            let mut reaches = guard(&self.reaches);
            let id = reaches.next;
            reaches.next = id.wrapping_add(1);
            reaches.waiting.insert(id, reply);
            id
        };
        self.send(&FromRunner::Reaches { id, origin });
    }

    fn refused(&self, refusal: Refusal) {
        lighter_wasm::Host::refused(self, refusal);
    }
}
