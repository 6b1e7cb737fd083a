//! What becomes of a wish to look a name up.

use crate::grant::HostName;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Why a name has no addresses for the one that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LookupError {
    /// No grant lets it look the name up.
    Refused,
    /// The text is no host name.
    Invalid,
    /// There is no such name, or it has no address.
    Unresolvable,
    /// No server answered in time or at all, or too much was asked.
    Temporary,
    /// The servers cannot be asked.
    Permanent,
}

/// What a name was looked up as, in the order in which to try them.
pub type Lookup = Result<Vec<IpAddr>, LookupError>;

/// A host name as a program asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskedName {
    /// The name.
    pub name: HostName,
    /// Whether a dot at its end says that it is whole, and nothing is to be put behind it.
    pub is_absolute: bool,
}

impl AskedName {
    /// Takes a name in.
    ///
    /// # Errors
    /// As [`HostName::parse`].
    pub fn parse(text: &str) -> Result<Self, String> {
        let absolute = text.strip_suffix('.');
        Ok(Self {
            name: HostName::parse(absolute.unwrap_or(text))?,
            is_absolute: absolute.is_some(),
        })
    }

    /// The names to ask servers for, in order (`resolv.conf(5)`, `search` and `ndots`): one with few dots
    /// is tried in the search domains first.
    #[must_use]
    pub fn candidates(&self, search: &[HostName], ndots: u8) -> Vec<HostName> {
        let whole = self.name.clone();
        if self.is_absolute {
            return vec![whole];
        }
        let dots = self.name.as_str().matches('.').count();
        let below = search.iter().filter_map(|domain| {
            // One that would be too long is no name.
            HostName::parse(&format!("{}.{domain}", self.name)).ok()
        });
        if dots >= usize::from(ndots) {
            std::iter::once(whole).chain(below).collect()
        } else {
            below.chain([whole.clone()]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(text: &str, ndots: u8) -> Vec<String> {
        let search = ["corp.example", "example"].map(|name| HostName::parse(name).expect("a name"));
        let asked = AskedName::parse(text).expect("a name");
        let names = asked.candidates(&search, ndots);
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn name_with_few_dots_is_searched_for_first() {
        assert_eq!(candidates("db", 1), ["db.corp.example", "db.example", "db"]);
        assert_eq!(candidates("db", 0), ["db", "db.corp.example", "db.example"]);
        assert_eq!(
            candidates("a.b", 1),
            ["a.b", "a.b.corp.example", "a.b.example"]
        );
        assert_eq!(
            candidates("a.b", 2),
            ["a.b.corp.example", "a.b.example", "a.b"]
        );
    }

    #[test]
    fn dot_at_the_end_ends_the_search() {
        assert_eq!(candidates("db.", 5), ["db"]);
        assert!(AskedName::parse("db..").is_err());
        assert!(AskedName::parse(".").is_err());
    }

    #[test]
    fn candidate_that_is_too_long_is_left_out() {
        let long = format!("{}b", "a.".repeat(125));
        assert_eq!(candidates(&long, 1), [long]);
    }

    #[test]
    fn localhost_and_all_below_are_this_machine() {
        for text in ["localhost", "LOCALHOST.", "a.localhost"] {
            assert!(
                AskedName::parse(text).expect("a name").name.is_localhost(),
                "{text}"
            );
        }
        assert!(
            !AskedName::parse("localhost.example")
                .expect("a name")
                .name
                .is_localhost()
        );
    }
}
