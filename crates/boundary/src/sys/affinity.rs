//! Keeps a keeper and its runner on one processor while they take turns.
//!
//! Waking another processor for each turn costs more than the turns themselves: a tenth of a warm
//! start.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::collections::BTreeSet;
use std::fs;

/// This thread, and what it starts, stay on one processor until this is dropped.
#[derive(Debug)]
pub struct Pin {
    before: CpuSet,
    child: Option<Pid>,
    has_threads: bool,
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
            has_threads: false,
        })
    }

    /// Takes the threads along that this process starts meanwhile.
    pub fn take_threads_along(&mut self) {
        self.has_threads = true;
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
        if let Some(child) = self.child {
            release(child, &self.before);
        }
        if self.has_threads {
            release(rustix::process::getpid(), &self.before);
        }
        // The mask was this thread's before.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// How often threads are looked for. One that is not pinned starts none that is, so it takes a process that
/// wants to be held back to need more.
const MOST_LOOKS: usize = 16;

/// Gives all threads of a process these processors, those too that pinned ones have started.
fn release(process: Pid, processors: &CpuSet) {
    // The only refusal is that the process has ended.
    let _ = sched_setaffinity(Some(process), processors);
    // Where /proc is that of another process namespace, its numbers are not ours.
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    if !fs::read_link("/proc/self").is_ok_and(|number| number.as_os_str() == own.as_str()) {
        return;
    }
    let threads = format!("/proc/{}/task", process.as_raw_nonzero());
    let mut released = BTreeSet::new();
    for _ in 0..MOST_LOOKS {
        let Ok(entries) = fs::read_dir(&threads) else {
            return;
        };
        let before = released.len();
        for entry in entries.flatten() {
            let number = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(number) = number
                && let Some(thread) = Pid::from_raw(number)
                && released.insert(number)
            {
                // The only refusal is that the thread has ended.
                let _ = sched_setaffinity(Some(thread), processors);
            }
        }
        if released.len() == before {
            return;
        }
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
