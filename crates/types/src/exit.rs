//! Exit codes of a run, as Docker and the shell know them.

/// Lighter itself failed: a wrong flag, a grant, a mount, a limit that can't be held.
pub const FAILED: u8 = 125;
/// The program was found but cannot be run: not Wasm, unreadable, an import nobody provides.
pub const NOT_RUNNABLE: u8 = 126;
/// The program was not found.
pub const NOT_FOUND: u8 = 127;
/// The time given with `--timeout` was over, as coreutils' `timeout` says it.
pub const TIMED_OUT: u8 = 124;
/// The guest trapped: 128 and the number of SIGABRT.
pub const TRAPPED: u8 = 134;
/// The guest was killed, by a limit or from outside: 128 and the number of SIGKILL.
pub const KILLED: u8 = 137;
/// Interrupted with Ctrl-C: 128 and the number of SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM: 128 and the number of SIGTERM.
pub const TERMINATED: u8 = 143;
/// A wrong command line of a verb that Docker does not have.
pub const USAGE: u8 = 2;
/// A bug in Lighter, as sysexits' `EX_SOFTWARE`.
pub const OUR_BUG: u8 = 70;
