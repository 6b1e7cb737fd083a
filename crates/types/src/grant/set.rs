//! All grants of one run.

use super::{
    AuthorityGrant, CredentialGrant, DnsGrant, DnsServer, EnvironmentEntry, Grant, GrantError,
    HostGrant, Mount, NamePattern, NetGrant, NetworkMode, Publish, SecretGrant, Setting, UserIds,
};
use crate::interface::InterfacePattern;

/// The grants of one run, in the order they were given.
///
/// Where one word may be said several times, the last one counts (environment, settings, user),
/// except where that would hide something: two mounts on one target or two secrets of one name
/// are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    list: Vec<Grant>,
}

impl Grants {
    /// Adds one.
    ///
    /// # Errors
    /// [`GrantError::DuplicateMountPoint`] and [`GrantError::DuplicateName`].
    pub fn add(&mut self, grant: Grant) -> Result<(), GrantError> {
        match &grant {
            Grant::Mount(mount) if self.mounts().any(|other| other.target == mount.target) => {
                return Err(GrantError::DuplicateMountPoint {
                    target: mount.target.to_string(),
                });
            }
            Grant::Secret(secret) => {
                let is_taken = self.secrets().any(|other| other.name == secret.name)
                    || self.settings().any(|setting| setting.key == secret.name);
                check_name(is_taken, &secret.name)?;
            }
            Grant::Credential(new) => {
                let is_same =
                    |old: &CredentialGrant| (&old.host, &old.field) == (&new.host, &new.field);
                if self.credentials().any(is_same) {
                    return Err(GrantError::DuplicateCredential {
                        host: new.host.to_string(),
                        field: new.field.clone(),
                    });
                }
            }
            Grant::Setting(setting) => {
                let is_taken = self.secrets().any(|secret| secret.name == setting.key);
                check_name(is_taken, &setting.key)?;
            }
            _ => {}
        }
        self.list.push(grant);
        Ok(())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.list.iter()
    }

    /// The mounts, each target once.
    pub fn mounts(&self) -> impl Iterator<Item = &Mount> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Mount(mount) => Some(mount),
            _ => None,
        })
    }

    /// The environment's entries; of several with one name the last counts.
    pub fn environment(&self) -> impl Iterator<Item = &EnvironmentEntry> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Environment(entry) => Some(entry),
            _ => None,
        })
    }

    /// The environment that a guest gets: each name once, in the order in which the names were
    /// first given. `find` answers for the caller's own variables.
    pub fn resolve_environment(
        &self,
        find: impl Fn(&str) -> Option<String>,
    ) -> Vec<(String, String)> {
        let mut resolved: Vec<(String, String)> = Vec::new();
        for (name, value) in self.environment().filter_map(|entry| entry.resolve(&find)) {
            match resolved.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => resolved.push((name, value)),
            }
        }
        resolved
    }

    /// The secrets, each name once.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretGrant> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Secret(secret) => Some(secret),
            _ => None,
        })
    }

    /// The settings of `wasi:config`; of several with one key the last counts.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Setting(setting) => Some(setting),
            _ => None,
        })
    }

    /// The interfaces to withhold.
    pub fn denials(&self) -> impl Iterator<Item = &InterfacePattern> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Deny(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// The interfaces to replace by a trap.
    pub fn stubs(&self) -> impl Iterator<Item = &InterfacePattern> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Stub(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// The user id, the last one given.
    #[must_use]
    pub fn user(&self) -> Option<UserIds> {
        self.list.iter().rev().find_map(|grant| match grant {
            Grant::User(user) => Some(*user),
            _ => None,
        })
    }

    /// Where to connections may be made (`allow-net`).
    pub fn destinations(&self) -> impl Iterator<Item = &NetGrant> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::AllowNet(net) => Some(net),
            _ => None,
        })
    }

    /// What may be looked up besides (`allow-dns`).
    pub fn lookups(&self) -> impl Iterator<Item = &NamePattern> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::AllowDns(DnsGrant(pattern)) => Some(pattern),
            _ => None,
        })
    }

    /// The user's own answers for names (`add-host`); a name may have several.
    pub fn hosts(&self) -> impl Iterator<Item = &HostGrant> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::AddHost(host) => Some(host),
            _ => None,
        })
    }

    /// The servers to ask for names (`dns`), in place of the system's.
    pub fn name_servers(&self) -> impl Iterator<Item = &DnsServer> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Dns(server) => Some(server),
            _ => None,
        })
    }

    /// The network that it is in, the last one given.
    #[must_use]
    pub fn network(&self) -> NetworkMode {
        let mut last = self.list.iter().rev();
        last.find_map(|grant| match grant {
            Grant::Network(mode) => Some(*mode),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// Whether it makes sockets at all.
    #[must_use]
    pub fn has_network(&self) -> bool {
        let is_granted = |grant: &Grant| {
            matches!(
                grant,
                Grant::AllowNet(_) | Grant::AllowDns(_) | Grant::Publish(_)
            )
        };
        match self.network() {
            NetworkMode::None => false,
            NetworkMode::Host => true,
            NetworkMode::Bridge => self.list.iter().any(is_granted),
        }
    }

    /// What is added to requests (`credential`), one for each field of a host.
    pub fn credentials(&self) -> impl Iterator<Item = &CredentialGrant> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Credential(credential) => Some(credential),
            _ => None,
        })
    }

    /// Whom TLS believes besides the system's authorities (`ca`).
    pub fn authorities(&self) -> impl Iterator<Item = &AuthorityGrant> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Authority(authority) => Some(authority),
            _ => None,
        })
    }

    /// The ports that the host shows (`publish`).
    pub fn published(&self) -> impl Iterator<Item = &Publish> {
        self.list.iter().filter_map(|grant| match grant {
            Grant::Publish(publish) => Some(publish),
            _ => None,
        })
    }

    /// The first grant that this version does not support, and the reason.
    #[must_use]
    pub fn unsupported(&self) -> Option<(&Grant, &'static str)> {
        self.list
            .iter()
            .find_map(|grant| Some((grant, grant.unsupported_reason()?)))
    }
}

fn check_name(is_taken: bool, name: &str) -> Result<(), GrantError> {
    if is_taken {
        return Err(GrantError::DuplicateName {
            name: name.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(list: &[(&str, &str)]) -> Result<Grants, GrantError> {
        let mut grants = Grants::default();
        for (key, value) in list {
            grants.add(Grant::parse(key, value)?)?;
        }
        Ok(grants)
    }

    #[test]
    fn target_given_twice_is_refused_in_docker_words() {
        let error = grants(&[("volume", "/a:/data"), ("tmpfs", "/data/x/..")]);
        assert_eq!(
            error.expect_err("twice").to_string(),
            "Duplicate mount point: /data"
        );
    }

    #[test]
    fn secret_and_setting_of_one_name_are_refused() {
        let error = grants(&[("secret", "a=/x"), ("set", "a=1")]);
        assert_eq!(
            error.expect_err("twice").to_string(),
            "secret or setting \"a\" is given twice"
        );
        assert!(grants(&[("set", "a=1"), ("secret", "a=/x")]).is_err());
        assert!(grants(&[("set", "a=1"), ("set", "a=2")]).is_ok());
    }

    #[test]
    fn last_value_of_a_variable_counts() {
        let grants = grants(&[("env", "A=1"), ("env", "B"), ("env", "A=2"), ("env", "C")]);
        let environment = grants
            .expect("valid")
            .resolve_environment(|name| (name == "B").then(|| "b".to_owned()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(environment, [pair("A", "2"), pair("B", "b")]);
    }

    #[test]
    fn first_unsupported_grant_is_found() {
        let grants = grants(&[("env", "A=1"), ("link", "a:b=image:c"), ("publish", "80")]);
        let grants = grants.expect("valid");
        let (grant, reason) = grants.unsupported().expect("one is");
        assert_eq!(grant.key(), "link");
        assert!(reason.contains("this version"));
    }
}
