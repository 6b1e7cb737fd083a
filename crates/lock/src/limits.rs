//! Resource limits that hold for every locked role.

use crate::{Bounds, LockError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most descriptors a role may hold open, unless the caller's own limit is lower.
const DESCRIPTORS: u64 = 1 << 16;

/// The most that the stack of the first thread may take, in bytes: the usual size.
const STACK_BYTES: u64 = 8 << 20;

pub(crate) fn limit(bounds: Bounds) -> Result<(), LockError> {
    let fixed = |value| Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    // A core file would hold the guest's secrets, and a message queue outlives the process.
    for resource in [Resource::Core, Resource::Msgqueue] {
        set(resource, fixed(0))?;
    }
    // The stack is no data, so it has a bound of its own.
    let stack = getrlimit(Resource::Stack).current.unwrap_or(STACK_BYTES);
    set(Resource::Stack, fixed(stack.min(STACK_BYTES)))?;
    let most = [
        (Resource::Data, bounds.data_bytes),
        (Resource::As, bounds.address_bytes),
        (Resource::Cpu, bounds.cpu_seconds),
        (Resource::Fsize, bounds.file_bytes),
        (Resource::Nproc, bounds.threads.map(u64::from)),
        (Resource::Nofile, Some(DESCRIPTORS)),
    ];
    // A caller's own limit may be lower, and only root could raise it.
    for (resource, most) in most {
        let Some(most) = most else { continue };
        let hard = getrlimit(resource).maximum.unwrap_or(most);
        set(resource, fixed(hard.min(most)))?;
    }
    Ok(())
}

fn set(resource: Resource, limit: Rlimit) -> Result<(), LockError> {
    setrlimit(resource, limit).map_err(|error| LockError::new("resource limits", error))
}
