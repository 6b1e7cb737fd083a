//! Keeps a keeper and its runner on one processor while they take turns.
//!
//! Waking another processor for each turn costs more than the turns themselves: a tenth of a warm
//! start.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// This thread, and what it starts, stay on one processor until this is dropped.
#[derive(Debug)]
pub struct Pin {
    before: CpuSet,
    child: Option<Pid>,
}

impl Pin {
    /// Pins this thread to the processor it is on. That is for speed alone, so where it cannot be
    /// done nothing is.
    #[must_use]
    pub fn this_thread() -> Option<Self> {
        let before = sched_getaffinity(None).ok()?;
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        if before.count() < 2 {
            return None;
        }
        sched_setaffinity(None, &one).ok()?;
        Some(Self {
            before,
            child: None,
        })
    }

    /// Takes a child along, which was started since and is not reaped.
    pub fn take_along(&mut self, child: Pid) {
        self.child = Some(child);
    }

    /// Forgets the child, which is reaped: its number may be another process's by now.
    pub fn leave_behind(&mut self) {
        self.child = None;
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // The only refusal is that the child has ended, and the mask was this thread's before.
        let _ = self
            .child
            .map(|child| sched_setaffinity(Some(child), &self.before));
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::sched_getaffinity;

    #[test]
    fn processors_are_given_back() {
        let before = sched_getaffinity(None).expect("it can be read");
        if let Some(pin) = Pin::this_thread() {
            let pinned = sched_getaffinity(None).expect("it can be read");
            assert_eq!(pinned.count(), 1);
            drop(pin);
        }
        assert_eq!(sched_getaffinity(None).expect("it can be read"), before);
    }
}
