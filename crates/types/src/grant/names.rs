//! What a guest finds names by: `--add-host` and `--dns` (Docker CLI reference, "docker container run").

use super::address::{bracketed, parse_ipv4, parse_ipv6};
use super::error::{Form, GrantError};
use super::host::HostName;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

const HOST_FORM: Form = Form {
    key: "add-host",
    expected: "NAME:ADDRESS or NAME=ADDRESS, ADDRESS an IP address or host-gateway",
};
const DNS_FORM: Form = Form {
    key: "dns",
    expected: "the IP address of a name server",
};

/// The port of name servers (RFC 1035, section 4.2).
pub(crate) const DNS_PORT: u16 = 53;

/// The word for the machine that a guest runs on.
const HOST_GATEWAY: &str = "host-gateway";

/// An answer for a name, by the user's own word: `NAME:ADDRESS`. It lets a guest find the name and grants no
/// way there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostGrant {
    /// The name.
    pub name: HostName,
    /// Where it leads: `None` to this machine (`host-gateway`).
    pub address: Option<IpAddr>,
}

impl HostGrant {
    /// The address that the name is answered with. A guest has the machine's own network, where the machine
    /// is its loopback address.
    #[must_use]
    pub fn answer(&self) -> IpAddr {
        self.address.unwrap_or(Ipv4Addr::LOCALHOST.into())
    }
}

/// Reads an address, in brackets or not.
fn parse_address(text: &str) -> Result<IpAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if let Some(inner) = bare {
        return parse_ipv6(inner).map(IpAddr::from);
    }
    match parse_ipv4(text) {
        Some(address) => address.map(IpAddr::from),
        None if text.contains(':') => parse_ipv6(text).map(IpAddr::from),
        None => Err(format!("\"{text}\" is no IP address")),
    }
}

impl FromStr for HostGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        // A name has neither of the two, an address may have colons.
        let (name, address) = text
            .split_once(['=', ':'])
            .ok_or_else(|| HOST_FORM.malformed(text))?;
        let wrong = |reason: String| HOST_FORM.wrong(text, reason);
        Ok(Self {
            name: HostName::parse(name).map_err(wrong)?,
            address: match address {
                HOST_GATEWAY => None,
                address => Some(parse_address(address).map_err(wrong)?),
            },
        })
    }
}

impl fmt::Display for HostGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(formatter, "{}:{}", self.name, bracketed(address, None)),
            None => write!(formatter, "{}:{HOST_GATEWAY}", self.name),
        }
    }
}

/// A name server to ask in place of the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DnsServer(pub IpAddr);

/// What to say of an address with a port, if the text is one.
fn without_port(text: &str) -> Option<String> {
    let address: SocketAddr = text.parse().ok()?;
    Some(format!(
        "name servers are asked at port {DNS_PORT}, which is not written: {}",
        address.ip()
    ))
}

impl FromStr for DnsServer {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        if text.is_empty() {
            return Err(DNS_FORM.malformed(text));
        }
        parse_address(text)
            .map(Self)
            .map_err(|reason| DNS_FORM.wrong(text, without_port(text).unwrap_or(reason)))
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostGrant {
        text.parse().expect("valid")
    }

    #[test]
    fn docker_s_spellings_of_a_host_are_one() {
        let canonical = "db.example:10.1.2.3";
        assert_eq!(host("DB.example:10.1.2.3").to_string(), canonical);
        assert_eq!(host("db.example=10.1.2.3").to_string(), canonical);
        for text in ["db:fd00::1", "db:[fd00::1]", "db=[fd00::1]", "db=fd00::1"] {
            assert_eq!(host(text).to_string(), "db:[fd00::1]");
        }
        assert_eq!(
            host("db:[fd00::1]").to_string().parse(),
            Ok(host("db=fd00::1"))
        );
    }

    #[test]
    fn host_gateway_is_this_machine() {
        let gateway = host("host.docker.internal:host-gateway");
        assert_eq!(gateway.to_string(), "host.docker.internal:host-gateway");
        assert_eq!(gateway.answer(), IpAddr::from(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn what_is_no_host_or_server_is_refused_with_the_reason() {
        let reason = |text: &str| text.parse::<HostGrant>().expect_err("invalid").to_string();
        assert_eq!(
            reason("db"),
            "invalid grant add-host \"db\": expected NAME:ADDRESS or NAME=ADDRESS, \
             ADDRESS an IP address or host-gateway"
        );
        assert!(reason("db:gateway").contains("\"gateway\" is no IP address"));
        assert!(reason("db:").contains("\"\" is no IP address"));
        assert!(reason(":10.1.2.3").contains("no host"));
        assert!(reason("db:10.1.2").contains("\"10.1.2\" is no IP address"));
        assert!(reason("db:010.1.2.3").contains("octal"));
        assert_eq!(host("my_db:10.1.2.3").name.as_str(), "my_db");
        assert!(reason("my+db:10.1.2.3").contains("hyphens"));
        let reason = |text: &str| text.parse::<DnsServer>().expect_err("invalid").to_string();
        assert_eq!(
            reason("dns.example"),
            "invalid grant dns \"dns.example\": \"dns.example\" is no IP address; \
             expected the IP address of a name server"
        );
        assert!(reason("").ends_with("expected the IP address of a name server"));
        for (text, address) in [("1.2.3.4:53", "1.2.3.4"), ("[::1]:53", "::1")] {
            let way = format!("name servers are asked at port 53, which is not written: {address}");
            assert!(reason(text).contains(&way), "{}", reason(text));
        }
        assert!(reason("fe80::1%eth0").contains("scope"));
    }
}
