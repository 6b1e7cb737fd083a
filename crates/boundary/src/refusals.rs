//! What a workload was refused, told from the thread that refuses to the one that attends to it.

use lighter_types::refusal::Refusal;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// The most that are remembered, told or not: each is told once.
const MOST: usize = 256;

/// Refusals, each once; readable while there are untold ones.
#[derive(Debug)]
pub struct Refusals {
    state: Mutex<State>,
    bell: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    seen: BTreeSet<Refusal>,
    untold: Vec<Refusal>,
}

impl Refusals {
    /// None yet.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Adds one, if it is new.
    pub fn add(&self, refusal: Refusal) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.seen.len() < MOST && state.seen.insert(refusal.clone()) {
            state.untold.push(refusal);
            self.ring();
        }
    }

    /// Has whoever waits for one look, though there may be none.
    pub fn ring(&self) {
        // It counts to far more than there can be.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Takes those that were not told yet.
    pub fn take(&self) -> Vec<Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        std::mem::take(&mut state.untold)
    }
}

impl AsFd for Refusals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_their_number_is_bounded() {
        let refusals = Refusals::new().expect("descriptors are left");
        let lookup = |number: usize| Refusal::lookup(number.to_string());
        for number in 0..2 * MOST {
            refusals.add(lookup(number % MOST));
        }
        assert_eq!(refusals.take().len(), MOST);
        refusals.add(lookup(0));
        refusals.add(lookup(MOST));
        assert_eq!(refusals.take(), []);
    }
}
