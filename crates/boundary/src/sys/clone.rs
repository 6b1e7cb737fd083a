//! Starts a child that prepares itself step by step and then becomes another program.
//!
//! The child shares this process's memory until its `exec`, as after `vfork`: no page table is
//! copied, and what failed is simply written down. So between `clone` and `exec` it makes raw
//! system calls on data that was laid out before, and nothing else: no allocation, no lock.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

/// One system call that the child makes before it becomes the program.
#[derive(Debug)]
pub enum Step {
    /// Writes a file of `/proc`, such as a user namespace's map.
    WriteProc(CString, Vec<u8>),
    /// `mount(NULL, "/", NULL, MS_REC | MS_PRIVATE)`: mounts no longer spread to the host.
    MakeMountsPrivate,
    /// Mounts a new tmpfs on a path, with options.
    MountTmpfs(CString, CString),
    /// Makes a directory; one that is there is fine.
    MakeDirectory(CString, libc::mode_t),
    /// Makes a file with this content.
    MakeFile(CString, Vec<u8>),
    /// Mounts a tree of the host on a path.
    Bind(Box<Bind>),
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

/// A tree of the host to mount.
#[derive(Debug)]
pub struct Bind {
    /// The host's path.
    pub source: CString,
    /// Where it goes.
    pub target: CString,
    /// Device and inode that the source must have.
    pub identity: Option<(u64, u64)>,
    /// Whether it is mounted read-only.
    pub is_read_only: bool,
    /// Whether code in it may be mapped executable.
    pub is_executable: bool,
    /// A user namespace whose map translates the owners of files; where the file system has no
    /// such mounts, a read-only tree is mounted without it.
    pub owner_map: Option<RawFd>,
}

/// A child that runs its program.
#[derive(Debug)]
pub struct Child {
    /// The process number, as this process sees it.
    pub pid: libc::pid_t,
}

/// What went wrong in the child before it became the program: the index of the step (the number
/// of steps for `exec` itself) and the error.
#[derive(Debug)]
pub struct StepError {
    /// The index.
    pub step: usize,
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
/// The child could not be made (step 0), or a step failed; then the child is gone and reaped.
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
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs `child` on a stack of its own that outlives it, because CLONE_VFORK
    // keeps this thread from running until the child has exec'd or ended; `plan` lives as long.
    #[expect(unsafe_code, reason = "no crate offers clone with shared memory")]
    let pid = unsafe { libc::clone(child, top.cast(), flags, (&raw mut plan).cast()) };
    if pid < 0 {
        return Err(StepError {
            step: 0,
            source: io::Error::last_os_error(),
        });
    }
    match plan.failure {
        None => Ok(Child { pid }),
        Some((step, errno)) => {
            reap(pid);
            Err(StepError {
                step,
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

fn check(result: libc::c_long) -> Result<libc::c_int, i32> {
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
        check(result)
    }};
}

fn perform(step: &Step) -> Result<(), i32> {
    match step {
        Step::WriteProc(path, text) => write_file(path, text, libc::O_WRONLY),
        Step::MakeFile(path, content) => {
            write_file(path, content, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL)
        }
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
        Step::Bind(bind) => mount_tree(bind),
        Step::MakeReadOnly(path) => {
            set_mount(libc::AT_FDCWD, path, 0, libc::MOUNT_ATTR_RDONLY, None)
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

fn write_file(path: &CStr, content: &[u8], flags: libc::c_int) -> Result<(), i32> {
    let file = call!(
        SYS_openat,
        libc::AT_FDCWD,
        path.as_ptr(),
        flags | libc::O_CLOEXEC,
        0o444
    )?;
    let mut rest = content;
    while !rest.is_empty() {
        let written = call!(SYS_write, file, rest.as_ptr(), rest.len())?;
        rest = rest
            .get(usize::try_from(written).unwrap_or(0)..)
            .unwrap_or_default();
    }
    call!(SYS_close, file).map(drop)
}

fn mount_tree(bind: &Bind) -> Result<(), i32> {
    let tree = call!(
        SYS_open_tree,
        libc::AT_FDCWD,
        bind.source.as_ptr(),
        libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as libc::c_uint
    )?;
    if let Some(identity) = bind.identity {
        check_identity(tree, identity)?;
    }
    let mut attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    if bind.is_read_only {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    if !bind.is_executable {
        attributes |= libc::MOUNT_ATTR_NOEXEC;
    }
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    match set_mount(tree, c"", flags, attributes, bind.owner_map) {
        // A file system without idmapped mounts. What is only read belongs to whom it belongs.
        Err(libc::EINVAL) if bind.is_read_only && bind.owner_map.is_some() => {
            set_mount(tree, c"", flags, attributes, None)?;
        }
        set => set?,
    }
    call!(
        SYS_move_mount,
        tree,
        c"".as_ptr(),
        libc::AT_FDCWD,
        bind.target.as_ptr(),
        libc::MOVE_MOUNT_F_EMPTY_PATH
    )?;
    call!(SYS_close, tree).map(drop)
}

/// The source must still be what the caller looked at.
fn check_identity(tree: libc::c_int, (device, inode): (u64, u64)) -> Result<(), i32> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
    call!(
        SYS_newfstatat,
        tree,
        c"".as_ptr(),
        found.as_mut_ptr(),
        libc::AT_EMPTY_PATH
    )?;
    // SAFETY: the call succeeded, so the kernel has filled the structure.
    #[expect(unsafe_code, reason = "the kernel fills it")]
    let found = unsafe { found.assume_init() };
    if (found.st_dev, found.st_ino) == (device, inode) {
        Ok(())
    } else {
        Err(libc::ESTALE)
    }
}

fn set_mount(
    directory: RawFd,
    path: &CStr,
    flags: libc::c_int,
    attributes: u64,
    owner_map: Option<RawFd>,
) -> Result<(), i32> {
    let attributes = libc::mount_attr {
        attr_set: attributes
            | if owner_map.is_some() {
                libc::MOUNT_ATTR_IDMAP
            } else {
                0
            },
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: owner_map.map_or(0, |fd| u64::try_from(fd).unwrap_or(u64::MAX)),
    };
    call!(
        SYS_mount_setattr,
        directory,
        path.as_ptr(),
        flags,
        &raw const attributes,
        size_of::<libc::mount_attr>()
    )
    .map(drop)
}

/// Starts a child that holds a new user namespace open until it is killed, and gives its number.
///
/// # Errors
/// The kernel's refusal.
pub fn hold_user_namespace() -> io::Result<libc::pid_t> {
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
        0 => wait_for_the_end(),
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => libc::pid_t::try_from(pid).map_err(io::Error::other),
    }
}

fn wait_for_the_end() -> ! {
    // SAFETY: a plain system call with numbers only; without it a dead parent would leave us behind.
    #[expect(unsafe_code, reason = "after fork there are only system calls")]
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
    }
    loop {
        // SAFETY: a plain system call without arguments.
        #[expect(unsafe_code, reason = "after fork there are only system calls")]
        unsafe {
            libc::pause();
        }
    }
}
