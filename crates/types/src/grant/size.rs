//! Sizes as Docker's flags write them.

/// Reads a size in bytes, as `64m`, `1.5GiB` or `4096`: units of 1024 (`RAMInBytes` of Docker's
/// `go-units`). `None` if it is no size or above [`u64::MAX`].
#[must_use]
pub fn parse_size_bytes(text: &str) -> Option<u64> {
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 15 {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let units = whole
        .parse::<u64>()
        .map(u128::from)
        .ok()?
        .checked_mul(scale)?
        .checked_add(fraction.parse().ok()?)?;
    u64::try_from(units.checked_mul(1 << shift)? / scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        assert_eq!(parse_size_bytes("4096"), Some(4096));
        assert_eq!(parse_size_bytes("64m"), Some(64 << 20));
        assert_eq!(parse_size_bytes("64MB"), Some(64 << 20));
        assert_eq!(parse_size_bytes("1.5 GiB"), Some(3 << 29));
        assert_eq!(parse_size_bytes("32b"), Some(32));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        assert_eq!(parse_size_bytes(""), None);
        assert_eq!(parse_size_bytes("m"), None);
        assert_eq!(parse_size_bytes("-1"), None);
        assert_eq!(parse_size_bytes("50%"), None);
        assert_eq!(parse_size_bytes("1.2.3"), None);
        assert_eq!(parse_size_bytes("99999999999p"), None);
        assert_eq!(parse_size_bytes("18446744073709551615p"), None);
    }
}
