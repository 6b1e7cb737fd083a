//! Imports that are met by something the user names.

use super::error::{Form, GrantError};
use crate::interface::InterfacePattern;
use std::fmt;
use std::str::FromStr;

const FORM: Form = Form {
    key: "link",
    expected: "NAMESPACE:PACKAGE[/INTERFACE][@VERSION]=SCHEME:ADDRESS",
};

/// An interface and what provides it, as `wasi:keyvalue=redis://cache:6379`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkGrant {
    /// The imports that are met.
    pub interface: InterfacePattern,
    /// The provider: a scheme, a colon and what the scheme wants (RFC 3986, section 3).
    pub provider: String,
}

impl LinkGrant {
    /// The provider's scheme, as `redis`, `file` or `image`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.provider.split(':').next().unwrap_or_default()
    }
}

impl FromStr for LinkGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (interface, provider) = text.split_once('=').ok_or_else(|| FORM.malformed(text))?;
        if !interface.contains(':') {
            return Err(FORM.wrong(text, "the interface has no namespace"));
        }
        let interface = interface
            .parse()
            .map_err(|_| FORM.wrong(text, "the interface is no name of one"))?;
        let (scheme, address) = provider
            .split_once(':')
            .ok_or_else(|| FORM.wrong(text, "the provider has no scheme"))?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
            });
        if !is_scheme {
            return Err(FORM.wrong(text, "the provider's scheme is no word of small letters"));
        }
        if address.is_empty() || address.contains(char::is_control) {
            return Err(FORM.wrong(text, "the provider has no address"));
        }
        Ok(Self {
            interface,
            provider: provider.to_owned(),
        })
    }
}

impl fmt::Display for LinkGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.interface, self.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        text.parse::<LinkGrant>().expect_err("invalid").reason()
    }

    #[test]
    fn every_form_of_the_design_is_read() {
        for text in [
            "wasi:keyvalue=redis://cache:6379",
            "wasi:keyvalue=file:///data/kv",
            "acme:db/query@1.0.0=image:acme/pg-adapter",
        ] {
            assert_eq!(text.parse::<LinkGrant>().expect("valid").to_string(), text);
        }
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(reason("redis=redis://x"), "the interface has no namespace");
        assert_eq!(reason("a:b c=redis://x"), "the interface is no name of one");
        assert_eq!(reason("a:b=redis"), "the provider has no scheme");
        assert!(reason("a:b=9p:x").contains("small letters"));
        assert_eq!(reason("a:b=redis:"), "the provider has no address");
        assert!(reason("a:b").starts_with("expected"));
    }
}
