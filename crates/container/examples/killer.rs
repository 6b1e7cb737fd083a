//! Runs a command as its tracer, and kills it, or a process that it starts, at a system call:
//!
//! ```text
//!   killer VICTIM COUNT COMMAND [ARGUMENT]...
//! ```
//!
//! VICTIM is 0 for the command itself, 1 for the first process that it starts, and so on. COUNT is of
//! the victim's calls, from 1. Then it waits until no process is left, and tells how the
//! command ended, how often the victim was at a call, and how many page faults they all had:
//!
//! ```text
//!   CODE COUNT FAULTS        CODE is 128 and the signal's number for one that was killed
//! ```
//!
//! It fails if a process is left after ten seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a program for tests fails the test that runs it"
)]

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Makes a request of `ptrace(2)`.
fn trace(request: libc::c_int, pid: i32, data: usize) {
    // SAFETY: none of the requests used here reads or writes memory of this process.
    #[expect(unsafe_code, reason = "no crate in use offers ptrace")]
    unsafe {
        libc::ptrace(request, pid, 0, data);
    }
}

/// The process that was started by one that stopped for it.
fn started(pid: i32) -> i32 {
    let mut started: libc::c_ulong = 0;
    // SAFETY: the request writes a number to a local.
    #[expect(unsafe_code, reason = "no crate in use offers ptrace")]
    unsafe {
        libc::ptrace(libc::PTRACE_GETEVENTMSG as _, pid, 0, &raw mut started);
    }
    i32::try_from(started).expect("it is a process number")
}

/// The page faults of all children and theirs that needed no disk.
fn page_faults() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call writes to this local.
    #[expect(unsafe_code, reason = "rustix has no getrusage of children")]
    unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
    }
    // SAFETY: an all-zero `rusage` is a valid one, too.
    #[expect(unsafe_code, reason = "the call has filled it in")]
    unsafe { usage.assume_init() }.ru_minflt
}

/// A child that changed its state, if there is one.
fn changed() -> Result<Option<(i32, i32)>, i32> {
    let mut status = 0;
    // SAFETY: the status is written to a local.
    #[expect(unsafe_code, reason = "rustix has no __WALL")]
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
    match pid {
        0 => Ok(None),
        pid if pid < 0 => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        pid => Ok(Some((pid, status))),
    }
}

const OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_EXITKILL;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = || arguments.next().and_then(|number| number.parse().ok());
    let victim: usize = number().expect("a victim is given");
    let count = number().expect("a count is given");
    let program = arguments.next().expect("a command is given");
    // Whoever is left without a parent becomes our child, and is waited for.
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))
        .expect("any process may be one");
    let mut command = Command::new(program);
    command.args(arguments);
    // SAFETY: the call takes numbers and is all that is done.
    #[expect(unsafe_code, reason = "no crate in use offers ptrace")]
    unsafe {
        command.pre_exec(|| {
            trace(libc::PTRACE_TRACEME, 0, 0);
            Ok(())
        });
    }
    let keeper = command.spawn().expect("the command can be run").id() as i32;
    Tracer {
        keeper,
        victim,
        count,
        calls: 0,
        processes: Vec::new(),
        is_in_call: HashMap::new(),
        code: None,
    }
    .attend();
}

struct Tracer {
    keeper: i32,
    victim: usize,
    count: usize,
    calls: usize,
    /// All that were seen, in the order of their start.
    processes: Vec<i32>,
    is_in_call: HashMap<i32, bool>,
    code: Option<i32>,
}

impl Tracer {
    fn attend(mut self) {
        let start = Instant::now();
        loop {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "a process is left"
            );
            match changed() {
                Err(libc::ECHILD) => break,
                Err(error) => panic!("waitpid: {error}"),
                Ok(None) => std::thread::sleep(Duration::from_micros(50)),
                Ok(Some((pid, status))) => self.hear(pid, status),
            }
        }
        let code = self.code.expect("the command has ended");
        writeln!(std::io::stdout(), "{code} {} {}", self.calls, page_faults())
            .expect("standard output is open");
    }

    fn hear(&mut self, pid: i32, status: i32) {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if pid == self.keeper {
                self.code = Some(if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    128 + libc::WTERMSIG(status)
                });
            }
            return;
        }
        let is_new = !self.is_in_call.contains_key(&pid);
        if is_new {
            self.is_in_call.insert(pid, false);
            trace(libc::PTRACE_SETOPTIONS, pid, OPTIONS as usize);
            self.know(pid);
        }
        let signal = libc::WSTOPSIG(status);
        let is_event = status >> 16 != 0;
        if is_event {
            self.know(started(pid));
        }
        if signal == libc::SIGTRAP | 0x80 {
            let is_entry = self
                .is_in_call
                .insert(pid, !self.is_in_call.get(&pid).copied().unwrap_or(false))
                == Some(false);
            if is_entry && self.is_victim(pid) {
                self.calls += 1;
                if self.calls == self.count {
                    self.kill(pid);
                }
            }
        }
        let passed = match signal {
            _ if is_new || is_event || signal == libc::SIGTRAP | 0x80 => 0,
            libc::SIGTRAP | libc::SIGSTOP => 0,
            signal => signal as usize,
        };
        // Others than the victim run without stops, once they are known.
        let goes_on = if self.is_victim(pid) {
            libc::PTRACE_SYSCALL
        } else {
            libc::PTRACE_CONT
        };
        trace(goes_on, pid, passed);
    }

    /// Its parent tells of a process, or it stops for the first time: whichever comes first.
    fn know(&mut self, pid: i32) {
        if !self.processes.contains(&pid) {
            self.processes.push(pid);
        }
    }

    fn is_victim(&self, pid: i32) -> bool {
        self.processes.get(self.victim) == Some(&pid)
    }

    fn kill(&self, pid: i32) {
        // A runner is process 1 of its namespace: only its tracer or an ancestor may kill it.
        // SAFETY: the call takes numbers.
        #[expect(unsafe_code, reason = "the process is not a child")]
        unsafe {
            libc::kill(pid, libc::SIGKILL);
        }
    }
}
