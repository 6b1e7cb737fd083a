//! Makes the instance, calls its entry, and says how that ended.

use super::entry::Entry;
use super::{ComponentState, invoke};
use lighter_types::runner_protocol::{End, Failure};
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre};
use wasmtime::{Store, Trap, WasmBacktrace, WasmCoreDump};
use wasmtime_wasi::I32Exit;

/// A linked component and what is called of it.
pub(crate) struct Run {
    /// The component.
    pub(crate) program: InstancePre<ComponentState>,
    /// What is called.
    pub(crate) entry: Entry,
    /// The program's name in the core dump that a trap leaves, if it leaves one.
    pub(crate) dump_name: Option<String>,
}

/// Calls the entry and waits until it has returned.
///
/// # Errors
/// [`Failure::InvalidInvoke`] if an argument does not fit the function.
pub(crate) async fn call(run: Run, state: ComponentState) -> Result<End, Failure> {
    let mut store = Store::new(run.program.component().engine(), state);
    store.limiter(|state| &mut state.limiter);
    let instance = match run.program.instantiate_async(&mut store).await {
        Ok(instance) => instance,
        // A component may run code of its own already here; what else fails are bounds.
        Err(error) if error.is::<Trap>() || error.is::<WasmBacktrace>() => {
            return Ok(stopped(&mut store, run.dump_name, &error));
        }
        Err(error) if store.data().limiter.ended(&error) => return Err(Failure::OutOfMemory),
        Err(error) => {
            return Err(Failure::LimitReached {
                reason: format!("the program could not be set up: {error:#}"),
            });
        }
    };
    let called = match &run.entry {
        Entry::Run(function) => call_run(&mut store, &instance, function).await,
        Entry::Invoke {
            function,
            name,
            arguments,
        } => {
            let Some(function) = instance.get_func(&mut store, function) else {
                return Err(Failure::InvalidInvoke {
                    reason: format!("{name} is no function"),
                });
            };
            let arguments = invoke::parse(&function.ty(&store), name, arguments)?;
            invoke::call(&mut store, &function, &arguments).await
        }
    };
    let end = match called {
        Ok(code) => End::Exited(code),
        Err(error) => stopped(&mut store, run.dump_name, &error),
    };
    // The process ends with it, at once and for less.
    std::mem::forget(store);
    Ok(end)
}

/// Tells how a program ended that did not return.
fn stopped(
    store: &mut Store<ComponentState>,
    dump_name: Option<String>,
    error: &wasmtime::Error,
) -> End {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return End::Exited(u8::try_from(*code).unwrap_or(u8::MAX));
    }
    if store.data().limiter.ended(error) {
        return End::Failed(Failure::OutOfMemory);
    }
    let mut report = crate::trap::report(error);
    if let (Some(name), Some(dump)) = (dump_name, error.downcast_ref::<WasmCoreDump>())
        && let Err(error) = crate::coredump::write(&dump.serialize(store, &name))
    {
        report.push_str(&format!("\ncould not write the core dump: {error}"));
    }
    End::Trapped { report }
}

/// Calls `run`. It is async in 0.3 and not in 0.2; the call is the same.
async fn call_run(
    store: &mut Store<ComponentState>,
    instance: &Instance,
    run: &ComponentExportIndex,
) -> wasmtime::Result<u8> {
    let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, run)?;
    let (result,) = run.call_async(&mut *store, ()).await?;
    Ok(u8::from(result.is_err()))
}
