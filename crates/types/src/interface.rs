//! Names of interfaces that a program imports or exports.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A pattern that selects imports by name: what `--deny` and `--stub` take.
///
/// A pattern matches an import if it is the same name; if it is the name without its version
/// (`wasi:sockets/tcp` matches `wasi:sockets/tcp@0.2.6`); or if it is a package or a core
/// module's name (`wasi:sockets` and `wasi:sockets@0.2.6`, `env`), which matches everything
/// in it. `MODULE.FUNCTION` names one function of a core module's imports, as
/// `wasi_snapshot_preview1.sock_accept`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InterfacePattern(String);

/// Why a text is no [`InterfacePattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidInterface {
    text: String,
}

impl fmt::Display for InvalidInterface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "invalid interface {:?}: expected NAMESPACE:PACKAGE[/INTERFACE][@VERSION] or MODULE[.FUNCTION]",
            crate::escape::escape(&self.text)
        )
    }
}

impl std::error::Error for InvalidInterface {}

impl FromStr for InterfacePattern {
    type Err = InvalidInterface;

    fn from_str(text: &str) -> Result<Self, InvalidInterface> {
        let is_allowed = |character: char| {
            character.is_ascii_alphanumeric() || "-_.:/@+[]#$".contains(character)
        };
        if text.is_empty() || text.len() > 256 || !text.chars().all(is_allowed) {
            return Err(InvalidInterface {
                text: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl InterfacePattern {
    /// Whether the pattern selects a component's import, such as `wasi:cli/stdout@0.2.6`.
    #[must_use]
    pub fn matches_interface(&self, import: &str) -> bool {
        let pattern = self.0.as_str();
        let (name, version) = split_version(import);
        if pattern == import || pattern == name {
            return true;
        }
        let (pattern_name, pattern_version) = split_version(pattern);
        if pattern_version.is_some() && pattern_version != version {
            return false;
        }
        name.split_once('/')
            .is_some_and(|(package, _)| package == pattern_name)
    }

    /// Whether the pattern selects a core module's import `module.name`.
    #[must_use]
    pub fn matches_core(&self, module: &str, name: &str) -> bool {
        self.0 == module
            || self
                .0
                .strip_prefix(module)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|function| function == name)
    }
}

/// Splits `wasi:cli/stdout@0.2.6` into its name and, if there is one, its version.
#[must_use]
pub fn split_version(import: &str) -> (&str, Option<&str>) {
    match import.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (import, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> InterfacePattern {
        text.parse().expect("a valid pattern")
    }

    #[test]
    fn name_without_version_matches_every_version() {
        assert!(pattern("wasi:sockets/tcp").matches_interface("wasi:sockets/tcp@0.2.6"));
        assert!(pattern("wasi:sockets/tcp").matches_interface("wasi:sockets/tcp@0.3.0"));
        assert!(
            !pattern("wasi:sockets/tcp").matches_interface("wasi:sockets/tcp-create-socket@0.2.6")
        );
    }

    #[test]
    fn package_matches_its_interfaces() {
        assert!(pattern("wasi:sockets").matches_interface("wasi:sockets/tcp@0.2.6"));
        assert!(pattern("wasi:sockets@0.2.6").matches_interface("wasi:sockets/tcp@0.2.6"));
        assert!(!pattern("wasi:sockets@0.2.7").matches_interface("wasi:sockets/tcp@0.2.6"));
        assert!(!pattern("wasi:sock").matches_interface("wasi:sockets/tcp@0.2.6"));
    }

    #[test]
    fn core_module_and_function_match() {
        assert!(pattern("env").matches_core("env", "memory"));
        assert!(pattern("env.memory").matches_core("env", "memory"));
        assert!(!pattern("env.mem").matches_core("env", "memory"));
    }

    #[test]
    fn malformed_pattern_is_refused_with_the_grammar() {
        let error = "a b"
            .parse::<InterfacePattern>()
            .expect_err("a blank is not allowed");
        assert!(error.to_string().contains("NAMESPACE:PACKAGE"));
        assert!("".parse::<InterfacePattern>().is_err());
    }
}
