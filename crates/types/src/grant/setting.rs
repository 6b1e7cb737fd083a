//! Settings that `wasi:config` answers.

use super::error::{Form, GrantError};
use std::fmt;
use std::str::FromStr;

const FORM: Form = Form {
    key: "set",
    expected: "KEY=VALUE",
};

/// A key and what `wasi:config` answers for it (WASI, `wasi:config/store`): any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key: not empty, without `=`.
    pub key: String,
    /// The value.
    pub value: String,
}

impl FromStr for Setting {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        match text.split_once('=') {
            Some(("", _)) => Err(FORM.wrong(text, "no key")),
            Some((key, value)) => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            None => Err(FORM.malformed(text)),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn setting_without_key_or_value_is_refused() {
        let error = "colour".parse::<Setting>().expect_err("no value");
        assert_eq!(
            error.to_string(),
            "invalid grant set \"colour\": expected KEY=VALUE"
        );
        assert!("=red".parse::<Setting>().is_err());
    }

    proptest! {
        #[test]
        fn every_setting_survives_its_text(key in "[^=]{1,8}", value in ".*") {
            let setting = Setting { key, value };
            prop_assert_eq!(setting.to_string().parse::<Setting>().expect("canonical"), setting);
        }
    }
}
