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
//!
//! Root that may not do that, as in a container, is an ordinary user in a user namespace. Where
//! there are none either, root still has a root and an id of its own for programs without mounts,
//! and all others a lock that lets those name no file at all. With mounts there is then no boundary
//! that deserves the name, and only the user's own word starts a runner on the host's files, kept to
//! the mounts by Landlock.

mod cgroup;
pub mod features;
mod mediate;
mod owner_map;
mod plan;
mod refusal;

use crate::sys::affinity::Pin;
use crate::sys::clone::spawn;
use crate::sys::notify::Listener;
use crate::{
    Boundary, Content, Exit, Files, Ids, Lack, Layout, Mount, Refusals, Root, Spec, StartError,
    Workload,
};
use cgroup::{Controller, Groups};
use lighter_types::escape::escape;
use lighter_types::limits::Limits;
use mediate::Mediator;
use owner_map::OwnerMap;
use plan::{Place, Plan};
use rustix::fs::{Mode, OFlags};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Resource, Signal, WaitId, WaitIdOptions, WaitIdStatus,
    getrlimit, pidfd_getfd,
};
use rustix::thread::{CapabilitySet, capabilities};
use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub use mediate::Network;

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
    may_lack_parts: bool,
}

impl ProcessBoundary {
    /// Opens the program file that the roles are run from: this process's own. `may_lack_parts` is
    /// the user's word that parts which this system lacks may be missing.
    ///
    /// # Errors
    /// `/proc` is not mounted, or the program file may not be opened.
    pub fn open(may_lack_parts: bool) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let program = rustix::fs::open("/proc/self/exe", flags, Mode::empty())?;
        // Out of the way of the numbers that a runner finds its descriptors at.
        let program =
            rustix::io::fcntl_dupfd_cloexec(program, plan::ABOVE_PLACES).map_err(|error| {
                match error {
                    rustix::io::Errno::INVAL => too_few_descriptors(),
                    error => error.into(),
                }
            })?;
        let caller = Ids {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
        };
        Ok(Self {
            program,
            caller,
            may_lack_parts,
        })
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

    /// Where a runner may be put, the best place first.
    fn places(&self, spec: &Spec<'_>) -> Vec<Place> {
        let is_root = self.caller.user == 0;
        let has_mounts = matches!(&spec.root, Root::Tree { mounts, .. } if !mounts.is_empty());
        let is_as_caller = spec.owner.is_none_or(|owner| owner == self.caller);
        // What runs as another user is looked into by right only; a user namespace gives that right to
        // who made it.
        let may_take_ids = is_root && (!spec.is_looked_into || may_look_into_others());
        let places = [
            (Place::OwnIds, may_take_ids),
            (Place::OwnRoot, may_take_ids && !has_mounts),
            (Place::UserNamespace, is_as_caller),
            // What has no mounts can be kept from naming any file.
            (Place::HostRoot, self.may_lack_parts || !has_mounts),
        ];
        let possible = places.into_iter().filter(|(_, is_possible)| *is_possible);
        possible.map(|(place, _)| place).collect()
    }

    /// Starts the role's process in the best place that this system has for it.
    fn spawn(&self, spec: &Spec<'_>, groups: &Groups) -> Result<Spawned, StartError> {
        let mut refusal = None;
        for place in self.places(spec) {
            match self.spawn_at(place, spec, groups) {
                Err(error) if self.may_go_on(&error) => {
                    refusal.get_or_insert(error);
                }
                spawned => return spawned,
            }
        }
        Err(refusal.unwrap_or_else(|| {
            StartError::new("start a runner", io::Error::from_raw_os_error(libc::EPERM))
        }))
    }

    /// Whether the next place may do. A file system that has no map of owners is not taken for
    /// reason enough to give up ids of its own.
    fn may_go_on(&self, error: &StartError) -> bool {
        match error.lack {
            Some(Lack::Namespaces | Lack::OwnerNamespace) => true,
            Some(Lack::OwnerMap) => self.may_lack_parts,
            None => false,
        }
    }

    fn spawn_at(
        &self,
        place: Place,
        spec: &Spec<'_>,
        groups: &Groups,
    ) -> Result<Spawned, StartError> {
        let own = match place {
            Place::OwnIds | Place::OwnRoot => Some(self.ids()),
            Place::UserNamespace => None,
            Place::HostRoot => spec.owner.filter(|owner| *owner != self.caller),
        };
        match self.spawn_as(own, place, spec, groups) {
            // The owner that the user named does not need a map to be given what is its own.
            Err(error) if error.lacks_owner_map() => match spec.owner {
                Some(owner) if owner.user != 0 => self.spawn_as(Some(owner), place, spec, groups),
                _ => Err(error),
            },
            spawned => spawned,
        }
    }

    /// Starts the role's process with these ids, or the caller's.
    fn spawn_as(
        &self,
        becomes: Option<Ids>,
        place: Place,
        spec: &Spec<'_>,
        groups: &Groups,
    ) -> Result<Spawned, StartError> {
        let is_root = self.caller.user == 0;
        let mut plan = Plan::new(place, becomes, self.caller);
        plan.join(groups);
        let owner_map;
        let layout = match &spec.root {
            Root::Directory(directory) => {
                plan.enter_directory(*directory);
                directory_layout(place)
            }
            Root::Tree { code, mounts, .. }
                if mounts.is_empty() && matches!(place, Place::OwnRoot | Place::HostRoot) =>
            {
                plan.enter_path(code)?;
                directory_layout(place)
            }
            Root::Tree { code, mounts, .. } if place == Place::HostRoot => {
                hosts_layout(code, mounts)?
            }
            Root::Tree {
                code,
                mounts,
                scratch,
                has_page_map,
            } => {
                owner_map = match becomes {
                    Some(ids) => self.owner_map(spec.owner, ids, mounts)?,
                    None => None,
                };
                if *has_page_map {
                    plan.show_page_map();
                }
                plan.build_tree(code, mounts, scratch, owner_map.as_ref())?;
                Layout {
                    code: "/code".to_owned(),
                    files: Files::Own("/guest"),
                }
            }
        };
        plan.finish(&spec.descriptors);
        let arguments: [&CStr; 2] = [c"lighter", c"runner"];
        let child = spawn(plan.flags, &plan.steps, self.program.as_fd(), &arguments)
            .map_err(|error| refusal::start_error(&plan.steps, error, is_root))?;
        let pid = Pid::from_raw(child.pid).ok_or_else(|| {
            let source = io::Error::other("the kernel gave no process number");
            StartError::new("start a runner", source)
        })?;
        if matches!(
            spec.root,
            Root::Tree {
                has_page_map: true,
                ..
            }
        ) {
            // The kernel notes whose it is when it is looked up (`proc_pid(5)`): before its ids were its own.
            let _ = rustix::fs::stat(format!("/proc/{}/pagemap", child.pid));
        }
        // In a user namespace threads are counted for it alone (Linux 5.14), and root's never.
        let are_threads_own = match becomes {
            Some(ids) => ids.user >= FIRST_RUNNER_ID,
            None => place == Place::UserNamespace && !is_root,
        };
        Ok(Spawned {
            pid,
            layout,
            are_threads_own,
        })
    }
}

/// Whether this process may read the memory of other users' (`ptrace(2)`, "Ptrace access mode checking").
fn may_look_into_others() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
}

/// That the caller's own limit leaves no room for the numbers that a runner needs.
fn too_few_descriptors() -> io::Error {
    io::Error::other(format!(
        "only {} descriptors are allowed and {} are needed (raise ulimit -n)",
        getrlimit(Resource::Nofile).current.unwrap_or(0),
        plan::ABOVE_PLACES + 1
    ))
}

/// A runner's process.
struct Spawned {
    pid: Pid,
    layout: Layout,
    are_threads_own: bool,
}

/// Where a runner finds the one directory that it has: it is its root, or its working directory.
fn directory_layout(place: Place) -> Layout {
    let (code, files) = match place {
        Place::HostRoot => (".", Files::Hosts),
        Place::OwnIds | Place::UserNamespace | Place::OwnRoot => ("", Files::Own("")),
    };
    Layout {
        code: code.to_owned(),
        files,
    }
}

/// Where a runner finds its mounts if none can be made.
///
/// # Errors
/// One of them is not a directory of the host, or there is something in it that has to be hidden.
fn hosts_layout(code: &Path, mounts: &[Mount]) -> Result<Layout, StartError> {
    let impossible = mounts.iter().find(|mount| {
        !matches!(
            mount.content,
            Content::Bind {
                is_directory: true,
                ..
            }
        )
    });
    if let Some(mount) = impossible {
        let source = io::Error::new(
            io::ErrorKind::Unsupported,
            "only directories of the host can be given without mounts",
        );
        let mut error = StartError::new(format!("give {}", escape(&mount.target)), source);
        error.hint = Some("leave it out, or give a directory of the host in its place".to_owned());
        return Err(error);
    }
    Ok(Layout {
        code: code.to_string_lossy().into_owned(),
        files: Files::Hosts,
    })
}

impl Boundary for ProcessBoundary {
    fn start(&self, spec: &Spec<'_>) -> Result<Box<dyn Workload>, StartError> {
        check_owner(spec, self.caller)?;
        let groups = groups(&spec.limits)?;
        let mut pin = if spec.is_pinned {
            Pin::this_thread()
        } else {
            None
        };
        let spawned = self.spawn(spec, &groups)?;
        if let Some(pin) = &mut pin {
            pin.take_along(spawned.pid);
        }
        let pidfd = rustix::process::pidfd_open(spawned.pid, PidfdFlags::empty())
            .map_err(|error| StartError::new("watch a runner", error.into()))?;
        Ok(Box::new(ProcessWorkload {
            pid: spawned.pid,
            pidfd,
            layout: spawned.layout,
            groups,
            pin,
            mediation: Mediation::None,
            are_threads_own: spawned.are_threads_own,
            may_lack_parts: self.may_lack_parts,
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

fn unanswered(error: io::Error) -> StartError {
    StartError::new("answer for the program's use of the network", error)
}

/// The stack of a thread that answers for one runner.
const MEDIATOR_STACK_BYTES: usize = 64 << 10;

/// What becomes of the calls that a workload asks for.
#[derive(Debug)]
enum Mediation {
    None,
    /// The first has not come yet.
    Due(Box<Mediator>),
    Answered(JoinHandle<()>),
}

#[derive(Debug)]
struct ProcessWorkload {
    pid: Pid,
    pidfd: OwnedFd,
    layout: Layout,
    groups: Groups,
    pin: Option<Pin>,
    mediation: Mediation,
    are_threads_own: bool,
    may_lack_parts: bool,
    is_reaped: bool,
}

impl ProcessWorkload {
    fn wait_for(&self, options: WaitIdOptions) -> io::Result<Option<WaitIdStatus>> {
        Ok(rustix::io::retry_on_intr(|| {
            rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options)
        })?)
    }

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

    fn are_threads_own(&self) -> bool {
        self.are_threads_own
    }

    fn may_lack_parts(&self) -> bool {
        self.may_lack_parts
    }

    fn settle(&mut self) {
        self.pin = None;
    }

    fn mediate(
        &mut self,
        listener: RawFd,
        network: Arc<Network>,
    ) -> Result<Arc<Refusals>, StartError> {
        let failed = |error: io::Error| {
            let mut failed = unanswered(error);
            failed.hint = Some(
                "lighter has to look into the program's process: give it CAP_SYS_PTRACE, or let it make user \
                 namespaces"
                    .to_owned(),
            );
            failed
        };
        let listener = pidfd_getfd(&self.pidfd, listener, PidfdGetfdFlags::empty())
            .map_err(|error| failed(error.into()))?;
        let refusals = Arc::new(Refusals::new().map_err(failed)?);
        self.mediation = Mediation::Due(Box::new(Mediator {
            listener: Listener::new(listener),
            pid: self.pid,
            pidfd: self.pidfd.try_clone().map_err(failed)?,
            network,
            refusals: Arc::clone(&refusals),
            memory: mediate::Memory::default(),
        }));
        Ok(refusals)
    }

    fn call_event(&self) -> Option<BorrowedFd<'_>> {
        match &self.mediation {
            Mediation::Due(mediator) => Some(mediator.listener.as_fd()),
            Mediation::None | Mediation::Answered(_) => None,
        }
    }

    fn answer_calls(&mut self) -> Result<(), StartError> {
        let Mediation::Due(mediator) = mem::replace(&mut self.mediation, Mediation::None) else {
            return Ok(());
        };
        if mediator.listener.has_ended().map_err(unanswered)? {
            return Ok(());
        }
        if let Some(pin) = &mut self.pin {
            pin.take_threads_along();
        }
        // It ends with the last thread of the workload, or with this process.
        let mediator = thread::Builder::new()
            .name("network".to_owned())
            .stack_size(MEDIATOR_STACK_BYTES)
            .spawn(|| mediator.serve())
            .map_err(unanswered)?;
        self.mediation = Mediation::Answered(mediator);
        Ok(())
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
        if let Mediation::Answered(mediator) = mem::replace(&mut self.mediation, Mediation::None) {
            // It looks into the process by its number, which must not be another's meanwhile.
            self.wait_for(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
            // Its panic would be a fault of ours that has ended the answers; the process has ended anyway.
            let _ = mediator.join();
        }
        let status = self.wait_for(WaitIdOptions::EXITED)?;
        self.is_reaped = true;
        if let Some(pin) = &mut self.pin {
            pin.leave_behind();
        }
        self.settle();
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
