//! The system calls that a locked role may make, as data: one line each, with its reason.

use crate::seccomp::PR_SET_MDWE;

/// A role of the program file that handles untrusted bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs a guest.
    Run,
    /// Compiles a program.
    Compile,
    /// Tells what a program is.
    Inspect,
    /// Asks name servers.
    Resolve,
    /// Sends requests.
    Egress,
}

/// What a call is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Every role.
    Base,
    /// Roles that read a program.
    Read,
    /// Guests with directories.
    Files,
    /// The role that maps compiled code.
    Code,
    /// Where the code is sealed with a filter of its own: kernels without a seal on executable
    /// memory (before Linux 6.3), and roles without a root of their own.
    SealFilter,
    /// Guests with the network, and who sends requests.
    Network,
    /// Guests with ports that the host shows.
    Published,
}

/// On which condition a call is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Never, and the answer is ENOSYS: callers then use an older call.
    Absent,
    /// If the low half of an argument, masked, has a value.
    Masked {
        /// Which argument, from 0.
        argument: u8,
        /// The bits that are looked at.
        mask: u32,
        /// What they must be.
        value: u32,
    },
    /// If the low halves of two arguments, each masked, have their values.
    BothMasked([(u8, u32, u32); 2]),
    /// If the low half of an argument is one of these. No values, on argument 0: the role's own
    /// process number.
    OneOf {
        /// Which argument, from 0.
        argument: u8,
        /// The values allowed.
        values: &'static [u32],
    },
    /// Never by the process itself: the call waits, and the keeper makes it or not.
    Asked,
    /// If an argument is a null pointer; with any other the call waits for the keeper. Bits of
    /// another argument must not be set.
    AskedUnlessNull {
        /// Which argument is the pointer, from 0.
        pointer: u8,
        /// Which argument must lack bits, from 0.
        argument: u8,
        /// The bits.
        without: u32,
    },
    /// If the low halves of argument 1 and 2 are a level and one of its options. With the levels and options
    /// that come second the call waits for the keeper.
    Options(&'static [(u32, &'static [u32])], &'static [(u32, u32)]),
}

/// One allowed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number on this architecture.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// Whom it serves.
    pub group: Group,
    /// On which condition.
    pub when: When,
    /// What for.
    pub reason: &'static str,
}

/// The calls a role may make; those of [`Group::Files`] only with directories, those of
/// [`Group::Network`] only with the network, those of [`Group::Published`] only with published ports, those of
/// [`Group::SealFilter`] only where the code is sealed with a filter.
pub fn calls(role: Role) -> impl Iterator<Item = &'static Call> {
    CALLS.iter().filter(move |call| match call.group {
        Group::Base | Group::SealFilter => true,
        Group::Read => matches!(role, Role::Compile | Role::Inspect),
        Group::Network => matches!(role, Role::Run | Role::Egress),
        Group::Code | Group::Files | Group::Published => role == Role::Run,
    })
}

/// The flags with which musl makes a thread: CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM,
/// SETTLS, PARENT_SETTID, CHILD_CLEARTID and DETACHED. No process, no namespace.
const THREAD_FLAGS: u32 = 0x007d_0f00;
/// O_ACCMODE, O_CREAT, O_TRUNC, O_APPEND and O_PATH, of which a reader needs none.
const OPEN_CHANGES: u32 = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o10_000_000;
/// The process itself, see [`When::OneOf`].
const OWN_PROCESS: When = When::OneOf {
    argument: 0,
    values: &[],
};
const READ_ONLY_OPEN: When = When::Masked {
    argument: 2,
    mask: OPEN_CHANGES,
    value: 0,
};
/// Neither PROT_EXEC nor, of MAP_TYPE, anything but MAP_PRIVATE. Nothing here shares memory, shared
/// memory is not counted by the limit on data (RLIMIT_DATA), and what is written through a shared
/// mapping of a file is not seen by the checks of write(2). Nor MAP_GROWSDOWN, whose memory counts as
/// a stack and not as data, MAP_LOCKED and MAP_HUGETLB.
const PRIVATE_DATA: When = When::BothMasked([(2, 4, 0), (3, 0x4_210f, 2)]);
const THREAD_ONLY: When = When::Masked {
    argument: 0,
    mask: u32::MAX,
    value: THREAD_FLAGS,
};
/// F_GETFD, F_GETFL, F_SETFL and F_DUPFD_CLOEXEC: no owner, no lease, no seals, no locks.
const DESCRIPTOR_FLAGS: When = When::OneOf {
    argument: 1,
    values: &[1, 3, 4, 1030],
};
/// PR_SET_NAME for threads and PR_SET_MDWE for the seal.
const OWN_NAME_OR_SEAL: When = When::OneOf {
    argument: 0,
    values: &[15, PR_SET_MDWE.cast_unsigned()],
};
/// `PAGEMAP_SCAN` of `/proc/self/pagemap` (Linux, `fs.h`: `_IOWR('f', 16, struct pm_scan_arg)`).
const PAGEMAP_SCAN: u32 = 0xc060_6610;
/// What the network says of datagrams that were sent before.
const MSG_ERRQUEUE: u32 = 0x2000;
/// TCP Fast Open connects by sending, and tells nobody where to.
const MSG_FASTOPEN: u32 = 0x2000_0000;
/// What a guest may set: nothing that attaches programs, joins groups, marks packets, names devices or
/// shares a port. The keeper is asked for SO_REUSEADDR, by which sockets of UDP share one, and IPV6_V6ONLY.
const SET_OPTIONS: When = When::Options(
    &[
        // SOL_SOCKET: SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE. Not SO_LINGER: whoever closes the last
        // descriptor waits, and that may be the keeper.
        (1, &[6, 7, 8, 9]),
        // IPPROTO_TCP: TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_QUICKACK,
        // TCP_USER_TIMEOUT.
        (6, &[1, 4, 5, 6, 12, 18]),
        // IPPROTO_IP: IP_TOS, IP_TTL.
        (0, &[1, 2]),
        // IPPROTO_IPV6: IPV6_UNICAST_HOPS, IPV6_TCLASS.
        (41, &[16, 67]),
    ],
    &[(1, 2), (41, 26)],
);
/// What it may read besides: SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_PROTOCOL and SO_DOMAIN.
const READ_OPTIONS: When = When::Options(
    &[
        (1, &[2, 3, 4, 6, 7, 8, 9, 13, 30, 38, 39]),
        (6, &[1, 4, 5, 6, 12, 18]),
        (0, &[1, 2]),
        (41, &[16, 26, 67]),
    ],
    &[],
);

const fn row(
    number: libc::c_long,
    name: &'static str,
    group: Group,
    when: When,
    reason: &'static str,
) -> Call {
    Call {
        number: number as u32,
        name,
        group,
        when,
        reason,
    }
}

use Group::{Base, Code, Files, Network, Published, Read, SealFilter};
use When::{Absent, Always, Asked};

#[rustfmt::skip]
const CALLS: &[Call] = &[
    // Streams and open files.
    row(libc::SYS_read, "read", Base, Always, "streams, files and the control socket"),
    row(libc::SYS_readv, "readv", Base, Always, "streams and files, scattered"),
    row(libc::SYS_write, "write", Base, Always, "streams, files and the control socket"),
    row(libc::SYS_writev, "writev", Base, Always, "streams and files, gathered"),
    row(libc::SYS_pread64, "pread64", Base, Always, "files at a position"),
    row(libc::SYS_pwrite64, "pwrite64", Base, Always, "files at a position"),
    row(libc::SYS_preadv, "preadv", Base, Always, "files at a position, scattered"),
    row(libc::SYS_pwritev, "pwritev", Base, Always, "files at a position, gathered"),
    row(libc::SYS_lseek, "lseek", Base, Always, "position of a stream that is a file"),
    row(libc::SYS_fstat, "fstat", Base, Always, "what a descriptor is"),
    row(libc::SYS_close, "close", Base, Always, "descriptors"),
    row(libc::SYS_poll, "poll", Base, Always, "waiting for streams"),
    row(libc::SYS_ppoll, "ppoll", Base, Always, "waiting for streams and time"),
    row(libc::SYS_fcntl, "fcntl", Base, DESCRIPTOR_FLAGS, "flags of a descriptor, a copy of it"),
    row(libc::SYS_openat, "openat", Code, READ_ONLY_OPEN, "the compiled code"),
    row(libc::SYS_open, "open", Code, When::Masked { argument: 1, mask: OPEN_CHANGES, value: 0 }, "the compiled code, as musl opens it"),

    // Memory.
    row(libc::SYS_mmap, "mmap", Base, PRIVATE_DATA, "memory; never executable, never shared"),
    row(libc::SYS_mprotect, "mprotect", Base, Always, "memory growth; executable only until the seal"),
    row(libc::SYS_munmap, "munmap", Base, Always, "memory"),
    row(libc::SYS_mremap, "mremap", Read, Always, "memory that grows; a guest would grow its stack, which is no data"),
    row(libc::SYS_madvise, "madvise", Base, Always, "memory that is given back"),
    row(libc::SYS_brk, "brk", Base, Always, "the allocator"),

    // Threads of this process.
    row(libc::SYS_clone, "clone", Base, THREAD_ONLY, "threads; no process, no namespace"),
    row(libc::SYS_clone3, "clone3", Base, Absent, "its flags cannot be checked: clone is used"),
    row(libc::SYS_futex, "futex", Base, Always, "locks and waiting between threads"),
    row(libc::SYS_sched_yield, "sched_yield", Base, Always, "sched_yield of WASI"),
    row(libc::SYS_sched_getaffinity, "sched_getaffinity", Base, Always, "how many threads compile"),
    row(libc::SYS_gettid, "gettid", Base, Always, "abort"),
    row(libc::SYS_tkill, "tkill", Base, OWN_PROCESS, "abort"),
    row(libc::SYS_ioctl, "ioctl", Published, When::OneOf { argument: 1, values: &[PAGEMAP_SCAN] }, "what of its memory an instance has written to"),
    row(libc::SYS_tgkill, "tgkill", Published, OWN_PROCESS, "the end of a request that takes too long"),
    row(libc::SYS_prctl, "prctl", Base, OWN_NAME_OR_SEAL, "names of threads; the seal on executable memory"),
    row(libc::SYS_seccomp, "seccomp", SealFilter, When::BothMasked([(0, u32::MAX, 1), (1, u32::MAX, 0)]), "the filter of the seal"),

    // Signals are how traps arrive.
    row(libc::SYS_rt_sigaction, "rt_sigaction", Base, Always, "handlers of traps"),
    row(libc::SYS_rt_sigprocmask, "rt_sigprocmask", Base, Always, "handlers of traps, start of a thread"),
    row(libc::SYS_rt_sigreturn, "rt_sigreturn", Base, Always, "return from a trap"),
    row(libc::SYS_sigaltstack, "sigaltstack", Base, Always, "the stack on which a stack overflow is handled"),
    row(libc::SYS_restart_syscall, "restart_syscall", Base, Always, "a wait that was stopped and continued"),

    // Clocks and randomness.
    row(libc::SYS_clock_gettime, "clock_gettime", Base, Always, "clocks"),
    row(libc::SYS_clock_getres, "clock_getres", Base, Always, "clocks"),
    row(libc::SYS_clock_nanosleep, "clock_nanosleep", Base, Always, "sleep"),
    row(libc::SYS_getrandom, "getrandom", Base, Always, "randomness"),

    // The end.
    row(libc::SYS_exit, "exit", Base, Always, "end of a thread"),
    row(libc::SYS_exit_group, "exit_group", Base, Always, "end of the process"),

    // Files below the granted directories: the root of the role's own, Landlock and the mounts
    // decide what they reach.
    row(libc::SYS_openat, "openat", Files, Always, "files, where openat2 is missing"),
    row(libc::SYS_openat2, "openat2", Files, Always, "files, kept beneath their directory"),
    row(libc::SYS_pwritev2, "pwritev2", Files, Always, "files that are appended to"),
    row(libc::SYS_fstatfs, "fstatfs", Files, Always, "whether a refused change met a read-only mount"),
    row(libc::SYS_newfstatat, "newfstatat", Files, Always, "what a path is"),
    row(libc::SYS_statx, "statx", Files, Always, "what a path is, with all its times"),
    row(libc::SYS_getdents64, "getdents64", Files, Always, "directories"),
    row(libc::SYS_readlinkat, "readlinkat", Files, Always, "symbolic links"),
    row(libc::SYS_mkdirat, "mkdirat", Files, Always, "path_create_directory"),
    row(libc::SYS_unlinkat, "unlinkat", Files, Always, "path_unlink_file, path_remove_directory"),
    row(libc::SYS_renameat, "renameat", Files, Always, "path_rename"),
    row(libc::SYS_renameat2, "renameat2", Files, Always, "path_rename"),
    row(libc::SYS_linkat, "linkat", Files, Always, "path_link"),
    row(libc::SYS_symlinkat, "symlinkat", Files, Always, "path_symlink"),
    row(libc::SYS_utimensat, "utimensat", Files, Always, "times of a file"),
    row(libc::SYS_ftruncate, "ftruncate", Files, Always, "fd_filestat_set_size"),
    row(libc::SYS_fallocate, "fallocate", Files, Always, "fd_allocate"),
    row(libc::SYS_fadvise64, "fadvise64", Files, Always, "fd_advise"),
    row(libc::SYS_fsync, "fsync", Files, Always, "fd_sync"),
    row(libc::SYS_fdatasync, "fdatasync", Files, Always, "fd_datasync"),

    // Sockets. The keeper makes them and says where they lead; what then passes through them is
    // between the guest and the kernel.
    row(libc::SYS_socket, "socket", Network, Asked, "sockets, which the keeper makes"),
    row(libc::SYS_connect, "connect", Network, Asked, "the keeper decides on its copy of the address"),
    row(libc::SYS_bind, "bind", Network, Asked, "the same; what is not published is private"),
    row(libc::SYS_listen, "listen", Network, Asked, "without a bind before it, it would bind"),
    row(libc::SYS_sendto, "sendto", Network, When::AskedUnlessNull { pointer: 4, argument: 3, without: MSG_FASTOPEN }, "what is connected; datagrams elsewhere are the keeper's"),
    row(libc::SYS_recvfrom, "recvfrom", Network, When::AskedUnlessNull { pointer: 4, argument: 3, without: MSG_ERRQUEUE }, "what arrives; the keeper notes who sent a datagram"),
    row(libc::SYS_accept4, "accept4", Network, Always, "connections to what is bound"),
    row(libc::SYS_shutdown, "shutdown", Network, Always, "the end of one direction"),
    row(libc::SYS_getsockname, "getsockname", Network, Always, "the address of a socket"),
    row(libc::SYS_getsockname, "getsockname", Published, Asked, "the same, with its own port in place of the host's"),
    row(libc::SYS_getpeername, "getpeername", Network, Always, "the address of its peer"),
    row(libc::SYS_setsockopt, "setsockopt", Network, SET_OPTIONS, "options without a right in them; the keeper sets what shares ports"),
    row(libc::SYS_getsockopt, "getsockopt", Network, READ_OPTIONS, "options, and how a connect ended"),
    row(libc::SYS_epoll_create1, "epoll_create1", Network, Always, "waiting for many sockets"),
    row(libc::SYS_epoll_ctl, "epoll_ctl", Network, Always, "waiting for many sockets"),
    row(libc::SYS_epoll_wait, "epoll_wait", Network, Always, "waiting for many sockets"),
    row(libc::SYS_epoll_pwait, "epoll_pwait", Network, Always, "waiting for many sockets, as musl does"),
    row(libc::SYS_eventfd2, "eventfd2", Network, Always, "waking a thread that waits for sockets"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_stands_once_in_its_group() {
        let mut seen: Vec<(u32, bool)> = CALLS
            .iter()
            .map(|call| {
                let widens = matches!(call.group, Group::Files | Group::Published);
                (call.number, widens)
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), CALLS.len());
    }

    #[test]
    fn plain_command_needs_at_most_43_calls() {
        let allowed = CALLS
            .iter()
            .filter(|call| matches!(call.group, Base | Code) && call.when != Absent);
        assert!(allowed.count() <= 43);
    }

    #[test]
    fn who_asks_name_servers_gets_what_every_role_gets() {
        let mut groups = calls(Role::Resolve).map(|call| call.group);
        assert!(groups.all(|group| matches!(group, Group::Base | Group::SealFilter)));
    }

    #[test]
    fn who_sends_requests_gets_sockets_besides() {
        let mut groups = calls(Role::Egress).map(|call| call.group);
        assert!(
            groups
                .all(|group| { matches!(group, Group::Base | Group::SealFilter | Group::Network) })
        );
    }

    #[test]
    fn no_role_but_run_gets_calls_for_files() {
        assert!(calls(Role::Compile).all(|call| call.group != Group::Files));
        assert!(calls(Role::Run).any(|call| call.group == Group::Files));
    }
}
