//! How a role of the program file locks itself: after [`lock`] there is no way back.
//!
//! ```text
//!   lock(role, grants)
//!     limits      no core file, no message queues, a bounded number of descriptors
//!     dumpable    no: what any /proc shows of the process belongs to root
//!     landlock    no new privileges; every file right is handled; only the granted trees are allowed,
//!                 no TCP, no signals or abstract sockets out of the domain
//!     seccomp     an allow-list of system calls, kept as commented data in `calls`
//!   load the guest's compiled code
//!   Lock::seal_code
//!     from here on no memory becomes executable; a role that loads no code is sealed by `lock`
//! ```
//!
//! A root of its own, user ids and namespaces need rights that a role must not have; the boundary
//! makes them before the role starts. What is here needs none.

mod bpf;
mod calls;
mod landlock;
mod limits;
mod seccomp;

pub use crate::calls::{Call, Group, Role, When, calls};

use lighter_types::bundle::FileRight;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

/// What a role may still do once it is locked.
#[derive(Clone, Copy, Debug)]
pub struct Grants<'a> {
    /// The compiled code's path in the role's own root: it may be read.
    pub artifact: Option<&'a str>,
    /// The trees of files that were granted.
    pub files: &'a [FileRight],
    /// Whether sockets were granted: the keeper is then asked for each, and where it leads.
    pub has_network: bool,
    /// Whether the host shows ports of it: the keeper is then asked for a socket's own address too.
    pub has_published: bool,
    /// What the role may use up.
    pub bounds: Bounds,
    /// Whether its root is its own, with nothing in it but what it was given.
    pub has_own_root: bool,
    /// Whether parts that this system lacks may be missing, at the user's own word.
    pub may_lack_parts: bool,
}

/// What the kernel holds a locked process to; without a value, nothing but the machine's own
/// bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Memory that it may write to, in bytes, but for the stack of its first thread.
    pub data_bytes: Option<u64>,
    /// All memory that is mapped, touched or not, in bytes. A guest's memories reserve more than
    /// they take, so this is for roles that run none.
    pub address_bytes: Option<u64>,
    /// Time on the processors, in seconds.
    pub cpu_seconds: Option<u64>,
    /// The length of a file that it writes, in bytes.
    pub file_bytes: Option<u64>,
    /// Threads of its user id.
    pub threads: Option<u32>,
}

/// A locked process.
#[derive(Debug)]
pub struct Lock {
    /// Whether it can be kept from naming files that are not its own only by naming none.
    forbids_paths: bool,
    may_lack_parts: bool,
    listener: Option<OwnedFd>,
}

/// A part of the lock that could not be put on.
#[derive(Debug)]
pub struct LockError {
    /// Which part.
    part: &'static str,
    source: io::Error,
}

impl LockError {
    fn new(part: &'static str, source: impl Into<io::Error>) -> Self {
        Self {
            part,
            source: source.into(),
        }
    }

    /// Whether the system does not have it, rather than failed at it.
    fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::Unsupported
            || matches!(
                self.source.raw_os_error(),
                Some(libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP)
            )
    }

    fn missing(part: &'static str, what: &'static str) -> Self {
        Self {
            part,
            source: io::Error::new(io::ErrorKind::Unsupported, what),
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "could not put on {}", self.part)
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Locks this process for good.
///
/// # Errors
/// The part that this system refused; the process must then end, since it may be half locked.
pub fn lock(role: Role, grants: &Grants<'_>) -> Result<Lock, LockError> {
    limits::limit(grants.bounds)?;
    seccomp::hide_from_proc()?;
    let mut lock = Lock {
        forbids_paths: !grants.has_own_root && grants.files.is_empty(),
        may_lack_parts: grants.may_lack_parts,
        listener: None,
    };
    let is_restricted = lock.put_on(landlock::restrict(grants))?;
    if !is_restricted {
        // Landlock would have seen to it.
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| LockError::new("the end of new privileges", error))?;
    }
    let has_read_only = grants.files.iter().any(|right| !right.is_writable);
    if !is_restricted && !grants.has_own_root && has_read_only {
        return Err(LockError::missing(
            "read-only directories",
            "without mount namespaces and without Landlock nothing holds them",
        ));
    }
    let has = seccomp::Has {
        files: !grants.files.is_empty(),
        network: grants.has_network,
        published: grants.has_network && grants.has_published,
        seal_filter: lock.forbids_paths || !seccomp::has_seal(),
    };
    match seccomp::restrict(role, has) {
        Ok(listener) => lock.listener = listener,
        // Without the filter nobody would be asked.
        Err(error) if grants.has_network => return Err(error),
        Err(error) => lock.put_on(Err(error)).map(drop)?,
    }
    // What parses or compiles a hostile program loads no code, so there is nothing to wait for.
    if role != Role::Run {
        lock.seal_code()?;
    }
    Ok(lock)
}

impl Lock {
    /// What the keeper hears by of the calls that it is asked for, once: it has to have it before
    /// such a call is made, and nobody may keep it here, for whoever holds it answers.
    pub fn take_listener(&mut self) -> Option<OwnedFd> {
        self.listener.take()
    }

    /// Forbids this process all memory that would become executable, and all files by name where
    /// its root is not its own and it was given none.
    ///
    /// # Errors
    /// As [`lock`].
    pub fn seal_code(&self) -> Result<(), LockError> {
        self.put_on(seccomp::seal_code(self.forbids_paths))
            .map(drop)
    }

    /// Whether a part was put on: one that this system lacks may be missing where the user said so.
    fn put_on(&self, part: Result<(), LockError>) -> Result<bool, LockError> {
        match part {
            Err(error) if self.may_lack_parts && error.is_missing() => Ok(false),
            part => part.map(|()| true),
        }
    }
}
