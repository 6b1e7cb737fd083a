//! Names and patterns of hosts.

use std::fmt;

/// A DNS host name: lower case, without a trailing dot, at most 253 characters (RFC 1123,
/// section 2.1; RFC 5890 for names in other scripts, which are written as A-labels, `xn--...`). An
/// underscore is a letter too, as Docker's names of services and containers have it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// Takes a name in and lower-cases it.
    ///
    /// # Errors
    /// What is wrong. What a resolver might read as an IPv4 address, such as `127.1` or `0x7f.1`,
    /// is no name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("no host".to_owned());
        }
        if !text.is_ascii() {
            return Err("a name in another script is written as its A-label, xn--...".to_owned());
        }
        if text.ends_with('.') {
            return Err("a name here ends without a dot".to_owned());
        }
        if text.len() > 253 {
            return Err("a name has at most 253 characters".to_owned());
        }
        let labels = || text.split('.');
        labels().try_for_each(check_label)?;
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(format!("\"{text}\" is an address, no name"));
        }
        if labels().next_back().is_some_and(is_number) {
            return Err(format!(
                "\"{text}\" is neither a name nor an IPv4 address of four decimal numbers"
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Whether the name is this machine's in any network (RFC 6761, section 6.3): no server is asked.
    #[must_use]
    pub fn is_localhost(&self) -> bool {
        self.0 == "localhost" || self.0.ends_with(".localhost")
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn check_label(label: &str) -> Result<(), String> {
    let fault = if label.is_empty() {
        "is empty"
    } else if label.len() > 63 {
        "is longer than 63 characters"
    } else if label.contains('*') {
        "holds a *, which may only stand for all before the first dot"
    } else if !label
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    {
        "holds more than letters, digits, hyphens and underscores"
    } else if label.starts_with('-') || label.ends_with('-') {
        "starts or ends with a hyphen"
    } else if label.get(2..4) == Some("--") && (label.len() < 5 || !is_a_label(label)) {
        // RFC 5891, section 4.2.3.1.
        "has hyphens in the third and fourth place, and is no A-label"
    } else {
        return Ok(());
    };
    Err(format!("part \"{label}\" of the name {fault}"))
}

fn is_a_label(label: &str) -> bool {
    label
        .get(..4)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
}

/// Whether a resolver may take a name that ends so for an IPv4 address (WHATWG URL, "ends in a
/// number").
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A name, all names below one, or every name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// `*`.
    Any,
    /// `example.com`: this name alone.
    Name(HostName),
    /// `*.example.com`: every name that ends in `.example.com`, of any depth, but not
    /// `example.com`.
    Below(HostName),
}

impl NamePattern {
    /// Takes a pattern in.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_prefix("*.") {
            Some(rest) => HostName::parse(rest).map(Self::Below),
            None => HostName::parse(text).map(Self::Name),
        }
    }

    /// Whether some name may be selected by both patterns.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Name(name), pattern) | (pattern, Self::Name(name)) => pattern.matches(name),
            (Self::Below(one), Self::Below(two)) => {
                one == two || self.matches(two) || other.matches(one)
            }
        }
    }

    /// Whether the pattern selects a name.
    #[must_use]
    pub fn matches(&self, name: &HostName) -> bool {
        match self {
            Self::Any => true,
            Self::Name(this) => this == name,
            Self::Below(parent) => name
                .as_str()
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.ends_with('.')),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Name(name) => write!(formatter, "{name}"),
            Self::Below(parent) => write!(formatter, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        HostName::parse(text).expect_err("no name")
    }

    fn matches(pattern: &str, name: &str) -> bool {
        let name = HostName::parse(name).expect("valid name");
        NamePattern::parse(pattern)
            .expect("valid pattern")
            .matches(&name)
    }

    #[test]
    fn name_is_lower_cased() {
        let name = HostName::parse("API.Example.COM").expect("valid");
        assert_eq!(name.as_str(), "api.example.com");
        assert!(HostName::parse("xn--bcher-kva.example").is_ok());
        assert!(HostName::parse("1password.com").is_ok());
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        assert!(fault("bücher.example").contains("xn--"));
        assert!(fault("example.com.").contains("without a dot"));
        assert!(fault("a..b").contains("is empty"));
        assert!(fault("my+db").contains("letters, digits, hyphens and underscores"));
        assert!(HostName::parse("_my_db.a").is_ok());
        assert!(fault("-a.b").contains("hyphen"));
        assert!(fault("ab--c.d").contains("no A-label"));
        assert!(fault("xn--").contains("hyphen"));
        assert!(fault(&"a".repeat(64)).contains("63"));
        assert!(fault(&"a.".repeat(127)).contains("without a dot"));
        assert!(fault(&format!("{}a", "a.".repeat(127))).contains("253"));
        assert!(fault("").contains("no host"));
        assert!(fault("a.*.b").contains("before the first dot"));
    }

    #[test]
    fn odd_spellings_of_addresses_are_no_names() {
        assert!(fault("127.1").contains("IPv4"));
        assert!(fault("0x7f.1").contains("IPv4"));
        assert!(fault("127.0.0.0x1").contains("IPv4"));
        assert!(fault("2130706433").contains("IPv4"));
        assert!(fault("1.2.3.4.5").contains("IPv4"));
        assert!(fault("1.2.3.4").contains("an address, no name"));
    }

    #[test]
    fn star_stands_for_what_is_below_a_name_only() {
        assert!(matches("*.example.com", "a.example.com"));
        assert!(matches("*.example.com", "a.b.example.com"));
        assert!(!matches("*.example.com", "example.com"));
        assert!(!matches("*.example.com", "badexample.com"));
        assert!(matches("example.com", "Example.com"));
        assert!(!matches("example.com", "a.example.com"));
        assert!(matches("*", "anything"));
    }
}
