//! What a container may use up: the words of `--memory`, `--cpus` and `--pids-limit`.

use crate::escape::escape;
use crate::grant::parse_size_bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a container may use up; without a value, what the machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in bytes: at least [`LEAST_MEMORY_BYTES`].
    pub memory_bytes: Option<u64>,
    /// Time on the processors, in billionths of one processor (Docker's `NanoCpus`).
    pub nano_cpus: Option<u64>,
    /// Threads, the program's first one included.
    pub threads: Option<u32>,
}

/// The least memory that can be asked for, in bytes, as in Docker.
pub const LEAST_MEMORY_BYTES: u64 = 6 << 20;

/// The most threads of a program, where `--pids-limit` does not say less.
pub const MOST_THREADS: u32 = 4096;

/// The threads that a runner may have besides its guest's: its first one, which waits for those,
/// one for each standard stream and one for the keeper's answers.
pub const RUNTIME_THREADS: u32 = 5;
/// The most threads of the role that sends requests for a runner.
pub const EGRESS_THREADS: u32 = 8;

/// The most threads of a program whose memory no control group counts, where `--pids-limit` does
/// not say otherwise: their stacks then count before they are used.
const UNCOUNTED_THREADS: u32 = 64;

/// Memory that a process may take besides its guest's memories and tables, in bytes.
const RUNTIME_BYTES: u64 = 64 << 20;

/// What is set aside for a thread, in bytes: its stack of 1.25 MiB, and what the host has of it.
const THREAD_BYTES: u64 = 3 << 19;

/// One processor, in billionths.
pub const NANO_CPU: u64 = 1_000_000_000;

/// A value that is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    flag: &'static str,
    value: String,
    expected: String,
}

impl fmt::Display for LimitError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "invalid --{} \"{}\": expected {}",
            self.flag,
            escape(&self.value),
            self.expected
        )
    }
}

impl std::error::Error for LimitError {}

impl Limits {
    /// Reads the value of `--memory`, as `64m`; 0 is none, as in Docker.
    ///
    /// # Errors
    /// It is no size, or less than [`LEAST_MEMORY_BYTES`].
    pub fn parse_memory(value: &str) -> Result<Option<u64>, LimitError> {
        match parse_size_bytes(value) {
            Some(0) => Ok(None),
            Some(bytes) if bytes >= LEAST_MEMORY_BYTES => Ok(Some(bytes)),
            Some(_) => Err(LimitError::new("memory", value, "at least 6m")),
            None => Err(LimitError::new("memory", value, "a size, as 64m or 1.5g")),
        }
    }

    /// Reads the value of `--cpus`, as `0.5`, on a machine with so many processors; 0 is none, as
    /// in Docker.
    ///
    /// # Errors
    /// It is no number, or out of Docker's range.
    pub fn parse_cpus(value: &str, available: u32) -> Result<Option<u64>, LimitError> {
        let error = |expected: &str| LimitError::new("cpus", value, expected);
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0
            || whole.len() > 9
            || fraction.len() > 9
            || !is_number(whole)
            || !is_number(fraction)
        {
            return Err(error("a number of processors, as 0.5 or 2"));
        }
        let nano_cpus = format!("0{whole}{fraction:0<9}")
            .parse::<u64>()
            .map_err(|_| error("a number of processors, as 0.5 or 2"))?;
        let most = u64::from(available) * NANO_CPU;
        match nano_cpus {
            0 => Ok(None),
            _ if (NANO_CPU / 100..=most).contains(&nano_cpus) => Ok(Some(nano_cpus)),
            _ => Err(error(&format!("0.01 to {available}, as this machine has"))),
        }
    }

    /// Reads the value of `--pids-limit`; 0 and -1 are none, as in Docker.
    ///
    /// # Errors
    /// It is no number, or more than [`MOST_THREADS`].
    pub fn parse_threads(value: &str) -> Result<Option<u32>, LimitError> {
        match value.parse::<i64>() {
            Ok(-1 | 0) => Ok(None),
            Ok(number) if (1..=i64::from(MOST_THREADS)).contains(&number) => {
                Ok(u32::try_from(number).ok())
            }
            _ => Err(LimitError::new(
                "pids-limit",
                value,
                &format!("a number of threads from 1 to {MOST_THREADS}, or -1 for the most"),
            )),
        }
    }

    /// The limits where no control group counts the memory.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        if self.memory_bytes.is_some() {
            self.threads.get_or_insert(UNCOUNTED_THREADS);
        }
        self
    }

    /// What a process may have of data, in bytes, so that its guest can have its memory. Code of
    /// this size is data while it is mapped, twice where it has to be copied.
    #[must_use]
    pub fn data_bytes(&self, code_bytes: u64) -> Option<u64> {
        let threads = u64::from(self.most_threads()) * THREAD_BYTES;
        let besides = (RUNTIME_BYTES + threads).saturating_add(code_bytes.saturating_mul(2));
        self.memory_bytes.map(|bytes| bytes.saturating_add(besides))
    }

    /// How many threads there may be at one time.
    #[must_use]
    pub fn most_threads(&self) -> u32 {
        self.threads.unwrap_or(MOST_THREADS)
    }
}

impl LimitError {
    fn new(flag: &'static str, value: &str, expected: &str) -> Self {
        Self {
            flag,
            value: value.to_owned(),
            expected: expected.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_size_of_at_least_six_mebibytes() {
        assert_eq!(Limits::parse_memory("64m"), Ok(Some(64 << 20)));
        assert_eq!(Limits::parse_memory("6MB"), Ok(Some(6 << 20)));
        assert_eq!(Limits::parse_memory("0"), Ok(None));
        let error = Limits::parse_memory("4m").expect_err("too little");
        assert_eq!(
            error.to_string(),
            "invalid --memory \"4m\": expected at least 6m"
        );
        let error = Limits::parse_memory("a\nlot").expect_err("no size");
        assert_eq!(
            error.to_string(),
            "invalid --memory \"a\\nlot\": expected a size, as 64m or 1.5g"
        );
    }

    #[test]
    fn processors_are_a_decimal_number_that_the_machine_has() {
        assert_eq!(Limits::parse_cpus("0.5", 2), Ok(Some(500_000_000)));
        assert_eq!(Limits::parse_cpus(".5", 2), Ok(Some(500_000_000)));
        assert_eq!(Limits::parse_cpus("2", 2), Ok(Some(2_000_000_000)));
        assert_eq!(Limits::parse_cpus("0.010000001", 2), Ok(Some(10_000_001)));
        assert_eq!(Limits::parse_cpus("0", 2), Ok(None));
        for value in ["2.1", "0.001", "999999999"] {
            let error = Limits::parse_cpus(value, 2).expect_err("out of range");
            assert!(
                error
                    .to_string()
                    .ends_with("expected 0.01 to 2, as this machine has")
            );
        }
        for value in [
            "",
            ".",
            "-1",
            "1e3",
            "half",
            "1.0000000001",
            "1.2.3",
            "9999999999",
        ] {
            let error = Limits::parse_cpus(value, 2).expect_err(value);
            assert!(
                error.to_string().contains("a number of processors"),
                "{value}"
            );
        }
    }

    #[test]
    fn threads_are_a_number_or_unbounded() {
        assert_eq!(Limits::parse_threads("8"), Ok(Some(8)));
        assert_eq!(Limits::parse_threads("-1"), Ok(None));
        assert_eq!(Limits::parse_threads("0"), Ok(None));
        for value in ["-2", "4097", "eight", "", "8.5"] {
            let error = Limits::parse_threads(value).expect_err(value);
            assert!(error.to_string().contains("from 1 to 4096"), "{value}");
        }
    }
}
