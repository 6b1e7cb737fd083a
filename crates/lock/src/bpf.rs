//! Makes a seccomp program out of a table of calls.
//!
//! ```text
//!   load arch; another architecture: kill
//!   load call number
//!   number >= m ? ──yes── number >= u ? ─── ...      a binary search over ranges of
//!       │ no                                         equal verdict: six comparisons for
//!   number >= l ? ─── ...                            any call, which is also what the
//!                                                    kernel pays when it caches the
//!   conditions on arguments                          verdicts of a new filter
//!   allow │ refuse with EPERM │ refuse with ENOSYS   once each: the kernel compiles every
//!                                                    instruction at every start
//! ```

use crate::calls::When;
use libc::sock_filter;

/// One call and the condition on it, for [`program`].
pub(crate) type Rule = (u32, When);

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
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
pub(crate) const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;

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
    let mut program = Backwards::default();
    let asks = rules.iter().any(|(_, when)| {
        matches!(
            when,
            When::Asked | When::AskedUnlessNull { .. } | When::Options(_, [_, ..])
        )
    });
    let absent = program.push(instruction(RETURN, ABSENT));
    let ends = Ends {
        absent,
        // Who is asked for nothing has no such way.
        ask: if asks {
            program.push(instruction(RETURN, ASK))
        } else {
            absent
        },
        refuse: program.push(instruction(RETURN, REFUSE)),
        allow: program.push(instruction(RETURN, ALLOW)),
    };
    let mut ranges = vec![(0, ends.refuse)];
    for (number, when) in rules {
        let verdict = program.condition(*when, &ends);
        match ranges.last_mut() {
            Some(last) if last.0 == *number => last.1 = verdict,
            _ => ranges.push((*number, verdict)),
        }
        ranges.push((number + 1, ends.refuse));
    }
    // Neighbours of one verdict become one range.
    ranges.dedup_by(|next, previous| next.1 == previous.1);
    let search = program.search(&ranges, ends.refuse);
    program.go_on_at(search);
    let search = program.push(instruction(LOAD, OFFSET_NUMBER));
    let kill = program.push(instruction(RETURN, KILL));
    program.branch(JUMP_EQUAL, ARCHITECTURE, search, kill);
    program.push(instruction(LOAD, OFFSET_ARCHITECTURE));
    program.finish()
}

/// Where the returns stand that all paths share.
struct Ends {
    allow: Place,
    refuse: Place,
    absent: Place,
    ask: Place,
}

/// An instruction that is there already, counted from the end of the program.
#[derive(Clone, Copy, PartialEq)]
struct Place(usize);

/// A program that is made from its end, since jumps only lead on.
#[derive(Default)]
struct Backwards(Vec<sock_filter>);

impl Backwards {
    /// Puts an instruction before all that are there.
    fn push(&mut self, instruction: sock_filter) -> Place {
        self.0.push(instruction);
        Place(self.0.len() - 1)
    }

    /// How many instructions there are between the next one and a place.
    fn way(&self, place: Place) -> usize {
        self.0.len() - place.0 - 1
    }

    /// Has the next instruction followed by the one at a place.
    fn go_on_at(&mut self, place: Place) -> Place {
        match u32::try_from(self.way(place)) {
            Ok(0) => place,
            way => self.push(instruction(JUMP, way.unwrap_or(u32::MAX))),
        }
    }

    /// Puts a comparison before all that is there. Its two ways are no more than 255 instructions
    /// long, so what is farther away gets a jump on the way.
    fn branch(&mut self, code: u16, k: u32, yes: Place, no: Place) -> Place {
        let (yes, no) = (self.near(yes), self.near(no));
        let [yes, no] = [yes, no].map(|place| u8::try_from(self.way(place)).unwrap_or(u8::MAX));
        self.push(jump(code, k, yes, no))
    }

    /// The place, or a jump to it. Leaves room for one more jump.
    fn near(&mut self, place: Place) -> Place {
        if self.way(place) < usize::from(u8::MAX) {
            return place;
        }
        self.go_on_at(place)
    }

    /// A binary search for the verdict of the range that the number lies in.
    fn search(&mut self, ranges: &[(u32, Place)], otherwise: Place) -> Place {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        match (low, high) {
            ([], [(_, verdict)]) => *verdict,
            (_, [(middle, _), ..]) => {
                let high = self.search(high, otherwise);
                let low = self.search(low, otherwise);
                self.branch(JUMP_AT_LEAST, *middle, high, low)
            }
            (_, []) => otherwise,
        }
    }

    /// What a rule says of a call: a return, or a look at its arguments first.
    fn condition(&mut self, when: When, ends: &Ends) -> Place {
        match when {
            When::Always => ends.allow,
            When::Absent => ends.absent,
            When::Masked {
                argument,
                mask,
                value,
            } => self.masked((argument, mask, value), ends.allow, ends.refuse),
            When::BothMasked([first, second]) => {
                let second = self.masked(second, ends.allow, ends.refuse);
                self.masked(first, second, ends.refuse)
            }
            When::OneOf { argument, values } => {
                let mut otherwise = ends.refuse;
                for value in values {
                    otherwise = self.branch(JUMP_EQUAL, *value, ends.allow, otherwise);
                }
                if values.is_empty() {
                    return otherwise;
                }
                self.push(instruction(LOAD, argument_offset(argument)))
            }
            When::Asked => ends.ask,
            When::AskedUnlessNull {
                pointer,
                argument,
                without,
            } => {
                let high = self.masked_at(high_offset(pointer), u32::MAX, 0, ends.allow, ends.ask);
                let low = self.masked((pointer, u32::MAX, 0), high, ends.ask);
                self.masked((argument, without, 0), low, ends.refuse)
            }
            When::Options(levels, asked) => {
                let mut otherwise = ends.refuse;
                for (level, options) in levels {
                    let mut verdict = ends.refuse;
                    for option in *options {
                        verdict = self.branch(JUMP_EQUAL, *option, ends.allow, verdict);
                    }
                    for (_, option) in asked.iter().filter(|(asked, _)| asked == level) {
                        verdict = self.branch(JUMP_EQUAL, *option, ends.ask, verdict);
                    }
                    let verdict = self.push(instruction(LOAD, argument_offset(2)));
                    // The one before it has loaded another argument over the level.
                    self.branch(JUMP_EQUAL, *level, verdict, otherwise);
                    otherwise = self.push(instruction(LOAD, argument_offset(1)));
                }
                otherwise
            }
        }
    }

    /// Whether the low half of an argument, masked, has its value.
    fn masked(&mut self, (argument, mask, value): (u8, u32, u32), yes: Place, no: Place) -> Place {
        self.masked_at(argument_offset(argument), mask, value, yes, no)
    }

    fn masked_at(&mut self, offset: u32, mask: u32, value: u32, yes: Place, no: Place) -> Place {
        self.branch(JUMP_EQUAL, value, yes, no);
        self.push(instruction(AND, mask));
        self.push(instruction(LOAD, offset))
    }

    fn finish(self) -> Vec<sock_filter> {
        self.0.into_iter().rev().collect()
    }
}

/// Where the low half of an argument lies in `struct seccomp_data`, little-endian.
fn argument_offset(argument: u8) -> u32 {
    OFFSET_ARGUMENTS + 8 * u32::from(argument)
}

/// Where the high half lies.
fn high_offset(argument: u8) -> u32 {
    argument_offset(argument) + 4
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
                        k => {
                            let argument = arguments[(k - OFFSET_ARGUMENTS) as usize / 8];
                            (argument >> (8 * (k & 4))) as u32
                        }
                    }
                }
                AND => accumulator &= step.k,
                JUMP => at += step.k as usize,
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
    fn filter_without_rules_refuses_everything() {
        let program = program(&[]);
        assert!((0..1000).all(|number| verdict(&program, ARCHITECTURE, number, [0; 6]) == REFUSE));
    }

    #[test]
    fn far_verdicts_are_reached() {
        // Every third number, with conditions: far more than a jump of a comparison reaches over.
        let rules: Vec<Rule> = (0..300)
            .map(|index| match index % 3 {
                0 => (3 * index, When::Always),
                1 => (3 * index, RULES[2].1),
                _ => (3 * index, RULES[3].1),
            })
            .collect();
        let program = program(&rules);
        assert!(program.len() > 1000);
        for number in 0..1000 {
            let of = |arguments| verdict(&program, ARCHITECTURE, number, arguments);
            let (allowed, first, second) = match (number % 3, number / 3 % 3, number < 900) {
                (0, 0, true) => (ALLOW, ALLOW, ALLOW),
                (0, 1, true) => (ALLOW, ALLOW, REFUSE),
                (0, 2, true) => (ALLOW, REFUSE, ALLOW),
                _ => (REFUSE, REFUSE, REFUSE),
            };
            assert_eq!(of([0, 3, 0, 0, 0, 0]), allowed, "{number}");
            assert_eq!(of([0, 4, 0, 0, 0, 0]), first, "{number}");
            assert_eq!(of([0, 3, 4, 0, 0, 0]), second, "{number}");
        }
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
    fn keeper_is_asked_where_a_rule_says_so() {
        let rules: &[Rule] = &[
            (1, When::Always),
            (42, When::Asked),
            (
                44,
                When::AskedUnlessNull {
                    pointer: 4,
                    argument: 3,
                    without: 0x2000_0000,
                },
            ),
        ];
        let program = program(rules);
        let of = |number, arguments| verdict(&program, ARCHITECTURE, number, arguments);
        assert_eq!(of(42, [0; 6]), ASK);
        assert_eq!(of(41, [0; 6]), REFUSE);
        assert_eq!(of(44, [3, 1, 1, 0x4000, 0, 0]), ALLOW);
        assert_eq!(of(44, [3, 1, 1, 0, 0x1000, 16]), ASK);
        // A pointer whose low half is nothing is one all the same.
        assert_eq!(of(44, [3, 1, 1, 0, 1 << 32, 16]), ASK);
        assert_eq!(of(44, [3, 1, 1, 0x2000_0000, 0, 0]), REFUSE);
        assert_eq!(of(44, [3, 1, 1, 0x2000_4000, 0x1000, 16]), REFUSE);
    }

    #[test]
    fn options_are_allowed_by_level_and_name() {
        let rules: &[Rule] = &[(
            54,
            When::Options(
                &[(1, &[2, 9]), (6, &[1]), (41, &[16])],
                &[(1, 3), (1, 4), (41, 26)],
            ),
        )];
        let program = program(rules);
        for level in 0..64_u64 {
            for option in 0..64_u64 {
                let is_allowed = matches!((level, option), (1, 2 | 9) | (6, 1) | (41, 16));
                let verdict = verdict(&program, ARCHITECTURE, 54, [0, level, option, 0, 0, 0]);
                assert_eq!(verdict == ALLOW, is_allowed, "{level} {option}");
                let is_asked = matches!((level, option), (1, 3 | 4) | (41, 26));
                assert_eq!(verdict == ASK, is_asked, "{level} {option}");
                assert!(is_allowed || is_asked || verdict == REFUSE);
            }
        }
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
