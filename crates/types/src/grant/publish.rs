//! Published ports: `-p` (Docker CLI reference, "docker container run", `--publish`).

use super::address::{bracketed, parse_ipv4, parse_ipv6};
use super::error::{Form, GrantError};
use super::port::PortRange;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

const FORM: Form = Form {
    key: "publish",
    expected: "[[HOST_IP:][HOST_PORT]:]CONTAINER_PORT[/tcp|/udp]",
};

/// Ports of a guest that are reachable on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Publish {
    /// The host's address; `None` is all of them.
    pub host_address: Option<IpAddr>,
    /// The host's ports: as many as the guest's, or several for one of the guest's, of which the
    /// first free one is taken; `None` is any free port.
    pub host_ports: Option<PortRange>,
    /// The guest's ports.
    pub container_ports: PortRange,
    /// By which transport.
    pub protocol: Protocol,
}

/// A transport that ports belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The name, as it stands behind a port's slash.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl Publish {
    /// Whether the host chooses which of its ports is taken.
    #[must_use]
    pub fn is_chosen_by_host(&self) -> bool {
        self.host_ports
            .is_none_or(|ports| ports.count() != self.container_ports.count())
    }

    /// Whether both want a port of the host's for themselves that only one can have.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        if self.is_chosen_by_host() || other.is_chosen_by_host() {
            return false;
        }
        let ports = self.host_ports.zip(other.host_ports);
        let addresses = self.host_address.zip(other.host_address);
        self.protocol == other.protocol
            && ports.is_some_and(|(one, two)| one.overlaps(two))
            && addresses.is_none_or(|(one, two)| {
                one == two
                    || one.is_ipv4() == two.is_ipv4()
                        && (one.is_unspecified() || two.is_unspecified())
            })
    }
}

impl FromStr for Publish {
    type Err = GrantError;

    /// Reads Docker's short form, with the words of its `go-connections/nat`.
    fn from_str(text: &str) -> Result<Self, GrantError> {
        let wrong = |reason: String| FORM.wrong(text, reason);
        let (ports, protocol) = match text.rsplit_once('/') {
            Some((ports, protocol)) => (ports, parse_protocol(protocol).map_err(wrong)?),
            None => (text, Protocol::Tcp),
        };
        let (rest, container) = match ports.rsplit_once(':') {
            Some((rest, container)) => (Some(rest), container),
            None => (None, ports),
        };
        if container.is_empty() {
            return Err(wrong(format!("no port specified: {text}<empty>")));
        }
        let container_ports = PortRange::parse(container)
            .ok_or_else(|| wrong(format!("invalid containerPort: {container}")))?;
        let (address, host) = match rest.and_then(|rest| rest.rsplit_once(':')) {
            Some((address, host)) => (Some(address), host),
            None => (None, rest.unwrap_or_default()),
        };
        let host_ports = match host {
            // 0 asks the kernel for a free one, as the empty text does.
            "" | "0" => None,
            host => Some(
                PortRange::parse(host).ok_or_else(|| wrong(format!("invalid hostPort: {host}")))?,
            ),
        };
        let counts = host_ports.map(|ports| (ports.count(), container_ports.count()));
        if counts.is_some_and(|(host, container)| host != container && container != 1) {
            return Err(wrong(format!(
                "invalid ranges specified for container and host Ports: {container} and {host}"
            )));
        }
        Ok(Self {
            host_address: address
                .filter(|address| !address.is_empty())
                .map(parse_address)
                .transpose()
                .map_err(wrong)?,
            host_ports,
            container_ports,
            protocol,
        })
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Err("invalid proto: sctp: a guest has no interface for it".to_owned()),
        _ => Err(format!("invalid proto: {text}")),
    }
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    let invalid = |_| format!("invalid IP address: {text}");
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        return parse_ipv6(inner).map(IpAddr::V6).map_err(invalid);
    }
    match parse_ipv4(text) {
        Some(address) => address.map(IpAddr::V4).map_err(invalid),
        None => Err(format!("invalid IP address: {text}")),
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.host_address {
            write!(formatter, "{}:", bracketed(address, None))?;
        }
        if let Some(ports) = self.host_ports {
            write!(formatter, "{ports}")?;
        }
        if self.host_address.is_some() || self.host_ports.is_some() {
            formatter.write_str(":")?;
        }
        write!(formatter, "{}", self.container_ports)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => formatter.write_str("/udp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        text.parse::<Publish>().expect("valid").to_string()
    }

    fn reason(text: &str) -> String {
        text.parse::<Publish>().expect_err("invalid").reason()
    }

    #[test]
    fn every_short_form_is_read() {
        assert_eq!(canonical("80"), "80");
        assert_eq!(canonical(":80"), "80");
        assert_eq!(canonical("0:80"), "80");
        assert_eq!(canonical("8080:80/tcp"), "8080:80");
        assert_eq!(canonical("127.0.0.1::53/UDP"), "127.0.0.1::53/udp");
        assert_eq!(canonical("[::1]:80:80"), "[::1]:80:80");
        assert_eq!(canonical("9000-9001:80-81"), "9000-9001:80-81");
        assert_eq!(canonical("9000-9009:80"), "9000-9009:80");
    }

    #[test]
    fn faults_are_named_in_docker_words() {
        assert_eq!(reason("99999:80"), "invalid hostPort: 99999");
        assert_eq!(reason("80:abc"), "invalid containerPort: abc");
        assert_eq!(reason("80:80/foo"), "invalid proto: foo");
        assert_eq!(
            reason("80-82:90-91"),
            "invalid ranges specified for container and host Ports: 90-91 and 80-82"
        );
        assert_eq!(reason("80:"), "no port specified: 80:<empty>");
        assert_eq!(reason(""), "no port specified: <empty>");
        assert_eq!(reason("::1:80:80"), "invalid IP address: ::1");
        assert_eq!(reason("localhost:80:80"), "invalid IP address: localhost");
        assert_eq!(reason("010.0.0.1:80:80"), "invalid IP address: 010.0.0.1");
        assert!(reason("80/sctp").contains("no interface"));
    }

    #[test]
    fn one_port_of_the_host_goes_to_one() {
        let collide = |one: &str, two: &str| {
            let publish = |text: &str| text.parse::<Publish>().expect("valid");
            publish(one).collides(&publish(two))
        };
        for (one, two) in [
            ("80:80", "80:81"),
            ("80:80", "127.0.0.1:80:81"),
            ("0.0.0.0:80:80", "127.0.0.1:80:81"),
            ("80-90:80-90", "85:1"),
            ("80:80", "80:80"),
        ] {
            assert!(collide(one, two) && collide(two, one), "{one} {two}");
        }
        for (one, two) in [
            ("80:80", "81:80"),
            ("80:80", "80:80/udp"),
            ("127.0.0.1:80:80", "127.0.0.2:80:80"),
            ("127.0.0.1:80:80", "[::]:80:80"),
            ("80-90:80", "80:80"),
            ("80", "80"),
        ] {
            assert!(!collide(one, two) && !collide(two, one), "{one} {two}");
        }
    }

    proptest! {
        #[test]
        fn every_publication_survives_its_text(
            address in proptest::option::of(prop_oneof![
                any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
                (1_u128 << 64..u128::MAX).prop_map(|bits| IpAddr::V6(bits.into())),
            ]),
            host in proptest::option::of(1..60000_u16),
            (first, more) in (1..60000_u16, 0..100_u16),
            is_udp in any::<bool>(),
        ) {
            let publish = Publish {
                host_address: address,
                host_ports: host.and_then(|port| PortRange::new(port, port + more)),
                container_ports: PortRange::new(first, first + more).expect("not empty"),
                protocol: if is_udp { Protocol::Udp } else { Protocol::Tcp },
            };
            prop_assert_eq!(publish.to_string().parse::<Publish>().expect("canonical"), publish);
        }
    }
}
