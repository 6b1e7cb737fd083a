//! Parts of the kernel that a guest has no business with.

use crate::Case;
use crate::attempts::Attempts;
use crate::raw::{HERE, at, call, path};
use crate::stage::Stage;
use libc::{
    SYS_acct, SYS_add_key, SYS_bpf, SYS_fsopen, SYS_io_uring_setup, SYS_keyctl, SYS_mount,
    SYS_mount_setattr, SYS_move_mount, SYS_mq_open, SYS_msgget, SYS_open_tree, SYS_perf_event_open,
    SYS_pivot_root, SYS_request_key, SYS_semget, SYS_sethostname, SYS_shmget, SYS_syslog,
    SYS_umount2, SYS_userfaultfd,
};

pub(crate) const CASES: &[Case] = &[
    ("mount_is_refused", mount),
    ("key_is_refused", key),
    ("bpf_is_refused", bpf),
    ("userfaultfd_is_refused", userfaultfd),
    ("io_uring_is_refused", io_uring),
    ("perf_is_refused", perf),
    ("queue_that_outlives_the_process_is_refused", queue),
    ("setting_of_the_machine_is_refused", setting),
];

fn mount(stage: &Stage, attempts: &mut Attempts) {
    let (target, tmpfs) = (path(&*stage.writable), c"tmpfs");
    let (target, tmpfs) = (target.as_ptr().addr(), tmpfs.as_ptr().addr());
    attempts.call("mount", SYS_mount, [tmpfs, target, tmpfs, 0, 0]);
    attempts.call("umount2", SYS_umount2, [target, libc::MNT_DETACH as usize]);
    let bind = libc::MS_BIND as usize;
    attempts.call("mount of a tree", SYS_mount, [target, target, 0, bind, 0]);
    attempts.call("fsopen", SYS_fsopen, [tmpfs, 0]);
    attempts.make("open_tree and move_mount", || {
        let clone = libc::OPEN_TREE_CLONE as usize;
        let tree = call(SYS_open_tree, [HERE, target, clone])?;
        let empty = c"".as_ptr().addr();
        let flags = libc::MOVE_MOUNT_F_EMPTY_PATH as usize;
        call(SYS_move_mount, [tree, empty, HERE, target, flags])
    });
    let writable = libc::mount_attr {
        attr_set: 0,
        attr_clr: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID,
        propagation: 0,
        userns_fd: 0,
    };
    let arguments = [HERE, target, 0, at(&writable), size_of_val(&writable)];
    attempts.call("mount_setattr", SYS_mount_setattr, arguments);
    // A mount of its own is what pivot_root asks for, so the tree that was moved is one.
    attempts.make("pivot_root", || {
        call(libc::SYS_chdir, [target])?;
        let here = c".".as_ptr().addr();
        call(SYS_pivot_root, [here, here])
    });
}

fn key(_: &Stage, attempts: &mut Attempts) {
    let (kind, name) = (c"user".as_ptr().addr(), c"lighter".as_ptr().addr());
    let process_ring = -2_isize as usize;
    attempts.call("add_key", SYS_add_key, [kind, name, name, 1, process_ring]);
    attempts.call(
        "request_key",
        SYS_request_key,
        [kind, name, 0, process_ring],
    );
    attempts.call("keyctl", SYS_keyctl, [0, process_ring, 1]);
}

fn bpf(_: &Stage, attempts: &mut Attempts) {
    // BPF_MAP_CREATE: an array of one entry of four bytes.
    let attributes = [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    attempts.call(
        "bpf",
        SYS_bpf,
        [0, at(&attributes), size_of_val(&attributes)],
    );
}

fn userfaultfd(_: &Stage, attempts: &mut Attempts) {
    attempts.call("userfaultfd", SYS_userfaultfd, [0]);
    attempts.call("userfaultfd of the user", SYS_userfaultfd, [1]);
}

fn io_uring(_: &Stage, attempts: &mut Attempts) {
    let parameters = [0_u32; 30];
    attempts.call("io_uring_setup", SYS_io_uring_setup, [1, at(&parameters)]);
}

fn perf(_: &Stage, attempts: &mut Attempts) {
    // PERF_TYPE_SOFTWARE, its size, PERF_COUNT_SW_CPU_CLOCK.
    let mut attributes = [0_u32; 32];
    attributes[0] = 1;
    attributes[1] = 128;
    let none = usize::MAX;
    attempts.call(
        "perf_event_open",
        SYS_perf_event_open,
        [at(&attributes), 0, none, none, 0],
    );
}

/// In `free` they are made in a namespace that ends with the process.
fn queue(_: &Stage, attempts: &mut Attempts) {
    attempts.call("shmget", SYS_shmget, [0, 4096, 0o1600]);
    attempts.call("msgget", SYS_msgget, [0, 0o1600]);
    attempts.call("semget", SYS_semget, [0, 1, 0o1600]);
    let arguments = [c"lighter".as_ptr().addr(), libc::O_CREAT as usize, 0o600, 0];
    attempts.call("mq_open", SYS_mq_open, arguments);
}

/// In `free` the host's name is that of a namespace of the process's own; nothing else changes.
fn setting(_: &Stage, attempts: &mut Attempts) {
    attempts.call("sethostname", SYS_sethostname, [c"x".as_ptr().addr(), 1]);
    attempts.call("syslog", SYS_syslog, [10, 0, 0]); // SYSLOG_ACTION_SIZE_BUFFER
    attempts.call("acct", SYS_acct, [0]);
}
