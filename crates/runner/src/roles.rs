//! What each role does once it has its order.

use crate::control::Control;
use lighter_lock::{Bounds, Grants, Lock, LockError, Role, lock};
use lighter_types::bundle::Bundle;
use lighter_types::egress::EgressOrder;
use lighter_types::program::ProgramKind;
use lighter_types::runner_protocol::{
    ARTIFACT_BYTES, ARTIFACT_FD, Confinement, EGRESS_FDS, End, Failure, FromRunner, InspectOrder,
    LINK_FD, Order, PROGRAM_FD, ProgramFacts, Resolution, ResolveOrder, SERVER_FD, SIGN_FD,
    ServerLink, Task, ToRunner,
};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

/// Plays the role and gives the last message.
pub(crate) fn play(order: Order, control: &Arc<Control>) -> FromRunner {
    let Order { confinement, task } = order;
    let played = match task {
        Task::Run(bundle) => run(*bundle, confinement, control).map(FromRunner::Ended),
        Task::Compile(order) => {
            compile(&order, confinement).map(|kind| FromRunner::Compiled { kind })
        }
        Task::Inspect(order) => {
            inspect(&order, confinement).map(|facts| FromRunner::Inspected(Box::new(facts)))
        }
        Task::Resolve(order) => resolve(&order, confinement).map(FromRunner::Resolved),
        Task::Egress(order) => egress(*order, confinement, control).map(FromRunner::Ended),
    };
    played.unwrap_or_else(|failure| FromRunner::Ended(End::Failed(failure)))
}

fn run(bundle: Bundle, confinement: Confinement, control: &Arc<Control>) -> Result<End, Failure> {
    let grants = Grants {
        artifact: Some(&bundle.artifact),
        files: &bundle.file_rights,
        bounds: Bounds {
            data_bytes: confinement.data_bytes,
            address_bytes: None,
            cpu_seconds: None,
            file_bytes: None,
            threads: confinement.threads,
        },
        has_network: confinement.has_network,
        has_published: confinement.has_published,
        has_own_root: confinement.has_own_root,
        may_lack_parts: confinement.may_lack_parts,
    };
    if confinement.has_published && bundle.kind == ProgramKind::Component {
        // For its instances; without it they cost more.
        lighter_wasm::has_page_map();
    }
    let mut lock = locked(Role::Run, &grants)?;
    if let Some(listener) = lock.take_listener() {
        hand_over(listener, control)?;
    }
    if bundle
        .network
        .as_ref()
        .is_some_and(|network| network.has_egress)
    {
        control.set_links(EGRESS_FDS.map(|number| take(number).into()).collect());
    }
    let loaded = lighter_wasm::load(&bundle)?;
    lock.seal_code().map_err(lock_failure)?;
    control.send(&FromRunner::Loaded);
    let host = Arc::clone(control) as Arc<dyn lighter_wasm::Host>;
    if let Some(handler) = loaded.handler(&bundle, Arc::clone(&host)) {
        let tls = bundle.tls.as_ref().map(|tls| (tls, take(SIGN_FD)));
        return crate::serve::serve(handler?, &bundle, tls, control);
    }
    if bundle.tls.is_some() {
        return Err(Failure::NotServed);
    }
    Ok(loaded.run(bundle, host))
}

/// Has the keeper take the descriptor by which it hears of calls; nobody else may have one.
fn hand_over(listener: OwnedFd, control: &Control) -> Result<(), Failure> {
    control.send(&FromRunner::Asks {
        listener: listener.as_raw_fd(),
    });
    let refused = |reason: String| Failure::Lock {
        reason: format!("the keeper did not take the lock's listener: {reason}"),
    };
    match control.hear() {
        Ok(ToRunner::Taken) => Ok(()),
        Ok(ToRunner::Found { .. } | ToRunner::Drain | ToRunner::Reached { .. }) => {
            Err(refused("it answered what it was not asked".to_owned()))
        }
        Err(error) => Err(refused(error.to_string())),
    }
}

fn compile(order: &InspectOrder, confinement: Confinement) -> Result<ProgramKind, Failure> {
    let mut artifact = take(ARTIFACT_FD);
    lighter_memory::keep_per_thread();
    let program = read_program(order, Role::Compile, confinement)?;
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

fn inspect(order: &InspectOrder, confinement: Confinement) -> Result<ProgramFacts, Failure> {
    let program = read_program(order, Role::Inspect, confinement)?;
    lighter_wasm::inspect(&program, order)
}

/// What the role that asks name servers may use up: memory, in bytes, and time on the processors, in seconds.
const RESOLVE_BYTES: u64 = 128 << 20;
const RESOLVE_SECONDS: u64 = 10;

fn resolve(order: &ResolveOrder, confinement: Confinement) -> Result<Resolution, Failure> {
    let count = match order.link {
        ServerLink::Datagrams { count } => count.into(),
        ServerLink::Stream => 1,
    };
    let servers = SERVER_FD..SERVER_FD.saturating_add(count);
    let sockets: Vec<OwnedFd> = servers.map(|number| take(number).into()).collect();
    let bounds = Bounds {
        data_bytes: None,
        address_bytes: Some(RESOLVE_BYTES),
        cpu_seconds: Some(RESOLVE_SECONDS),
        file_bytes: Some(0),
        threads: confinement.threads,
    };
    locked(Role::Resolve, &without_files(bounds, confinement))?;
    Ok(crate::resolve::resolve(order, &sockets))
}

/// The memory that the role which sends requests may write to, in bytes.
const EGRESS_BYTES: u64 = 512 << 20;

fn egress(
    order: EgressOrder,
    confinement: Confinement,
    control: &Arc<Control>,
) -> Result<End, Failure> {
    let links = LINK_FD..LINK_FD.saturating_add(order.links.into());
    let links: Vec<OwnedFd> = links.map(|number| take(number).into()).collect();
    let bounds = Bounds {
        data_bytes: Some(EGRESS_BYTES),
        address_bytes: None,
        cpu_seconds: None,
        file_bytes: Some(0),
        threads: confinement.threads,
    };
    let grants = Grants {
        has_network: confinement.has_network,
        ..without_files(bounds, confinement)
    };
    let mut lock = locked(Role::Egress, &grants)?;
    if let Some(listener) = lock.take_listener() {
        hand_over(listener, control)?;
    }
    lighter_memory::keep_per_thread();
    let keeper = Arc::clone(control) as Arc<dyn lighter_egress::Keeper>;
    let failed = |error: std::io::Error| Failure::Internal {
        reason: format!("could not send requests: {error}"),
    };
    lighter_egress::serve(order, links, keeper).map_err(failed)?;
    Ok(End::Exited(0))
}

/// What a role is granted that has nothing but its descriptors.
fn without_files(bounds: Bounds, confinement: Confinement) -> Grants<'static> {
    Grants {
        artifact: None,
        files: &[],
        has_network: false,
        has_published: false,
        bounds,
        has_own_root: confinement.has_own_root,
        may_lack_parts: confinement.may_lack_parts,
    }
}

/// Locks the role, then reads the program.
fn read_program(
    order: &InspectOrder,
    role: Role,
    confinement: Confinement,
) -> Result<Vec<u8>, Failure> {
    let mut file = take(PROGRAM_FD);
    let bounds = Bounds {
        data_bytes: None,
        address_bytes: Some(order.bounds.memory_bytes),
        cpu_seconds: Some(order.bounds.cpu_seconds),
        file_bytes: Some(ARTIFACT_BYTES),
        threads: confinement.threads,
    };
    locked(role, &without_files(bounds, confinement))?;
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
