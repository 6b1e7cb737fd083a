//! Other processes, new ones, other programs, other ids.

use crate::Case;
use crate::architectures::vfork;
use crate::attempts::Attempts;
use crate::raw::{HERE, at, call, path};
use crate::stage::{NAMESPACE_FD, Stage};
use libc::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER,
    CLONE_NEWUTS, O_RDONLY, O_RDWR, SYS_capset, SYS_clone, SYS_clone3, SYS_execve, SYS_execveat,
    SYS_exit_group, SYS_fork, SYS_ioprio_set, SYS_kcmp, SYS_kill, SYS_openat, SYS_pidfd_getfd,
    SYS_pidfd_open, SYS_pidfd_send_signal, SYS_prlimit64, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_ptrace, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
    SYS_sched_setaffinity, SYS_setgid, SYS_setgroups, SYS_setns, SYS_setpriority, SYS_setresgid,
    SYS_setresuid, SYS_setrlimit, SYS_setuid, SYS_tgkill, SYS_tkill, SYS_unshare, SYS_wait4,
};
use std::io;

pub(crate) const CASES: &[Case] = &[
    ("read_of_another_process_is_refused", read),
    ("write_to_another_process_is_refused", write),
    ("trace_of_another_process_is_refused", trace),
    ("signal_to_another_process_is_refused", signal),
    ("descriptor_of_another_process_is_refused", descriptor),
    ("limit_of_another_process_is_refused", limit),
    ("exec_is_refused", exec),
    ("exec_of_a_descriptor_is_refused", exec_descriptor),
    ("new_process_is_refused", new_process),
    ("unshare_is_refused", unshare),
    ("namespace_of_the_keeper_is_refused", join_namespace),
    ("other_ids_are_refused", other_ids),
    ("threads_above_the_limit_are_refused", threads),
];

/// One piece of memory here and one of the bystander's.
fn with_vectors(stage: &Stage, number: libc::c_long) -> io::Result<usize> {
    let room = *b"bystands";
    let here = [at(&room), room.len()];
    let there = [stage.mark, room.len()];
    call(
        number,
        [stage.bystander as usize, at(&here), 1, at(&there), 1, 0],
    )
}

fn read(stage: &Stage, attempts: &mut Attempts) {
    attempts.make("process_vm_readv", || {
        with_vectors(stage, SYS_process_vm_readv)
    });
    attempts.make("mem in /proc", || {
        let file = open_memory(stage, O_RDONLY)?;
        let room = [0_u8; 8];
        call(libc::SYS_pread64, [file, at(&room), 8, stage.mark])
    });
}

fn open_memory(stage: &Stage, flags: i32) -> io::Result<usize> {
    let file = path(format!("/proc/{}/mem", stage.bystander));
    call(SYS_openat, [HERE, file.as_ptr().addr(), flags as usize])
}

fn write(stage: &Stage, attempts: &mut Attempts) {
    attempts.make("mem in /proc", || {
        let file = open_memory(stage, O_RDWR)?;
        call(
            libc::SYS_pwrite64,
            [file, crate::MARK.as_ptr().addr(), 8, stage.mark],
        )
    });
    attempts.make("process_vm_writev", || {
        with_vectors(stage, SYS_process_vm_writev)
    });
}

fn trace(stage: &Stage, attempts: &mut Attempts) {
    let bystander = stage.bystander as usize;
    let request = |number: u32| number as usize;
    attempts.call(
        "PTRACE_SEIZE",
        SYS_ptrace,
        [request(libc::PTRACE_SEIZE as u32), bystander, 0, 0],
    );
    attempts.call(
        "PTRACE_INTERRUPT",
        SYS_ptrace,
        [request(libc::PTRACE_INTERRUPT as u32), bystander, 0, 0],
    );
    // Where it worked, a signal tells of the stop. Were this process traced itself by then, that signal would stop it.
    let _ = call(libc::SYS_wait4, [bystander, 0, libc::__WALL as usize, 0]);
    attempts.call(
        "PTRACE_TRACEME",
        SYS_ptrace,
        [request(libc::PTRACE_TRACEME as u32), 0, 0, 0],
    );
}

/// Signal 0 asks whether a signal could be sent.
fn signal(stage: &Stage, attempts: &mut Attempts) {
    let bystander = stage.bystander as usize;
    let info = [0_u32, 0, u32::MAX, 0, 0, 0, 0, 0]; // SI_QUEUE
    let info = [info; 4];
    attempts.call("kill", SYS_kill, [bystander, 0]);
    attempts.call("kill of all", SYS_kill, [usize::MAX, 0]);
    attempts.call("tkill", SYS_tkill, [bystander, 0]);
    attempts.call("tgkill", SYS_tgkill, [bystander, bystander, 0]);
    attempts.call(
        "rt_sigqueueinfo",
        SYS_rt_sigqueueinfo,
        [bystander, 0, at(&info)],
    );
    attempts.call(
        "rt_tgsigqueueinfo",
        SYS_rt_tgsigqueueinfo,
        [bystander, bystander, 0, at(&info)],
    );
    attempts.make("pidfd_send_signal", || {
        let process = call(SYS_pidfd_open, [bystander, 0])?;
        call(SYS_pidfd_send_signal, [process, 0, 0, 0])
    });
}

fn descriptor(stage: &Stage, attempts: &mut Attempts) {
    let bystander = stage.bystander as usize;
    attempts.call("pidfd_open", SYS_pidfd_open, [bystander, 0]);
    attempts.make("pidfd_getfd", || {
        let process = call(SYS_pidfd_open, [bystander, 0])?;
        call(SYS_pidfd_getfd, [process, 0, 0])
    });
    let own = std::process::id() as usize;
    attempts.call("kcmp", SYS_kcmp, [bystander, own, 0, 0, 0]);
}

fn limit(stage: &Stage, attempts: &mut Attempts) {
    let bystander = stage.bystander as usize;
    let (limits, processors) = ([0_u64; 2], [1_u64; 16]);
    attempts.call(
        "prlimit64",
        SYS_prlimit64,
        [bystander, libc::RLIMIT_CORE as usize, 0, at(&limits)],
    );
    attempts.call("setpriority", SYS_setpriority, [0, bystander, 1]);
    attempts.call(
        "sched_setaffinity",
        SYS_sched_setaffinity,
        [bystander, 128, at(&processors)],
    );
    attempts.call("ioprio_set", SYS_ioprio_set, [1, bystander, 2 << 13]);
    let unlimited = [u64::MAX; 2];
    attempts.call(
        "setrlimit",
        SYS_setrlimit,
        [libc::RLIMIT_CORE as usize, at(&unlimited)],
    );
}

fn exec(stage: &Stage, attempts: &mut Attempts) {
    let program = path(format!("{}/artifact", stage.code));
    let (name, executed) = (c"broken-out".as_ptr().addr(), c"executed".as_ptr().addr());
    let arguments = [name, executed, 0];
    attempts.call(
        "execve",
        SYS_execve,
        [program.as_ptr().addr(), at(&arguments), 0],
    );
}

fn exec_descriptor(stage: &Stage, attempts: &mut Attempts) {
    let program = path(format!("{}/artifact", stage.code));
    let (name, executed) = (c"broken-out".as_ptr().addr(), c"executed".as_ptr().addr());
    let arguments = [name, executed, 0];
    // The one file outside of its mounts that a runner may open.
    let file = call(SYS_openat, [HERE, program.as_ptr().addr(), 0]).unwrap_or(0);
    let empty = libc::AT_EMPTY_PATH as usize;
    let arguments = [file, c"".as_ptr().addr(), at(&arguments), 0, empty];
    attempts.call("execveat", SYS_execveat, arguments);
}

/// The child of a fork ends at once; its parent waits for it.
fn end_child(forked: io::Result<usize>) -> io::Result<usize> {
    let child = forked?;
    if child == 0 {
        call(SYS_exit_group, [0])?;
    }
    call(SYS_wait4, [child, 0, 0, 0])
}

fn new_process(_: &Stage, attempts: &mut Attempts) {
    let signal = libc::SIGCHLD as usize;
    attempts.make("fork", || end_child(call(SYS_fork, [])));
    attempts.make("vfork", || end_child(vfork()));
    attempts.make("clone", || end_child(call(SYS_clone, [signal, 0, 0, 0, 0])));
    attempts.make("clone like vfork", || {
        let flags = libc::CLONE_VFORK as usize | signal;
        end_child(call(SYS_clone, [flags, 0, 0, 0, 0]))
    });
    attempts.make("clone3", || {
        let arguments = [0, 0, 0, 0, signal as u64, 0, 0, 0];
        end_child(call(SYS_clone3, [at(&arguments), size_of_val(&arguments)]))
    });
}

fn unshare(_: &Stage, attempts: &mut Attempts) {
    let namespaces = [
        ("mounts", CLONE_NEWNS),
        ("names", CLONE_NEWUTS),
        ("queues", CLONE_NEWIPC),
        ("processes", CLONE_NEWPID),
        ("networks", CLONE_NEWNET),
        ("cgroups", CLONE_NEWCGROUP),
        ("users", CLONE_NEWUSER),
        ("descriptors", libc::CLONE_FILES),
    ];
    for (name, flag) in namespaces {
        attempts.call(&format!("unshare {name}"), SYS_unshare, [flag as usize]);
    }
}

fn join_namespace(_: &Stage, attempts: &mut Attempts) {
    attempts.call("setns", SYS_setns, [NAMESPACE_FD as usize, 0]);
}

fn other_ids(_: &Stage, attempts: &mut Attempts) {
    let groups = [0_u32];
    attempts.call("setgroups", SYS_setgroups, [1, at(&groups)]);
    attempts.call("setresgid", SYS_setresgid, [0, 0, 0]);
    attempts.call("setgid", SYS_setgid, [0]);
    attempts.call("setuid", SYS_setuid, [0]);
    attempts.call("setresuid", SYS_setresuid, [0, 0, 0]);
    let header = [0x2008_0522_u32, 0]; // _LINUX_CAPABILITY_VERSION_3
    let all_but_few = [0_u32; 6];
    attempts.call("capset", SYS_capset, [at(&header), at(&all_but_few)]);
}

fn threads(_: &Stage, attempts: &mut Attempts) {
    attempts.make("16 threads", || {
        let wait = || std::thread::sleep(std::time::Duration::from_secs(60));
        (0..16).try_fold(0, |_, _| {
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(wait)
                .map(|_| 0)
        })
    });
}
