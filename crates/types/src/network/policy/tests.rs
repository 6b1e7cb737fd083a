//! The table of cases that every interface has to answer alike, and what holds for all of them.

use super::*;
use proptest::prelude::*;

fn reach(grants: &[&str], lookups: &[&str]) -> Reach {
    Reach {
        destinations: grants
            .iter()
            .map(|text| text.parse().expect("a grant"))
            .collect(),
        lookups: lookups
            .iter()
            .map(|text| NamePattern::parse(text).expect("a pattern"))
            .collect(),
    }
}

fn policy(grants: &[&str]) -> NetworkPolicy {
    NetworkPolicy {
        granted: reach(grants, &[]),
        ceilings: Vec::new(),
    }
}

fn pinned(name: &str, source: Source) -> PinnedName {
    PinnedName {
        name: HostName::parse(name).expect("a name"),
        source,
    }
}

fn decide(policy: &NetworkPolicy, transport: Transport, to: &str, names: &[PinnedName]) -> Verdict {
    let address = meant(to.parse().expect("an address"));
    let to = Destination {
        address,
        kind: AddressKind::of(address.ip()),
        names,
    };
    policy.may_reach(transport, &to)
}

fn allows(grant: &str, transport: Transport, to: &str) -> bool {
    decide(&policy(&[grant]), transport, to, &[]) == Verdict::Allowed
}

/// The name is one by which it could be granted.
fn not_granted(name: Option<&str>) -> Verdict {
    Verdict::Refused(Reason::NotGranted {
        name: name.map(str::to_owned),
    })
}

#[test]
fn nothing_is_reached_without_a_grant() {
    for transport in Transport::ALL {
        let verdict = decide(&NetworkPolicy::default(), transport, "1.1.1.1:80", &[]);
        assert_eq!(verdict, not_granted(None));
    }
}

#[test]
fn scheme_decides_on_the_transport() {
    use Transport::{Http, Https, Tcp, Udp};
    for (grant, allowed) in [
        ("1.1.1.1", &[Tcp, Udp, Http, Https][..]),
        ("tcp://1.1.1.1", &[Tcp, Http, Https]),
        ("udp://1.1.1.1", &[Udp]),
        ("http://1.1.1.1:*", &[Http]),
        ("https://1.1.1.1:*", &[Https]),
    ] {
        for transport in [Tcp, Udp, Http, Https] {
            let is_allowed = allows(grant, transport, "1.1.1.1:443");
            assert_eq!(
                is_allowed,
                allowed.contains(&transport),
                "{grant} {transport:?}"
            );
        }
    }
}

#[test]
fn port_decides() {
    for (grant, port, expected) in [
        ("1.1.1.1", 9, true),
        ("1.1.1.1:*", 9, true),
        ("1.1.1.1:80", 80, true),
        ("1.1.1.1:80", 81, false),
        ("1.1.1.1:80-90", 90, true),
        ("1.1.1.1:80-90", 91, false),
        ("1.1.1.1:1-65535", 0, false),
    ] {
        let to = format!("1.1.1.1:{port}");
        assert_eq!(allows(grant, Transport::Tcp, &to), expected, "{grant} {to}");
    }
    assert!(allows("http://1.1.1.1", Transport::Http, "1.1.1.1:80"));
    assert!(!allows("http://1.1.1.1", Transport::Http, "1.1.1.1:443"));
    assert!(allows("https://1.1.1.1", Transport::Https, "1.1.1.1:443"));
}

/// Where a grant leads, whatever the address is written as.
#[test]
fn addresses_and_networks_are_literal() {
    for (grant, to, expected) in [
        ("10.1.2.3", "10.1.2.3:1", true),
        ("10.1.2.3", "10.1.2.4:1", false),
        ("10.1.2.3", "[::ffff:10.1.2.3]:1", true),
        ("10.1.2.3", "[::10.1.2.3]:1", false),
        ("10.1.2.3", "[64:ff9b::10.1.2.3]:1", false),
        ("10.1.2.3", "[2002:a01:203::]:1", false),
        ("10.0.0.0/8", "10.255.0.1:1", true),
        ("10.0.0.0/8", "11.0.0.1:1", false),
        ("10.0.0.0/8", "[::ffff:10.255.0.1]:1", true),
        ("0.0.0.0/0", "127.0.0.1:1", true),
        ("0.0.0.0/0", "169.254.169.254:1", true),
        ("0.0.0.0/0", "[::1]:1", false),
        ("0.0.0.0/0", "[::ffff:127.0.0.1]:1", true),
        ("[::/0]", "[::1]:1", true),
        ("[::/0]", "127.0.0.1:1", false),
        ("[::/0]", "[::ffff:127.0.0.1]:1", false),
        ("[::1]", "[::1]:1", true),
        ("[fe80::/10]", "[fe80::1%3]:1", true),
        ("127.0.0.1", "0.0.0.0:1", true),
        ("127.0.0.1", "[::ffff:0.0.0.0]:1", true),
        ("[::1]", "[::]:1", true),
        ("127.0.0.1", "127.0.0.2:1", false),
        ("127.0.0.1", "[::]:1", false),
        ("0.0.0.0/8", "0.0.0.0:1", false),
        ("0.0.0.0/8", "0.0.0.1:1", true),
        ("[64:ff9b::/96]", "[64:ff9b::10.1.2.3]:1", true),
    ] {
        assert_eq!(
            allows(grant, Transport::Tcp, to),
            expected,
            "{grant} for {to}"
        );
    }
}

#[test]
fn star_means_public_addresses_only() {
    for (to, expected) in [
        ("1.1.1.1:443", true),
        ("[2606:4700:4700::1111]:443", true),
        ("[64:ff9b::1.1.1.1]:443", true),
        ("0.0.0.0:443", false),
        ("127.0.0.1:443", false),
        ("[::1]:443", false),
        ("[::]:443", false),
        ("[::ffff:127.0.0.1]:443", false),
        ("[64:ff9b::127.0.0.1]:443", false),
        ("[64:ff9b::169.254.169.254]:443", false),
        ("[2002:7f00:1::]:443", false),
        ("10.0.0.1:443", false),
        ("100.64.0.1:443", false),
        ("169.254.169.254:443", false),
        ("[fd00:ec2::254]:443", false),
        ("[fe80::1]:443", false),
        ("224.0.0.1:443", false),
        ("255.255.255.255:443", false),
        ("[ff02::1]:443", false),
    ] {
        assert_eq!(allows("*", Transport::Udp, to), expected, "{to}");
    }
}

#[test]
fn address_of_this_machine_is_loopback_though_it_is_public() {
    let address = "8.8.8.8:53".parse().expect("an address");
    let own = Destination {
        address,
        kind: AddressKind::Loopback,
        names: &[pinned("a.example", Source::System)],
    };
    let refused = policy(&["*"]).may_reach(Transport::Udp, &own);
    let kind = AddressKind::Loopback;
    assert_eq!(refused, Verdict::Refused(Reason::AnyIsPublic { kind }));
    assert!(matches!(
        policy(&["a.example"]).may_reach(Transport::Udp, &own),
        Verdict::Refused(Reason::NameLeadsInside { .. })
    ));
    let verdict = policy(&["8.8.8.8"]).may_reach(Transport::Udp, &own);
    assert_eq!(verdict, Verdict::Allowed);
}

#[test]
fn name_holds_what_it_was_looked_up_as() {
    let names = [pinned("redis.example.com", Source::System)];
    let of = |grant: &str| decide(&policy(&[grant]), Transport::Tcp, "1.1.1.1:6379", &names);
    assert_eq!(of("redis.example.com:6379"), Verdict::Allowed);
    assert_eq!(of("*.example.com"), Verdict::Allowed);
    for grant in [
        "redis.example.com:6380",
        "udp://redis.example.com",
        "example.com",
        "*.redis.example.com",
        "other.example.com",
    ] {
        assert_eq!(of(grant), not_granted(Some("redis.example.com")), "{grant}");
    }
    let unpinned = decide(&policy(&["a.b"]), Transport::Tcp, "1.1.1.1:1", &[]);
    assert_eq!(unpinned, not_granted(None));
}

#[test]
fn name_leads_nowhere_inside_but_where_the_user_says_so() {
    for (to, kind) in [
        ("127.0.0.1:1", AddressKind::Loopback),
        ("10.0.0.1:1", AddressKind::Private),
        ("169.254.1.1:1", AddressKind::LinkLocal),
        ("169.254.169.254:1", AddressKind::Metadata),
        ("[fd00:ec2::254]:1", AddressKind::Metadata),
        ("224.0.0.1:1", AddressKind::Multicast),
        ("[::ffff:10.0.0.1]:1", AddressKind::Private),
    ] {
        let of = |grants: &[&str], source| {
            decide(
                &policy(grants),
                Transport::Tcp,
                to,
                &[pinned("db.example", source)],
            )
        };
        let inside = Verdict::Refused(Reason::NameLeadsInside {
            name: "db.example".to_owned(),
            kind,
        });
        assert_eq!(of(&["db.example"], Source::System), inside, "{to}");
        assert_eq!(of(&["db.example"], Source::Servers), inside, "{to}");
        assert_eq!(of(&["db.example"], Source::Map), Verdict::Allowed, "{to}");
        // A name that the user mapped is granted no more than another.
        let refused = not_granted(Some("db.example"));
        assert_eq!(of(&["other.example"], Source::Map), refused, "{to}");
        let literal = ["db.example", "0.0.0.0/0", "[::/0]"];
        assert_eq!(of(&literal, Source::System), Verdict::Allowed, "{to}");
    }
}

#[test]
fn ceiling_wins() {
    let of = |grant: &str, ceiling: &[&str], to: &str, names: &[PinnedName]| {
        let policy = NetworkPolicy {
            granted: reach(&[grant], &[]),
            ceilings: vec![reach(ceiling, &[])],
        };
        decide(&policy, Transport::Tcp, to, names)
    };
    let above = Verdict::Refused(Reason::Ceiling {
        is_for_own_word: false,
    });
    assert_eq!(of("0.0.0.0/0", &["*"], "1.1.1.1:1", &[]), Verdict::Allowed);
    assert_eq!(of("0.0.0.0/0", &["*"], "10.0.0.1:1", &[]), above);
    assert_eq!(of("10.0.0.1", &[], "10.0.0.1:1", &[]), above);
    let by_ceiling = of("1.1.1.1", &["0.0.0.0/0"], "1.1.1.2:1", &[]);
    assert_eq!(by_ceiling, not_granted(None));
    // Where nothing would help, that is said.
    assert_eq!(of("1.1.1.1", &["1.1.1.1"], "1.1.1.2:1", &[]), above);
    // What leads to an address is the system's word there, not that of who is held to it.
    let own_word = Verdict::Refused(Reason::Ceiling {
        is_for_own_word: true,
    });
    for (source, expected) in [
        (Source::System, Verdict::Allowed),
        (Source::Servers, own_word.clone()),
        (Source::Map, own_word.clone()),
    ] {
        let names = [pinned("a.corp.example", source)];
        let verdict = of("*", &["*.corp.example"], "1.1.1.1:1", &names);
        assert_eq!(verdict, expected, "{source:?}");
    }
}

#[test]
fn names_of_grants_and_what_may_be_looked_up_besides_pass() {
    let policy = NetworkPolicy {
        granted: reach(
            &["tcp://a.example:1", "https://*.b.example", "10.0.0.0/8"],
            &["*.internal"],
        ),
        ceilings: Vec::new(),
    };
    let passes = |policy: &NetworkPolicy, name: &str| {
        policy.may_look_up(&HostName::parse(name).expect("a name"))
    };
    for (name, expected) in [
        ("a.example", true),
        ("A.Example", true),
        ("x.a.example", false),
        ("x.b.example", true),
        ("b.example", false),
        ("db.internal", true),
        ("internal", false),
        ("other.example", false),
    ] {
        assert_eq!(passes(&policy, name), expected, "{name}");
    }
    let held = NetworkPolicy {
        ceilings: vec![reach(&["a.example"], &["*.internal"])],
        ..policy
    };
    assert!(passes(&held, "a.example"));
    assert!(passes(&held, "db.internal"));
    assert!(!passes(&held, "x.b.example"));
}

fn any_grant() -> impl Strategy<Value = NetGrant> {
    let host = prop_oneof![
        Just("*".to_owned()),
        Just("a.example".to_owned()),
        Just("*.example".to_owned()),
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).to_string()),
        (any::<u8>(), 0_u8..=8).prop_map(|(first, length)| {
            let masked =
                u32::from(first) << 24 & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", Ipv4Addr::from(masked))
        }),
        Just("[::/0]".to_owned()),
        Just("[::1]".to_owned()),
    ];
    let scheme = prop_oneof!["", "tcp://", "udp://", "http://", "https://"];
    let port = prop_oneof!["", ":\\*", ":80", ":1-1024"];
    (scheme, host, port)
        .prop_map(|(scheme, host, port)| format!("{scheme}{host}{port}").parse().expect("a grant"))
}

fn any_transport() -> impl Strategy<Value = Transport> {
    prop_oneof![
        Just(Transport::Tcp),
        Just(Transport::Udp),
        Just(Transport::Http),
        Just(Transport::Https),
    ]
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::V4(bits.into()));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::V6(bits.into()));
    let near = prop_oneof![
        Just("127.0.0.1"),
        Just("0.0.0.0"),
        Just("10.0.0.1"),
        Just("169.254.169.254"),
        Just("::1"),
        Just("::"),
        Just("1.1.1.1"),
    ]
    .prop_map(|text| text.parse().expect("an address"));
    (prop_oneof![v4, v6, near], any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    /// To grant more never takes away, and what nobody granted alone nobody grants together.
    #[test]
    fn grants_add_up(
        grants in proptest::collection::vec(any_grant(), 0..6),
        transport in any_transport(),
        address in any_address(),
        source in prop_oneof![Just(Source::System), Just(Source::Map)],
    ) {
        let names = [pinned("a.example", source)];
        let address = meant(address);
        let to = Destination { address, kind: AddressKind::of(address.ip()), names: &names };
        let of = |grants: Vec<NetGrant>| {
            let granted = Reach { destinations: grants, lookups: Vec::new() };
            NetworkPolicy { granted, ceilings: Vec::new() }.may_reach(transport, &to) == Verdict::Allowed
        };
        let alone = grants.iter().any(|grant| of(vec![grant.clone()]));
        prop_assert_eq!(of(grants), alone);
    }

    #[test]
    fn nothing_is_above_the_ceiling(
        granted in proptest::collection::vec(any_grant(), 1..4),
        ceiling in proptest::collection::vec(any_grant(), 0..4),
        transport in any_transport(),
        address in any_address(),
    ) {
        let names = [pinned("a.example", Source::System)];
        let address = meant(address);
        let to = Destination { address, kind: AddressKind::of(address.ip()), names: &names };
        let reach = |destinations: &[NetGrant]| Reach { destinations: destinations.to_vec(), lookups: Vec::new() };
        let alone = |destinations: &[NetGrant]| {
            NetworkPolicy { granted: reach(destinations), ceilings: Vec::new() }.may_reach(transport, &to) == Verdict::Allowed
        };
        let both = NetworkPolicy { granted: reach(&granted), ceilings: vec![reach(&ceiling)] };
        prop_assert_eq!(
            both.may_reach(transport, &to) == Verdict::Allowed,
            alone(&granted) && alone(&ceiling)
        );
    }

    /// Without a literal grant nothing inside is reached, whatever its spelling.
    #[test]
    fn names_and_stars_reach_public_addresses_only(
        transport in any_transport(),
        address in any_address(),
    ) {
        let names = [pinned("a.example", Source::System), pinned("b.example", Source::Servers)];
        let verdict = decide(&policy(&["*", "*.example"]), transport, &address.to_string(), &names);
        let is_public = AddressKind::of(address.ip()) == AddressKind::Public;
        prop_assert_eq!(verdict == Verdict::Allowed, is_public);
    }

    #[test]
    fn both_spellings_of_an_address_are_decided_alike(
        grants in proptest::collection::vec(any_grant(), 1..4),
        transport in any_transport(),
        bits: u32,
        port: u16,
    ) {
        let plain = Ipv4Addr::from(bits);
        let mapped = SocketAddr::new(plain.to_ipv6_mapped().into(), port);
        prop_assert_eq!(meant(mapped), meant(SocketAddr::new(plain.into(), port)));
        let policy = NetworkPolicy { granted: Reach { destinations: grants, lookups: Vec::new() }, ceilings: Vec::new() };
        prop_assert_eq!(
            decide(&policy, transport, &mapped.to_string(), &[]),
            decide(&policy, transport, &format!("{plain}:{port}"), &[])
        );
    }
}

#[test]
fn what_a_ceiling_leaves_nothing_of_is_known_beforehand() {
    let leaves = |ceiling: &str, grant: &str| {
        reach(&[ceiling], &[]).leaves_some_of(&grant.parse().expect("a grant"))
    };
    for (ceiling, grant, expected) in [
        ("*:443", "a.example:443", true),
        ("*:443", "a.example:80", false),
        ("*:443", "10.0.0.1:443", false),
        ("*:443", "1.1.1.1", true),
        ("10.0.0.0/8", "10.1.0.0/16:5432", true),
        ("10.1.0.0/16", "10.0.0.0/8", true),
        ("10.1.0.0/16", "10.2.0.0/16", false),
        ("10.1.0.0/16", "10.2.0.1", false),
        ("10.1.0.0/16", "[fd00::/8]", false),
        ("tcp://10.1.0.0/16", "udp://10.1.0.0/16", false),
        ("tcp://10.1.0.0/16", "http://10.1.0.1", true),
        ("https://*", "tcp://a.example", true),
        ("https://*", "udp://a.example", false),
        ("*.example", "a.example", true),
        ("*.example", "*.b.example", true),
        ("*.example", "example", false),
        ("a.example", "b.example", false),
        ("*:443", "10.0.0.0/8:443", false),
        ("*:443", "0.0.0.0/0", true),
        ("10.0.0.0/8", "*:443", false),
        ("10.0.0.0/7", "*", true),
        ("10.0.0.0/8", "a.example", false),
        ("a.example", "10.0.0.1", false),
        ("a.example", "1.1.1.1", true),
        ("10.0.0.1", "*", false),
    ] {
        assert_eq!(leaves(ceiling, grant), expected, "{ceiling}, {grant}");
    }
    // Two names may lead to one address.
    let ceiling = reach(&["*.corp.example", "10.0.0.1"], &["db"]);
    assert!(ceiling.leaves_some_of(&"db:5432".parse().expect("a grant")));
    assert!(!reach(&[], &[]).leaves_some_of(&"1.1.1.1".parse().expect("a grant")));
}

proptest! {
    #[test]
    fn ceiling_leaves_something_of_what_it_allows(
        grant in proptest::sample::select(&GRANTS[..]),
        ceiling in proptest::sample::select(&GRANTS[..]),
        transport in proptest::sample::select(&Transport::ALL[..]),
        to in proptest::sample::select(&["1.1.1.1:80", "10.1.0.1:443", "[fd00::1]:80"][..]),
    ) {
        let policy = NetworkPolicy {
            granted: reach(&[grant], &[]),
            ceilings: vec![reach(&[ceiling], &[])],
        };
        // Nobody else's names are noted.
        let name = pinned("a.example", Source::System);
        let names: Vec<_> = policy.may_look_up(&name.name).then_some(name).into_iter().collect();
        let may_reach = decide(&policy, transport, to, &names) == Verdict::Allowed;
        let some = policy.ceilings[0].leaves_some_of(&policy.granted.destinations[0]);
        prop_assert!(some || !may_reach);
    }
}

const GRANTS: [&str; 14] = [
    "*",
    "*:80",
    "a.example",
    "*.example:80-90",
    "https://a.example",
    "tcp://*.example",
    "http://10.0.0.0/8",
    "10.1.0.0/16:443",
    "udp://10.1.0.1",
    "1.1.1.1",
    "tcp://1.1.1.1:80",
    "[fd00::/8]",
    "http://[fd00::1]",
    "0.0.0.0/0:*",
];
