//! Whom TLS believes besides the system's authorities: `ca`.

use super::error::{Form, GrantError};
use std::fmt;
use std::str::FromStr;

const FORM: Form = Form {
    key: "ca",
    expected: "a FILE with certificates in PEM",
};

/// A file on the host with certificates of authorities, for requests over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthorityGrant(String);

impl AuthorityGrant {
    /// The file's path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AuthorityGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        if text.is_empty() || text.contains('\0') {
            return Err(FORM.malformed(text));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AuthorityGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
