//! What each role does once it has its order.

use crate::control::Control;
use lighter_lock::{Bounds, Grants, Lock, LockError, Role, lock};
use lighter_types::bundle::Bundle;
use lighter_types::limits::{MOST_THREADS, RUNTIME_THREADS};
use lighter_types::runner_protocol::{
    ARTIFACT_BYTES, ARTIFACT_FD, End, Failure, FromRunner, InspectOrder, PROGRAM_FD, ToRunner,
};
use rustix::fd::{FromRawFd, OwnedFd, RawFd};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

/// Memory that a process may take besides its guest's memories and tables, in bytes.
const RUNTIME_BYTES: u64 = 64 << 20;

/// What is set aside for a thread, in bytes: its stack of 1.25 MiB, and what the host has of it.
const THREAD_BYTES: u64 = 3 << 19;

/// Plays the role and gives the last message.
pub(crate) fn play(order: ToRunner, control: &Arc<Control>) -> FromRunner {
    let played = match order {
        ToRunner::Run(bundle) => run(*bundle, control).map(FromRunner::Ended),
        ToRunner::Compile(order) => compile(&order).map(|kind| FromRunner::Compiled { kind }),
        ToRunner::Inspect(order) => {
            inspect(&order).map(|facts| FromRunner::Inspected(Box::new(facts)))
        }
    };
    played.unwrap_or_else(|failure| FromRunner::Ended(End::Failed(failure)))
}

fn run(bundle: Bundle, control: &Arc<Control>) -> Result<End, Failure> {
    let grants = Grants {
        artifact: Some(&bundle.artifact),
        files: &bundle.file_rights,
        bounds: guest_bounds(&bundle),
    };
    let lock = locked(Role::Run, &grants)?;
    let loaded = lighter_wasm::load(&bundle)?;
    lock.seal_code().map_err(lock_failure)?;
    control.send(&FromRunner::Loaded);
    Ok(loaded.run(bundle, Arc::clone(control) as Arc<dyn lighter_wasm::Host>))
}

/// What the guest's process may use up, as far as the lock holds it.
fn guest_bounds(bundle: &Bundle) -> Bounds {
    let limits = &bundle.limits;
    let besides = RUNTIME_BYTES + u64::from(limits.most_threads()) * THREAD_BYTES;
    Bounds {
        data_bytes: limits
            .memory_bytes
            .filter(|_| bundle.is_memory_held_by_lock)
            .map(|bytes| bytes.saturating_add(besides)),
        address_bytes: None,
        cpu_seconds: None,
        file_bytes: None,
        threads: limits.most_threads() + RUNTIME_THREADS,
    }
}

fn compile(order: &InspectOrder) -> Result<lighter_types::program::ProgramKind, Failure> {
    let mut artifact = take(ARTIFACT_FD);
    let program = read_program(order, Role::Compile)?;
    let (kind, code) = lighter_wasm::compile(&program, order)?;
    artifact
        .write_all(&code)
        .map_err(|error| Failure::LimitReached {
            reason: format!(
                "could not write {} bytes of compiled code: {error}",
                code.len()
            ),
        })?;
    Ok(kind)
}

fn inspect(order: &InspectOrder) -> Result<lighter_types::runner_protocol::ProgramFacts, Failure> {
    let program = read_program(order, Role::Inspect)?;
    lighter_wasm::inspect(&program, order)
}

/// Locks the role, then reads the program.
fn read_program(order: &InspectOrder, role: Role) -> Result<Vec<u8>, Failure> {
    let mut file = take(PROGRAM_FD);
    locked(
        role,
        &Grants {
            artifact: None,
            files: &[],
            bounds: Bounds {
                data_bytes: None,
                address_bytes: Some(order.bounds.memory_bytes),
                cpu_seconds: Some(order.bounds.cpu_seconds),
                file_bytes: Some(ARTIFACT_BYTES),
                threads: MOST_THREADS,
            },
        },
    )?;
    let internal = |error: std::io::Error| Failure::Internal {
        reason: format!("could not read the program's bytes: {error}"),
    };
    let length = rustix::fs::fstat(&file)
        .map_err(|error| internal(error.into()))?
        .st_size;
    let mut program = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut program).map_err(internal)?;
    Ok(program)
}

fn locked(role: Role, grants: &Grants<'_>) -> Result<Lock, Failure> {
    lock(role, grants).map_err(lock_failure)
}

fn lock_failure(error: LockError) -> Failure {
    let cause = error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    Failure::Lock {
        reason: format!("{error}{cause}"),
    }
}

/// Takes a descriptor that the keeper left at its place for this role.
fn take(number: RawFd) -> File {
    #[expect(
        unsafe_code,
        reason = "the number is a convention between keeper and role"
    )]
    // SAFETY: the number is the protocol's for this role, and it is taken once. Should the keeper
    // have left nothing there, its first use fails.
    File::from(unsafe { OwnedFd::from_raw_fd(number) })
}
