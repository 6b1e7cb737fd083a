//! Paths inside a guest.

use std::fmt;

/// An absolute, clean path inside a guest: no `.`, `..`, doubled or trailing slash, no NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuestPath(String);

impl GuestPath {
    /// Takes a path in and cleans it as Docker does (Go's `path.Clean`): `/data/../x/` is `/x`.
    ///
    /// # Errors
    /// What is wrong, in Docker's words: the path is relative, empty, or holds a NUL.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('\0') {
            return Err("path holds a NUL character".to_owned());
        }
        if !text.starts_with('/') {
            return Err(format!(
                "invalid mount path: '{text}' mount path must be absolute"
            ));
        }
        let mut names: Vec<&str> = Vec::new();
        for name in text.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    names.pop();
                }
                name => names.push(name),
            }
        }
        Ok(Self(format!("/{}", names.join("/"))))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clean(text: &str) -> String {
        GuestPath::parse(text).expect("absolute").to_string()
    }

    #[test]
    fn path_is_cleaned_as_docker_does() {
        assert_eq!(clean("/data/../x/"), "/x");
        assert_eq!(clean("//a/./b//c"), "/a/b/c");
        assert_eq!(clean("/../../etc"), "/etc");
        assert_eq!(clean("/"), "/");
        assert_eq!(clean("/a/.."), "/");
    }

    #[test]
    fn relative_path_is_refused_in_docker_words() {
        assert_eq!(
            GuestPath::parse("data").expect_err("relative"),
            "invalid mount path: 'data' mount path must be absolute"
        );
        assert!(GuestPath::parse("").is_err());
        assert!(GuestPath::parse("/a\0b").is_err());
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(text in "/[a./]{0,24}") {
            let once = clean(&text);
            prop_assert!(!once.split('/').any(|name| name == ".."));
            prop_assert_eq!(clean(&once), once);
        }
    }
}
