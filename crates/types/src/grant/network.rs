//! Which network a guest is in: `--network` (Docker CLI reference, "docker container run").

use super::error::{Form, GrantError};
use std::fmt;
use std::str::FromStr;

const FORM: Form = Form {
    key: "network",
    expected: "none, host, bridge or default",
};

/// The network that a guest is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NetworkMode {
    /// `bridge`, which is the `default`: its ports are its own, and the host shows those that are
    /// published.
    #[default]
    Bridge,
    /// `host`: its ports are the host's. What it may reach needs grants as anywhere.
    Host,
    /// `none`: no socket is made, whatever else is granted.
    None,
}

impl FromStr for NetworkMode {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        match text {
            "bridge" | "default" => Ok(Self::Bridge),
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            "" => Err(FORM.malformed(text)),
            _ => Err(FORM.wrong(text, "there is no network of that name".to_owned())),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_docker_s_and_read_back() {
        for text in ["bridge", "host", "none"] {
            let mode: NetworkMode = text.parse().expect("a mode");
            assert_eq!(mode.to_string(), text);
        }
        assert_eq!("default".parse(), Ok(NetworkMode::Bridge));
        let error = "shop".parse::<NetworkMode>().expect_err("no such network");
        assert_eq!(
            error.to_string(),
            "invalid grant network \"shop\": there is no network of that name; \
             expected none, host, bridge or default"
        );
    }
}
