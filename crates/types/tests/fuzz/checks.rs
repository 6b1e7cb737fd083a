//! What must hold for any bytes at the two boundaries of this crate. The fixed-count tests beside
//! this file and the targets of `cargo fuzz` share it.

use lighter_types::grant::{Grant, KEYS, NetGrant, NetHost, parse_environment_file};
use lighter_types::network::{
    AddressKind, AskedName, Destination, MOST_SERVERS, NameServers, NetworkPolicy, PinnedName,
    Reach, Source, Transport, Verdict, meant,
};
use lighter_types::runner_protocol::{
    FROM_RUNNER_BYTES, FromRunner, Order, TO_RUNNER_BYTES, encode, take_message,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::net::SocketAddr;

/// The grammar of grants: the first byte chooses the key, the rest is the value.
///
/// A grant reads back from its canonical text; an error is one line of bounded length.
pub fn grant_grammar(data: &[u8]) {
    let Some((first, value)) = data.split_first() else {
        return;
    };
    if let Err(error) = parse_environment_file(value) {
        assert_one_line(&error.to_string());
    }
    let Ok(value) = std::str::from_utf8(value) else {
        return;
    };
    let key = KEYS[usize::from(*first) % KEYS.len()];
    match Grant::parse(key, value) {
        Ok(grant) => {
            let text = grant.to_string();
            let (key, value) = text.split_once('=').expect("the text is KEY=VALUE");
            assert_eq!(Grant::parse(key, value), Ok(grant), "{text:?}");
        }
        Err(error) => assert_one_line(&error.to_string()),
    }
    if let Err(error) = Grant::parse(value, "x") {
        assert_one_line(&error.to_string());
    }
}

fn assert_one_line(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(text.len() < 64 << 10, "{} bytes", text.len());
}

/// Grants of the network, an address and a name, a line each, decided upon.
///
/// Nothing is reached that no grant alone leads to, both spellings of an address are decided alike, and who has no
/// literal grant reaches public addresses only.
pub fn network_policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.lines();
    let (address, name) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let asked = AskedName::parse(name).ok();
    let found = asked
        .map(|asked| asked.candidates(&[], 1))
        .unwrap_or_default();
    let names: Vec<PinnedName> = found
        .into_iter()
        .map(|name| PinnedName {
            name,
            source: Source::Servers,
        })
        .collect();
    let Ok(address) = address.parse::<SocketAddr>() else {
        return;
    };
    let grants: Vec<NetGrant> = lines.filter_map(|line| line.parse().ok()).collect();
    let decide = |grants: &[NetGrant], address: SocketAddr| {
        let address = meant(address);
        let kind = AddressKind::of(address.ip());
        let granted = Reach {
            destinations: grants.to_vec(),
            lookups: Vec::new(),
        };
        let policy = NetworkPolicy {
            granted,
            ceilings: Vec::new(),
        };
        let to = Destination {
            address,
            kind,
            names: &names,
        };
        policy.may_reach(Transport::Tcp, &to) == Verdict::Allowed
    };
    let is_allowed = decide(&grants, address);
    let alone = |grant: &NetGrant| decide(std::slice::from_ref(grant), address);
    assert_eq!(is_allowed, grants.iter().any(alone), "{text:?}");
    if let SocketAddr::V4(address) = address {
        let mapped = SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port());
        assert_eq!(is_allowed, decide(&grants, mapped), "{text:?}");
    }
    let is_public = AddressKind::of(meant(address).ip()) == AddressKind::Public;
    let mut hosts = grants.iter().map(|grant| &grant.host);
    let names_only = hosts.all(|host| matches!(host, NetHost::Name(_)));
    assert!(!is_allowed || is_public || !names_only, "{text:?}");
}

/// What a system says of its name servers.
///
/// It is bounded, and what is asked for is a name of the length that the DNS has.
pub fn name_servers(data: &[u8]) {
    let servers = NameServers::parse(&String::from_utf8_lossy(data));
    assert!((1..=MOST_SERVERS).contains(&servers.servers.len()));
    for server in &servers.servers {
        assert_eq!(server.socket_address(|_| None).port(), 53);
    }
    let asked = AskedName::parse("host").expect("it is a name");
    for candidate in asked.candidates(&servers.search, servers.ndots) {
        assert!(candidate.as_str().len() <= 253, "{candidate}");
    }
}

/// The frames between keeper and runner, in both directions.
///
/// Whatever decodes is a message that survives its own frame.
pub fn runner_protocol(data: &[u8]) {
    check_frames::<FromRunner>(data, FROM_RUNNER_BYTES);
    check_frames::<Order>(data, TO_RUNNER_BYTES);
}

fn check_frames<M: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8], limit: usize) {
    let mut buffer = data.to_vec();
    while let Ok(Some(message)) = take_message::<M>(&mut buffer, limit) {
        let mut frame = encode(&message, limit).expect("it came in a frame");
        let again = take_message(&mut frame, limit);
        assert_eq!(again, Ok(Some(message)));
        assert!(frame.is_empty());
    }
}
