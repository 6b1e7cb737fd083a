//! Makes a seccomp program out of a table of calls.
//!
//! ```text
//!   load arch; another architecture: kill
//!   load call number
//!   number >= m ? ──yes── number >= u ? ─── ...      a binary search over ranges of
//!       │ no                                         equal verdict: six comparisons for
//!   number >= l ? ─── ...                            any call, which is also what the
//!                                                    kernel pays when it caches the
//!   leaf: allow │ refuse with EPERM │ look at one argument     verdicts of a new filter
//! ```

use crate::calls::When;
use libc::sock_filter;

/// One call and the condition on it, for [`program`].
pub(crate) type Rule = (u32, When);

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

pub(crate) const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
pub(crate) const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
pub(crate) const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | 1; // EPERM
pub(crate) const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | 38; // ENOSYS

#[cfg(target_arch = "x86_64")]
pub(crate) const ARCHITECTURE: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
pub(crate) const ARCHITECTURE: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64

fn instruction(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Makes the filter: calls that no rule names are refused with EPERM.
///
/// `rules` is sorted by number, each number once.
pub(crate) fn program(rules: &[Rule]) -> Vec<sock_filter> {
    let mut code = vec![
        instruction(LOAD, OFFSET_ARCHITECTURE),
        jump(JUMP_EQUAL, ARCHITECTURE, 1, 0),
        instruction(RETURN, KILL),
        instruction(LOAD, OFFSET_NUMBER),
    ];
    code.extend(search(&ranges(rules)));
    code
}

/// The verdict from a number on, up to the next range's.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Refuse,
    When(When),
}

fn ranges(rules: &[Rule]) -> Vec<(u32, Verdict)> {
    let mut ranges = vec![(0, Verdict::Refuse)];
    let mut push = |start: u32, verdict: Verdict| match ranges.last_mut() {
        Some(last) if last.0 == start => last.1 = verdict,
        _ => ranges.push((start, verdict)),
    };
    for (number, when) in rules {
        push(*number, Verdict::When(*when));
        push(number + 1, Verdict::Refuse);
    }
    // Neighbours of one verdict become one range.
    ranges.dedup_by(|next, previous| next.1 == previous.1);
    ranges
}

fn search(ranges: &[(u32, Verdict)]) -> Vec<sock_filter> {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    match (low, high) {
        ([], []) => vec![instruction(RETURN, REFUSE)],
        ([], [(_, verdict)]) => leaf(*verdict),
        (_, [(middle, _), ..]) => {
            let left = search(low);
            let far = u8::try_from(left.len()).unwrap_or(u8::MAX);
            let mut code = vec![jump(JUMP_AT_LEAST, *middle, far, 0)];
            code.extend(left);
            code.extend(search(high));
            code
        }
        (_, []) => leaf(Verdict::Refuse),
    }
}

fn leaf(verdict: Verdict) -> Vec<sock_filter> {
    match verdict {
        Verdict::Refuse => vec![instruction(RETURN, REFUSE)],
        Verdict::When(When::Always) => vec![instruction(RETURN, ALLOW)],
        Verdict::When(When::Absent) => vec![instruction(RETURN, ABSENT)],
        Verdict::When(When::Masked {
            argument,
            mask,
            value,
        }) => {
            let mut code = masked(argument, mask, value, 1).to_vec();
            code.push(instruction(RETURN, ALLOW));
            code.push(instruction(RETURN, REFUSE));
            code
        }
        Verdict::When(When::BothMasked([first, second])) => {
            let mut code = Vec::with_capacity(8);
            code.extend(masked(first.0, first.1, first.2, 4));
            code.extend(masked(second.0, second.1, second.2, 1));
            code.push(instruction(RETURN, ALLOW));
            code.push(instruction(RETURN, REFUSE));
            code
        }
        Verdict::When(When::OneOf { argument, values }) => {
            let mut code = vec![instruction(LOAD, argument_offset(argument))];
            for (index, value) in values.iter().enumerate() {
                let to_allow = u8::try_from(values.len() - index).unwrap_or(u8::MAX);
                code.push(jump(JUMP_EQUAL, *value, to_allow, 0));
            }
            code.push(instruction(RETURN, REFUSE));
            code.push(instruction(RETURN, ALLOW));
            code
        }
    }
}

/// Goes on if an argument, masked, has its value, and else skips `otherwise` instructions.
fn masked(argument: u8, mask: u32, value: u32, otherwise: u8) -> [sock_filter; 3] {
    [
        instruction(LOAD, argument_offset(argument)),
        instruction(AND, mask),
        jump(JUMP_EQUAL, value, 0, otherwise),
    ]
}

/// Where the low half of an argument lies in `struct seccomp_data`, little-endian.
fn argument_offset(argument: u8) -> u32 {
    OFFSET_ARGUMENTS + 8 * u32::from(argument)
}

/// Makes the filter that is put on after the code is mapped. It refuses memory that would become
/// executable (`mmap`, `mprotect` and `pkey_mprotect` with PROT_EXEC), or files by their names
/// (`open` and `openat`), or both, and itself a third filter; all else it lets through.
pub(crate) fn seal(refuses_code: bool, refuses_paths: bool) -> Vec<sock_filter> {
    let number = |call: libc::c_long| u32::try_from(call).unwrap_or(u32::MAX);
    let mut code = vec![instruction(LOAD, OFFSET_NUMBER)];
    let mut refuse = |call: libc::c_long| {
        code.push(jump(JUMP_EQUAL, number(call), 0, 1));
        code.push(instruction(RETURN, REFUSE));
    };
    refuse(libc::SYS_seccomp);
    if refuses_paths {
        #[cfg(target_arch = "x86_64")]
        refuse(libc::SYS_open);
        refuse(libc::SYS_openat);
    }
    if refuses_code {
        code.extend([
            jump(JUMP_EQUAL, number(libc::SYS_mmap), 3, 0),
            jump(JUMP_EQUAL, number(libc::SYS_mprotect), 2, 0),
            jump(JUMP_EQUAL, number(libc::SYS_pkey_mprotect), 1, 0),
            instruction(RETURN, ALLOW),
            instruction(LOAD, argument_offset(2)),
            instruction(AND, 4), // PROT_EXEC
            jump(JUMP_EQUAL, 0, 0, 1),
            instruction(RETURN, ALLOW),
            instruction(RETURN, REFUSE),
        ]);
    } else {
        code.push(instruction(RETURN, ALLOW));
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer: an interpreter of the instructions used here.
    fn verdict(
        program: &[sock_filter],
        architecture: u32,
        number: u32,
        arguments: [u64; 6],
    ) -> u32 {
        let (mut accumulator, mut at) = (0_u32, 0_usize);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD => {
                    accumulator = match step.k {
                        OFFSET_NUMBER => number,
                        OFFSET_ARCHITECTURE => architecture,
                        k => arguments[(k - OFFSET_ARGUMENTS) as usize / 8] as u32,
                    }
                }
                AND => accumulator &= step.k,
                JUMP_EQUAL if accumulator == step.k => at += usize::from(step.jt),
                JUMP_AT_LEAST if accumulator >= step.k => at += usize::from(step.jt),
                JUMP_EQUAL | JUMP_AT_LEAST => at += usize::from(step.jf),
                RETURN => return step.k,
                code => panic!("unknown instruction {code}"),
            }
        }
    }

    const RULES: &[Rule] = &[
        (0, When::Always),
        (1, When::Always),
        (
            9,
            When::Masked {
                argument: 2,
                mask: 4,
                value: 0,
            },
        ),
        (
            72,
            When::OneOf {
                argument: 1,
                values: &[3, 1030],
            },
        ),
        (100, When::BothMasked([(2, 4, 0), (3, 0xf, 2)])),
        (231, When::Always),
        (435, When::Absent),
    ];

    #[test]
    fn every_number_gets_the_verdict_of_its_rule() {
        let program = program(RULES);
        let allowed: Vec<u32> = (0..1000)
            .filter(|number| verdict(&program, ARCHITECTURE, *number, [0, 3, 0, 0, 0, 0]) == ALLOW)
            .collect();
        assert_eq!(allowed, [0, 1, 9, 72, 231]);
        assert_eq!(verdict(&program, ARCHITECTURE, 435, [0; 6]), ABSENT);
        assert_eq!(verdict(&program, ARCHITECTURE, 0x4000_0000, [0; 6]), REFUSE);
        assert_eq!(verdict(&program, ARCHITECTURE, u32::MAX, [0; 6]), REFUSE);
    }

    #[test]
    fn arguments_decide_where_a_rule_says_so() {
        let program = program(RULES);
        let of = |number, arguments| verdict(&program, ARCHITECTURE, number, arguments);
        assert_eq!(of(9, [0, 0, 4, 0, 0, 0]), REFUSE);
        assert_eq!(of(9, [0, 0, 3, 0, 0, 0]), ALLOW);
        assert_eq!(of(72, [0, 1030, 0, 0, 0, 0]), ALLOW);
        assert_eq!(of(72, [0, 4, 0, 0, 0, 0]), REFUSE);
        assert_eq!(of(100, [0, 0, 3, 0x22, 0, 0]), ALLOW);
        assert_eq!(of(100, [0, 0, 3, 0x21, 0, 0]), REFUSE);
        assert_eq!(of(100, [0, 0, 4, 0x22, 0, 0]), REFUSE);
    }

    #[test]
    fn another_architecture_is_killed() {
        assert_eq!(verdict(&program(RULES), 0x4000_0003, 0, [0; 6]), KILL);
    }

    #[test]
    fn sealed_process_gains_no_executable_memory() {
        let program = seal(true, false);
        let of = |number: libc::c_long, prot| {
            verdict(&program, ARCHITECTURE, number as u32, [0, 0, prot, 0, 0, 0])
        };
        assert_eq!(of(libc::SYS_mmap, 4), REFUSE);
        assert_eq!(of(libc::SYS_mprotect, 5), REFUSE);
        assert_eq!(of(libc::SYS_mprotect, 3), ALLOW);
        assert_eq!(of(libc::SYS_read, 4), ALLOW);
        assert_eq!(of(libc::SYS_openat, 0), ALLOW);
        assert_eq!(of(libc::SYS_seccomp, 0), REFUSE);
    }

    #[test]
    fn process_without_a_root_of_its_own_is_sealed_from_names() {
        for refuses_code in [true, false] {
            let program = seal(refuses_code, true);
            let of = |number: libc::c_long| {
                verdict(&program, ARCHITECTURE, number as u32, [0, 0, 4, 0, 0, 0])
            };
            assert_eq!(of(libc::SYS_open), REFUSE);
            assert_eq!(of(libc::SYS_openat), REFUSE);
            assert_eq!(of(libc::SYS_read), ALLOW);
            assert_eq!(of(libc::SYS_mmap) == REFUSE, refuses_code);
        }
    }
}
