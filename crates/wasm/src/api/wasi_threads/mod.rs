//! Threads of core modules: `wasi.thread-spawn` and the shared memory `env.memory`.
//!
//! ```text
//!   process            run() waits for the first end that any thread tells
//!     |
//!     +- thread 0      instance of the module, _start           \
//!     +- thread 1      another instance, wasi_thread_start(1, a)  > one memory, one WasiContext
//!     +- thread 2      ...                                       /
//! ```
//!
//! A thread that returns is gone, without effect on the others. One that traps or exits ends the
//! program, as the return of the first does; the process ends with what is left of the others.

use crate::api::wasi_p1::{WasiContext, WasiState};
use crate::api::{ApiSet, Import};
use crate::budget::{Budget, Limiter};
use crate::core::{CoreLinker, CoreState, Dump, new_store};
use crate::engine::WASM_STACK_BYTES;
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{End, Failure};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::Duration;
use wasmtime::{Caller, InstancePre};

/// Threads of core modules.
pub(crate) struct WasiThreads;

/// Whether the import is what starts a thread.
pub(crate) fn is_spawn(import: &Import<'_>) -> bool {
    import.interface == "wasi" && import.item == Some("thread-spawn")
}

/// Whether the import is the memory that threads share.
pub(crate) fn is_memory(import: &Import<'_>) -> bool {
    import.interface == "env" && import.item == Some("memory")
}

impl ApiSet<CoreLinker> for WasiThreads {
    fn name(&self) -> &'static str {
        "wasi threads"
    }

    fn provides(&self, import: &Import<'_>) -> bool {
        is_spawn(import) || is_memory(import)
    }

    /// Adds the function; the memory, which is as large as the module says, is the run's to make.
    fn link(&self, linker: &mut CoreLinker, imports: &[Import<'_>]) -> wasmtime::Result<()> {
        if imports.iter().any(is_spawn) {
            linker.func_wrap("wasi", "thread-spawn", thread_spawn)?;
        }
        Ok(())
    }
}

/// The stack of a thread, in bytes: the guest's and the host functions'.
const STACK_BYTES: usize = WASM_STACK_BYTES + (256 << 10);

/// How often a shared memory is looked at that may grow past its limit: more often while it grows.
const LEAST_PAUSE: Duration = Duration::from_millis(5);
const MOST_PAUSE: Duration = Duration::from_millis(100);

/// The highest id of a thread; the bits above are reserved.
const LAST_ID: u32 = (1 << 29) - 1;

/// WASI's error number for a thread that could not be started, negative as the interface says.
const FAILED: i32 = -6;

/// The function of a module that a new thread runs.
const ENTRY: &str = "wasi_thread_start";

/// The threads of one program.
pub(crate) struct ThreadGroup {
    context: Arc<WasiContext>,
    budget: Arc<Budget>,
    dump: Arc<Dump>,
    most: u32,
    instance: OnceLock<InstancePre<CoreState>>,
    next_id: AtomicU32,
    /// How many there are, the program's first one included.
    live: AtomicU32,
    ends: Sender<End>,
    first_end: Mutex<Receiver<End>>,
}

impl ThreadGroup {
    /// A group of at most so many threads, of which none runs.
    pub(crate) fn new(
        context: Arc<WasiContext>,
        budget: Arc<Budget>,
        dump: Arc<Dump>,
        most: u32,
    ) -> Self {
        let (ends, first_end) = channel();
        Self {
            context,
            budget,
            dump,
            most,
            instance: OnceLock::new(),
            next_id: AtomicU32::new(1),
            live: AtomicU32::new(1),
            ends,
            first_end: Mutex::new(first_end),
        }
    }

    /// Tells what each thread is an instance of.
    pub(crate) fn set_instance(&self, instance: InstancePre<CoreState>) {
        let _ = self.instance.set(instance);
    }

    /// Runs the program's first thread and waits for the program's end, which any of its threads
    /// may bring about.
    pub(crate) fn run(&self, first: impl FnOnce() -> End + Send + 'static) -> End {
        let ends = self.ends.clone();
        let started = Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(move || ends.send(first()));
        if let Err(error) = started {
            return End::Failed(Failure::LimitReached {
                reason: format!("could not start the program's first thread: {error}"),
            });
        }
        let first_end = self
            .first_end
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let end = if self.budget.may_be_outgrown() {
            self.watch(&first_end)
        } else {
            first_end.recv().ok()
        };
        end.unwrap_or_else(|| {
            End::Failed(Failure::Internal {
                reason: "the program's threads are gone".to_owned(),
            })
        })
    }

    /// Waits for the first end as well, and looks now and then at the memory that the threads share: it asks
    /// nobody before it grows.
    fn watch(&self, first_end: &Receiver<End>) -> Option<End> {
        let mut pause = LEAST_PAUSE;
        let mut before = 0;
        loop {
            let end = first_end.recv_timeout(pause);
            if self.budget.is_outgrown() {
                return Some(End::Failed(Failure::OutOfMemory));
            }
            match end {
                Ok(end) => return Some(end),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.budget.shared_bytes();
                    let has_grown = std::mem::replace(&mut before, now) != now;
                    pause = if has_grown {
                        LEAST_PAUSE
                    } else {
                        MOST_PAUSE.min(pause * 2)
                    };
                }
            }
        }
    }

    /// Starts a thread, and returns its id.
    fn spawn(self: &Arc<Self>, argument: i32) -> Option<i32> {
        let instance = self.instance.get()?.clone();
        instance.module().get_export_index(ENTRY)?;
        if self.live.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.live.fetch_sub(1, Ordering::Relaxed);
            self.context.refuse(Refusal::Thread { most: self.most });
            return None;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let id = i32::try_from(id.min(LAST_ID + 1)).ok()?;
        let group = Arc::clone(self);
        let started = (id.cast_unsigned() <= LAST_ID).then(|| {
            Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(move || group.run_thread(&instance, id, argument))
        });
        match started {
            Some(Ok(_)) => Some(id),
            _ => {
                self.live.fetch_sub(1, Ordering::Relaxed);
                None
            }
        }
    }

    fn run_thread(self: Arc<Self>, instance: &InstancePre<CoreState>, id: i32, argument: i32) {
        let state = CoreState {
            limiter: Limiter::new(Arc::clone(&self.budget)),
            wasi: WasiState::new(Arc::clone(&self.context)),
            threads: Some(Arc::clone(&self)),
        };
        let mut store = new_store(instance.module().engine(), state);
        let result = instance.instantiate(&mut store).and_then(|instance| {
            instance
                .get_typed_func::<(i32, i32), ()>(&mut store, ENTRY)?
                .call(&mut store, (id, argument))
        });
        self.live.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = result {
            let _ = self.ends.send(self.dump.end(&mut store, &error));
        }
    }
}

fn thread_spawn(caller: Caller<'_, CoreState>, argument: i32) -> i32 {
    caller
        .data()
        .threads
        .as_ref()
        .and_then(|threads| threads.spawn(argument))
        .unwrap_or(FAILED)
}
