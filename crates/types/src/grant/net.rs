//! What a guest may reach: `allow-net` and `allow-dns`.

use super::address::{Cidr, bracketed, parse_cidr, parse_ipv4, parse_ipv6};
use super::error::{Form, GrantError};
use super::host::NamePattern;
use super::port::PortRange;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

const FORM: Form = Form {
    key: "allow-net",
    expected: "[tcp://|udp://|http://|https://]HOST[:PORT]",
};
const DNS_FORM: Form = Form {
    key: "allow-dns",
    expected: "a name, *.NAME or *",
};

/// Where a guest may connect to: `[tcp://|udp://|http://|https://]HOST[:PORT]`.
///
/// The canonical text leaves out what says nothing: the port where it is any, or the one that
/// the scheme implies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetGrant {
    /// By which transport; without one by tcp, udp and http(s).
    pub scheme: Option<NetScheme>,
    /// Where.
    pub host: NetHost,
    /// On which ports; `None` is every port.
    pub ports: Option<PortRange>,
}

/// A transport of [`NetGrant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetScheme {
    /// `tcp://`: sockets, and `wasi:http` to the same place.
    Tcp,
    /// `udp://`: sockets.
    Udp,
    /// `http://`: `wasi:http` alone, no sockets.
    Http,
    /// `https://`: `wasi:http` over TLS alone, no sockets.
    Https,
}

impl NetScheme {
    const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Http, Self::Https];

    /// The scheme's name, as it stands before `://`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that is meant where none is written (RFC 9110, section 4.2).
    #[must_use]
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Tcp | Self::Udp => None,
            Self::Http => Some(80),
            Self::Https => Some(443),
        }
    }
}

/// A host of [`NetGrant`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NetHost {
    /// A name, the names below one, or `*`, which means every public address.
    Name(NamePattern),
    /// One address.
    Address(IpAddr),
    /// A network, literally: every address in it.
    Network(Cidr),
}

impl NetHost {
    /// Takes a host in: a name, `*.example.com`, `*`, `10.1.2.3`, `10.0.0.0/8`, `[::1]` or
    /// `[fd00::/8]`. No address at all (`0.0.0.0`, `[::]`) is none: whoever goes there goes to this machine.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let host = Self::parse_any(text)?;
        match &host {
            Self::Address(address) if address.is_unspecified() => {
                let own = if address.is_ipv4() {
                    "127.0.0.1"
                } else {
                    "[::1]"
                };
                Err(format!(
                    "\"{text}\" is no destination: this machine is {own}"
                ))
            }
            _ => Ok(host),
        }
    }

    fn parse_any(text: &str) -> Result<Self, String> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner
                .strip_suffix(']')
                .ok_or("a bracket without its other half")?;
            return match inner.split_once('/') {
                Some((address, length)) => {
                    parse_cidr(parse_ipv6(address)?.into(), length).map(Self::Network)
                }
                None => Ok(Self::Address(parse_ipv6(inner)?.into())),
            };
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        match (parse_ipv4(address), length) {
            (Some(address), Some(length)) => parse_cidr(address?.into(), length).map(Self::Network),
            (Some(address), None) => Ok(Self::Address(address?.into())),
            (None, Some(_)) => Err("a grant has no path".to_owned()),
            (None, None) => NamePattern::parse(text).map(Self::Name),
        }
    }
}

impl fmt::Display for NetHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(pattern) => write!(formatter, "{pattern}"),
            Self::Address(address) => formatter.write_str(&bracketed(*address, None)),
            Self::Network(network) => {
                let text = bracketed(network.address(), Some(network.prefix_length()));
                formatter.write_str(&text)
            }
        }
    }
}

impl FromStr for NetGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let wrong = |reason: String| FORM.wrong(text, reason);
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(parse_scheme(scheme).map_err(wrong)?), rest),
            None => (None, text),
        };
        if scheme.is_none()
            && let Some(reason) = misplaced(text)
        {
            return Err(wrong(reason));
        }
        if rest.is_empty() || rest.starts_with('/') {
            return Err(FORM.malformed(text));
        }
        if rest.contains('@') {
            return Err(wrong("a grant has no user".to_owned()));
        }
        if rest.contains(['?', '#']) {
            return Err(wrong("a grant has no query".to_owned()));
        }
        if rest.contains(',') {
            let first = rest.split(',').next().unwrap_or_default();
            return Err(wrong(format!(
                "each destination is a grant of its own, as {first}"
            )));
        }
        let (host_text, port) = split_port(rest).map_err(wrong)?;
        if port.is_some_and(|port| port.contains('/')) {
            return Err(wrong("a grant has no path".to_owned()));
        }
        let ports = match port {
            None => scheme
                .and_then(NetScheme::default_port)
                .and_then(PortRange::single),
            Some("*") => None,
            Some(port) => {
                Some(PortRange::parse(port).ok_or_else(|| wrong(PortRange::fault(port)))?)
            }
        };
        Ok(Self {
            scheme,
            host: NetHost::parse(host_text).map_err(wrong)?,
            ports,
        })
    }
}

/// What to write in place of a text whose parts stand where they do not belong.
fn misplaced(text: &str) -> Option<String> {
    if let Some((scheme, rest)) = text.split_once(':')
        && let Ok(scheme) = parse_scheme(scheme)
        && PortRange::parse(rest).is_none()
        && rest != "*"
    {
        let rest = rest.trim_start_matches('/');
        return Some(format!(
            "a scheme has two slashes: {}://{rest}",
            scheme.name()
        ));
    }
    let (rest, last) = text.rsplit_once('/')?;
    if let Ok(scheme) = parse_scheme(last) {
        return Some(format!(
            "the transport comes first: {}://{rest}",
            scheme.name()
        ));
    }
    let (host, port) = rest.rsplit_once(':')?;
    let is_network = NetHost::parse(&format!("{host}/{last}")).is_ok();
    let is_port = PortRange::parse(port).is_some();
    (is_network && is_port).then(|| format!("the port comes last: {host}/{last}:{port}"))
}

fn parse_scheme(text: &str) -> Result<NetScheme, String> {
    NetScheme::ALL
        .into_iter()
        .find(|scheme| scheme.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("\"{text}\" is none of the schemes"))
}

/// Splits off the port; colons within brackets belong to an address.
fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    let end = if text.starts_with('[') {
        text.find(']').ok_or("a bracket without its other half")? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(end);
    match rest.strip_prefix(':') {
        Some(port) if port.contains(':') => {
            Err("an IPv6 address stands in brackets, as [::1]:80".to_owned())
        }
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None if rest.starts_with('/') => {
            Err("the length of a prefix stands within the brackets, as [fd00::/8]:80".to_owned())
        }
        None => Err("something stands behind the bracket".to_owned()),
    }
}

impl fmt::Display for NetGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(formatter, "{}://", scheme.name())?;
        }
        write!(formatter, "{}", self.host)?;
        let implied = self.scheme.and_then(NetScheme::default_port);
        match self.ports {
            ports if ports == implied.and_then(PortRange::single) => Ok(()),
            Some(ports) => write!(formatter, ":{ports}"),
            None => formatter.write_str(":*"),
        }
    }
}

/// A name that may be looked up without being connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsGrant(pub NamePattern);

impl FromStr for DnsGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        NamePattern::parse(text)
            .map(Self)
            .map_err(|reason| DNS_FORM.wrong(text, reason))
    }
}

impl fmt::Display for DnsGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grant(text: &str) -> NetGrant {
        text.parse().expect("valid")
    }

    fn reason(text: &str) -> String {
        text.parse::<NetGrant>().expect_err("invalid").reason()
    }

    #[test]
    fn every_form_of_the_design_is_read() {
        for text in [
            "example.com",
            "tcp://*.example.com:5432",
            "udp://10.0.0.0/8:53",
            "[fd00::/8]",
            "tcp://[::1]:8000-8010",
            "https://api.example.com",
            "http://api.example.com:*",
            "*",
            "*:443",
            "127.0.0.1:80",
        ] {
            assert_eq!(grant(text).to_string(), text);
        }
    }

    #[test]
    fn port_of_http_is_implied_and_of_others_any() {
        assert_eq!(grant("https://a.b").ports, PortRange::single(443));
        assert_eq!(grant("http://a.b:80").to_string(), "http://a.b");
        assert_eq!(grant("tcp://a.b").ports, None);
        assert_eq!(grant("a.b:*").to_string(), "a.b");
        assert_eq!(grant("HTTPS://A.B").to_string(), "https://a.b");
    }

    #[test]
    fn bare_form_is_named_where_nothing_more_is_known() {
        assert_eq!(
            "tcp:///x"
                .parse::<NetGrant>()
                .expect_err("no host")
                .to_string(),
            "invalid grant allow-net \"tcp:///x\": expected [tcp://|udp://|http://|https://]HOST[:PORT]"
        );
        assert!("".parse::<NetGrant>().is_err());
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(reason("ftp://a.b"), "\"ftp\" is none of the schemes");
        assert_eq!(reason("http://me@a.b"), "a grant has no user");
        assert_eq!(reason("http://a.b/c"), "a grant has no path");
        assert_eq!(reason("http://a.b/"), "a grant has no path");
        assert_eq!(reason("a.b?x"), "a grant has no query");
        assert_eq!(
            reason("a.b:0"),
            "\"0\" is no port of 1 to 65535, range A-B or *"
        );
        assert!(reason("a.b:").contains("no port"));
        assert_eq!(reason("tcp:a.b"), "a scheme has two slashes: tcp://a.b");
        assert_eq!(grant("tcp:80").ports, PortRange::single(80));
        assert_eq!(reason("a.b:80-70"), "\"80-70\" ends before it starts");
        assert_eq!(
            reason("a.b:80,443"),
            "each destination is a grant of its own, as a.b:80"
        );
        assert_eq!(
            reason("0.0.0.0:80"),
            "\"0.0.0.0\" is no destination: this machine is 127.0.0.1"
        );
        assert!(reason("[::]").contains("this machine is [::1]"));
        for text in ["tcp:1.2.3.4:80", "tcp:/1.2.3.4:80"] {
            assert_eq!(reason(text), "a scheme has two slashes: tcp://1.2.3.4:80");
        }
        assert_eq!(
            reason("1.2.3.4:80/udp"),
            "the transport comes first: udp://1.2.3.4:80"
        );
        assert_eq!(
            reason("10.0.0.0:80/8"),
            "the port comes last: 10.0.0.0/8:80"
        );
        assert!(reason("[fd00::]/8:53").contains("within the brackets"));
        assert!(reason("::1").contains("brackets"));
        assert!(reason("[::1").contains("other half"));
        assert!(reason("[::1]x").contains("behind the bracket"));
        assert!(reason("[fe80::1%eth0]").contains("scope"));
        assert_eq!(
            reason("[::ffff:10.0.0.1]"),
            "\"::ffff:10.0.0.1\" is the IPv4 address 10.0.0.1: write that"
        );
        assert!(reason("[10.0.0.1]").contains("no IPv6 address"));
        assert!(reason("10.1.0.0/8").contains("write 10.0.0.0/8"));
        assert!(reason("010.0.0.1").contains("octal"));
        assert!(reason("1.2.3.256").contains("no IPv4 address"));
        assert!(reason("127.1").contains("four decimal numbers"));
        assert!(reason("foo.*").contains("before the first dot"));
    }

    #[test]
    fn lookups_have_the_same_patterns() {
        let grant: DnsGrant = "*.internal".parse().expect("valid");
        assert_eq!(grant.to_string(), "*.internal");
        assert_eq!(
            "1.2.3.4"
                .parse::<DnsGrant>()
                .expect_err("an address")
                .kind(),
            crate::error::ErrorKind::InvalidInput
        );
    }

    fn any_host() -> impl Strategy<Value = NetHost> {
        let v4 = (any::<u32>(), 0..=32_u8).prop_map(|(bits, length)| {
            let first = u64::from(bits) >> (32 - length) << (32 - length);
            let first = u32::try_from(first).expect("32 bits");
            NetHost::parse(&format!("{}/{length}", std::net::Ipv4Addr::from(first)))
                .expect("a network")
        });
        prop_oneof![
            "(\\*\\.)?[a-z]{1,5}(\\.[a-z]{1,5}){0,3}"
                .prop_map(|name| NetHost::parse(&name).expect("a name")),
            any::<u32>().prop_map(|bits| NetHost::Address(IpAddr::V4(bits.into()))),
            (1_u128 << 64..u128::MAX).prop_map(|bits| NetHost::Address(IpAddr::V6(bits.into()))),
            v4,
        ]
    }

    fn any_scheme() -> impl Strategy<Value = Option<NetScheme>> {
        proptest::option::of(proptest::sample::select(NetScheme::ALL.to_vec()))
    }

    proptest! {
        #[test]
        fn every_grant_survives_its_text(
            scheme in any_scheme(),
            host in any_host(),
            ends in proptest::option::of((1..=u16::MAX, 1..=u16::MAX)),
        ) {
            let ports = ends.and_then(|(a, b)| PortRange::new(a.min(b), a.max(b)));
            let grant = NetGrant { scheme, host, ports };
            prop_assert_eq!(grant.to_string().parse::<NetGrant>().expect("canonical"), grant);
        }
    }
}
