//! Calls by other numbers than those of this architecture, and the one that needs assembly.

use crate::Case;
use crate::attempts::Attempts;
use crate::raw::{HERE, at};
use crate::stage::Stage;
use std::arch::asm;
use std::io;

pub(crate) const CASES: &[Case] = &[
    (
        "call_of_the_other_architecture_is_refused",
        other_architecture,
    ),
    ("call_of_x32_is_refused", x32),
];

/// What marks a call of x32, which has the numbers and the width of its own.
const X32: libc::c_long = 0x4000_0000;

fn other_architecture(_: &Stage, attempts: &mut Attempts) {
    attempts.make("getpid of i386", || {
        let result: usize;
        // SAFETY: call 20 of i386 is getpid, which takes nothing and touches no memory; the kernel
        // keeps all registers but the result.
        #[expect(unsafe_code, reason = "no other way leads to these numbers")]
        unsafe {
            asm!("int 0x80", inlateout("rax") 20_usize => result, out("r8") _, out("r9") _,
                 out("r10") _, out("r11") _);
        }
        answer(result as isize)
    });
}

fn x32(_: &Stage, attempts: &mut Attempts) {
    let root = c"/".as_ptr().addr();
    let room = [0_u64; 64];
    attempts.call("getpid", X32 | libc::SYS_getpid, []);
    attempts.call("openat", X32 | libc::SYS_openat, [HERE, root, 0]);
    attempts.call("stat", X32 | libc::SYS_stat, [root, at(&room)]);
    attempts.call("execve", X32 | 520, [root, 0, 0]);
    attempts.call("ptrace", X32 | 521, [0, 0, 0, 0]);
}

/// `vfork`, whose child ends before it could use the stack that it shares.
pub(crate) fn vfork() -> io::Result<usize> {
    let result: isize;
    // SAFETY: the parent waits until the child has ended, which it does without touching memory.
    #[expect(unsafe_code, reason = "the child may not return from any function")]
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "2:",
            exit = const libc::SYS_exit_group,
            inlateout("rax") libc::SYS_vfork as isize => result,
            out("rdi") _, out("rcx") _, out("r11") _,
        );
    }
    answer(result)
}

fn answer(result: isize) -> io::Result<usize> {
    usize::try_from(result)
        .map_err(|_| io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EIO)))
}
