//! A short fuzzer: calls of random numbers with arguments that are likely to mean something.

use crate::Case;
use crate::attempts::Attempts;
use crate::raw::{HERE, call, path};
use crate::stage::{Kind, Stage};
use lighter_lock::{Group, Role, When, calls};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;

pub(crate) const CASES: &[Case] = &[("random_calls_reach_nothing", random)];

const ROUNDS: usize = 200_000;

/// Where the sequence starts: the same calls each time.
const SEED: u64 = 0x6c69_6768_7465_7221;

/// `uretprobe` and `uprobe`, which the kernel lets through every filter
/// (`seccomp_uprobe_exception` in `kernel/seccomp.c`): outside of a probe they do nothing but fail.
const EXEMPT: &[libc::c_long] = &[335, 336];

/// Calls that a locked role has and that would end it, stop it, wait for a disk or fill it, or take
/// its memory from under it.
const LEFT_OUT: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_clone,
    libc::SYS_close,
    libc::SYS_tkill,
    libc::SYS_seccomp,
    libc::SYS_getrandom,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_recvfrom,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
];

/// A linear congruential generator (Knuth's MMIX): no more is needed.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next(from.len())]
    }
}

fn random(stage: &Stage, attempts: &mut Attempts) {
    let role = match stage.kind {
        // Nobody's machine is the place for it.
        Kind::Free => return,
        Kind::Tree | Kind::Network => Role::Run,
        Kind::Empty => Role::Compile,
    };
    // Of a call that depends on its arguments the answer proves nothing.
    let allowed: BTreeSet<u32> = calls(role)
        .filter(|call| call.when != When::Absent)
        .filter(|call| match call.group {
            Group::Files => stage.kind == Kind::Tree,
            Group::Network => stage.kind == Kind::Network,
            _ => true,
        })
        .map(|call| call.number)
        .collect();
    let mut arguments = Arguments::new(stage);
    let mut sequence = Sequence(SEED);
    let mut answered = 0;
    for _ in 0..ROUNDS {
        let number = number(&mut sequence, &allowed);
        let is_listed = u32::try_from(number).is_ok_and(|number| allowed.contains(&number));
        if is_listed && LEFT_OUT.contains(&number) || EXEMPT.contains(&number) {
            continue;
        }
        let given: [usize; 6] = std::array::from_fn(|_| sequence.pick(&arguments.values));
        arguments.write_paths();
        let answer = call(number, given);
        if is_listed || is_refusal(&answer) {
            answered += 1;
        } else {
            attempts.make(&format!("call {number} with {given:x?}"), || answer);
        }
    }
    assert!(answered > ROUNDS / 2, "most calls are made");
    attempts.make("any other call", || {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    });
}

/// The filter's answers; any other comes from the call itself, which then was made.
fn is_refusal(answer: &io::Result<usize>) -> bool {
    let errno = answer.as_ref().err().and_then(io::Error::raw_os_error);
    matches!(errno, Some(libc::EPERM | libc::ENOSYS))
}

fn number(sequence: &mut Sequence, allowed: &BTreeSet<u32>) -> libc::c_long {
    let any = sequence.next(480);
    let number = match sequence.next(8) {
        0 => any | 0x4000_0000,
        1 => sequence.next(1 << 31),
        2 => u32::MAX as usize - any,
        3 | 4 => {
            let position = sequence.next(allowed.len());
            allowed
                .iter()
                .nth(position)
                .map_or(any, |number| *number as usize)
        }
        _ => any,
    };
    number as libc::c_long
}

/// How far apart paths lie: the kernel may take any of them for room to write to.
const SLOT_BYTES: usize = 16 << 10;

/// What the arguments are taken from: descriptors, sizes, flags, and paths in and out of reach.
struct Arguments {
    paths: Vec<CString>,
    room: Vec<u8>,
    values: Vec<usize>,
}

impl Arguments {
    fn new(stage: &Stage) -> Self {
        let paths: Vec<CString> = [
            format!("{}/secret", stage.outside),
            format!("{}/link", stage.outside),
            stage.outside.clone(),
            format!("{}/other", stage.code),
            format!("{}/artifact", stage.code),
            stage.code.clone(),
            format!("{}/file", stage.read_only),
            format!("{}/link", stage.read_only),
            stage.read_only.clone(),
            format!("{}/file", stage.writable),
            format!("{}/new", stage.writable),
            format!("{}/../../code/other", stage.writable),
            format!("{}/../read-only/file", stage.writable),
            "/proc/self/mem".to_owned(),
            "..".to_owned(),
            "/".to_owned(),
            ".".to_owned(),
            "secret".to_owned(),
            "file".to_owned(),
        ]
        .into_iter()
        .map(path)
        .collect();
        let room = vec![0; (paths.len() + 2) * SLOT_BYTES];
        // Descriptors without that of the control socket, sizes, flags, modes and bits.
        let mut values = vec![0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 16, 24, 64, 4096];
        values.extend([0o100, 0o1000, 0o2000, 0o4755, 0o200_000, 0o10_000_000]);
        values.extend([HERE, 0x100, 0x1000, stage.kept_directory as usize]);
        values.extend(room.chunks(SLOT_BYTES).map(|slot| slot.as_ptr().addr()));
        for directory in [&stage.read_only, &stage.writable] {
            let directory = path(&**directory);
            values.extend(call(libc::SYS_openat, [HERE, directory.as_ptr().addr(), 0]));
        }
        let mut arguments = Self {
            paths,
            room,
            values,
        };
        arguments.write_paths();
        arguments
    }

    /// Writes every path to its place, whatever a call has left there.
    fn write_paths(&mut self) {
        for (slot, path) in self.room.chunks_mut(SLOT_BYTES).zip(&self.paths) {
            let bytes = path.as_bytes_with_nul();
            slot[..bytes.len()].copy_from_slice(bytes);
        }
    }
}
