//! The life of a container, from the keeper's side: it starts a runner, listens to it, relays its
//! terminal, and tells how it ended.
//!
//! The keeper decides and holds every right; it never reads a byte of a guest's code. What a
//! runner sends is bounded and believed only as what it is: a stranger's claim.

mod egress;
mod failed;
mod lookups;
mod relay;
mod role;
mod run;
mod session;
mod signing;

pub use crate::egress::EgressService;
pub use crate::failed::Failed;
pub use crate::lookups::NameService;
pub use crate::role::{RoleRequest, play_role, stop_with_caller};
pub use crate::run::{RunRequest, Start, Streams, run};

pub use crate::signing::Signer;

use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::Failure;
use std::time::Duration;

/// The signals that end a foreground run, with those that stop and continue it.
pub const SIGNALS: [i32; 5] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGTSTP,
];

/// What the front that asked for the work is told while it goes on.
pub trait Observer {
    /// The guest was refused something; each distinct refusal comes once, and their number is
    /// bounded.
    fn refused(&mut self, refusal: &Refusal);

    /// More was refused than is told one by one.
    fn refusals_cut(&mut self);

    /// The guest's code is mapped and about to run.
    fn loaded(&mut self) {}

    /// Work on a program goes on, this long by now.
    fn waiting(&mut self, _elapsed: Duration) {}
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest returned or exited with this code.
    Exited(u8),
    /// The guest trapped.
    Trapped {
        /// What happened and where: the runner's words, not yet escaped.
        report: String,
    },
    /// The guest never ran, or could not go on.
    Failed(Failure),
    /// The caller ended it with this signal.
    Interrupted(i32),
    /// The time given was over.
    TimedOut,
    /// The runner's process was ended by this signal, and not by us.
    Killed(i32),
    /// It needed more memory than its limit, or than the machine has.
    OutOfMemory,
    /// The runner broke the protocol, and was ended.
    Misbehaved {
        /// How.
        reason: String,
    },
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OutOfMemory => Self::OutOfMemory,
            failure => Self::Failed(failure),
        }
    }
}
