//! Resource limits that hold for every locked role.

use crate::LockError;
use lighter_types::runner_protocol::{ARTIFACT_BYTES, Bounds};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most descriptors a role may hold open, unless the caller's own limit is lower.
const DESCRIPTORS: u64 = 1 << 16;

pub(crate) fn limit(bounds: Option<Bounds>) -> Result<(), LockError> {
    let fixed = |value| Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    // A core file would hold the guest's secrets, and a message queue outlives the process.
    for resource in [Resource::Core, Resource::Msgqueue] {
        set(resource, fixed(0))?;
    }
    if let Some(Bounds {
        memory_bytes,
        cpu_seconds,
    }) = bounds
    {
        set(Resource::Data, fixed(memory_bytes))?;
        set(Resource::Cpu, fixed(cpu_seconds))?;
        set(Resource::Fsize, fixed(ARTIFACT_BYTES))?;
    }
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(DESCRIPTORS);
    set(Resource::Nofile, fixed(hard.min(DESCRIPTORS)))
}

fn set(resource: Resource, limit: Rlimit) -> Result<(), LockError> {
    setrlimit(resource, limit).map_err(|error| LockError::new("resource limits", error))
}
