//! The second layer, seen from the trusted side: it starts the processes that handle untrusted
//! bytes, each inside a boundary, and ends them.
//!
//! A [`Boundary`] turns a [`Spec`] into a [`Workload`]: a running role of the program file that
//! holds the descriptors of the specification and nothing else. The workload then locks itself
//! (`lighter-lock`); what needs rights that it must not have is done here, before it starts.
//!
//! ```text
//!   let workload = boundary.start(&spec)?;      // inside its boundary, waiting for its order
//!   poll([workload.exit_event(), ...]);          // readable once it has ended
//!   let exit = workload.wait()?;                 // reaps it; `kill` before, to end it
//! ```
//!
//! An implementation promises: the workload dies with this process; it inherits no descriptor but
//! those listed, no environment, no terminal; nothing of it is left after `wait`.

pub mod process;
mod refusals;
pub mod sys;

pub use crate::refusals::Refusals;
pub use process::Network;

use lighter_types::limits::Limits;
use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

/// What a workload starts with.
pub struct Spec<'a> {
    /// Descriptors it inherits, and the numbers it finds them at.
    pub descriptors: Vec<(BorrowedFd<'a>, RawFd)>,
    /// The files it sees.
    pub root: Root<'a>,
    /// The user and group that own what it writes: by default the caller.
    pub owner: Option<Ids>,
    /// What it may use up. Control groups hold it to that where they can be made. For what they do
    /// not hold the workload's own lock has to ([`Workload::is_memory_held`]); a limit on the time
    /// on the processors, which no lock can hold, is then an error.
    pub limits: Limits,
    /// Whether this process has to look into it, as [`Workload::mediate`] does.
    pub is_looked_into: bool,
    /// Whether it shares a processor with the thread that starts it until [`Workload::settle`]:
    /// faster for two that take turns.
    pub is_pinned: bool,
}

/// A user id and a group id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user id.
    pub user: u32,
    /// The group id.
    pub group: u32,
}

/// The files that a workload sees.
pub enum Root<'a> {
    /// One directory that holds nothing but what the workload reads.
    Directory(BorrowedFd<'a>),
    /// A tree of its own. Without mounts it may be that directory itself, as above, where no tree can be made.
    Tree {
        /// The directory that holds the compiled code.
        code: PathBuf,
        /// The mounts, in any order.
        mounts: Vec<Mount>,
        /// An empty directory of the caller's, where the tree is put together; nothing is
        /// written into it.
        scratch: PathBuf,
        /// Whether the workload finds `/proc/self/pagemap`, which tells it what of its memory it has written to. It has
        /// to open it before its lock is on. Where no tree can be made, and there are no mounts, it does not.
        has_page_map: bool,
    },
}

/// Something mounted into a workload's tree.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where the guest sees it: absolute, without `.` and `..`.
    pub target: String,
    /// What is there.
    pub content: Content,
}

impl Mount {
    pub(crate) fn is_bind(&self) -> bool {
        matches!(self.content, Content::Bind { .. })
    }

    pub(crate) fn is_writable_bind(&self) -> bool {
        matches!(
            self.content,
            Content::Bind {
                is_read_only: false,
                ..
            }
        )
    }
}

/// What a mount shows.
#[derive(Clone, Debug)]
pub enum Content {
    /// A file or directory of the host, with all that is mounted below it.
    Bind {
        /// Its absolute path.
        source: PathBuf,
        /// Device and inode, as they were when it was checked.
        identity: (u64, u64),
        /// Whether it is a directory.
        is_directory: bool,
        /// Whether nothing in it can be changed.
        is_read_only: bool,
    },
    /// An empty file system in memory.
    Memory {
        /// Its size in bytes; the kernel's default, half of the memory, without one.
        size_bytes: Option<u64>,
        /// Its root's permission bits.
        mode: u32,
        /// Whether nothing in it can be changed.
        is_read_only: bool,
    },
    /// A read-only directory with these files: names and contents.
    Files(Vec<(String, Vec<u8>)>),
    /// An empty directory that nobody may enter, in place of what a mount would show.
    Mask,
}

/// Where a workload finds what the specification gave it, as paths that it can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The directory that holds the compiled code.
    pub code: String,
    /// Its files.
    pub files: Files,
}

/// Where a workload finds its mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// In a root of its own, below this directory, which is the guest's `/`.
    Own(&'static str),
    /// Where the host has them: the host's root is the workload's.
    Hosts,
}

impl Layout {
    /// The path at which the workload finds a mount, without a `/` at its end.
    #[must_use]
    pub fn path_of(&self, mount: &Mount) -> String {
        let path = match (&self.files, &mount.content) {
            (Files::Hosts, Content::Bind { source, .. }) => source.to_string_lossy().into_owned(),
            (Files::Hosts, _) => mount.target.clone(),
            (Files::Own(guest), _) => format!("{guest}{}", mount.target),
        };
        path.trim_end_matches('/').to_owned()
    }
}

/// Starts workloads inside one kind of boundary.
pub trait Boundary {
    /// Starts a role of the program file.
    ///
    /// # Errors
    /// What could not be made, on what, and why; then nothing is left of the attempt.
    fn start(&self, spec: &Spec<'_>) -> Result<Box<dyn Workload>, StartError>;
}

/// A role of the program file inside its boundary.
pub trait Workload {
    /// Where it finds its files.
    fn layout(&self) -> Layout;

    /// Whether the kernel counts all the memory of the workload against its limit.
    fn is_memory_held(&self) -> bool;

    /// Whether the threads of its user id are its own only, so that they can be bounded by that.
    fn are_threads_own(&self) -> bool;

    /// Whether parts of its lock that this system lacks may be missing, at the user's own word.
    fn may_lack_parts(&self) -> bool;

    /// Gives it, and the thread that started it, all processors again.
    fn settle(&mut self);

    /// Takes `listener`, its own descriptor by which the calls come in that its lock asks for. The first
    /// waits for [`answer_calls`](Self::answer_calls). What is refused is told to the one that is returned.
    ///
    /// # Errors
    /// This process has no right to look into the workload; nothing will be answered.
    fn mediate(
        &mut self,
        listener: RawFd,
        network: Arc<Network>,
    ) -> Result<Arc<Refusals>, StartError>;

    /// A descriptor that becomes readable by a call that waits; none where calls are answered already, or
    /// where there are none.
    fn call_event(&self) -> Option<BorrowedFd<'_>>;

    /// Answers its calls from now on until it is gone, by a thread of their own: a program that makes none
    /// pays for none.
    ///
    /// # Errors
    /// There is no thread to be had.
    fn answer_calls(&mut self) -> Result<(), StartError>;

    /// A descriptor that becomes readable when the workload has ended.
    fn exit_event(&self) -> BorrowedFd<'_>;

    /// Ends it at once. Ending what has ended is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn kill(&self) -> io::Result<()>;

    /// Stops it, or lets it go on.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn set_stopped(&self, is_stopped: bool) -> io::Result<()>;

    /// Waits until it has ended and reaps it.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn wait(&mut self) -> io::Result<Exit>;
}

/// How a workload's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The kernel ended it, because it went past the limit on its memory.
    OutOfMemory,
}

/// What a system may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A file system cannot show its files under other owners.
    OwnerMap,
    /// This user may not make the user namespace that such a map is.
    OwnerNamespace,
    /// This user may not make namespaces, or a root of its own in them.
    Namespaces,
}

/// Why a workload did not start.
#[derive(Debug)]
pub struct StartError {
    /// What was being done, with the path.
    pub(crate) action: String,
    /// What the user can do about it.
    pub(crate) hint: Option<String>,
    /// What the system lacks, where there may be a way without it.
    pub(crate) lack: Option<Lack>,
    pub(crate) source: io::Error,
}

impl StartError {
    pub(crate) fn new(action: impl Into<String>, source: io::Error) -> Self {
        Self {
            action: action.into(),
            hint: None,
            lack: None,
            source,
        }
    }

    pub(crate) fn lacks_owner_map(&self) -> bool {
        matches!(self.lack, Some(Lack::OwnerMap | Lack::OwnerNamespace))
    }

    /// What the user can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "could not {}", self.action)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
