//! Starts a child that prepares itself step by step and then becomes another program.
//!
//! The child shares this process's memory until its `exec`, as after `vfork`: no page table is
//! copied, and what failed is simply written down. So between `clone` and `exec` it makes raw
//! system calls on data that was laid out before, and nothing else: no allocation, no lock.

use super::mount::{self, Mounting, Tree};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

/// One system call that the child makes before it becomes the program.
#[derive(Debug)]
pub enum Step {
    /// Writes `0`, which means this process, to the open `cgroup.procs` of a control group.
    JoinControlGroup(RawFd),
    /// Writes a file of `/proc`, such as a user namespace's map.
    WriteProc(CString, Vec<u8>),
    /// `mount(NULL, "/", NULL, MS_REC | MS_PRIVATE)`: mounts no longer spread to the host.
    MakeMountsPrivate,
    /// Mounts a new tmpfs on a path, with options.
    MountTmpfs(CString, CString),
    /// Makes a directory; one that is there is fine.
    MakeDirectory(CString, libc::mode_t),
    /// Makes an empty file.
    MakeFile(CString),
    /// Mounts a tree of the host on a path in a place of the caller's own.
    MountAt(Box<Tree>, CString),
    /// Mounts something below the directory `guest`.
    Mount(Box<Mounting>),
    /// Sets the mask of the permissions that new files get.
    SetFileMask(libc::mode_t),
    /// Mounts are attributed read-only, not those below.
    MakeReadOnly(CString),
    /// Changes the working directory to a path.
    ChangeDirectory(CString),
    /// Changes the working directory to an open one.
    ChangeToOpenDirectory(RawFd),
    /// Makes the working directory the root, by `chroot`.
    ChangeRoot,
    /// Makes the working directory the root and lets go of the old one.
    PivotRoot,
    /// Drops all supplementary groups and takes a group and a user id for good.
    BecomeUser(u32, u32),
    /// A session of its own: no terminal, no job control of the caller's.
    NewSession,
    /// Dies when the parent dies.
    DieWithParent,
    /// No signal is blocked.
    ClearSignalMask,
    /// No descriptor but the three standard ones survives `exec`, unless it is placed later.
    CloseAllOnExec,
    /// A descriptor gets this number and survives `exec`.
    PlaceDescriptor(RawFd, RawFd),
}

/// A child that runs its program.
#[derive(Debug)]
pub struct Child {
    /// The process number, as this process sees it.
    pub pid: libc::pid_t,
}

/// What went wrong before the child became the program.
#[derive(Debug)]
pub struct StepError {
    /// The index of the step, or the number of steps for `exec` itself; none if there is no child.
    pub step: Option<usize>,
    /// The kernel's error.
    pub source: io::Error,
}

/// Everything the child reads and the one thing it writes.
struct Plan<'a> {
    steps: &'a [Step],
    program: RawFd,
    arguments: *const *const libc::c_char,
    environment: *const *const libc::c_char,
    failure: Option<(usize, i32)>,
}

const STACK_BYTES: usize = 64 << 10;

/// Starts `program` (an open file) with an empty environment after the steps, in the namespaces
/// that `flags` (`CLONE_NEW*`) ask for.
///
/// # Errors
/// The child could not be made, or a step failed; then the child is gone and reaped.
pub fn spawn(
    flags: libc::c_int,
    steps: &[Step],
    program: BorrowedFd<'_>,
    arguments: &[&CStr],
) -> Result<Child, StepError> {
    let mut argument_pointers: Vec<*const libc::c_char> =
        arguments.iter().map(|argument| argument.as_ptr()).collect();
    argument_pointers.push(ptr::null());
    let environment: [*const libc::c_char; 1] = [ptr::null()];
    let mut plan = Plan {
        steps,
        program: program.as_raw_fd(),
        arguments: argument_pointers.as_ptr(),
        environment: environment.as_ptr(),
        failure: None,
    };
    // Nothing of it is read before it is written, and most of it never.
    let mut stack = Vec::<u128>::with_capacity(STACK_BYTES / size_of::<u128>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs `child` on a stack of its own that outlives it, because CLONE_VFORK
    // keeps this thread from running until the child has exec'd or ended; `plan` lives as long.
    #[expect(unsafe_code, reason = "no crate offers clone with shared memory")]
    let pid = unsafe { libc::clone(child, top.cast(), flags, (&raw mut plan).cast()) };
    if pid < 0 {
        return Err(StepError {
            step: None,
            source: io::Error::last_os_error(),
        });
    }
    match plan.failure {
        None => Ok(Child { pid }),
        Some((step, errno)) => {
            reap(pid);
            Err(StepError {
                step: Some(step),
                source: io::Error::from_raw_os_error(errno),
            })
        }
    }
}

fn reap(pid: libc::pid_t) {
    // SAFETY: a child of ours that has ended; no status is asked for.
    #[expect(unsafe_code, reason = "a plain system call")]
    unsafe {
        libc::waitpid(pid, ptr::null_mut(), 0);
    }
}

extern "C" fn child(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `spawn` passed a pointer to its plan, and does not touch it until we are gone.
    #[expect(unsafe_code, reason = "the argument of clone is untyped")]
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    for (index, step) in plan.steps.iter().enumerate() {
        if let Err(errno) = perform(step) {
            plan.failure = Some((index, errno));
            return 127;
        }
    }
    // SAFETY: the pointers are those that `spawn` made, each list ends with a null.
    #[expect(unsafe_code, reason = "a plain system call")]
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            plan.program,
            c"".as_ptr(),
            plan.arguments,
            plan.environment,
            libc::AT_EMPTY_PATH,
        );
    }
    plan.failure = Some((plan.steps.len(), errno()));
    127
}

fn errno() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

pub(super) fn errno_of(result: libc::c_long) -> Result<libc::c_int, i32> {
    if result < 0 {
        Err(errno())
    } else {
        Ok(libc::c_int::try_from(result).unwrap_or(libc::c_int::MAX))
    }
}

/// Makes a raw system call with up to six word-sized arguments.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {{
        // SAFETY: every pointer comes from a `CString` or buffer in the plan, or from a local
        // that outlives the call, with the length given beside it.
        #[expect(unsafe_code, reason = "between clone and exec there are only system calls")]
        let result = unsafe { libc::syscall(libc::$number $(, $argument)*) };
        errno_of(result)
    }};
}
pub(super) use call;

fn make_file(path: &CStr) -> Result<(), i32> {
    let mode = libc::S_IFREG | 0o444;
    call!(SYS_mknodat, libc::AT_FDCWD, path.as_ptr(), mode, 0).map(drop)
}

fn perform(step: &Step) -> Result<(), i32> {
    match step {
        Step::JoinControlGroup(processes) => mount::write_all(*processes, b"0"),
        Step::WriteProc(path, text) => write_proc(path, text),
        Step::MakeMountsPrivate => call!(
            SYS_mount,
            ptr::null::<u8>(),
            c"/".as_ptr(),
            ptr::null::<u8>(),
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null::<u8>()
        )
        .map(drop),
        Step::MountTmpfs(target, options) => call!(
            SYS_mount,
            c"tmpfs".as_ptr(),
            target.as_ptr(),
            c"tmpfs".as_ptr(),
            libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
            options.as_ptr()
        )
        .map(drop),
        Step::MakeDirectory(path, mode) => {
            match call!(SYS_mkdirat, libc::AT_FDCWD, path.as_ptr(), *mode) {
                Ok(_) | Err(libc::EEXIST) => Ok(()),
                Err(errno) => Err(errno),
            }
        }
        Step::MakeFile(path) => make_file(path),
        Step::MountAt(tree, target) => mount::mount_at(tree, target),
        Step::Mount(mounting) => mount::mount(mounting),
        Step::SetFileMask(mask) => call!(SYS_umask, *mask).map(drop),
        Step::MakeReadOnly(path) => {
            mount::set_attributes(libc::AT_FDCWD, path, 0, libc::MOUNT_ATTR_RDONLY, None)
        }
        Step::ChangeDirectory(path) => call!(SYS_chdir, path.as_ptr()).map(drop),
        Step::ChangeToOpenDirectory(fd) => call!(SYS_fchdir, *fd).map(drop),
        Step::ChangeRoot => call!(SYS_chroot, c".".as_ptr()).map(drop),
        Step::PivotRoot => {
            call!(SYS_pivot_root, c".".as_ptr(), c".".as_ptr())?;
            call!(SYS_umount2, c".".as_ptr(), libc::MNT_DETACH)?;
            call!(SYS_chdir, c"/".as_ptr()).map(drop)
        }
        Step::BecomeUser(user, group) => {
            call!(SYS_setgroups, 0, ptr::null::<libc::gid_t>())?;
            call!(SYS_setresgid, *group, *group, *group)?;
            call!(SYS_setresuid, *user, *user, *user).map(drop)
        }
        Step::NewSession => call!(SYS_setsid).map(drop),
        Step::DieWithParent => {
            call!(SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0).map(drop)
        }
        Step::ClearSignalMask => {
            let none = 0_u64;
            call!(
                SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const none,
                ptr::null::<u64>(),
                8
            )
            .map(drop)
        }
        Step::CloseAllOnExec => call!(
            SYS_close_range,
            libc::STDERR_FILENO + 1,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC
        )
        .map(drop),
        Step::PlaceDescriptor(from, to) if from == to => {
            call!(SYS_fcntl, *from, libc::F_SETFD, 0).map(drop)
        }
        Step::PlaceDescriptor(from, to) => call!(SYS_dup3, *from, *to, 0).map(drop),
    }
}

fn write_proc(path: &CStr, content: &[u8]) -> Result<(), i32> {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    let file = call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags)?;
    let written = mount::write_all(file, content);
    call!(SYS_close, file)?;
    written
}

/// Starts a child that holds a new user namespace open until it is killed, and gives its number.
///
/// # Errors
/// The kernel's refusal.
pub fn hold_user_namespace() -> io::Result<libc::pid_t> {
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    // A runner that took other ids, in memory that was still this process's, has closed that memory
    // to all without CAP_SYS_PTRACE, and a child's would be closed too (prctl(2), PR_SET_DUMPABLE).
    let _ = call!(SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
    // SAFETY: as for a plain fork of this single-threaded process: the child has a copy of
    // everything and only waits.
    #[expect(unsafe_code, reason = "no crate offers clone")]
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::CLONE_NEWUSER | libc::SIGCHLD,
            0,
            0,
            0,
            0,
        )
    };
    match pid {
        0 => wait_for_the_end(parent),
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => libc::pid_t::try_from(pid).map_err(io::Error::other),
    }
}

/// Finds out whether a user namespace can be made here.
///
/// # Errors
/// The kernel's refusal.
pub fn try_user_namespace() -> io::Result<()> {
    let pid = hold_user_namespace()?;
    // SAFETY: a child of ours that does nothing but wait for this.
    #[expect(unsafe_code, reason = "a plain system call")]
    unsafe {
        libc::kill(pid, libc::SIGKILL);
    }
    reap(pid);
    Ok(())
}

/// Waits to be killed, at the latest when the parent dies.
fn wait_for_the_end(parent: libc::pid_t) -> ! {
    let _ = call!(SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
    // It may have died before it was asked to take us along: then we are somebody else's.
    while call!(SYS_getppid) == Ok(parent) {
        let _ = call!(SYS_pause);
    }
    let _ = call!(SYS_exit_group, 0);
    std::process::abort()
}
