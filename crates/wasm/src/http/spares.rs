//! Threads that wait beside those that work, and take over where one is used for long.
//!
//! A runtime has a thread for each processor and these. Each of these is kept out of the runtime by a task that
//! blocks it; while a guest holds a thread up, one such task lets its thread go.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many of the waiting threads work.
#[derive(Debug, Default)]
pub struct Spares {
    state: Mutex<State>,
    is_wanted: Condvar,
    is_recalled: Notify,
}

#[derive(Debug, Default)]
struct State {
    wanted: usize,
    working: usize,
    has_ended: bool,
}

impl Spares {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the thread that polls it out of its runtime, but while that needs it.
    pub async fn keep_a_thread(&self) {
        while self.wait_until_wanted() {
            self.recalled().await;
        }
    }

    /// Blocks until one more is wanted; no, if none will be.
    fn wait_until_wanted(&self) -> bool {
        let mut state = self.state();
        while state.working >= state.wanted && !state.has_ended {
            let waited = self.is_wanted.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.working += 1;
        !state.has_ended
    }

    /// Waits until one works more than is wanted, and takes that one back.
    async fn recalled(&self) {
        loop {
            let recalled = self.is_recalled.notified();
            {
                let mut state = self.state();
                if state.has_ended || state.working > state.wanted {
                    state.working -= 1;
                    return;
                }
            }
            recalled.await;
        }
    }

    /// Says how many are wanted from now on.
    pub(super) fn want(&self, count: usize) {
        let mut state = self.state();
        if state.wanted == count {
            return;
        }
        state.wanted = count;
        drop(state);
        self.is_wanted.notify_all();
        self.is_recalled.notify_waiters();
    }

    /// Lets all threads go, for the end.
    pub fn end(&self) {
        self.state().has_ended = true;
        self.is_wanted.notify_all();
        self.is_recalled.notify_waiters();
    }
}
