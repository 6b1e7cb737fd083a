//! Addresses and networks, in one spelling each.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network in CIDR notation (RFC 4632; RFC 4291, section 2.3): no bit is set behind the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix_length: u8,
}

impl Cidr {
    /// The first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        let length = u32::from(self.prefix_length);
        match self.address {
            IpAddr::V4(address) => {
                let rest = u32::MAX.checked_shr(length).unwrap_or(0);
                Ipv4Addr::from(u32::from(address) | rest).into()
            }
            IpAddr::V6(address) => {
                let rest = u128::MAX.checked_shr(length).unwrap_or(0);
                Ipv6Addr::from(u128::from(address) | rest).into()
            }
        }
    }

    /// How many leading bits an address shares with the first: at most 32 or 128.
    #[must_use]
    pub fn prefix_length(&self) -> u8 {
        self.prefix_length
    }

    /// Whether the network holds an address; never one of the other family.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && first_address(address, self.prefix_length) == self.address
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix_length)
    }
}

/// The address with all bits behind the prefix cleared.
fn first_address(address: IpAddr, prefix_length: u8) -> IpAddr {
    let prefix_length = u32::from(prefix_length);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX
                .checked_shl(32_u32.saturating_sub(prefix_length))
                .unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX
                .checked_shl(128_u32.saturating_sub(prefix_length))
                .unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

/// Reads an IPv4 address of four decimal numbers; `None` if the text is no attempt at one.
///
/// # Errors
/// What is wrong: a number with a leading zero (octal to some), one above 255.
pub(super) fn parse_ipv4(text: &str) -> Option<Result<Ipv4Addr, String>> {
    let is_attempt = text.split('.').count() == 4
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_attempt {
        return None;
    }
    Some(text.parse().map_err(|_| {
        let has_zero = text
            .split('.')
            .any(|number| number.len() > 1 && number.starts_with('0'));
        if has_zero {
            format!("\"{text}\" has a number with a leading zero, which some read as octal")
        } else {
            format!("\"{text}\" is no IPv4 address")
        }
    }))
}

/// Reads what stands between brackets: an IPv6 address without a scope.
///
/// # Errors
/// What is wrong.
pub(super) fn parse_ipv6(text: &str) -> Result<Ipv6Addr, String> {
    if text.contains('%') {
        return Err("an address with a scope is bound to an interface of this machine".to_owned());
    }
    let address: Ipv6Addr = text
        .parse()
        .map_err(|_| format!("\"{text}\" is no IPv6 address"))?;
    match address.to_ipv4_mapped() {
        Some(mapped) => Err(format!(
            "\"{text}\" is the IPv4 address {mapped}: write that"
        )),
        None => Ok(address),
    }
}

/// Makes a network of an address and the text behind its slash.
///
/// # Errors
/// What is wrong; bits behind the prefix are answered with the right network.
pub(super) fn parse_cidr(address: IpAddr, prefix_length: &str) -> Result<Cidr, String> {
    let highest = if address.is_ipv4() { 32 } else { 128 };
    let is_plain = prefix_length.bytes().all(|byte| byte.is_ascii_digit())
        && (prefix_length == "0" || !prefix_length.starts_with('0'));
    let prefix_length = prefix_length
        .parse()
        .ok()
        .filter(|length| is_plain && *length <= highest)
        .ok_or_else(|| format!("\"/{prefix_length}\" is no prefix length of 0 to {highest}"))?;
    let first = first_address(address, prefix_length);
    if first != address {
        return Err(format!(
            "{address} is not the first address of its network: write {}",
            bracketed(first, Some(prefix_length))
        ));
    }
    Ok(Cidr {
        address,
        prefix_length,
    })
}

/// Writes an address, or a network, as grants write it: IPv6 in brackets.
pub(super) fn bracketed(address: IpAddr, prefix_length: Option<u8>) -> String {
    let suffix = prefix_length.map_or_else(String::new, |length| format!("/{length}"));
    match address {
        IpAddr::V4(address) => format!("{address}{suffix}"),
        IpAddr::V6(address) => format!("[{address}{suffix}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(address: &str, length: &str) -> Result<Cidr, String> {
        parse_cidr(address.parse().expect("an address"), length)
    }

    #[test]
    fn network_holds_its_addresses_only() {
        let network = cidr("10.1.0.0", "16").expect("valid");
        assert!(network.contains("10.1.255.255".parse().expect("an address")));
        assert!(!network.contains("10.2.0.0".parse().expect("an address")));
        assert!(!network.contains("::ffff:10.1.0.1".parse().expect("an address")));
    }

    #[test]
    fn whole_families_are_networks() {
        let all = cidr("::", "0").expect("valid");
        assert!(all.contains("fd00::1".parse().expect("an address")));
        assert!(!all.contains("1.2.3.4".parse().expect("an address")));
        assert_eq!(
            all.last().to_string(),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
        let one = cidr("1.2.3.4", "32").expect("valid");
        assert_eq!(one.last().to_string(), "1.2.3.4");
        assert!(one.contains("1.2.3.4".parse().expect("an address")));
        assert!(!one.contains("1.2.3.5".parse().expect("an address")));
    }

    #[test]
    fn bits_behind_the_prefix_are_answered_with_the_network() {
        assert_eq!(
            cidr("10.1.2.3", "8"),
            Err("10.1.2.3 is not the first address of its network: write 10.0.0.0/8".to_owned())
        );
        assert_eq!(
            cidr("fd00::1", "8"),
            Err("fd00::1 is not the first address of its network: write [fd00::/8]".to_owned())
        );
        assert!(cidr("10.0.0.0", "33").is_err());
        assert!(cidr("10.0.0.0", "08").is_err());
        assert!(cidr("10.0.0.0", "+8").is_err());
        assert!(cidr("10.0.0.0", "").is_err());
    }
}
