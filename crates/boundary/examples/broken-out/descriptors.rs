//! What a descriptor can be made to do, and what a process can ask for itself.

use crate::Case;
use crate::attempts::Attempts;
use crate::raw::{HERE, at, call, path};
use crate::stage::{DIRECTORY_FD, SOCKET_FD, Stage, TERMINAL_FD};
use libc::{SYS_fcntl, SYS_ioctl, SYS_openat, SYS_prctl};

pub(crate) const CASES: &[Case] = &[
    ("input_into_a_terminal_is_refused", terminal_input),
    ("steering_a_terminal_is_refused", terminal),
    ("ioctl_is_refused", ioctl),
    ("owner_of_a_descriptor_is_refused", owner),
    ("lease_and_lock_of_a_file_are_refused", lease),
    ("parent_death_signal_is_refused", parent_death_signal),
    ("prctl_is_refused", prctl),
];

const TERMINAL: usize = TERMINAL_FD as usize;

fn terminal_input(_: &Stage, attempts: &mut Attempts) {
    let byte = *b"x";
    attempts.call(
        "TIOCSTI",
        SYS_ioctl,
        [TERMINAL, libc::TIOCSTI as usize, at(&byte)],
    );
}

fn terminal(_: &Stage, attempts: &mut Attempts) {
    let room = [0_u64; 16];
    let room = at(&room);
    attempts.call("TCGETS", SYS_ioctl, [TERMINAL, libc::TCGETS as usize, room]);
    attempts.call("TCSETS", SYS_ioctl, [TERMINAL, libc::TCSETS as usize, room]);
    attempts.call(
        "TIOCSWINSZ",
        SYS_ioctl,
        [TERMINAL, libc::TIOCSWINSZ as usize, room],
    );
    attempts.call(
        "TIOCSCTTY",
        SYS_ioctl,
        [TERMINAL, libc::TIOCSCTTY as usize, 1],
    );
    attempts.call(
        "TIOCSPGRP",
        SYS_ioctl,
        [TERMINAL, libc::TIOCSPGRP as usize, at(&std::process::id())],
    );
    attempts.call(
        "TIOCEXCL",
        SYS_ioctl,
        [TERMINAL, libc::TIOCEXCL as usize, 0],
    );
}

fn ioctl(stage: &Stage, attempts: &mut Attempts) {
    let file = path(format!("{}/file", stage.writable));
    let room = [0_u64; 16];
    let room = at(&room);
    let open = || {
        call(
            SYS_openat,
            [HERE, file.as_ptr().addr(), libc::O_RDWR as usize],
        )
    };
    attempts.make("FS_IOC_GETFLAGS", || {
        call(SYS_ioctl, [open()?, libc::FS_IOC_GETFLAGS as usize, room])
    });
    attempts.make("FS_IOC_SETFLAGS", || {
        call(SYS_ioctl, [open()?, libc::FS_IOC_SETFLAGS as usize, room])
    });
    attempts.call(
        "FIONREAD",
        SYS_ioctl,
        [SOCKET_FD as usize, libc::FIONREAD as usize, room],
    );
    attempts.call(
        "FIOASYNC",
        SYS_ioctl,
        [SOCKET_FD as usize, libc::FIOASYNC as usize, room],
    );
    attempts.call(
        "FIOSETOWN",
        SYS_ioctl,
        [SOCKET_FD as usize, 0x8901, at(&stage.bystander)],
    );
}

/// Whoever owns a descriptor gets signals of its events.
fn owner(stage: &Stage, attempts: &mut Attempts) {
    let (socket, bystander) = (SOCKET_FD as usize, stage.bystander as usize);
    attempts.call(
        "F_SETOWN",
        SYS_fcntl,
        [socket, libc::F_SETOWN as usize, bystander],
    );
    let process = [1_i32, stage.bystander];
    attempts.call("F_SETOWN_EX", SYS_fcntl, [socket, 15, at(&process)]);
    let signal = libc::SIGKILL as usize;
    attempts.call("F_SETSIG", SYS_fcntl, [socket, 10, signal]);
}

fn lease(stage: &Stage, attempts: &mut Attempts) {
    let file = path(format!("{}/file", stage.read_only));
    let open = || call(SYS_openat, [HERE, file.as_ptr().addr(), 0]);
    let read_lock = libc::F_RDLCK as usize;
    attempts.make("F_SETLEASE", || {
        call(SYS_fcntl, [open()?, libc::F_SETLEASE as usize, read_lock])
    });
    let arguments = [DIRECTORY_FD as usize, libc::F_NOTIFY as usize, 4];
    attempts.call("F_NOTIFY", SYS_fcntl, arguments);
    attempts.make("F_SETLK", || {
        let lock = [0_u64; 4];
        call(SYS_fcntl, [open()?, libc::F_SETLK as usize, at(&lock)])
    });
    attempts.make("flock", || {
        call(libc::SYS_flock, [open()?, libc::LOCK_SH as usize])
    });
}

fn parent_death_signal(_: &Stage, attempts: &mut Attempts) {
    let change = libc::PR_SET_PDEATHSIG as usize;
    attempts.call("no signal", SYS_prctl, [change, 0]);
    attempts.call(
        "another signal",
        SYS_prctl,
        [change, libc::SIGCHLD as usize],
    );
}

fn prctl(_: &Stage, attempts: &mut Attempts) {
    let room = [0_u64; 16];
    let room = at(&room);
    attempts.call(
        "PR_SET_DUMPABLE",
        SYS_prctl,
        [libc::PR_SET_DUMPABLE as usize, 1],
    );
    attempts.call(
        "PR_SET_CHILD_SUBREAPER",
        SYS_prctl,
        [libc::PR_SET_CHILD_SUBREAPER as usize, 1],
    );
    attempts.call(
        "PR_SET_KEEPCAPS",
        SYS_prctl,
        [libc::PR_SET_KEEPCAPS as usize, 1],
    );
    attempts.call(
        "PR_SET_TIMERSLACK",
        SYS_prctl,
        [libc::PR_SET_TIMERSLACK as usize, 1],
    );
    attempts.call(
        "PR_GET_TID_ADDRESS",
        SYS_prctl,
        [libc::PR_GET_TID_ADDRESS as usize, room],
    );
    attempts.call(
        "PR_SET_NO_NEW_PRIVS",
        SYS_prctl,
        [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0],
    );
}
