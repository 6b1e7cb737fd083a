//! Secrets: a file under `/run/secrets` and an answer of `wasi:config`.

use super::csv;
use super::error::{Form, GrantError};
use std::fmt;
use std::str::FromStr;

const FORM: Form = Form {
    key: "secret",
    expected: "NAME=FILE or id=NAME,src=FILE|env=VARIABLE",
};

/// A secret that a guest is given, and where the caller has it.
///
/// The text is `NAME=FILE`, or `id=NAME,src=FILE` or `id=NAME,env=VARIABLE` as `docker build`
/// has it; the canonical one is the second. The names `id`, `src`, `source`, `env` and `type`
/// can only be written in the long form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretGrant {
    /// The name: letters, digits and `._-`, starting and ending with a letter or digit, at most
    /// 64 of them (Docker, "docker secret create").
    pub name: String,
    /// Where the caller has it.
    pub source: SecretSource,
}

/// Where a secret, or a credential, comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file of the host's; a relative path is relative to the caller's directory.
    File(String),
    /// A variable of the caller's environment.
    Environment(String),
}

impl FromStr for SecretGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let wrong = |reason: &str| FORM.wrong(text, reason);
        let (first, value) = text.split_once('=').ok_or_else(|| FORM.malformed(text))?;
        let (name, source) = match first.trim_start_matches('"') {
            "id" | "src" | "source" | "env" | "type" => fields(text).map_err(wrong)?,
            _ => (first.to_owned(), SecretSource::File(value.to_owned())),
        };
        if !is_secret_name(&name) {
            return Err(wrong(
                "a name has at most 64 letters, digits and \"._-\", and starts and ends with a letter or digit",
            ));
        }
        match &source {
            SecretSource::File(path) if path.is_empty() || path.contains('\0') => {
                Err(wrong("no file"))
            }
            SecretSource::Environment(variable) if !is_variable_name(variable) => {
                Err(wrong("no variable of that name can be"))
            }
            _ => Ok(Self { name, source }),
        }
    }
}

/// Reads the long form.
fn fields(text: &str) -> Result<(String, SecretSource), &'static str> {
    let (mut name, mut source, mut kind) = (None, None, None);
    for field in csv::split(text)? {
        let (key, value) = field.split_once('=').ok_or("a field without a value")?;
        let value = value.to_owned();
        let is_first = match key {
            "id" => name.replace(value).is_none(),
            "type" => kind.replace(value).is_none(),
            "src" | "source" => source.replace(SecretSource::File(value)).is_none(),
            "env" => source.replace(SecretSource::Environment(value)).is_none(),
            _ => return Err("an unknown field"),
        };
        if !is_first {
            return Err("a field given twice, or both src and env");
        }
    }
    let source = match (kind.as_deref(), source) {
        (_, None) => return Err("neither src nor env"),
        // As `docker build`: with `type=env` the source is the variable's name.
        (Some("env"), Some(SecretSource::File(name) | SecretSource::Environment(name))) => {
            SecretSource::Environment(name)
        }
        (Some("file"), Some(source @ SecretSource::File(_))) | (None, Some(source)) => source,
        _ => return Err("the type does not fit"),
    };
    Ok((name.ok_or("no id")?, source))
}

/// Whether the text can name a secret, and so a file.
fn is_secret_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 64
        && bytes.iter().copied().all(is_inner)
        && is_outer(bytes.first())
        && is_outer(bytes.last())
}

/// Whether the text can name an environment variable (POSIX, "Environment Variable Definition").
pub(super) fn is_variable_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for SecretGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            SecretSource::File(path) => format!("src={path}"),
            SecretSource::Environment(variable) => format!("env={variable}"),
        };
        write!(formatter, "id={},{}", self.name, csv::quote(&source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        text.parse::<SecretGrant>().expect("valid").to_string()
    }

    fn reason(text: &str) -> String {
        text.parse::<SecretGrant>().expect_err("invalid").reason()
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(canonical("token=./t=1"), "id=token,src=./t=1");
        assert_eq!(canonical("id=token,src=/t"), "id=token,src=/t");
        assert_eq!(canonical("source=/t,id=token"), "id=token,src=/t");
        assert_eq!(canonical("id=token,env=TOKEN"), "id=token,env=TOKEN");
        assert_eq!(
            canonical("type=env,id=token,src=TOKEN"),
            "id=token,env=TOKEN"
        );
        assert_eq!(canonical("id=a,\"src=/x,y\""), "id=a,\"src=/x,y\"");
    }

    #[test]
    fn malformed_secret_is_refused_with_the_reason() {
        assert_eq!(
            "token"
                .parse::<SecretGrant>()
                .expect_err("invalid")
                .to_string(),
            "invalid grant secret \"token\": expected NAME=FILE or id=NAME,src=FILE|env=VARIABLE"
        );
        assert_eq!(reason("id=token"), "neither src nor env");
        assert_eq!(reason("src=/t"), "no id");
        assert_eq!(
            reason("id=a,src=/t,env=T"),
            "a field given twice, or both src and env"
        );
        assert_eq!(reason("id=a,file=/t"), "an unknown field");
        assert_eq!(reason("a="), "no file");
        assert_eq!(reason("id=a,env=A B"), "no variable of that name can be");
        assert!(reason("../x=/t").starts_with("a name has"));
        assert!(reason("..=/t").starts_with("a name has"));
        assert!(reason("=/t").starts_with("a name has"));
    }

    proptest! {
        #[test]
        fn every_secret_survives_its_text(
            name in "[a-z0-9]([a-z0-9._-]{0,10}[a-z0-9])?",
            path in "[^\\x00]{1,20}",
        ) {
            let grant = SecretGrant { name, source: SecretSource::File(path) };
            prop_assert_eq!(grant.to_string().parse::<SecretGrant>().expect("canonical"), grant);
        }
    }
}
