//! Runs a command on a system that lacks something, as far as a system call filter can play that:
//!
//! ```text
//!   deprived landlock|user-namespaces|seal ... -- COMMAND [ARGUMENT]...
//! ```
//!
//! For tests of what Lighter does in poorer places.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a program for tests fails the test that runs it"
)]

use libc::sock_filter;
use std::os::unix::process::CommandExt;
use std::process::Command;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = 16;

fn step(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Answers a call with an error, if its first argument is, or has a bit of, the value given.
fn refuse(call: libc::c_long, argument: Option<(u16, u32)>, errno: i32) -> Vec<sock_filter> {
    let answer = step(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0);
    let number = u32::try_from(call).expect("it is small");
    match argument {
        None => vec![
            step(LOAD, NUMBER, 0, 0),
            step(JUMP_EQUAL, number, 0, 1),
            answer,
        ],
        Some((compare, value)) => vec![
            step(LOAD, NUMBER, 0, 0),
            step(JUMP_EQUAL, number, 0, 3),
            step(LOAD, FIRST_ARGUMENT, 0, 0),
            step(compare, value, 0, 1),
            answer,
        ],
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut filter = Vec::new();
    for word in arguments.by_ref().take_while(|word| word != "--") {
        filter.extend(match word.as_str() {
            "landlock" => refuse(libc::SYS_landlock_create_ruleset, None, libc::ENOSYS),
            // What user.max_user_namespaces=0 answers.
            "user-namespaces" => refuse(
                libc::SYS_clone,
                Some((JUMP_SET, libc::CLONE_NEWUSER as u32)),
                libc::ENOSPC,
            ),
            // PR_SET_MDWE and PR_GET_MDWE, as before Linux 6.3.
            "seal" => [65, 66]
                .into_iter()
                .flat_map(|option| {
                    refuse(libc::SYS_prctl, Some((JUMP_EQUAL, option)), libc::EINVAL)
                })
                .collect(),
            _ => panic!("nothing is known of {word}"),
        });
    }
    filter.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).expect("it is short"),
        filter: filter.as_mut_ptr(),
    };
    rustix::thread::set_no_new_privs(true).expect("it is there");
    // SAFETY: the program lives through the call, and has the length that it says.
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    let command = arguments.next().expect("a command is given");
    let error = Command::new(&command).args(arguments).exec();
    panic!("{command}: {error}");
}
