//! The boundary of Linux: a process with its own root, user id and process namespace, that locks
//! itself.
//!
//! ```text
//!                    the caller is root             the caller is an ordinary user
//!   user id          one of its own, owns nothing   the caller's
//!   rights           dropped with the id            a user namespace's, gone with exec
//!   root, no mounts  chroot into the directory      the same
//!   root, mounts     a tmpfs, pivot_root            the same
//!   owner of files   idmapped mounts                the caller, of itself
//! ```

mod cgroup;
pub mod features;
mod owner_map;
mod plan;

use crate::sys::clone::{Step, StepError, spawn};
use crate::sys::mount::{Mounting, Source};
use crate::{Boundary, Exit, Ids, Layout, Mount, Root, Spec, StartError, Workload};
use cgroup::{Controller, Groups};
use lighter_types::escape::escape;
use lighter_types::limits::Limits;
use owner_map::OwnerMap;
use plan::Plan;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where a workload finds its files, by the kind of its root.
const DIRECTORY_LAYOUT: Layout = Layout {
    code: "",
    guest: "",
};
const TREE_LAYOUT: Layout = Layout {
    code: "/code",
    guest: "/guest",
};

/// The first of the user ids that runners get, above all that systems hand out
/// (systemd's "Users, Groups, UIDs and GIDs": up to 1879048191 for containers).
const FIRST_RUNNER_ID: u32 = 1_879_048_192;

/// The most that a process number takes (Linux, `PID_MAX_LIMIT`: 4 Mi), in bits.
const PID_BITS: u32 = 22;

/// Which sixty-fourth of the ids the runners of a process namespace get.
fn runner_id_bits(namespace_inode: u64) -> u32 {
    u32::try_from(namespace_inode % 63).unwrap_or(0)
}

/// The boundary that every system has.
#[derive(Debug)]
pub struct ProcessBoundary {
    program: OwnedFd,
    caller: Ids,
}

impl ProcessBoundary {
    /// Opens the program file that the roles are run from: this process's own.
    ///
    /// # Errors
    /// `/proc` is not mounted, or the program file may not be opened.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let program = rustix::fs::open("/proc/self/exe", flags, Mode::empty())?;
        // Out of the way of the numbers that a runner finds its descriptors at.
        let program = rustix::io::fcntl_dupfd_cloexec(program, plan::ABOVE_PLACES)?;
        let caller = Ids {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
        };
        Ok(Self { program, caller })
    }

    /// Finds out whether a workload can be held to these limits here.
    ///
    /// # Errors
    /// As for [`Boundary::start`]: which cannot be held, and why.
    pub fn check_limits(&self, limits: &Limits) -> Result<(), StartError> {
        groups(limits).map(drop)
    }

    /// The ids a workload runs as: the caller's; for root, ids that own nothing, or those given.
    fn ids(&self) -> Ids {
        if self.caller.user != 0 {
            return self.caller;
        }
        // A keeper's process number is its alone while it lives, so its runner's id is too; where
        // there are several process namespaces, most of them differ in the bits above.
        let keeper = rustix::process::getpid().as_raw_nonzero().get();
        let namespace = rustix::fs::stat("/proc/self/ns/pid").map_or(0, |stat| stat.st_ino);
        let id = FIRST_RUNNER_ID + (runner_id_bits(namespace) << PID_BITS) + keeper.unsigned_abs();
        Ids {
            user: id,
            group: id,
        }
    }

    /// The map by which the owner's files are the runner's, where one is needed. What is only read
    /// can do without.
    fn owner_map(
        &self,
        owner: Option<Ids>,
        runner: Ids,
        mounts: &[Mount],
    ) -> Result<Option<OwnerMap>, StartError> {
        let owner = owner.unwrap_or(self.caller);
        if owner == runner || !mounts.iter().any(Mount::is_bind) {
            return Ok(None);
        }
        match OwnerMap::make(owner, runner) {
            Err(_) if !mounts.iter().any(Mount::is_writable_bind) => Ok(None),
            made => made.map(Some),
        }
    }

    /// Starts the role's process with these ids.
    fn spawn(&self, spec: &Spec<'_>, ids: Ids, groups: &Groups) -> Result<Pid, StartError> {
        let is_root = self.caller.user == 0;
        let owner_map = match &spec.root {
            Root::Tree { mounts, .. } if is_root => self.owner_map(spec.owner, ids, mounts)?,
            _ => None,
        };
        let mut plan = Plan::new(is_root, ids);
        plan.join(groups);
        match &spec.root {
            Root::Directory(directory) => plan.enter_directory(*directory),
            Root::Tree {
                code,
                mounts,
                scratch,
            } => {
                plan.build_tree(code, mounts, scratch, owner_map.as_ref())?;
            }
        }
        plan.finish(&spec.descriptors);
        let arguments: [&CStr; 2] = [c"lighter", c"runner"];
        let child = spawn(plan.flags, &plan.steps, self.program.as_fd(), &arguments)
            .map_err(|error| start_error(&plan.steps, error, is_root))?;
        Pid::from_raw(child.pid).ok_or_else(|| {
            let source = io::Error::other("the kernel gave no process number");
            StartError::new("start a runner", source)
        })
    }
}

impl Boundary for ProcessBoundary {
    fn start(&self, spec: &Spec<'_>) -> Result<Box<dyn Workload>, StartError> {
        check_owner(spec, self.caller)?;
        let groups = groups(&spec.limits)?;
        let pid = match self.spawn(spec, self.ids(), &groups) {
            // The owner that the user named does not need a map to be given what is its own.
            Err(error) if error.lacks_owner_map => match spec.owner {
                Some(owner) if owner.user != 0 => self.spawn(spec, owner, &groups)?,
                _ => return Err(error),
            },
            spawned => spawned?,
        };
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(|error| StartError::new("watch a runner", error.into()))?;
        let layout = match spec.root {
            Root::Directory(_) => DIRECTORY_LAYOUT,
            Root::Tree { .. } => TREE_LAYOUT,
        };
        Ok(Box::new(ProcessWorkload {
            pidfd,
            layout,
            groups,
            is_reaped: false,
        }))
    }
}

/// Makes the groups that hold a runner to its limits. What no group holds, the runner's own lock
/// does, but for the time on the processors.
fn groups(limits: &Limits) -> Result<Groups, StartError> {
    let groups = Groups::make(limits);
    match limits.nano_cpus {
        Some(nano_cpus) if !groups.hold(Controller::Cpu) => {
            Err(cgroup::no_processor_group(nano_cpus))
        }
        _ => Ok(groups),
    }
}

/// What it means that a mount has no map of owners, and what to do.
const WITHOUT_OWNER_MAP: &str = "so what the program writes could not be given to you: mount it :ro, or \
     run the program as the files' owner, who may not be root, with --user UID:GID";

/// `--user` changes who owns what a guest writes; only root can give files away.
fn check_owner(spec: &Spec<'_>, caller: Ids) -> Result<(), StartError> {
    match spec.owner {
        Some(owner) if caller.user != 0 && owner != caller => {
            let action = format!("run as {}:{}", owner.user, owner.group);
            let mut error = StartError::new(action, io::Error::from_raw_os_error(libc::EPERM));
            error.hint = Some(format!(
                "only root can run a program as another user; leave --user out, or give {}:{}",
                caller.user, caller.group
            ));
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Words for a step that failed.
fn start_error(steps: &[Step], error: StepError, is_root: bool) -> StartError {
    let shown = |path: &CString| escape(&path.to_string_lossy());
    let mut hint = None;
    let mut lacks_owner_map = false;
    let action = match steps.get(error.step) {
        // Nothing was done yet: the kernel refused the process or its namespaces.
        _ if error.step == 0 && is_root && is_namespace_refusal(&error.source) => {
            hint = Some(
                "root here lacks CAP_SYS_ADMIN, as in a container without privileges: give it that, \
                 or run lighter as an ordinary user where those may make user namespaces"
                    .to_owned(),
            );
            "make a process namespace".to_owned()
        }
        _ if error.step == 0 && is_namespace_refusal(&error.source) => {
            hint = Some(
                "this system does not let ordinary users make user namespaces: look at sysctl \
                 user.max_user_namespaces and kernel.unprivileged_userns_clone, or run as root"
                    .to_owned(),
            );
            "make a user namespace".to_owned()
        }
        Some(Step::Mount(mounting)) => {
            lacks_owner_map = lacks_map(mounting, &error.source);
            hint = mount_hint(mounting, &error.source);
            let names: Vec<_> = mounting.names.iter().map(shown).collect();
            let what = match &mounting.what {
                Source::Tree(tree) => shown(&tree.source),
                Source::Memory { .. } => "a file system in memory".to_owned(),
            };
            format!("mount {what} on /{}", names.join("/"))
        }
        Some(Step::MakeDirectory(path, _)) => format!("make the directory {}", shown(path)),
        Some(Step::MountAt(tree, _)) => format!("mount {}", shown(&tree.source)),
        Some(Step::MountTmpfs(path, options)) => {
            format!("mount a tmpfs on {} with {}", shown(path), shown(options))
        }
        Some(Step::BecomeUser(user, _)) => format!("take the user id {user} for the runner"),
        Some(step) => format!("prepare the runner ({step:?})"),
        None => {
            if error.source.kind() == io::ErrorKind::PermissionDenied {
                hint = Some(
                    "the runner is another user: let all users read and execute lighter's own file \
                     (chmod 755), also on a file system that is not mounted noexec"
                        .to_owned(),
                );
            }
            "start the runner's program file".to_owned()
        }
    };
    if hint.is_none() && is_root && error.source.raw_os_error() == Some(libc::EPERM) {
        hint = Some(
            "root here lacks the right to do this, as in a container without privileges".to_owned(),
        );
    }
    StartError {
        action,
        hint,
        lacks_owner_map,
        source: error.source,
    }
}

/// Whether the mount failed for the lack of idmapped mounts.
fn lacks_map(mounting: &Mounting, error: &io::Error) -> bool {
    matches!(&mounting.what, Source::Tree(tree) if tree.owner_map.is_some())
        && error.raw_os_error() == Some(libc::EINVAL)
}

fn mount_hint(mounting: &Mounting, error: &io::Error) -> Option<String> {
    let hint = match error.raw_os_error()? {
        _ if lacks_map(mounting, error) => {
            return Some(format!(
                "the file system has no idmapped mounts, {WITHOUT_OWNER_MAP}"
            ));
        }
        libc::ESTALE => "it was replaced while the program was starting: try again",
        libc::ELOOP => {
            "a symbolic link of another mount lies on the way, and is not followed: mount it \
             elsewhere"
        }
        libc::EROFS | libc::EACCES => {
            "the mount point is not there and cannot be made in the mount above it: make it first"
        }
        libc::ENOTDIR => "the mount point, or something on the way to it, is a file",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn is_namespace_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPERM | libc::ENOSPC | libc::EUSERS | libc::EINVAL)
    )
}

#[derive(Debug)]
struct ProcessWorkload {
    pidfd: OwnedFd,
    layout: Layout,
    groups: Groups,
    is_reaped: bool,
}

impl ProcessWorkload {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Workload for ProcessWorkload {
    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    fn is_memory_held(&self) -> bool {
        self.groups.hold(Controller::Memory)
    }

    fn exit_event(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn set_stopped(&self, is_stopped: bool) -> io::Result<()> {
        self.signal(if is_stopped {
            Signal::STOP
        } else {
            Signal::CONT
        })
    }

    fn wait(&mut self) -> io::Result<Exit> {
        let status = loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)
            {
                Ok(status) => break status,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        self.is_reaped = true;
        let status = status.ok_or_else(|| io::Error::other("the kernel told no exit status"))?;
        Ok(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, _) if self.groups.have_run_out_of_memory() => Exit::OutOfMemory,
            (None, signal) => Exit::Signal(signal.unwrap_or(libc::SIGKILL)),
        })
    }
}

impl Drop for ProcessWorkload {
    fn drop(&mut self) {
        if !self.is_reaped && self.kill().is_ok() {
            // The process is ours and dying; there is nobody left to tell.
            let _ = self.wait();
        }
    }
}
