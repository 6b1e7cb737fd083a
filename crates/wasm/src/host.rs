//! What the engine asks of the role that embeds it.

use lighter_types::network::{Lookup, LookupError};
use lighter_types::refusal::Refusal;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is called once, with what a lookup came to.
pub type LookupReply = Box<dyn FnOnce(Lookup) + Send>;

/// The embedding role, as the host functions see it.
///
/// Host functions call it from whichever thread the guest runs on. Calls must be quick and must
/// not fail: a refusal that cannot be delivered is lost.
pub trait Host: Send + Sync {
    /// Tells that the guest was refused something. The same refusal may be told often; the
    /// implementation bounds and deduplicates.
    fn refused(&self, refusal: Refusal);

    /// Looks a host name up, in ASCII; the answer comes to `reply`, from whichever thread and maybe at once.
    /// Without an embedding role that can there are no names.
    fn look_up(&self, _name: String, reply: LookupReply) {
        reply(Err(LookupError::Permanent));
    }

    /// Another link to who sends the guest's requests; none, if there is none left or no request may be sent.
    fn next_link(&self) -> Option<OwnedFd> {
        None
    }

    /// Tells that the guest wants to read standard input, which is a terminal, and that nothing
    /// is there. It is told once until something came.
    fn wants_input(&self) {}
}

/// Standard input where it is a terminal: its bytes come when the guest wants them, so that what
/// a guest does not read stays for whoever sits at the terminal next.
pub(crate) struct InputDemand {
    host: Arc<dyn Host>,
    is_told: AtomicBool,
}

impl InputDemand {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            is_told: AtomicBool::new(false),
        }
    }

    /// The guest wants to read, and nothing is there.
    pub(crate) fn wait(&self) {
        if !self.is_told.swap(true, Ordering::AcqRel) {
            self.host.wants_input();
        }
    }

    /// The guest has read something.
    pub(crate) fn served(&self) {
        self.is_told.store(false, Ordering::Release);
    }
}
