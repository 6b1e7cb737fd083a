//! Requests to the outside: the role that sends them, started by the first one.
//!
//! ```text
//!   runner ── first bytes on a link ──▶ Links: readable ──▶ a thread
//!                                                             │ starts the role with that link, and attends to it
//!   egress ── Reaches(origin) ──▶ its session ── decide ──▶ Reached(addresses), and a refusal to tell
//!          ── connect ─────────▶ mediated, as a runner's
//! ```
//!
//! Should the role end, what it was sending fails, and the runner goes on by its next link, to a new one.

use crate::failed::{Failed, keeper_failed};
use crate::lookups::{NameService, wait};
use crate::relay::Relay;
use crate::role::nowhere;
use crate::session::{Caller, Event, Session};
use libc::{STDERR_FILENO, STDIN_FILENO, STDOUT_FILENO};
use lighter_boundary::{Boundary, Network, Refusals, Root, Spec};
use lighter_types::egress::{EgressOrder, Origin, Reached, RequestError};
use lighter_types::limits::Limits;
use lighter_types::network::{LookupError, PinnedName, Verdict, meant};
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{EGRESS_FDS, FromRunner, LINK_FD, Task};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How requests are sent for one run.
pub struct EgressService {
    /// What the role is started in.
    pub boundary: Arc<dyn Boundary + Send + Sync>,
    /// An empty directory: all that it sees of the file system.
    pub empty_directory: PathBuf,
    /// Where requests may go.
    pub network: Arc<Network>,
    /// How names are found, and where it is noted for that network.
    pub names: Arc<NameService>,
    /// What the role is ordered, apart from its links: files are read for it, so it is made when it is needed.
    pub order: Box<dyn Fn() -> io::Result<EgressOrder> + Send + Sync>,
}

/// The links of one runner, from the keeper's side.
pub(crate) struct Links {
    service: Arc<EgressService>,
    /// Those that no role has got, the next one first.
    unused: VecDeque<OwnedFd>,
    attendant: Option<Attendant>,
    refusals: Arc<Refusals>,
    /// Those that were taken, and not told.
    told: Vec<Refusal>,
    limits: Limits,
}

/// The thread that attends to the role.
struct Attendant {
    /// Readable when it is to end.
    end: Arc<OwnedFd>,
    /// Whether it has ended by itself.
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How long a role may take to end whose runner has.
const LAST_WORD_TIME: Duration = Duration::from_millis(500);
/// The stack of that thread, in bytes.
const STACK_BYTES: usize = 256 << 10;

impl Links {
    /// Makes the links, and gives the runner's ends of them, in order.
    pub(crate) fn make(
        service: Arc<EgressService>,
        limits: Limits,
    ) -> Result<(Self, Vec<OwnedFd>), Failed> {
        let failed = keeper_failed("make a link for requests");
        let pair = || {
            socketpair(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
                None,
            )
        };
        let pairs: Result<Vec<_>, Errno> = EGRESS_FDS.map(|_| pair()).collect();
        let (unused, theirs) = pairs.map_err(&failed)?.into_iter().unzip();
        let refusals = Refusals::new().map_err(|source| Failed::Keeper {
            action: "make a link for requests",
            source,
        })?;
        let links = Self {
            service,
            unused,
            attendant: None,
            refusals: Arc::new(refusals),
            told: Vec::new(),
            limits,
        };
        Ok((links, theirs))
    }

    /// The runner's descriptors, with the numbers at which it finds them.
    pub(crate) fn descriptors(theirs: &[OwnedFd]) -> impl Iterator<Item = (BorrowedFd<'_>, RawFd)> {
        theirs.iter().map(AsFd::as_fd).zip(EGRESS_FDS)
    }

    /// A descriptor that becomes readable when a role is to be started, if none is there.
    pub(crate) fn event(&self) -> Option<BorrowedFd<'_>> {
        match self.attendant {
            Some(_) => None,
            None => self.unused.front().map(AsFd::as_fd),
        }
    }

    /// What was refused, or has ended: readable then.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Starts the role, as the runner has something to send.
    pub(crate) fn start(&mut self) {
        let Some(link) = self.unused.pop_front() else {
            return;
        };
        // The runner has ended, and with it all links.
        if matches!(
            recv(&link, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT),
            Ok((0, _)) | Err(Errno::CONNRESET)
        ) {
            self.unused.clear();
            return;
        }
        if let Err(error) = self.employ(link) {
            self.refusals.add(unsent(&error));
        }
    }

    fn employ(&mut self, link: OwnedFd) -> io::Result<()> {
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let service = Arc::clone(&self.service);
        let is_over = Arc::new(AtomicBool::new(false));
        let (ends, refusals, limits) = (Arc::clone(&end), Arc::clone(&self.refusals), self.limits);
        let over = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("egress".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                if let Err(reason) = attend(&service, link, ends.as_fd(), &refusals, limits) {
                    refusals.add(Refusal::Unsent { reason });
                }
                over.store(true, Ordering::Release);
                refusals.ring();
            })?;
        self.attendant = Some(Attendant {
            end,
            is_over,
            thread,
        });
        Ok(())
    }

    /// Has the role end, whose runner has, and hears what it has to say until then.
    pub(crate) fn wind_down(&mut self) {
        self.unused.clear();
        let Some(attendant) = self.attendant.take() else {
            return;
        };
        let deadline = Instant::now() + LAST_WORD_TIME;
        while !attendant.is_over.load(Ordering::Acquire) {
            let mut awaited = [PollFd::from_borrowed_fd(
                self.refusals.as_fd(),
                PollFlags::IN,
            )];
            if wait(&mut awaited, deadline) != Ok(true) {
                break;
            }
            self.told.extend(self.refusals.take());
        }
        attendant.end();
    }

    /// Takes what was refused, or could not be sent.
    pub(crate) fn take_refusals(&mut self) -> Vec<Refusal> {
        let mut told = std::mem::take(&mut self.told);
        told.extend(self.refusals.take());
        told
    }

    /// Makes room for another role, if the last one has ended.
    pub(crate) fn look_after(&mut self) {
        let is_over = |attendant: &Attendant| attendant.is_over.load(Ordering::Acquire);
        if self.attendant.as_ref().is_some_and(is_over) {
            self.attendant = None;
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(attendant) = self.attendant.take() {
            attendant.end();
        }
    }
}

impl Attendant {
    fn end(self) {
        // It counts to far more than there can be.
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
        // It has ended either way.
        let _ = self.thread.join();
    }
}

fn unsent(error: &dyn std::error::Error) -> Refusal {
    let mut reason = error.to_string();
    if let Some(source) = error.source() {
        reason = format!("{reason}: {source}");
    }
    Refusal::Unsent { reason }
}

/// Starts the role and attends to it until it ends, or is to end.
///
/// # Errors
/// What to tell the user: it did not start, or it broke the protocol.
fn attend(
    service: &EgressService,
    link: OwnedFd,
    end: BorrowedFd<'_>,
    refusals: &Refusals,
    limits: Limits,
) -> Result<(), String> {
    let told = |error: &dyn std::error::Error| match unsent(error) {
        Refusal::Unsent { reason } => reason,
        _ => String::new(),
    };
    let mut session = start(service, &link, limits).map_err(|error| told(&error))?;
    drop(link);
    let order = EgressOrder {
        links: 1,
        ..(service.order)().map_err(|error| told(&error))?
    };
    session
        .order(Task::Egress(Box::new(order)))
        .map_err(|error| told(&error))?;
    let mut relay = Relay::default();
    loop {
        match session
            .next(Caller::Thread(end), &mut relay, None)
            .map_err(|error| told(&error))?
        {
            Event::Over => return Ok(()),
            Event::Refused(refusal)
            | Event::Message(FromRunner::Refused(refusal @ Refusal::Certificate { .. })) => {
                refusals.add(refusal);
            }
            Event::Message(FromRunner::Ended(end)) => match end {
                lighter_types::runner_protocol::End::Exited(0) => {}
                end => return Err(format!("{end:?}")),
            },
            Event::Message(_) => return Err("it said what it was not asked".to_owned()),
            Event::Misbehaved(reason) => return Err(reason),
            // All its links have ended.
            Event::Ended(lighter_boundary::Exit::Code(0)) => return Ok(()),
            Event::Ended(exit) => return Err(format!("it ended by itself ({exit:?})")),
            Event::Signal(_) | Event::Deadline => {}
        }
    }
}

fn start(service: &EgressService, link: &OwnedFd, limits: Limits) -> Result<Session, Failed> {
    let directory = File::open(&service.empty_directory).map_err(|source| Failed::Keeper {
        action: "open an empty directory",
        source,
    })?;
    let nowhere = nowhere()?;
    let streams = [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO];
    let mut descriptors = vec![(link.as_fd(), LINK_FD)];
    descriptors.extend(streams.map(|number| (nowhere.as_fd(), number)));
    let spec = Spec {
        descriptors,
        root: Root::Directory(directory.as_fd()),
        owner: None,
        limits: Limits::default(),
        is_looked_into: true,
        is_pinned: false,
    };
    let network = Arc::clone(&service.network);
    let mut session = Session::start(service.boundary.as_ref(), spec, Some(network))?;
    session.set_names(Some(Arc::clone(&service.names)));
    // Its threads are counted with those of the runner, whose user id it has.
    session.share_threads(limits);
    Ok(session)
}

/// Where requests for an origin may go that is at these addresses, and what is to be told if nowhere.
pub(crate) fn decide(
    network: &Network,
    origin: &Origin,
    addresses: &[IpAddr],
    names: &[PinnedName],
) -> (Reached, Option<Refusal>) {
    let mut allowed = Vec::new();
    let mut refused = None;
    for address in addresses {
        let address = meant(SocketAddr::new(*address, origin.port));
        match network.may_reach_by(origin.transport, address, names) {
            Verdict::Allowed => allowed.push(address),
            Verdict::Refused(reason) => {
                refused.get_or_insert((address, reason));
            }
        }
    }
    if !allowed.is_empty() {
        return (Ok(allowed), None);
    }
    let refusal = refused.map(|(address, reason)| Refusal::Request {
        origin: origin.to_text(),
        address: (!names.is_empty()).then(|| address.ip().to_string()),
        reason,
    });
    (Err(RequestError::Denied), refusal)
}

/// What a request comes to whose name has no addresses.
pub(crate) fn unfound(error: LookupError) -> RequestError {
    match error {
        LookupError::Refused => RequestError::Denied,
        LookupError::Invalid => RequestError::UriInvalid,
        LookupError::Unresolvable | LookupError::Permanent => RequestError::DnsError,
        LookupError::Temporary => RequestError::DnsTimeout,
    }
}

/// A host that is an address.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}
