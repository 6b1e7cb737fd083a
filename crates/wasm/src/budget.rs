//! What a program's memories and tables may take together.
//!
//! ```text
//!   Budget      one per program: the limit, and what is taken of it
//!     |
//!     +- Limiter    one per store: asked before a memory, a table or the heap of garbage-collected
//!                   values grows; past the limit the program ends, instead of being told -1
//! ```
//!
//! Shared memories ask nobody: [`Budget::cap`] makes them no larger than the limit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use wasmtime::{GcHeapOutOfMemory, MemoryType, ResourceLimiter};

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
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: u64,
    taken_bytes: AtomicU64,
    /// Whether more was wanted.
    is_exceeded: AtomicBool,
}

impl Budget {
    /// A budget of this many bytes, or of all that there are, of which nothing is taken.
    pub(crate) fn new(limit_bytes: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes: limit_bytes.unwrap_or(u64::MAX),
            taken_bytes: AtomicU64::new(0),
            is_exceeded: AtomicBool::new(false),
        })
    }

    /// Takes a part of it.
    ///
    /// # Errors
    /// [`OverLimit`] if less is left; then nothing is taken.
    fn take(&self, bytes: u64) -> Result<(), OverLimit> {
        let taken = |taken: u64| {
            taken
                .checked_add(bytes)
                .filter(|taken| *taken <= self.limit_bytes)
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

    /// Takes what a shared memory starts with, and gives the type by which it cannot grow past the
    /// limit.
    ///
    /// # Errors
    /// [`OverLimit`] if less is left.
    pub(crate) fn cap(&self, memory: &MemoryType) -> wasmtime::Result<MemoryType> {
        let pages = self.limit_bytes / memory.page_size();
        self.take(memory.minimum().saturating_mul(memory.page_size()))?;
        let maximum = memory.maximum().map_or(pages, |most| most.min(pages));
        MemoryType::builder()
            .memory64(memory.is_64())
            .shared(memory.is_shared())
            .min(memory.minimum())
            .max(Some(maximum))
            .page_size_log2(memory.page_size_log2())
            .build()
    }
}

/// The part of a store in the budget of its program.
#[derive(Debug)]
pub(crate) struct Limiter {
    budget: Arc<Budget>,
    /// What was taken for the growth that goes on.
    pending_bytes: u64,
}

impl Limiter {
    /// A part of the budget that has taken nothing yet.
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
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
        self.pending_bytes = bytes;
        Ok(true)
    }

    /// A growth failed that the budget allowed: the process has reached its own limit.
    fn failed(&mut self) -> wasmtime::Result<()> {
        match std::mem::take(&mut self.pending_bytes) {
            0 => Ok(()),
            bytes => {
                self.budget.give_back(bytes);
                Err(self.budget.exceed().into())
            }
        }
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

    #[test]
    fn shared_memory_grows_no_further_than_the_limit() {
        let budget = Budget::new(Some(1 << 20));
        let capped = budget
            .cap(&MemoryType::shared(1, 1000))
            .expect("it is left");
        assert_eq!((capped.minimum(), capped.maximum()), (1, Some(16)));
        let capped = budget.cap(&MemoryType::shared(1, 8)).expect("it is left");
        assert_eq!(capped.maximum(), Some(8));
        let error = budget
            .cap(&MemoryType::shared(17, 1000))
            .expect_err("too large");
        assert!(error.is::<OverLimit>());
    }
}
