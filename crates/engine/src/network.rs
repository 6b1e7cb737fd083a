//! What a run may do with the network: its grants, and the host's ports that it gets.

use crate::Error;
use lighter_boundary::Network;
use lighter_types::grant::{
    Grants, NamePattern, NetGrant, NetHost, NetScheme, NetworkMode, PortRange, Protocol, Publish,
};
use lighter_types::network::{MOST_SERVERS, NetworkPolicy, PublishedPort, Reach};
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Resolves the grants of the network; none without any.
///
/// # Errors
/// As [`check`]; a port of the host's is taken, or not the caller's to take.
pub(crate) fn resolve(grants: &Grants, ceilings: &[Reach]) -> Result<Option<Arc<Network>>, Error> {
    check(grants, ceilings)?;
    if !grants.has_network() {
        return Ok(None);
    }
    let is_host = grants.network() == NetworkMode::Host;
    // Where its ports are the host's, there is nothing to show.
    let (published, reserved) = match is_host {
        true => Default::default(),
        false => publish(grants)?,
    };
    Ok(Some(Arc::new(Network {
        policy: policy(grants, ceilings),
        published,
        reserved,
        is_host,
        ..Network::default()
    })))
}

/// What the grants of the network allow.
fn policy(grants: &Grants, ceilings: &[Reach]) -> NetworkPolicy {
    NetworkPolicy {
        granted: Reach {
            destinations: grants.destinations().cloned().collect(),
            lookups: grants.lookups().cloned().collect(),
        },
        ceilings: ceilings.to_vec(),
    }
}

/// Whether the grants of the network can be met together.
///
/// # Errors
/// One opens nothing, a name server is not within the ceilings, or two ports want one of the host's.
pub(crate) fn check(grants: &Grants, ceilings: &[Reach]) -> Result<(), Error> {
    if !grants.has_network() {
        return Ok(());
    }
    for grant in grants.destinations() {
        check_name(grant, grants)?;
    }
    let policy = policy(grants, ceilings);
    let mut servers = grants.name_servers();
    if let Some(server) = servers.find(|server| !policy.may_ask(server.0)) {
        return Err(Error::Refused {
            reason: format!(
                "may not ask the name server {server}: [ceiling] of the configuration forbids it"
            ),
            hint: Some("leave --dns out, so that the system's servers are asked".to_owned()),
        });
    }
    if grants.network() == NetworkMode::Host {
        return Ok(());
    }
    let published: Vec<&Publish> = grants.published().collect();
    for (index, publish) in published.iter().enumerate() {
        let mut others = published.iter().take(index);
        if let Some(other) = others.find(|other| other.collides(publish)) {
            return Err(Error::Refused {
                reason: format!("-p {other} and -p {publish} want one port of the host's"),
                hint: Some("give each a port of its own".to_owned()),
            });
        }
    }
    Ok(())
}

/// The machine's own name leads to loopback, where no name leads that the user has not mapped.
fn check_name(grant: &NetGrant, grants: &Grants) -> Result<(), Error> {
    let NetHost::Name(pattern @ (NamePattern::Name(name) | NamePattern::Below(name))) = &grant.host
    else {
        return Ok(());
    };
    if !name.is_localhost() || grants.hosts().any(|host| pattern.matches(&host.name)) {
        return Ok(());
    }
    let at = |address: IpAddr| NetGrant {
        host: NetHost::Address(address),
        ..grant.clone()
    };
    Err(Error::Refused {
        reason: format!("cannot grant {grant}: names lead to no loopback addresses"),
        hint: Some(format!(
            "grant the addresses: --allow-net {} --allow-net '{}'",
            at(Ipv4Addr::LOCALHOST.into()),
            at(Ipv6Addr::LOCALHOST.into())
        )),
    })
}

/// What is to be said of the grants of the network before a run.
pub(crate) fn warnings(grants: &Grants) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_published = grants.published().next().is_some();
    match grants.network() {
        NetworkMode::Host if is_published => warnings.push(
            "with --network host a program's ports are the host's: of -p only the last number counts"
                .to_owned(),
        ),
        NetworkMode::None if is_published => {
            warnings.push("with --network none -p publishes nothing".to_owned());
        }
        NetworkMode::Host | NetworkMode::None | NetworkMode::Bridge => {}
    }
    for credential in grants.credentials() {
        let pattern = NamePattern::Name(credential.host.clone());
        let is_for = |grant: &NetGrant| match (&grant.scheme, &grant.host) {
            (Some(NetScheme::Udp | NetScheme::Http), _) => false,
            (_, NetHost::Name(host)) => host.overlaps(&pattern),
            // A name may lead there that may be looked up.
            (_, NetHost::Address(_) | NetHost::Network(_)) => true,
        };
        if !grants.destinations().any(is_for) {
            let host = &credential.host;
            warnings.push(format!(
                "the credential for {host} is sent nowhere: nothing there is granted over TLS (--allow-net https://{host})"
            ));
        }
    }
    let servers = grants.name_servers().count();
    if servers > MOST_SERVERS && grants.has_network() {
        warnings.push(format!(
            "of the {servers} name servers (--dns) only the first {MOST_SERVERS} are asked"
        ));
    }
    warnings
}

/// The ports that a program which binds none itself finds open.
pub(crate) fn guest_ports(grants: &Grants, network: &Network) -> Vec<PublishedPort> {
    if !network.is_host {
        return network.published.clone();
    }
    let ports = grants.published().flat_map(|publish| {
        let container = publish.container_ports;
        (container.first()..=container.last()).map(|port| PublishedPort {
            protocol: publish.protocol,
            container_port: port,
            host_address: None,
            host_port: port,
        })
    });
    ports.collect()
}

/// The ports of which the host chose where it shows them: nobody could know before.
pub(crate) fn chosen<'a>(
    grants: &Grants,
    network: &'a Network,
) -> impl Iterator<Item = &'a PublishedPort> {
    let is_chosen = grants.published().flat_map(|publish| {
        let count = publish.container_ports.count().into();
        std::iter::repeat_n(publish.is_chosen_by_host(), count)
    });
    let ports = network.published.iter().zip(is_chosen);
    ports.filter_map(|(port, is_chosen)| is_chosen.then_some(port))
}

/// The published ports in the order of the flags, and the host's that are held for them.
type Published = (Vec<PublishedPort>, Vec<OwnedFd>);

/// Takes the host's ports: those that are named before those that are free.
fn publish(grants: &Grants) -> Result<Published, Error> {
    let wishes = || {
        grants.published().flat_map(|publish| {
            let container = publish.container_ports;
            let ports = (container.first()..=container.last()).enumerate();
            ports.map(move |(index, port)| (publish, index, port))
        })
    };
    let mut taken: Vec<Option<(PublishedPort, Option<OwnedFd>)>> = Vec::new();
    taken.resize_with(wishes().count(), || None);
    for is_chosen_by_host in [false, true] {
        for (place, (publish, index, port)) in taken.iter_mut().zip(wishes()) {
            if publish.is_chosen_by_host() == is_chosen_by_host {
                *place = Some(take(publish, index, port)?);
            }
        }
    }
    let (published, reserved): (Vec<_>, Vec<_>) = taken.into_iter().flatten().unzip();
    Ok((published, reserved.into_iter().flatten().collect()))
}

/// Takes a port of the host's for one of the guest's.
fn take(
    publish: &Publish,
    index: usize,
    container_port: u16,
) -> Result<(PublishedPort, Option<OwnedFd>), Error> {
    let mut port = PublishedPort {
        protocol: publish.protocol,
        container_port,
        host_address: publish.host_address,
        host_port: 0,
    };
    let mut refusal = None;
    for candidate in candidates(publish.host_ports, publish.container_ports, index) {
        port.host_port = candidate;
        match reserve(&port) {
            Ok((reservation, host_port)) => {
                port.host_port = host_port;
                return Ok((port, reservation));
            }
            Err(error) => {
                refusal.get_or_insert((candidate, error));
            }
        }
    }
    let (candidate, error) = refusal.unwrap_or((0, Errno::ADDRINUSE));
    port.host_port = candidate;
    Err(refused(&port, error))
}

/// The ports of the host that one of the guest's may get, 0 for any.
fn candidates(host: Option<PortRange>, container: PortRange, index: usize) -> Vec<u16> {
    match host {
        None => vec![0],
        Some(host) if host.count() == container.count() => {
            (host.first()..=host.last()).skip(index).take(1).collect()
        }
        Some(host) => (host.first()..=host.last()).collect(),
    }
}

/// Binds a port of the host's, and gives its number. TCP's stays bound until the guest binds it. Two sockets of UDP
/// would share what arrives, so that one is only tried.
fn reserve(port: &PublishedPort) -> Result<(Option<OwnedFd>, u16), Errno> {
    let kind = match port.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let bound = |address: IpAddr| {
        let family = if address.is_ipv6() {
            AddressFamily::INET6
        } else {
            AddressFamily::INET
        };
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        if port.protocol == Protocol::Tcp {
            // What still lingers there of an earlier run is no hindrance.
            set_socket_reuseaddr(&socket, true)?;
        }
        if address.is_ipv6() {
            set_ipv6_v6only(&socket, port.host_address.is_some())?;
        }
        bind(&socket, &SocketAddr::new(address, port.host_port))?;
        // Nobody else joins it meanwhile.
        set_socket_reuseaddr(&socket, false)?;
        let bound = SocketAddr::try_from(getsockname(&socket)?)?;
        Ok((socket, bound.port()))
    };
    let (socket, number) = match port.host_address {
        Some(address) => bound(address)?,
        // All of them, of both families where there are both.
        None => match bound(Ipv6Addr::UNSPECIFIED.into()) {
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => bound(Ipv4Addr::UNSPECIFIED.into())?,
            bound => bound?,
        },
    };
    Ok(((port.protocol == Protocol::Tcp).then_some(socket), number))
}

fn refused(port: &PublishedPort, error: Errno) -> Error {
    let address = port.host_address.unwrap_or_else(|| {
        // Of both families, the one that is taken.
        let by_v4 = PublishedPort {
            host_address: Some(Ipv4Addr::UNSPECIFIED.into()),
            ..*port
        };
        match reserve(&by_v4) {
            Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
            Err(_) => Ipv4Addr::UNSPECIFIED.into(),
        }
    });
    let place = SocketAddr::new(address, port.host_port);
    let hint = match error {
        Errno::ADDRINUSE => {
            Some("another program has it: stop that, or publish another port".to_owned())
        }
        Errno::ACCESS | Errno::PERM => {
            let udp = match port.protocol {
                Protocol::Tcp => "",
                Protocol::Udp => "/udp",
            };
            let (higher, own) = (port.host_port.saturating_add(8000), port.container_port);
            Some(format!(
                "ports below 1024 are root's: publish a higher one, as -p {higher}:{own}{udp}"
            ))
        }
        Errno::ADDRNOTAVAIL => Some("it is none of this machine's addresses".to_owned()),
        Errno::INVAL => Some("link-local addresses cannot be published on".to_owned()),
        Errno::MFILE | Errno::NFILE => {
            Some("raise the limit (ulimit -n), or publish fewer ports".to_owned())
        }
        _ => None,
    };
    Error::Refused {
        reason: format!(
            "failed to bind host port {place}/{}: {}",
            port.protocol.name(),
            std::io::Error::from(error)
        ),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lighter_types::grant::Grant;

    fn network(flags: &[(&str, &str)]) -> Result<Option<Arc<Network>>, Error> {
        let mut grants = Grants::default();
        for (key, value) in flags {
            let grant = Grant::parse(key, value).expect("valid");
            grants.add(grant).expect("no duplicate");
        }
        resolve(&grants, &[])
    }

    fn published(value: &str) -> Vec<PublishedPort> {
        let network = network(&[("publish", value)]);
        let network = network.expect("free ports").expect("a network");
        network.published.clone()
    }

    #[test]
    fn without_grants_there_is_no_network() {
        assert!(network(&[("env", "A=1")]).expect("valid").is_none());
        for grant in [("allow-net", "a.example"), ("allow-dns", "a.example")] {
            assert!(network(&[grant]).expect("valid").is_some());
        }
    }

    #[test]
    fn random_port_is_chosen_before_the_guest_starts() {
        for value in ["127.0.0.1::80", "127.0.0.1::80/udp", "80", "[::1]::80"] {
            let [port] = published(value)[..] else {
                panic!("one port")
            };
            assert_eq!(port.container_port, 80);
            assert_ne!(port.host_port, 0);
        }
    }

    #[test]
    fn port_that_is_taken_is_refused_in_docker_words() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let taken = taken.local_addr().expect("bound").port();
        let listener = std::net::TcpListener::bind(("127.0.0.1", taken));
        let value = format!("127.0.0.1:{taken}:80");
        let Err(error) = network(&[("publish", &value)]) else {
            panic!("it is taken")
        };
        drop(listener);
        assert_eq!(
            error.to_string(),
            format!("failed to bind host port 127.0.0.1:{taken}/tcp: Address in use (os error 98)")
        );
    }

    #[test]
    fn first_free_port_of_a_range_is_taken() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let first = taken.local_addr().expect("bound").port();
        if first > 65_000 {
            return;
        }
        let value = format!("127.0.0.1:{first}-{}:80", first + 100);
        let [port] = published(&value)[..] else {
            panic!("one port")
        };
        assert!((first + 1..=first + 100).contains(&port.host_port));
    }

    #[test]
    fn ports_of_two_ranges_belong_together() {
        let range = |first, last| PortRange::new(first, last).expect("a range");
        assert_eq!(
            candidates(Some(range(8000, 8002)), range(80, 82), 1),
            [8001]
        );
        assert_eq!(
            candidates(Some(range(8000, 8001)), range(80, 80), 0),
            [8000, 8001]
        );
        assert_eq!(candidates(None, range(80, 82), 2), [0]);
    }
}
