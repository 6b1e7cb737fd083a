//! Which boot of the machine this is.

use serde::{Deserialize, Serialize};
use std::fs;

/// The identity of one boot of the machine: 128 random bits that the kernel drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Boot(u128);

impl Boot {
    /// This boot (Linux, `proc(5)`: `/proc/sys/kernel/random/boot_id`). Where the kernel does not
    /// tell, every process is a boot of its own, and all that is checked once per boot is checked
    /// each time.
    pub(crate) fn current() -> Self {
        let told = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self(told.as_deref().and_then(parse).unwrap_or_else(drawn))
    }
}

fn parse(text: &str) -> Option<u128> {
    u128::from_str_radix(&text.trim_end().replace('-', ""), 16).ok()
}

fn drawn() -> u128 {
    let mut bytes = [0; 16];
    // Without randomness the value stays 0, which no record of this process outlives.
    let _ = getrandom::fill(&mut bytes);
    u128::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_is_the_same_twice() {
        assert_eq!(Boot::current(), Boot::current());
    }

    #[test]
    fn kernel_text_is_read() {
        assert_eq!(parse("00000000-0000-0000-0000-00000000000a\n"), Some(10));
        assert_eq!(parse("nonsense"), None);
    }
}
