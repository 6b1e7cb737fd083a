//! The name servers of a system: `/etc/resolv.conf` (`resolv.conf(5)`).

use crate::grant::{DNS_PORT, HostName};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// Whom to ask for names, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServers {
    /// The servers, the first one first.
    pub servers: Vec<NameServer>,
    /// The domains in which a name with few dots is searched for.
    pub search: Vec<HostName>,
    /// With how many dots a name is tried as it is first.
    pub ndots: u8,
    /// How long a server has to answer.
    pub time_limit: Duration,
    /// How often each is asked.
    pub attempts: u8,
}

/// A name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its address.
    pub address: IpAddr,
    /// The interface that a link-local address belongs to.
    pub interface: Option<String>,
}

/// The most servers that are asked (`MAXNS` of `resolv.conf(5)`).
pub const MOST_SERVERS: usize = 3;

/// The most domains that are searched.
const MOST_DOMAINS: usize = 6;

impl Default for NameServers {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            time_limit: Duration::from_secs(5),
            attempts: 2,
        }
    }
}

impl NameServers {
    /// Reads the file. What is not understood is passed over, as everywhere; without a server in it, it is
    /// this machine's own.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => parsed.add_server(words.next().unwrap_or_default()),
                Some("search") => parsed.set_search(words),
                Some("domain") => parsed.set_search(words.take(1)),
                Some("options") => words.for_each(|option| parsed.set_option(option)),
                _ => {}
            }
        }
        if parsed.servers.is_empty() {
            parsed.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        parsed
    }

    fn add_server(&mut self, text: &str) {
        if self.servers.len() < MOST_SERVERS {
            self.servers.extend(NameServer::parse(text));
        }
    }

    /// Of several lines the last one counts.
    fn set_search<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let names = words.map(|word| word.strip_suffix('.').unwrap_or(word));
        let domains = names.filter_map(|name| HostName::parse(name).ok());
        self.search = domains.take(MOST_DOMAINS).collect();
    }

    fn set_option(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let Ok(value) = value.parse::<u8>() else {
            return;
        };
        // The bounds are the manual's.
        match name {
            "ndots" => self.ndots = value.min(15),
            "timeout" => self.time_limit = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }
}

impl NameServer {
    /// Reads an address, of which one of IPv6 may name its interface.
    fn parse(text: &str) -> Option<Self> {
        let (address, interface) = match text.split_once('%') {
            Some((address, interface)) if !interface.is_empty() => (address, Some(interface)),
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        (interface.is_none() || address.is_ipv6()).then(|| Self {
            address,
            interface: interface.map(str::to_owned),
        })
    }

    /// Where it answers, with the number of its interface for one that has a name.
    #[must_use]
    pub fn socket_address(&self, number_of: impl Fn(&str) -> Option<u32>) -> SocketAddr {
        match self.address {
            IpAddr::V4(address) => (address, DNS_PORT).into(),
            IpAddr::V6(address) => {
                let scope = self.interface.as_deref().and_then(number_of).unwrap_or(0);
                SocketAddrV6::new(address, DNS_PORT, 0, scope).into()
            }
        }
    }
}

impl<A: Into<IpAddr>> From<A> for NameServer {
    fn from(address: A) -> Self {
        Self {
            address: address.into(),
            interface: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> NameServer {
        NameServer::parse(text).expect("an address")
    }

    #[test]
    fn file_of_a_system_is_read() {
        let servers = NameServers::parse(
            "# made by something\nnameserver 10.0.0.53 # the first\n\tnameserver fe80::1%eth0\n\
             domain old.example\nsearch corp.example. example\noptions ndots:2 timeout:1 attempts:9 rotate\n\
             sortlist 1.2.3.4\nnameserver 10.0.0.54\nnameserver 10.0.0.55\n",
        );
        assert_eq!(
            servers.servers,
            [
                server("10.0.0.53"),
                server("fe80::1%eth0"),
                server("10.0.0.54")
            ]
        );
        let search: Vec<_> = servers.search.iter().map(ToString::to_string).collect();
        assert_eq!(search, ["corp.example", "example"]);
        assert_eq!((servers.ndots, servers.attempts), (2, 5));
        assert_eq!(servers.time_limit, Duration::from_secs(1));
    }

    #[test]
    fn without_a_server_it_is_this_machine() {
        for text in [
            "",
            "nameserver\n",
            "nameserver here\n",
            "; nameserver 1.2.3.4\n",
        ] {
            let servers = NameServers::parse(text);
            assert_eq!(servers.servers, [server("127.0.0.1")], "{text:?}");
        }
    }

    #[test]
    fn link_local_server_has_its_interface() {
        let number = |name: &str| (name == "eth0").then_some(7);
        let address = server("fe80::1%eth0").socket_address(number);
        assert_eq!(address.to_string(), "[fe80::1%7]:53");
        assert_eq!(NameServer::parse("1.2.3.4%eth0"), None);
        assert_eq!(NameServer::parse("fe80::1%"), None);
    }
}
