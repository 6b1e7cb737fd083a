//! How a run ended.

use super::CoreState;
use super::link::set_up;
use crate::api::wasi_p1::Exit;
use lighter_types::bundle::Bundle;
use lighter_types::runner_protocol::{End, Failure};
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::{Store, ThrownException, Trap, WasmBacktrace, WasmCoreDump};

/// Why a program did not return from what was called.
#[derive(Debug)]
pub(crate) enum Course {
    /// It never ran, or could not go on for a reason that is not its own.
    Failed(Failure),
    /// It exited or trapped.
    Stopped(wasmtime::Error),
}

impl From<Failure> for Course {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<wasmtime::Error> for Course {
    fn from(error: wasmtime::Error) -> Self {
        Self::Stopped(error)
    }
}

/// Where a program's core dump goes, if one was asked for: the first trap writes it.
pub(crate) struct Dump {
    is_wanted: AtomicBool,
    program: String,
}

impl Dump {
    /// What the bundle asks for.
    pub(crate) fn new(bundle: &Bundle) -> Self {
        Self {
            is_wanted: AtomicBool::new(bundle.has_coredump),
            program: bundle.arguments.first().cloned().unwrap_or_default(),
        }
    }

    /// Tells how a thread of the program ended, and dumps its memory if it trapped.
    pub(crate) fn end(&self, store: &mut Store<CoreState>, error: &wasmtime::Error) -> End {
        if let Some(Exit(code)) = error.downcast_ref::<Exit>() {
            // As a POSIX exit: the parent sees the low eight bits.
            return End::Exited((code & 0xff) as u8);
        }
        if store.data().limiter.ended(error) {
            return End::Failed(Failure::OutOfMemory);
        }
        if !is_trap(error) {
            return End::Failed(set_up(error));
        }
        let mut report = crate::trap::report(error);
        if let Some(dump) = error.downcast_ref::<WasmCoreDump>()
            && self.is_wanted.swap(false, Ordering::Relaxed)
        {
            let bytes = dump.serialize(store, &self.program);
            if let Err(error) = crate::coredump::write(&bytes) {
                report.push_str(&format!("\ncould not write the core dump: {error}"));
            }
        }
        End::Trapped { report }
    }
}

/// Whether the guest's code ran and was stopped; what else fails are the bounds of this machine.
fn is_trap(error: &wasmtime::Error) -> bool {
    error.is::<Trap>()
        || error.is::<WasmBacktrace>()
        || error.is::<WasmCoreDump>()
        || error.is::<ThrownException>()
}
