//! Ports.

use std::fmt;

/// A range of ports that holds at least one; 0 is in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Makes a range of its two ends; `None` if it is empty or holds 0.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (0 < first && first <= last).then_some(Self { first, last })
    }

    /// The range of one port; `None` for 0.
    #[must_use]
    pub fn single(port: u16) -> Option<Self> {
        Self::new(port, port)
    }

    /// Reads `80` or `8000-8010`; `None` for all else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('-') {
            Some((first, last)) => Self::new(parse_port(first)?, parse_port(last)?),
            None => Self::single(parse_port(text)?),
        }
    }

    /// Why [`parse`](Self::parse) does not take a text.
    pub(super) fn fault(text: &str) -> String {
        let ends = text.split_once('-');
        let ends = ends.and_then(|(first, last)| Some((parse_port(first)?, parse_port(last)?)));
        match ends {
            Some((first, last)) if last < first => format!("\"{text}\" ends before it starts"),
            _ => format!("\"{text}\" is no port of 1 to 65535, range A-B or *"),
        }
    }

    /// The lowest port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports there are, 1 to 65535.
    #[must_use]
    pub fn count(self) -> u16 {
        self.last - self.first + 1
    }

    /// Whether some port is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether the port is one of them.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(formatter, "{}", self.first)
        } else {
            write!(formatter, "{}-{}", self.first, self.last)
        }
    }
}

/// Reads a port in decimal digits and nothing else.
fn parse_port(text: &str) -> Option<u16> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_holds_its_ends() {
        let range = PortRange::parse("8000-8010").expect("valid");
        assert!(range.contains(8000) && range.contains(8010));
        assert!(!range.contains(8011));
        let other = |text| PortRange::parse(text).expect("valid");
        assert!(range.overlaps(other("8010")) && other("1-8000").overlaps(range));
        assert!(!range.overlaps(other("8011-8020")));
        assert_eq!(range.count(), 11);
        assert_eq!(PortRange::new(1, 65535).map(PortRange::count), Some(65535));
    }

    #[test]
    fn what_is_no_port_is_refused() {
        assert_eq!(PortRange::parse("0"), None);
        assert_eq!(PortRange::parse("65536"), None);
        assert_eq!(PortRange::parse("+80"), None);
        assert_eq!(PortRange::parse("9-8"), None);
        assert_eq!(PortRange::parse("8-"), None);
        assert_eq!(PortRange::parse(""), None);
    }
}
