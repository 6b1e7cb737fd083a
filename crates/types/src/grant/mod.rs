//! The words a user may say to give a program a right, the same for every front: a flag,
//! `--security-opt KEY=VALUE`, a compose file, a pod's annotation, a default in `config.toml`.
//!
//! One type for each kind of grant, with [`FromStr`] for the text and [`Display`] for the
//! canonical text, which reads back as the same grant. [`Grant`] is any of them, [`Grants`] all
//! of one run. Everything here is pure: paths are not opened, names not looked up, the
//! environment not read.
//!
//! | key | type | form |
//! |---|---|---|
//! | `allow-net` | [`NetGrant`] | `[tcp://\|udp://\|http://\|https://]HOST[:PORT]` |
//! | `allow-dns` | [`DnsGrant`] | `NAME`, `*.NAME`, `*` |
//! | `add-host` | [`HostGrant`] | `NAME:ADDRESS`, `NAME:host-gateway` |
//! | `dns` | [`DnsServer`] | the address of a name server |
//! | `network` | [`NetworkMode`] | `none`, `host`, `bridge`, `default` |
//! | `publish` | [`Publish`] | `[[HOST_IP:][HOST_PORT]:]CONTAINER_PORT[/tcp\|/udp]` |
//! | `volume`, `mount`, `tmpfs` | [`Mount`] | as Docker's `-v`, `--mount`, `--tmpfs` |
//! | `env` | [`EnvironmentEntry`] | `NAME=VALUE`, `NAME` |
//! | `secret` | [`SecretGrant`] | `NAME=FILE`, `id=NAME,src=FILE\|env=VARIABLE` |
//! | `credential` | [`CredentialGrant`] | `HOST=[FIELD:]env:NAME`, `HOST=[FIELD:]file:PATH` |
//! | `ca` | [`AuthorityGrant`] | `FILE` |
//! | `link` | [`LinkGrant`] | `INTERFACE=PROVIDER` |
//! | `set` | [`Setting`] | `KEY=VALUE` |
//! | `deny`, `stub` | [`InterfacePattern`] | `NAMESPACE:PACKAGE[/INTERFACE][@VERSION]`, `MODULE[.FUNCTION]` |
//! | `user` | [`UserIds`] | `UID[:GID]` |
//!
//! [`FromStr`]: std::str::FromStr
//! [`Display`]: std::fmt::Display

use crate::interface::InterfacePattern;
use error::Form;
use std::fmt;

mod address;
mod authority;
mod credential;
mod csv;
mod environment;
mod error;
mod host;
mod link;
mod mount;
mod mount_flag;
mod names;
mod net;
mod network;
mod path;
mod port;
mod publish;
mod secret;
mod set;
mod setting;
mod size;
mod suggest;
mod user;

pub use address::Cidr;
pub use authority::AuthorityGrant;
pub use credential::CredentialGrant;
pub use environment::{EnvironmentEntry, parse_environment_file};
pub use error::GrantError;
pub use host::{HostName, NamePattern};
pub use link::LinkGrant;
pub use mount::{Mount, MountKind, VolumeName};
pub(crate) use names::DNS_PORT;
pub use names::{DnsServer, HostGrant};
pub use net::{DnsGrant, NetGrant, NetHost, NetScheme};
pub use network::NetworkMode;
pub use path::GuestPath;
pub use port::PortRange;
pub use publish::{Protocol, Publish};
pub use secret::{SecretGrant, SecretSource};
pub use set::Grants;
pub use setting::Setting;
pub use size::parse_size_bytes;
pub use user::UserIds;

/// The keys of all grants.
pub const KEYS: &[&str] = &[
    "allow-net",
    "allow-dns",
    "add-host",
    "dns",
    "network",
    "publish",
    "volume",
    "mount",
    "tmpfs",
    "env",
    "secret",
    "credential",
    "ca",
    "link",
    "set",
    "deny",
    "stub",
    "user",
];

/// Any grant. Its text is `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// `allow-net`: where the guest may connect to.
    AllowNet(NetGrant),
    /// `allow-dns`: what it may look up besides.
    AllowDns(DnsGrant),
    /// `add-host`: what a name is answered with.
    AddHost(HostGrant),
    /// `dns`: whom to ask for names.
    Dns(DnsServer),
    /// `network`: which network it is in.
    Network(NetworkMode),
    /// `publish`: which of its ports the host shows.
    Publish(Publish),
    /// `volume`, `mount` and `tmpfs`: what it finds in its file system.
    Mount(Mount),
    /// `env`: a variable of its environment.
    Environment(EnvironmentEntry),
    /// `secret`: a file under `/run/secrets` and an answer of `wasi:config`.
    Secret(SecretGrant),
    /// `credential`: a header on its requests that it does not see.
    Credential(CredentialGrant),
    /// `ca`: whom its requests over TLS believe besides.
    Authority(AuthorityGrant),
    /// `link`: what meets one of its imports.
    Link(LinkGrant),
    /// `set`: an answer of `wasi:config`.
    Setting(Setting),
    /// `deny`: an interface to withhold.
    Deny(InterfacePattern),
    /// `stub`: an interface to replace by a trap on use.
    Stub(InterfacePattern),
    /// `user`: the user id of the process it runs in.
    User(UserIds),
}

impl Grant {
    /// Reads the value of a key.
    ///
    /// # Errors
    /// [`GrantError::UnknownKey`], or [`GrantError::Malformed`] from the key's own parser.
    pub fn parse(key: &str, value: &str) -> Result<Self, GrantError> {
        Ok(match key {
            "allow-net" => Self::AllowNet(value.parse()?),
            "allow-dns" => Self::AllowDns(value.parse()?),
            "add-host" => Self::AddHost(value.parse()?),
            "dns" => Self::Dns(value.parse()?),
            "network" => Self::Network(value.parse()?),
            "publish" => Self::Publish(value.parse()?),
            "volume" => Self::Mount(Mount::from_volume_flag(value)?),
            "mount" => Self::Mount(value.parse()?),
            "tmpfs" => Self::Mount(Mount::from_tmpfs_flag(value)?),
            "env" => Self::Environment(value.parse()?),
            "secret" => Self::Secret(value.parse()?),
            "credential" => Self::Credential(value.parse()?),
            "ca" => Self::Authority(value.parse()?),
            "link" => Self::Link(value.parse()?),
            "set" => Self::Setting(value.parse()?),
            "deny" => Self::Deny(parse_interface("deny", value)?),
            "stub" => Self::Stub(parse_interface("stub", value)?),
            "user" => Self::User(value.parse()?),
            _ => {
                return Err(GrantError::UnknownKey {
                    key: key.to_owned(),
                    suggestion: suggest::closest(key, KEYS),
                });
            }
        })
    }

    /// The key of the canonical text.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::AllowNet(_) => "allow-net",
            Self::AllowDns(_) => "allow-dns",
            Self::AddHost(_) => "add-host",
            Self::Dns(_) => "dns",
            Self::Network(_) => "network",
            Self::Publish(_) => "publish",
            Self::Mount(_) => "mount",
            Self::Environment(_) => "env",
            Self::Secret(_) => "secret",
            Self::Credential(_) => "credential",
            Self::Authority(_) => "ca",
            Self::Link(_) => "link",
            Self::Setting(_) => "set",
            Self::Deny(_) => "deny",
            Self::Stub(_) => "stub",
            Self::User(_) => "user",
        }
    }

    /// Why this version does not run a program with the grant, if it does not.
    #[must_use]
    pub fn unsupported_reason(&self) -> Option<&'static str> {
        match self {
            Self::Link(_) => Some("this version does not support links to providers"),
            Self::Mount(Mount {
                kind: MountKind::Volume { .. },
                ..
            }) => Some(
                "this version does not support volumes: name a directory, as ./DIRECTORY:TARGET, or use --tmpfs",
            ),
            Self::Mount(_)
            | Self::AllowNet(_)
            | Self::AllowDns(_)
            | Self::AddHost(_)
            | Self::Dns(_)
            | Self::Network(_)
            | Self::Publish(_)
            | Self::Environment(_)
            | Self::Secret(_)
            | Self::Credential(_)
            | Self::Authority(_)
            | Self::Setting(_)
            | Self::Deny(_)
            | Self::Stub(_)
            | Self::User(_) => None,
        }
    }
}

fn parse_interface(key: &'static str, value: &str) -> Result<InterfacePattern, GrantError> {
    let form = Form {
        key,
        expected: "NAMESPACE:PACKAGE[/INTERFACE][@VERSION] or MODULE[.FUNCTION]",
    };
    value.parse().map_err(|_| form.malformed(value))
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=", self.key())?;
        match self {
            Self::AllowNet(grant) => grant.fmt(formatter),
            Self::AllowDns(grant) => grant.fmt(formatter),
            Self::AddHost(grant) => grant.fmt(formatter),
            Self::Dns(server) => server.fmt(formatter),
            Self::Network(mode) => mode.fmt(formatter),
            Self::Publish(grant) => grant.fmt(formatter),
            Self::Mount(grant) => grant.fmt(formatter),
            Self::Environment(grant) => grant.fmt(formatter),
            Self::Secret(grant) => grant.fmt(formatter),
            Self::Credential(grant) => grant.fmt(formatter),
            Self::Authority(grant) => grant.fmt(formatter),
            Self::Link(grant) => grant.fmt(formatter),
            Self::Setting(grant) => grant.fmt(formatter),
            Self::Deny(grant) | Self::Stub(grant) => grant.fmt(formatter),
            Self::User(grant) => grant.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_parser_that_names_it() {
        for key in KEYS {
            let error = Grant::parse(key, "").expect_err("nothing is no grant");
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("invalid grant {key} \"\": ")),
                "{error}"
            );
        }
    }

    #[test]
    fn unknown_key_is_refused_with_the_known_ones() {
        let error = Grant::parse("allow-nte", "x").expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "unknown grant \"allow-nte\": did you mean allow-net? known are allow-net, allow-dns, \
             add-host, dns, network, publish, volume, mount, tmpfs, env, secret, credential, ca, link, set, deny, stub, user"
        );
        let error = Grant::parse("seccomp", "x").expect_err("unknown");
        assert!(!error.to_string().contains("did you mean"));
    }

    #[test]
    fn what_has_no_provider_yet_is_unsupported() {
        let reason = |key: &str, value: &str| {
            Grant::parse(key, value)
                .expect("valid")
                .unsupported_reason()
        };
        assert!(reason("allow-net", "a.b").is_none());
        assert!(reason("allow-net", "https://1.1.1.1").is_none());
        assert!(reason("ca", "x.pem").is_none());
        assert!(reason("allow-net", "1.1.1.1").is_none());
        assert!(reason("allow-net", "*").is_none());
        assert!(reason("allow-dns", "a.b").is_none());
        assert!(reason("add-host", "a.b:1.2.3.4").is_none());
        assert!(reason("dns", "1.2.3.4").is_none());
        assert!(reason("publish", "80").is_none());
        assert!(reason("credential", "a.b=env:T").is_none());
        assert!(reason("link", "a:b=image:c").is_some());
        assert!(reason("volume", "name:/data").is_some());
        assert!(reason("volume", "./name:/data").is_none());
        assert!(reason("tmpfs", "/tmp").is_none());
        assert!(reason("deny", "wasi:http").is_none());
    }

    #[test]
    fn text_is_key_and_canonical_value() {
        let grant = Grant::parse("volume", "/a:/b:ro").expect("valid");
        assert_eq!(
            grant.to_string(),
            "mount=type=bind,source=/a,target=/b,readonly"
        );
    }
}
