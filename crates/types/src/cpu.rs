//! What the processor offers beyond its base architecture, as far as compiled code uses it.

use serde::{Deserialize, Serialize};

/// The features that the compiler may use, in the order of their bits.
#[cfg(target_arch = "x86_64")]
const NAMES: &[&str] = &[
    "sse3",
    "ssse3",
    "sse4.1",
    "sse4.2",
    "popcnt",
    "avx",
    "avx2",
    "fma",
    "bmi1",
    "bmi2",
    "lzcnt",
    "avx512bitalg",
    "avx512dq",
    "avx512f",
    "avx512vl",
    "avx512vbmi",
    "cmpxchg16b",
    "avxvnni",
    "avx512vnni",
];
#[cfg(target_arch = "aarch64")]
const NAMES: &[&str] = &["lse", "paca", "fp16", "dotprod", "i8mm"];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NAMES: &[&str] = &[];

/// The set of features that one processor has.
///
/// Asking a processor costs microseconds on a virtual machine (the instruction exits to the
/// hypervisor), so the set is found once per boot, kept beside the compiled code that was made
/// for it, and told to the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CpuFeatures(u32);

impl CpuFeatures {
    /// Asks the processor.
    #[must_use]
    pub fn detect() -> Self {
        let bits = NAMES.iter().enumerate().fold(0, |bits, (index, name)| {
            bits | (u32::from(is_detected(name)) << index)
        });
        Self(bits)
    }

    /// Makes the set from what [`CpuFeatures::bits`] gave.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The set as a number, for a record on disk.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether the processor has the feature of that name, `None` for a name that is not known.
    #[must_use]
    pub fn has(self, name: &str) -> Option<bool> {
        let index = NAMES.iter().position(|known| *known == name)?;
        Some(self.0 >> index & 1 == 1)
    }
}

#[cfg(target_arch = "x86_64")]
fn is_detected(name: &str) -> bool {
    use std::arch::is_x86_feature_detected as has;
    match name {
        "sse3" => has!("sse3"),
        "ssse3" => has!("ssse3"),
        "sse4.1" => has!("sse4.1"),
        "sse4.2" => has!("sse4.2"),
        "popcnt" => has!("popcnt"),
        "avx" => has!("avx"),
        "avx2" => has!("avx2"),
        "fma" => has!("fma"),
        "bmi1" => has!("bmi1"),
        "bmi2" => has!("bmi2"),
        "lzcnt" => has!("lzcnt"),
        "avx512bitalg" => has!("avx512bitalg"),
        "avx512dq" => has!("avx512dq"),
        "avx512f" => has!("avx512f"),
        "avx512vl" => has!("avx512vl"),
        "avx512vbmi" => has!("avx512vbmi"),
        "cmpxchg16b" => has!("cmpxchg16b"),
        "avxvnni" => has!("avxvnni"),
        "avx512vnni" => has!("avx512vnni"),
        _ => false,
    }
}

#[cfg(target_arch = "aarch64")]
fn is_detected(name: &str) -> bool {
    use std::arch::is_aarch64_feature_detected as has;
    match name {
        "lse" => has!("lse"),
        "paca" => has!("paca"),
        "fp16" => has!("fp16"),
        "dotprod" => has!("dotprod"),
        "i8mm" => has!("i8mm"),
        _ => false,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn is_detected(_name: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_survive_a_record() {
        let found = CpuFeatures::detect();
        assert_eq!(CpuFeatures::from_bits(found.bits()), found);
    }

    #[test]
    fn unknown_feature_is_not_answered() {
        assert_eq!(CpuFeatures::detect().has("warp-drive"), None);
    }
}
