//! Why a text is no grant.

use crate::error::ErrorKind;
use crate::escape::escape;
use std::fmt;

/// Why a grant, or a set of grants, was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantError {
    /// The value is not in the form that its key wants.
    Malformed {
        /// The key, as `allow-net`.
        key: &'static str,
        /// The value as it was given; a password in it is hidden already.
        value: String,
        /// What is wrong, in Docker's own words where Docker has them.
        reason: Option<String>,
        /// The right form.
        expected: &'static str,
    },
    /// There is no grant of that name.
    UnknownKey {
        /// The name as it was given.
        key: String,
        /// A known name that is close to it.
        suggestion: Option<&'static str>,
    },
    /// Two mounts have the same target.
    DuplicateMountPoint {
        /// The target.
        target: String,
    },
    /// Two secrets, or a secret and a setting, have the same name: both answer `wasi:config`.
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Two credentials for one field of one host.
    DuplicateCredential {
        /// The host.
        host: String,
        /// The field.
        field: String,
    },
    /// A line of an environment file is wrong.
    EnvironmentFile {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong, in Docker's words.
        reason: String,
    },
}

impl GrantError {
    /// The kind of failure, for status and exit codes.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    /// What the user can do, where the text does not say it by itself.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::DuplicateMountPoint { .. } => {
                Some("mount one thing there, or give each its own target")
            }
            Self::DuplicateName { .. } => {
                Some("wasi:config answers each name once: rename one of them")
            }
            Self::DuplicateCredential { .. } => Some("a field is sent once: leave one of them out"),
            Self::EnvironmentFile { .. } => {
                Some("each line is NAME=VALUE, NAME, or a comment that starts with #")
            }
            Self::Malformed { .. } | Self::UnknownKey { .. } => None,
        }
    }

    /// What is wrong, without the grant's name and value: for a front that says these itself.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Malformed {
                reason: Some(reason),
                ..
            } => escape(reason),
            Self::Malformed { expected, .. } => format!("expected {expected}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed {
                key,
                value,
                reason,
                expected,
            } => {
                write!(formatter, "invalid grant {key} \"{}\": ", escape(value))?;
                if let Some(reason) = reason {
                    write!(formatter, "{}; ", escape(reason))?;
                }
                write!(formatter, "expected {expected}")
            }
            Self::UnknownKey { key, suggestion } => {
                write!(formatter, "unknown grant \"{}\": ", escape(key))?;
                if let Some(suggestion) = suggestion {
                    write!(formatter, "did you mean {suggestion}? ")?;
                }
                write!(formatter, "known are {}", super::KEYS.join(", "))
            }
            // Docker's own words.
            Self::DuplicateMountPoint { target } => {
                write!(formatter, "Duplicate mount point: {}", escape(target))
            }
            Self::DuplicateCredential { host, field } => write!(
                formatter,
                "the credential for {host} ({field}) is given twice"
            ),
            Self::DuplicateName { name } => {
                write!(
                    formatter,
                    "secret or setting \"{}\" is given twice",
                    escape(name)
                )
            }
            Self::EnvironmentFile { line, reason } => {
                write!(formatter, "line {line}: {}", escape(reason))
            }
        }
    }
}

impl std::error::Error for GrantError {}

/// One kind of grant, as far as its errors need to know it.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// The key.
    pub(super) key: &'static str,
    /// The right form of the value.
    pub(super) expected: &'static str,
}

impl Form {
    /// The error for a value about which there is nothing more to say than its right form.
    pub(super) fn malformed(self, value: &str) -> GrantError {
        GrantError::Malformed {
            key: self.key,
            value: without_password(value),
            reason: None,
            expected: self.expected,
        }
    }

    /// The error for a value with something wrong that can be named.
    pub(super) fn wrong(self, value: &str, reason: impl Into<String>) -> GrantError {
        GrantError::Malformed {
            key: self.key,
            value: without_password(value),
            reason: Some(reason.into()),
            expected: self.expected,
        }
    }
}

/// Hides what stands before the last `@` of a URL's authority (RFC 3986, section 3.2.1).
fn without_password(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form {
        key: "link",
        expected: "INTERFACE=PROVIDER",
    };

    #[test]
    fn text_names_value_fault_and_form() {
        assert_eq!(
            FORM.malformed("x").to_string(),
            "invalid grant link \"x\": expected INTERFACE=PROVIDER"
        );
        assert_eq!(
            FORM.wrong("x", "no provider").to_string(),
            "invalid grant link \"x\": no provider; expected INTERFACE=PROVIDER"
        );
    }

    #[test]
    fn password_is_not_shown() {
        assert_eq!(
            FORM.malformed("a:b=redis://me:hunter2@cache/0@1")
                .to_string(),
            "invalid grant link \"a:b=redis://***@cache/0@1\": expected INTERFACE=PROVIDER"
        );
    }

    #[test]
    fn value_cannot_forge_a_line() {
        assert!(FORM.malformed("a\nb").to_string().contains("\"a\\nb\""));
    }
}
