//! Looks after the threads on which guests work: how much of a processor each request uses, and whether one
//! keeps its thread from others.
//!
//! Guests' code has nothing in it that would count or ask. A thread of its own looks every ten milliseconds
//! which guests still run that ran before; it sleeps while there are none.

use super::Fault;
use super::cut::Cut;
use super::spares::Spares;
use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;
use wasmtime::component::Component;

/// How often threads are looked at.
const TICK: Duration = Duration::from_millis(10);
/// After how many ticks with nobody at work there are no more.
const IDLE_TICKS: u32 = 20;
/// For how many ticks a guest keeps its thread until another one takes over.
const STUCK_TICKS: u32 = 2;
/// The stack of the thread that looks, in bytes.
const STACK_BYTES: usize = 128 << 10;

/// What a request has used of a processor, as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Account {
    spent_ns: u64,
}

/// A thread on which guests work.
pub(super) struct Slot {
    /// Its number.
    pub(super) thread: i32,
    /// How often guests began and ceased to work: odd while one does.
    pub(super) turn: AtomicU64,
    /// What the request that is worked for has used.
    spent_ns: AtomicU64,
    /// The turn that is to end.
    pub(super) last_turn: AtomicU64,
}

/// Who looks.
pub(super) struct Watch {
    limit: Duration,
    slots: Mutex<Vec<Arc<Slot>>>,
    spares: Arc<Spares>,
    is_asleep: AtomicBool,
    thread: Mutex<Option<Thread>>,
    cut: Cut,
}

thread_local! {
    static OWN: OnceCell<Arc<Slot>> = const { OnceCell::new() };
}

impl Watch {
    pub(super) fn new(component: &Component, limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            slots: Mutex::default(),
            spares: Arc::default(),
            is_asleep: AtomicBool::new(true),
            thread: Mutex::default(),
            cut: Cut::new(component),
        })
    }

    pub(super) fn spares(&self) -> Arc<Spares> {
        Arc::clone(&self.spares)
    }

    /// Whether a request has used up its time.
    pub(super) fn is_over(&self, account: &Account) -> bool {
        u128::from(account.spent_ns) >= self.limit.as_nanos()
    }

    /// What becomes of a request that has.
    pub(super) fn out_of_time(&self) -> Fault {
        Fault::OutOfTime { limit: self.limit }
    }

    /// Has a guest work on this thread.
    pub(super) fn attend<T>(
        self: &Arc<Self>,
        account: &mut Account,
        work: impl FnOnce() -> T,
    ) -> T {
        OWN.with(|own| {
            let slot = own.get_or_init(|| self.enter());
            slot.spent_ns.store(account.spent_ns, Ordering::Relaxed);
            slot.turn.fetch_add(1, Ordering::SeqCst);
            if self.is_asleep.load(Ordering::SeqCst) {
                self.wake();
            }
            let turn = Turn { slot, account };
            let done = work();
            drop(turn);
            done
        })
    }

    /// Makes this thread known.
    fn enter(&self) -> Arc<Slot> {
        let slot = Arc::new(Slot {
            thread: rustix::thread::gettid().as_raw_nonzero().get(),
            turn: AtomicU64::new(0),
            spent_ns: AtomicU64::new(0),
            last_turn: AtomicU64::new(0),
        });
        self.cut.enter(&slot);
        self.slots().push(Arc::clone(&slot));
        slot
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has somebody look.
    fn wake(self: &Arc<Self>) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_asleep.swap(false, Ordering::SeqCst) {
            return;
        }
        if let Some(thread) = &*thread {
            return thread.unpark();
        }
        let watch = Arc::clone(self);
        let started = thread::Builder::new()
            .name("watch".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || watch.look());
        // Without one nobody looks, and each request has all the time that it may take in total.
        *thread = started.ok().map(|started| started.thread().clone());
    }

    fn look(&self) {
        let mut seen: Vec<Seen> = Vec::new();
        let mut idle_ticks = 0;
        loop {
            thread::sleep(TICK);
            let slots: Vec<Arc<Slot>> = self.slots().clone();
            seen.resize(slots.len(), Seen::default());
            let mut is_anybody_at_work = false;
            let mut stuck = 0;
            for (slot, seen) in slots.iter().zip(&mut seen) {
                let turn = slot.turn.load(Ordering::SeqCst);
                if turn % 2 == 0 {
                    continue;
                }
                is_anybody_at_work = true;
                let used_ns = processor_time_ns(slot.thread);
                if turn != seen.turn {
                    *seen = Seen {
                        turn,
                        used_ns,
                        ticks: 0,
                    };
                    continue;
                }
                let more_ns = used_ns.saturating_sub(seen.used_ns);
                seen.used_ns = used_ns;
                seen.ticks += 1;
                stuck += usize::from(seen.ticks >= STUCK_TICKS);
                let spent_ns = slot.spent_ns.fetch_add(more_ns, Ordering::Relaxed) + more_ns;
                if u128::from(spent_ns) >= self.limit.as_nanos() {
                    self.cut.end(slot, turn);
                }
            }
            self.spares.want(stuck);
            idle_ticks = if is_anybody_at_work {
                0
            } else {
                idle_ticks + 1
            };
            if idle_ticks >= IDLE_TICKS {
                self.sleep(&slots);
                idle_ticks = 0;
            }
        }
    }

    /// Waits for somebody to work.
    fn sleep(&self, slots: &[Arc<Slot>]) {
        self.is_asleep.store(true, Ordering::SeqCst);
        let is_at_work = |slot: &Arc<Slot>| slot.turn.load(Ordering::SeqCst) % 2 == 1;
        if slots.iter().any(is_at_work) {
            self.is_asleep.store(false, Ordering::SeqCst);
            return;
        }
        while self.is_asleep.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}

/// A guest at work; the end of it, however it comes.
struct Turn<'a> {
    slot: &'a Slot,
    account: &'a mut Account,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.slot.turn.fetch_add(1, Ordering::SeqCst);
        self.account.spent_ns = self.slot.spent_ns.load(Ordering::Relaxed);
    }
}

/// What was seen of a thread before.
#[derive(Clone, Debug, Default)]
struct Seen {
    turn: u64,
    used_ns: u64,
    ticks: u32,
}

/// What a thread of this process has used of processors, in nanoseconds (`clock_getcpuclockid(3)`).
fn processor_time_ns(thread: i32) -> u64 {
    // CPUCLOCK_SCHED of one thread (include/linux/posix-timers.h).
    let clock = (!thread << 3) | 6;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "rustix takes no such clock")]
    // SAFETY: the pointer is to a value that lives here.
    let answer = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if answer != 0 {
        return 0;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
