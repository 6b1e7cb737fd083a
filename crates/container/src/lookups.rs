//! Looks names up for one runner.
//!
//! ```text
//!   runner           session                  worker (eight at most)       resolver (a locked role)
//!     LooksUp ──▶ ask: may it? whom? ──queue──▶ its turn
//!                   │ its own answer:             sockets to the servers ──▶ asks, reads the answers
//!     Found   ◀─────┘ localhost, --add-host       pins the answer       ◀── addresses
//!             ◀──────────── take ◀─────────────── addresses, those with a route first
//! ```
//!
//! The keeper decides what is asked and whom, and makes the sockets; what strangers answer is read by a role
//! that holds these sockets and nothing else, one for each lookup.

use crate::role::ask_role;
use lighter_boundary::{Boundary, Network};
use lighter_types::grant::{DnsServer, HostGrant, HostName};
use lighter_types::network::{
    AskedName, Lookup, LookupError, MOST_SERVERS, NameServers, PinnedName, Source, canonical,
};
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{
    FromRunner, MOST_ADDRESSES, Resolution, ResolveOrder, ServerLink, Task,
};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How names are found for one run.
pub struct NameService {
    /// What the resolver's process is started in.
    pub boundary: Arc<dyn Boundary + Send + Sync>,
    /// An empty directory: all that the resolver sees of the file system.
    pub empty_directory: PathBuf,
    /// The user's own answers.
    pub hosts: Vec<HostGrant>,
    /// Whom to ask in place of the system's servers, if anybody.
    pub servers: Vec<DnsServer>,
    /// What may be looked up, and where it is noted what was found.
    pub network: Arc<Network>,
}

/// Where the system says whom to ask.
const SYSTEM_SERVERS: &str = "/etc/resolv.conf";
/// The most that is read of it, in bytes.
const SYSTEM_SERVERS_BYTES: u64 = 64 << 10;
/// For how long what was read of it is good.
const SYSTEM_SERVERS_TIME: Duration = Duration::from_secs(1);

/// The most lookups of one runner that have no answer yet.
const MOST_PENDING: usize = 256;
/// The most that are asked at once.
pub(crate) const MOST_WORKERS: u8 = 8;
/// The stack of a thread that asks.
const STACK_BYTES: usize = 256 << 10;

/// What is asked of servers carries data out: so many in a second,
const PER_SECOND: u32 = 32;
/// and after a pause so many at once.
const BURST: u32 = 128;

/// How long the answers of the user are good.
const MAPPED_TIME: Duration = Duration::from_secs(24 * 3600);

/// The longest that one lookup takes, whatever the system's options say.
const LONGEST: Duration = Duration::from_secs(30);

/// The lookups of one runner that go on.
pub(crate) struct Lookups {
    service: Arc<NameService>,
    /// Readable when something is done.
    done: Arc<OwnedFd>,
    /// Readable when all is to end.
    end: Arc<OwnedFd>,
    answers: (Sender<Answer>, Receiver<Answer>),
    waiting: VecDeque<(u32, Question)>,
    workers: Vec<JoinHandle<()>>,
    /// How many lookups are with threads and not answered.
    asked: usize,
    system: Option<(NameServers, Instant)>,
    pace: Arc<Mutex<Pace>>,
}

/// What became of a lookup.
pub(crate) struct Answer {
    /// Which one.
    pub(crate) id: u32,
    /// What the runner is told.
    pub(crate) lookup: Lookup,
    /// The names of which those are the addresses, where they may be looked up.
    pub(crate) names: Vec<PinnedName>,
    /// What the user is told, if anything.
    pub(crate) refusal: Option<Refusal>,
}

/// What servers are asked for one lookup, and whom.
struct Question {
    asked: HostName,
    names: Vec<HostName>,
    servers: NameServers,
}

impl Lookups {
    pub(crate) fn new(service: Arc<NameService>) -> Result<Self, Errno> {
        let event = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Arc::new);
        Ok(Self {
            service,
            done: event()?,
            end: event()?,
            answers: channel(),
            waiting: VecDeque::new(),
            workers: Vec::new(),
            asked: 0,
            system: None,
            pace: Arc::default(),
        })
    }

    /// Looks a name up, if that is allowed. What is not answered at once [`take`](Self::take) has later.
    pub(crate) fn ask(&mut self, id: u32, name: &str) -> Option<Answer> {
        let answer = |lookup, names| {
            Some(Answer {
                id,
                lookup,
                names,
                refusal: None,
            })
        };
        let Ok(asked) = AskedName::parse(name) else {
            return answer(Err(LookupError::Invalid), Vec::new());
        };
        if let Some((addresses, names)) = self.own_answer(&asked) {
            return answer(Ok(addresses), names);
        }
        let mut servers = self.system_servers();
        let given = &self.service.servers;
        if !given.is_empty() {
            servers.servers = given.iter().map(|server| server.0.into()).collect();
        }
        let mut names = asked.candidates(&servers.search, servers.ndots);
        let policy = &self.service.network.policy;
        if !policy.may_look_up(&asked.name) {
            names.retain(|name| policy.may_look_up(name));
        }
        if names.is_empty() {
            return Some(Answer {
                id,
                lookup: Err(LookupError::Refused),
                names: Vec::new(),
                refusal: Some(Refusal::Lookup {
                    name: asked.name.to_string(),
                    reason: policy.lookup_refusal(&asked.name),
                }),
            });
        }
        if self.waiting.len() + self.asked >= MOST_PENDING {
            return answer(Err(LookupError::Temporary), Vec::new());
        }
        let question = Question {
            asked: asked.name,
            names,
            servers,
        };
        self.waiting.push_back((id, question));
        self.employ();
        None
    }

    /// The servers of the system, as they were a second ago at most: a flood of lookups reads no file.
    fn system_servers(&mut self) -> NameServers {
        let now = Instant::now();
        match &self.system {
            Some((servers, read)) if now.duration_since(*read) < SYSTEM_SERVERS_TIME => {
                servers.clone()
            }
            _ => {
                let servers = read_system_servers();
                self.system = Some((servers.clone(), now));
                servers
            }
        }
    }

    /// What needs no server: the machine itself, and what the user said himself. It tells nobody anything,
    /// so it needs no grant.
    fn own_answer(&self, asked: &AskedName) -> Option<(Vec<IpAddr>, Vec<PinnedName>)> {
        let hosts = self.service.hosts.iter();
        let mapped: Vec<IpAddr> = hosts
            .filter(|host| host.name == asked.name)
            .map(HostGrant::answer)
            .collect();
        if !mapped.is_empty() {
            let names = [&asked.name];
            let names = self.service.pin(names, Source::Map, &mapped, MAPPED_TIME);
            return Some((mapped, names));
        }
        let own = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        asked.name.is_localhost().then(|| (own(), Vec::new()))
    }

    /// Gives what waits to threads.
    fn employ(&mut self) {
        self.workers.retain(|worker| !worker.is_finished());
        while self.asked < usize::from(MOST_WORKERS) {
            let Some((id, question)) = self.waiting.pop_front() else {
                break;
            };
            self.asked += 1;
            let worker = Worker {
                service: Arc::clone(&self.service),
                end: Arc::clone(&self.end),
                pace: Arc::clone(&self.pace),
            };
            let (answers, done) = (self.answers.0.clone(), Arc::clone(&self.done));
            let started = thread::Builder::new()
                .name("lookup".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    let answer = worker.look_up(id, &question);
                    tell(&answers, &done, answer);
                });
            match started {
                Ok(worker) => self.workers.push(worker),
                // There are too many threads already.
                Err(_) => {
                    let answer = Answer {
                        id,
                        lookup: Err(LookupError::Temporary),
                        names: Vec::new(),
                        refusal: None,
                    };
                    tell(&self.answers.0, &self.done, answer);
                }
            }
        }
    }

    /// A descriptor that becomes readable when there is an answer.
    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// Takes the answers that are there.
    pub(crate) fn take(&mut self) -> Vec<Answer> {
        // What is told after this makes it readable again.
        let _ = rustix::io::read(&self.done, &mut [0; 8]);
        let answers: Vec<Answer> = self.answers.1.try_iter().collect();
        self.asked = self.asked.saturating_sub(answers.len());
        self.employ();
        answers
    }
}

/// Hands an answer over.
fn tell(answers: &Sender<Answer>, done: &OwnedFd, answer: Answer) {
    // If nobody waits for it any more, nobody misses it.
    let _ = answers.send(answer);
    let _ = rustix::io::write(done, &1_u64.to_ne_bytes());
}

impl Drop for Lookups {
    fn drop(&mut self) {
        self.waiting.clear();
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
        for worker in self.workers.drain(..) {
            // It has ended either way.
            let _ = worker.join();
        }
    }
}

impl NameService {
    /// Notes what names lead to, those that may be looked up, and says which these are.
    fn pin<'a>(
        &self,
        names: impl IntoIterator<Item = &'a HostName>,
        source: Source,
        addresses: &[IpAddr],
        time_to_live: Duration,
    ) -> Vec<PinnedName> {
        let may_be = |name: &&HostName| self.network.policy.may_look_up(name);
        let mut pins = self
            .network
            .pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let names = names.into_iter().filter(may_be);
        let pinned = names.map(|name| {
            pins.pin(name, source, addresses, time_to_live, Instant::now());
            PinnedName {
                name: name.clone(),
                source,
            }
        });
        pinned.collect()
    }
}

/// When servers are asked next.
#[derive(Debug, Default)]
struct Pace {
    next: Option<Instant>,
}

impl Pace {
    /// The time of the next turn, which is taken.
    fn turn(&mut self, now: Instant) -> Instant {
        let interval = Duration::from_secs(1) / PER_SECOND;
        // What was not used before may be used now, up to a bound.
        let earliest = now.checked_sub(interval * (BURST - 1)).unwrap_or(now);
        let turn = self.next.map_or(earliest, |next| next.max(earliest));
        self.next = Some(turn + interval);
        turn
    }
}

/// What a thread needs for one lookup.
struct Worker {
    service: Arc<NameService>,
    end: Arc<OwnedFd>,
    pace: Arc<Mutex<Pace>>,
}

impl Worker {
    fn look_up(&self, id: u32, question: &Question) -> Answer {
        let mut names = Vec::new();
        let (lookup, refusal) = match self.resolve(question) {
            Ok(Resolution::Found {
                name,
                addresses,
                time_to_live_seconds,
            }) => {
                let time_to_live = Duration::from_secs(time_to_live_seconds.into());
                match self.found(question, name, addresses, time_to_live) {
                    Ok((addresses, pinned)) => {
                        names = pinned;
                        (Ok(addresses), None)
                    }
                    Err(error) => (Err(error), None),
                }
            }
            Ok(Resolution::Nothing) => (Err(LookupError::Unresolvable), None),
            Ok(Resolution::Truncated { .. }) => (Err(LookupError::Temporary), None),
            Ok(resolution @ (Resolution::Failed | Resolution::Silence)) => {
                let servers = question.servers.servers.iter().take(MOST_SERVERS);
                let reachable = servers.filter(|server| has_route(server.address));
                let refusal = Refusal::Unanswered {
                    name: question.asked.to_string(),
                    servers: reachable.map(|server| server.address).collect(),
                    is_silent: resolution == Resolution::Silence,
                };
                (Err(LookupError::Temporary), Some(refusal))
            }
            Err(error) => (Err(error), None),
        };
        Answer {
            id,
            lookup,
            names,
            refusal,
        }
    }

    /// Notes what was found, and puts it in order.
    fn found(
        &self,
        question: &Question,
        name: u8,
        addresses: Vec<IpAddr>,
        time_to_live: Duration,
    ) -> Result<(Vec<IpAddr>, Vec<PinnedName>), LookupError> {
        let name = question.names.get(usize::from(name));
        let name = name.ok_or(LookupError::Temporary)?;
        let mut addresses: Vec<IpAddr> = addresses
            .into_iter()
            .take(MOST_ADDRESSES)
            .map(canonical)
            .collect();
        let source = if self.service.servers.is_empty() {
            Source::System
        } else {
            Source::Servers
        };
        let names = [name, &question.asked];
        let names = self.service.pin(names, source, &addresses, time_to_live);
        // The kernel knows a way to the first ones; of those IPv6 goes before IPv4 (RFC 6724).
        addresses.sort_by_cached_key(|address| (!has_route(*address), address.is_ipv4()));
        Ok((addresses, names))
    }

    /// Asks the servers, when it is this lookup's turn.
    fn resolve(&self, question: &Question) -> Result<Resolution, LookupError> {
        let turn = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.turn(Instant::now())
        };
        let end = self.end.as_fd();
        if is_over(end, turn) {
            return Err(LookupError::Temporary);
        }
        let deadline = Instant::now() + LONGEST;
        match self.ask_datagrams(question, deadline)? {
            Resolution::Truncated { name, server } => {
                self.ask_stream(question, name.into(), server.into(), deadline)
            }
            resolution => Ok(resolution),
        }
    }

    /// Asks all servers. Those that there is no way to are left out.
    fn ask_datagrams(
        &self,
        question: &Question,
        deadline: Instant,
    ) -> Result<Resolution, LookupError> {
        let mut sockets = Vec::new();
        let mut numbers = Vec::new();
        for (number, server) in (0_u8..).zip(&question.servers.servers).take(MOST_SERVERS) {
            if let Ok(socket) = datagram_socket(server.socket_address(interface_number)) {
                sockets.push(socket);
                numbers.push(number);
            }
        }
        if sockets.is_empty() {
            return Ok(Resolution::Silence);
        }
        let link = ServerLink::Datagrams {
            count: u8::try_from(sockets.len()).unwrap_or(u8::MAX),
        };
        let resolution = self.ask(&question.names, &question.servers, link, &sockets, deadline)?;
        Ok(match resolution {
            Resolution::Truncated { name, server } => Resolution::Truncated {
                name,
                server: *numbers
                    .get(usize::from(server))
                    .ok_or(LookupError::Temporary)?,
            },
            resolution => resolution,
        })
    }

    /// Asks one server for all names from one on.
    fn ask_stream(
        &self,
        question: &Question,
        first: usize,
        server: usize,
        deadline: Instant,
    ) -> Result<Resolution, LookupError> {
        let names = question.names.get(first..).unwrap_or_default();
        let server = question.servers.servers.get(server);
        let address = server
            .ok_or(LookupError::Temporary)?
            .socket_address(interface_number);
        let time = Instant::now() + question.servers.time_limit;
        let socket = stream_socket(address, self.end.as_fd(), time.min(deadline))
            .map_err(|_| LookupError::Temporary)?;
        let resolution = self.ask(
            names,
            &question.servers,
            ServerLink::Stream,
            &[socket],
            deadline,
        )?;
        Ok(match resolution {
            Resolution::Found {
                name,
                addresses,
                time_to_live_seconds,
            } => Resolution::Found {
                name: name.saturating_add(u8::try_from(first).unwrap_or(u8::MAX)),
                addresses,
                time_to_live_seconds,
            },
            resolution => resolution,
        })
    }

    /// Has a resolver ask.
    fn ask(
        &self,
        names: &[HostName],
        servers: &NameServers,
        link: ServerLink,
        sockets: &[OwnedFd],
        deadline: Instant,
    ) -> Result<Resolution, LookupError> {
        let directory = rustix::fs::open(
            &self.service.empty_directory,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|_| LookupError::Permanent)?;
        let task = Task::Resolve(ResolveOrder {
            names: names.iter().map(ToString::to_string).collect(),
            link,
            time_limit_ms: u32::try_from(servers.time_limit.as_millis()).unwrap_or(u32::MAX),
            attempts: match link {
                ServerLink::Datagrams { .. } => servers.attempts,
                // It answers or it does not.
                ServerLink::Stream => 1,
            },
        });
        let boundary = self.service.boundary.as_ref();
        let role = (directory.as_fd(), sockets);
        match ask_role(boundary, role, task, self.end.as_fd(), deadline) {
            Ok(Some(FromRunner::Resolved(resolution))) => Ok(resolution),
            Ok(None) if Instant::now() >= deadline => Ok(Resolution::Silence),
            Ok(_) => Err(LookupError::Temporary),
            Err(_) => Err(LookupError::Permanent),
        }
    }
}

fn read_system_servers() -> NameServers {
    let mut text = Vec::new();
    let read = File::open(SYSTEM_SERVERS)
        .and_then(|file| file.take(SYSTEM_SERVERS_BYTES).read_to_end(&mut text));
    match read {
        Ok(_) => NameServers::parse(&String::from_utf8_lossy(&text)),
        Err(_) => NameServers::parse(""),
    }
}

fn interface_number(name: &str) -> Option<u32> {
    let any = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    );
    rustix::net::netdevice::name_to_index(any.ok()?, name).ok()
}

fn socket(address: SocketAddr, kind: SocketType, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    socket_with(family, kind, flags | SocketFlags::CLOEXEC, None)
}

fn datagram_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = socket(address, SocketType::DGRAM, SocketFlags::NONBLOCK)?;
    connect(&socket, &address)?;
    Ok(socket)
}

/// A connection, if there is one in time.
fn stream_socket(
    address: SocketAddr,
    end: BorrowedFd<'_>,
    deadline: Instant,
) -> Result<OwnedFd, Errno> {
    let socket = socket(address, SocketType::STREAM, SocketFlags::NONBLOCK)?;
    match connect(&socket, &address) {
        Err(Errno::INPROGRESS) => {
            let mut awaited = [
                PollFd::new(&socket, PollFlags::OUT),
                PollFd::from_borrowed_fd(end, PollFlags::IN),
            ];
            wait(&mut awaited, deadline)?;
            let [connected, end] = awaited.map(|awaited| !awaited.revents().is_empty());
            if end || !connected {
                return Err(Errno::TIMEDOUT);
            }
            socket_error(&socket)??;
        }
        connected => connected?,
    }
    Ok(socket)
}

/// Whether the kernel knows a way to an address; nothing is sent.
fn has_route(address: IpAddr) -> bool {
    datagram_socket(SocketAddr::new(address, 9)).is_ok()
}

/// Waits until a time; whether all is to end before that.
fn is_over(end: BorrowedFd<'_>, time: Instant) -> bool {
    let mut awaited = [PollFd::from_borrowed_fd(end, PollFlags::IN)];
    wait(&mut awaited, time) != Ok(false)
}

/// Waits until one of these is ready, or a time; whether one is.
pub(crate) fn wait(awaited: &mut [PollFd<'_>], time: Instant) -> Result<bool, Errno> {
    loop {
        let left = time.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(awaited, Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return ready.map(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_let_through_and_then_a_steady_rate() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let late: Vec<Duration> = (0..BURST + PER_SECOND)
            .map(|_| pace.turn(now).saturating_duration_since(now))
            .collect();
        let at_once = late.iter().filter(|late| late.is_zero()).count();
        assert_eq!(at_once, usize::try_from(BURST).expect("small"));
        let last = late.last().expect("some");
        assert!(*last <= Duration::from_secs(1), "{last:?}");
        assert!(*last > Duration::from_millis(900), "{last:?}");
    }

    #[test]
    fn pause_gives_back_a_burst_and_no_more() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..3 * BURST {
            pace.turn(now);
        }
        let later = now + Duration::from_secs(3600);
        let at_once = (0..3 * BURST).filter(|_| pace.turn(later) <= later).count();
        assert_eq!(at_once, usize::try_from(BURST).expect("small"));
    }
}
