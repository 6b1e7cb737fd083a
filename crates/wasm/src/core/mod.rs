//! Runs core modules: links what they import, finds the entry, calls it, tells how it ended.
//!
//! Reading order: this file is the course of a run; `link` makes an instance possible, `invoke`
//! reads arguments and writes results as text, `end` tells how it ended.

mod end;
mod invoke;
mod link;

use crate::api::wasi_p1::{WasiContext, WasiP1, WasiState};
use crate::api::wasi_threads::{ThreadGroup, WasiThreads};
use crate::budget::{Budget, Limiter};
use crate::host::Host;
use crate::inspect::{LISTED_EXPORTS, shown};
use end::Course;
use lighter_types::bundle::{Bundle, Entry};
use lighter_types::runner_protocol::{End, Failure};
use std::sync::Arc;
use wasmtime::{Engine, ExternType, Instance, InstancePre, Module, Store};

pub(crate) use end::Dump;

/// What the store of a core module holds: that of one thread.
pub(crate) struct CoreState {
    /// What its memories and tables may take.
    pub(crate) limiter: Limiter,
    /// WASI 0.1 as this thread has it.
    pub(crate) wasi: WasiState,
    /// The program's threads, if it imports what starts them.
    pub(crate) threads: Option<Arc<ThreadGroup>>,
}

/// The linker that the core sets fill.
pub(crate) type CoreLinker = wasmtime::Linker<CoreState>;

/// The sets a core module may import.
pub(crate) const SETS: &[&dyn crate::api::ApiSet<CoreLinker>] = &[&WasiP1, &WasiThreads];

/// A store whose memories and tables are counted.
pub(crate) fn new_store(engine: &Engine, state: CoreState) -> Store<CoreState> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store
}

/// Runs a core module to its end.
pub(crate) fn run(module: &Module, bundle: Bundle, host: Arc<dyn Host>) -> End {
    match prepare(module, bundle, host) {
        Ok(program) => program.run(),
        Err(failure) => End::Failed(failure),
    }
}

/// A program whose imports are met and of which nothing has run.
struct Program {
    store: Store<CoreState>,
    instance: InstancePre<CoreState>,
    entry: Entry,
    dump: Arc<Dump>,
}

fn prepare(module: &Module, bundle: Bundle, host: Arc<dyn Host>) -> Result<Program, Failure> {
    let plan = link::plan(module, &bundle.stubs, &bundle.denials)?;
    let budget = Budget::new(bundle.limits.memory_bytes);
    let context = WasiContext::new(&bundle, plan.accepts, host).map(Arc::new)?;
    let dump = Arc::new(Dump::new(&bundle));
    let threads = plan.has_threads.then(|| {
        Arc::new(ThreadGroup::new(
            Arc::clone(&context),
            Arc::clone(&budget),
            Arc::clone(&dump),
            bundle.limits.most_threads(),
        ))
    });
    let state = CoreState {
        limiter: Limiter::new(Arc::clone(&budget)),
        wasi: WasiState::new(context),
        threads: threads.clone(),
    };
    let store = new_store(module.engine(), state);
    let instance = link::link(module, &store, &plan, &budget)?;
    if let Some(threads) = &threads {
        threads.set_instance(instance.clone());
    }
    Ok(Program {
        store,
        instance,
        entry: bundle.entry,
        dump,
    })
}

impl Program {
    /// Runs the program: on this thread, unless it has threads of its own, of which any may end
    /// it while the first one waits for something.
    fn run(self) -> End {
        match self.store.data().threads.clone() {
            None => self.run_first_thread(),
            Some(threads) => threads.run(move || self.run_first_thread()),
        }
    }

    fn run_first_thread(mut self) -> End {
        let end = match self.call_entry() {
            Ok(()) => End::Exited(0),
            Err(Course::Failed(failure)) => End::Failed(failure),
            Err(Course::Stopped(error)) => self.dump.end(&mut self.store, &error),
        };
        // The process ends with it, at once and for less.
        std::mem::forget(self);
        end
    }

    fn call_entry(&mut self) -> Result<(), Course> {
        let entry = find_entry(self.instance.module(), &self.entry)?;
        let instance = self.instance.instantiate(&mut self.store)?;
        match entry {
            Found::Start => self.call(&instance, "_start"),
            Found::Nothing => Ok(()),
            Found::Export { call, initializes } => {
                if initializes {
                    self.call(&instance, "_initialize")?;
                }
                let function = instance
                    .get_func(&mut self.store, &call.export)
                    .ok_or_else(|| Failure::InvalidInvoke {
                        reason: format!("{} is no function", call.export),
                    })?;
                let mut results = call.results.clone();
                function.call(&mut self.store, &call.arguments, &mut results)?;
                invoke::print(&results).map_err(|error| {
                    Course::Failed(Failure::Internal {
                        reason: format!("could not write the result: {error}"),
                    })
                })
            }
        }
    }

    fn call(&mut self, instance: &Instance, name: &str) -> Result<(), Course> {
        let function = instance.get_typed_func::<(), ()>(&mut self.store, name)?;
        Ok(function.call(&mut self.store, ())?)
    }
}

/// What a run calls.
enum Found {
    /// The command's entry.
    Start,
    /// Nothing: the module's start function runs by itself.
    Nothing,
    /// An export named by the user, once the reactor that has it is set up.
    Export {
        call: invoke::Call,
        initializes: bool,
    },
}

fn find_entry(module: &Module, entry: &Entry) -> Result<Found, Failure> {
    match entry {
        Entry::Invoke { export, arguments } => Ok(Found::Export {
            call: invoke::parse(module, export, arguments)?,
            initializes: export != "_initialize" && is_entry(module, "_initialize"),
        }),
        Entry::Command if is_entry(module, "_start") => Ok(Found::Start),
        Entry::Command => {
            let exports = exported_functions(module);
            // What exports nothing to call can only be meant to run by being there.
            if exports.is_empty() {
                return Ok(Found::Nothing);
            }
            Err(Failure::NoEntry { exports })
        }
    }
}

/// Whether the module exports a function of that name without parameters and results.
fn is_entry(module: &Module, name: &str) -> bool {
    match module.get_export(name) {
        Some(ExternType::Func(function)) => {
            function.params().len() == 0 && function.results().len() == 0
        }
        _ => false,
    }
}

fn exported_functions(module: &Module) -> Vec<String> {
    module
        .exports()
        .filter(|export| matches!(export.ty(), ExternType::Func(_)))
        .map(|export| shown(export.name()))
        .take(LISTED_EXPORTS)
        .collect()
}
