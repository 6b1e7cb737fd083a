//! What a program's memories and tables may take together.
//!
//! ```text
//!   Budget      one per program: the limit, and what is taken of it
//!     |
//!     +- Limiter    one per store: asked before a memory, a table or the heap of garbage-collected
//!                   values grows; past the limit the program ends, instead of being told -1
//! ```
//!
//! A memory that threads share asks nobody before it grows. The one of `env.memory` is looked at while
//! and when the program runs ([`Budget::is_outgrown`]); one that a module has to itself is held by what
//! holds the process.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use wasmtime::{Engine, GcHeapOutOfMemory, MemoryType, ResourceLimiter, SharedMemory};

/// What a table's element takes, in bytes.
const ELEMENT_BYTES: usize = size_of::<usize>();

/// The program needs more memory than its limit.
#[derive(Debug)]
pub(crate) struct OverLimit;

impl fmt::Display for OverLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("more memory is needed than the limit allows")
    }
}

impl std::error::Error for OverLimit {}

/// What a program's memories and tables may take together.
pub(crate) struct Budget {
    limit_bytes: u64,
    /// What memories and tables have taken, but for the shared memory.
    taken_bytes: AtomicU64,
    shared: OnceLock<SharedMemory>,
    /// Whether more was wanted.
    is_exceeded: AtomicBool,
}

impl Budget {
    /// A budget of this many bytes, or of all that there are, of which nothing is taken.
    pub(crate) fn new(limit_bytes: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes: limit_bytes.unwrap_or(u64::MAX),
            taken_bytes: AtomicU64::new(0),
            shared: OnceLock::new(),
            is_exceeded: AtomicBool::new(false),
        })
    }

    /// Takes a part of it.
    ///
    /// # Errors
    /// [`OverLimit`] if less is left; then nothing is taken.
    fn take(&self, bytes: u64) -> Result<(), OverLimit> {
        let shared = self.shared_bytes();
        let taken = |taken: u64| {
            let taken = taken.checked_add(bytes)?;
            (taken.checked_add(shared)? <= self.limit_bytes).then_some(taken)
        };
        self.taken_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .map(drop)
            .map_err(|_| self.exceed())
    }

    fn exceed(&self) -> OverLimit {
        self.is_exceeded.store(true, Ordering::Relaxed);
        OverLimit
    }

    /// Gives back what was taken and not used.
    fn give_back(&self, bytes: u64) {
        self.taken_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Makes the memory that the program's threads share, and has it count.
    ///
    /// # Errors
    /// [`OverLimit`] if it is larger from the start than what is left; the engine's.
    pub(crate) fn share(
        &self,
        engine: &Engine,
        memory: MemoryType,
    ) -> wasmtime::Result<SharedMemory> {
        let least_bytes = memory.minimum().saturating_mul(memory.page_size());
        self.take(least_bytes)?;
        self.give_back(least_bytes);
        let memory = SharedMemory::new(engine, memory)?;
        // A program imports one.
        let _ = self.shared.set(memory.clone());
        Ok(memory)
    }

    /// How large the shared memory is by now.
    pub(crate) fn shared_bytes(&self) -> u64 {
        self.shared
            .get()
            .map_or(0, |memory| memory.data_size() as u64)
    }

    /// Whether the shared memory may grow past the limit.
    pub(crate) fn may_be_outgrown(&self) -> bool {
        self.limit_bytes != u64::MAX && self.shared.get().is_some()
    }

    /// Whether the shared memory has grown past the limit.
    pub(crate) fn is_outgrown(&self) -> bool {
        self.take(0).is_err()
    }
}

/// The part of a store in the budget of its program.
pub(crate) struct Limiter {
    budget: Arc<Budget>,
    /// What this store has taken.
    taken_bytes: u64,
    /// What was taken for the growth that goes on.
    pending_bytes: u64,
}

impl Limiter {
    /// A part of the budget that has taken nothing yet.
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            taken_bytes: 0,
            pending_bytes: 0,
        }
    }

    /// Whether the program ended with this error because it needs more than the limit.
    pub(crate) fn ended(&self, error: &wasmtime::Error) -> bool {
        // The heap of garbage-collected values collects before it gives up, and forgets our error.
        error.is::<OverLimit>()
            || (error.is::<GcHeapOutOfMemory<()>>()
                && self.budget.is_exceeded.load(Ordering::Relaxed))
    }

    fn grow(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
        unit: usize,
    ) -> wasmtime::Result<bool> {
        self.pending_bytes = 0;
        // What the program's own maximum forbids is answered with -1, as ever.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = desired.saturating_sub(current).saturating_mul(unit) as u64;
        self.budget.take(bytes)?;
        self.taken_bytes += bytes;
        self.pending_bytes = bytes;
        Ok(true)
    }

    /// A growth failed that the budget allowed: the process has reached its own limit.
    fn failed(&mut self) -> wasmtime::Result<()> {
        match std::mem::take(&mut self.pending_bytes) {
            0 => Ok(()),
            bytes => {
                self.taken_bytes -= bytes;
                self.budget.give_back(bytes);
                Err(self.budget.exceed().into())
            }
        }
    }
}

impl Drop for Limiter {
    /// The store is gone, as of a thread that has returned.
    fn drop(&mut self) {
        self.budget.give_back(self.taken_bytes);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired, maximum, 1)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.failed()
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired, maximum, ELEMENT_BYTES)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.failed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(limit_bytes: u64) -> Limiter {
        Limiter::new(Budget::new(Some(limit_bytes)))
    }

    #[test]
    fn memories_and_tables_take_from_one_budget() {
        let mut limiter = limiter(100_000);
        assert!(limiter.memory_growing(0, 65_536, None).expect("it is left"));
        assert!(limiter.table_growing(0, 4_000, None).expect("it is left"));
        let error = limiter
            .table_growing(4_000, 5_000, None)
            .expect_err("less is left");
        assert!(error.is::<OverLimit>());
    }

    #[test]
    fn store_that_is_gone_has_taken_nothing() {
        let budget = Budget::new(Some(100_000));
        for _ in 0..3 {
            let mut limiter = Limiter::new(Arc::clone(&budget));
            assert!(limiter.memory_growing(0, 65_536, None).expect("it is left"));
        }
        assert!(budget.take(100_000).is_ok());
    }

    #[test]
    fn growth_past_the_program_s_own_maximum_takes_nothing() {
        let mut limiter = limiter(65_536);
        assert!(
            !limiter
                .memory_growing(0, 131_072, Some(65_536))
                .expect("an answer")
        );
        assert!(
            limiter
                .memory_growing(0, 65_536, Some(65_536))
                .expect("it is left")
        );
    }

    #[test]
    fn growth_that_failed_gives_back_what_it_took() {
        let mut limiter = limiter(65_536);
        let grown = limiter.memory_growing(0, 65_536, None);
        assert!(grown.expect("it is left"));
        let failed = limiter.memory_grow_failed(wasmtime::Error::msg("no memory"));
        assert!(failed.expect_err("it ends the program").is::<OverLimit>());
        let grown = limiter.memory_growing(0, 65_536, None);
        assert!(grown.expect("it was given back"));
    }

    fn share(budget: &Budget, pages: u32) -> wasmtime::Result<SharedMemory> {
        let mut config = wasmtime::Config::new();
        config.shared_memory(true);
        let engine = Engine::new(&config).expect("the configuration is sound");
        budget.share(&engine, MemoryType::shared(pages, 100))
    }

    #[test]
    fn shared_memory_counts_while_it_grows() {
        let budget = Budget::new(Some(1 << 20));
        let memory = share(&budget, 1).expect("it is left");
        assert!(budget.may_be_outgrown() && !budget.is_outgrown());
        memory.grow(14).expect("the engine allows it");
        assert!(budget.take(65_537).is_err());
        assert!(budget.take(65_536).is_ok());
        assert!(!budget.is_outgrown());
        memory.grow(1).expect("the engine allows it");
        assert!(budget.is_outgrown());
    }

    #[test]
    fn shared_memory_that_starts_too_large_is_refused() {
        let budget = Budget::new(Some(1 << 20));
        let error = share(&budget, 17).expect_err("too large");
        assert!(error.is::<OverLimit>());
    }

    #[test]
    fn without_a_limit_nothing_is_outgrown() {
        let budget = Budget::new(None);
        share(&budget, 17).expect("there is no limit");
        assert!(!budget.may_be_outgrown() && !budget.is_outgrown());
    }
}
