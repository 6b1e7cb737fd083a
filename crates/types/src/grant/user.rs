//! The user id that a runner takes.

use super::error::{Form, GrantError};
use std::fmt;
use std::str::FromStr;

const FORM: Form = Form {
    key: "user",
    expected: "UID[:GID] in numbers",
};

/// The highest id, as in Docker.
const HIGHEST: u32 = i32::MAX.unsigned_abs();

/// A user id and, where one was given, a group id. Names are refused: a guest has no
/// `/etc/passwd` to look them up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserIds {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: Option<u32>,
}

impl FromStr for UserIds {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (text, None),
        };
        let id = |digits: &str| {
            if digits.is_empty() {
                return Err(FORM.malformed(text));
            }
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                let reason = format!("\"{digits}\" is no number, and a guest has no list of users");
                return Err(FORM.wrong(text, reason));
            }
            digits
                .parse()
                .ok()
                .filter(|id| *id <= HIGHEST)
                .ok_or_else(|| FORM.wrong(text, "uids and gids must be in range 0-2147483647"))
        };
        Ok(Self {
            uid: id(uid)?,
            gid: gid.map(id).transpose()?,
        })
    }
}

impl fmt::Display for UserIds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.gid {
            Some(gid) => write!(formatter, "{}:{gid}", self.uid),
            None => write!(formatter, "{}", self.uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(text: &str) -> String {
        text.parse::<UserIds>().expect_err("invalid").reason()
    }

    #[test]
    fn names_and_ranges_are_refused_with_the_reason() {
        assert_eq!(
            reason("www-data"),
            "\"www-data\" is no number, and a guest has no list of users"
        );
        assert_eq!(
            reason("1:4294967295"),
            "uids and gids must be in range 0-2147483647"
        );
        assert_eq!(reason("1:"), "expected UID[:GID] in numbers");
        assert_eq!(reason(""), "expected UID[:GID] in numbers");
        assert!(reason("1:2:3").contains("\"2:3\" is no number"));
        assert!(reason("+1").contains("is no number"));
    }

    proptest! {
        #[test]
        fn every_pair_survives_its_text(uid in 0..=HIGHEST, gid in proptest::option::of(0..=HIGHEST)) {
            let ids = UserIds { uid, gid };
            prop_assert_eq!(ids.to_string().parse::<UserIds>().expect("canonical"), ids);
        }
    }
}
