//! Environment variables: `-e` and `--env-file` (Docker CLI reference, "docker container run").

use super::error::{Form, GrantError};
use std::fmt;
use std::str::FromStr;

const FORM: Form = Form {
    key: "env",
    expected: "NAME=VALUE or NAME",
};

/// One environment variable, or the wish to hand one on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentEntry {
    /// `NAME=VALUE`.
    Set {
        /// The name: not empty, without `=` and NUL.
        name: String,
        /// The value: any text without NUL.
        value: String,
    },
    /// `NAME` alone: the caller's own value, or nothing if the caller has none.
    Inherit {
        /// The name: not empty, without `=` and NUL.
        name: String,
    },
}

impl EnvironmentEntry {
    /// The variable's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::Inherit { name } => name,
        }
    }

    /// The name and value that the guest gets, with `find` answering for the caller's own
    /// environment; `None` if that has no such variable.
    #[must_use]
    pub fn resolve(&self, find: impl FnOnce(&str) -> Option<String>) -> Option<(String, String)> {
        match self {
            Self::Set { name, value } => Some((name.clone(), value.clone())),
            Self::Inherit { name } => find(name).map(|value| (name.clone(), value)),
        }
    }
}

impl FromStr for EnvironmentEntry {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        // A value may be confidential: an error shows the name only.
        if name.is_empty() {
            return Err(FORM.wrong(name, "invalid environment variable: no name"));
        }
        if text.contains('\0') {
            return Err(FORM.wrong(name, "invalid environment variable: a NUL character"));
        }
        let name = name.to_owned();
        Ok(match value {
            Some(value) => Self::Set {
                name,
                value: value.to_owned(),
            },
            None => Self::Inherit { name },
        })
    }
}

impl fmt::Display for EnvironmentEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { name, value } => write!(formatter, "{name}={value}"),
            Self::Inherit { name } => formatter.write_str(name),
        }
    }
}

/// Reads a whole `--env-file`: a variable on each line, as Docker's CLI reads it.
///
/// Blank lines and lines that start with `#` say nothing; a byte order mark is skipped; blanks
/// before a name are dropped, a value is kept as it is, quotes and all.
///
/// # Errors
/// [`GrantError::EnvironmentFile`] with the line's number: not UTF-8, no name, a blank in a name,
/// a NUL.
pub fn parse_environment_file(content: &[u8]) -> Result<Vec<EnvironmentEntry>, GrantError> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut entries = Vec::new();
    for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let fail = |reason: String| GrantError::EnvironmentFile {
            line: index + 1,
            reason,
        };
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line))
            .map_err(|_| fail("env file contains invalid utf8 bytes".to_owned()))?
            .trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(fail("no variable name on line".to_owned()));
        }
        if name.contains(is_blank) {
            return Err(fail(format!("variable '{name}' contains whitespaces")));
        }
        entries.push(
            line.parse()
                .map_err(|error: GrantError| fail(error.reason()))?,
        );
    }
    Ok(entries)
}

/// What Docker's reader takes for a blank.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(name: &str, value: &str) -> EnvironmentEntry {
        EnvironmentEntry::Set {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn value_keeps_its_equal_signs() {
        assert_eq!("A=b=c".parse(), Ok(set("A", "b=c")));
        assert_eq!("A=".parse(), Ok(set("A", "")));
    }

    #[test]
    fn name_alone_takes_the_callers_value() {
        let entry: EnvironmentEntry = "HOME".parse().expect("valid");
        let found = entry.resolve(|name| (name == "HOME").then(|| "/root".to_owned()));
        assert_eq!(found, Some(("HOME".to_owned(), "/root".to_owned())));
        assert_eq!(entry.resolve(|_| None), None);
    }

    #[test]
    fn entry_without_a_name_is_refused_and_its_value_not_shown() {
        let error = "=hunter2".parse::<EnvironmentEntry>().expect_err("no name");
        assert_eq!(
            error.to_string(),
            "invalid grant env \"\": invalid environment variable: no name; expected NAME=VALUE or NAME"
        );
        assert!("A=\0".parse::<EnvironmentEntry>().is_err());
        assert!("".parse::<EnvironmentEntry>().is_err());
    }

    #[test]
    fn file_is_read_as_docker_reads_it() {
        let content = b"\xef\xbb\xbf# first\n\nA=1\r\n  B=\"q\" \nHOME\n   # not a variable\n";
        let entries = parse_environment_file(content).expect("valid");
        assert_eq!(
            entries,
            [
                set("A", "1"),
                set("B", "\"q\" "),
                EnvironmentEntry::Inherit {
                    name: "HOME".to_owned()
                }
            ]
        );
    }

    #[test]
    fn wrong_line_of_a_file_is_named() {
        let error = |content: &[u8]| {
            parse_environment_file(content)
                .expect_err("wrong")
                .to_string()
        };
        assert_eq!(
            error(b"A=1\nB C=2\n"),
            "line 2: variable 'B C' contains whitespaces"
        );
        assert_eq!(error(b"=2"), "line 1: no variable name on line");
        assert_eq!(
            error(b"\nA=\xff"),
            "line 2: env file contains invalid utf8 bytes"
        );
    }

    proptest! {
        #[test]
        fn every_entry_survives_its_text(text in "[^=\\x00]{1,8}(=[^\\x00]{0,16})?") {
            let entry: EnvironmentEntry = text.parse().expect("valid");
            prop_assert_eq!(entry.to_string(), text);
        }
    }
}
