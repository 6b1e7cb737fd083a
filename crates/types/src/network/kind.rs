//! What an address is good for: whether it lies on the public Internet, and where it leads if not.
//!
//! Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190); for addresses
//! that hold others RFC 4291 (section 2.5.5), RFC 6052, RFC 7915 (section 1.2) and RFC 3056.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AddressKind {
    /// On the public Internet.
    Public,
    /// The machine itself; to connect to no address (`0.0.0.0`, `::`) is to connect to that.
    Loopback,
    /// Of a network that is somebody's own, a carrier's included.
    Private,
    /// Of the link alone.
    LinkLocal,
    /// A cloud's own server, which hands out credentials to whoever reaches it.
    Metadata,
    /// Many at once, or all.
    Multicast,
    /// Nobody's: for documents, for protocols, for later.
    Reserved,
}

impl AddressKind {
    /// What an address is. One that holds another leads to that, so it is what the other is.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match canonical(address) {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// The word for it, before "address".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The address as the kernel takes it: an IPv4 address that is written as an IPv6 one (`::ffff:10.1.2.3`)
/// is sent to by IPv4. Other addresses that hold one are not: a gateway would see to them.
#[must_use]
pub fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(inner) => inner.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// What lies in a network: its first address, the length of its prefix in bits, and what it is.
type Range<A> = (A, u32, AddressKind);

/// The first that holds an address counts.
const V4: [Range<Ipv4Addr>; 24] = {
    use AddressKind::{LinkLocal, Loopback, Metadata, Multicast, Private, Reserved};
    const fn at(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
        Ipv4Addr::new(a, b, c, d)
    }
    [
        (at(0, 0, 0, 0), 32, Loopback),
        (at(0, 0, 0, 0), 8, Reserved),
        (at(10, 0, 0, 0), 8, Private),
        // Alibaba Cloud.
        (at(100, 100, 100, 200), 32, Metadata),
        (at(100, 64, 0, 0), 10, Private),
        (at(127, 0, 0, 0), 8, Loopback),
        // Azure's "wire server", which is given a public address.
        (at(168, 63, 129, 16), 32, Metadata),
        // Everybody's; and that of tasks on ECS.
        (at(169, 254, 169, 254), 32, Metadata),
        (at(169, 254, 170, 2), 32, Metadata),
        (at(169, 254, 0, 0), 16, LinkLocal),
        (at(172, 16, 0, 0), 12, Private),
        // Oracle Cloud.
        (at(192, 0, 0, 192), 32, Metadata),
        (at(192, 0, 0, 0), 24, Reserved),
        (at(192, 0, 2, 0), 24, Reserved),
        (at(192, 31, 196, 0), 24, Reserved),
        (at(192, 52, 193, 0), 24, Reserved),
        (at(192, 88, 99, 0), 24, Reserved),
        (at(192, 168, 0, 0), 16, Private),
        (at(192, 175, 48, 0), 24, Reserved),
        (at(198, 18, 0, 0), 15, Private),
        (at(198, 51, 100, 0), 24, Reserved),
        (at(203, 0, 113, 0), 24, Reserved),
        (at(224, 0, 0, 0), 4, Multicast),
        (at(240, 0, 0, 0), 4, Reserved),
    ]
};

/// The same for addresses that hold no other.
const V6: [Range<Ipv6Addr>; 16] = {
    use AddressKind::{LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved};
    const fn at(first: u16, second: u16, third: u16, last: u16) -> Ipv6Addr {
        Ipv6Addr::new(first, second, third, 0, 0, 0, 0, last)
    }
    [
        (at(0, 0, 0, 0), 128, Loopback),
        (at(0, 0, 0, 1), 128, Loopback),
        // A translator of the network's own.
        (at(0x64, 0xff9b, 1, 0), 48, Private),
        // Protocols: Teredo, benchmarks, overlays.
        (at(0x2001, 0, 0, 0), 23, Reserved),
        (at(0x2001, 0xdb8, 0, 0), 32, Reserved),
        (at(0x2620, 0x4f, 0x8000, 0), 48, Reserved),
        (at(0x3fff, 0, 0, 0), 20, Reserved),
        (at(0x2000, 0, 0, 0), 3, Public),
        // Amazon and Google.
        (at(0xfd00, 0xec2, 0, 0x254), 128, Metadata),
        (at(0xfd00, 0xec2, 0, 0x23), 128, Metadata),
        (at(0xfd20, 0xce, 0, 0x254), 128, Metadata),
        (at(0xfc00, 0, 0, 0), 7, Private),
        (at(0xfe80, 0, 0, 0), 10, LinkLocal),
        (at(0xfec0, 0, 0, 0), 10, Private),
        (at(0xff00, 0, 0, 0), 8, Multicast),
        (at(0, 0, 0, 0), 0, Reserved),
    ]
};

fn of_v4(address: Ipv4Addr) -> AddressKind {
    if address.is_broadcast() {
        return AddressKind::Multicast;
    }
    let bits = u32::from(address);
    V4.iter()
        .find(|(first, length, _)| (bits ^ u32::from(*first)) >> (32 - length) == 0)
        .map_or(AddressKind::Public, |(_, _, kind)| *kind)
}

fn of_v6(address: Ipv6Addr) -> AddressKind {
    if let Some(held) = held(address) {
        return of_v4(held);
    }
    let bits = u128::from(address);
    V6.iter()
        .find(|(first, length, _)| {
            let difference = bits ^ u128::from(*first);
            difference.checked_shr(128 - length).unwrap_or(0) == 0
        })
        .map_or(AddressKind::Reserved, |(_, _, kind)| *kind)
}

/// The IPv4 address that a router may send to in its place.
fn held(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, fourth, fifth, sixth, seventh, eighth] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match [first, second, third, fourth, fifth, sixth] {
        // IPv4-compatible: all but the two that are the machine itself.
        [0, 0, 0, 0, 0, 0] if (seventh, eighth) != (0, 0) && (seventh, eighth) != (0, 1) => {
            Some(of(seventh, eighth))
        }
        // Translated by SIIT and by NAT64.
        [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(of(seventh, eighth)),
        // 6to4.
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(text: &str) -> AddressKind {
        AddressKind::of(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_are_what_the_registries_say() {
        use AddressKind::{LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved};
        for (text, expected) in [
            ("1.1.1.1", Public),
            ("9.255.255.255", Public),
            ("11.0.0.0", Public),
            ("100.63.255.255", Public),
            ("100.128.0.0", Public),
            ("128.0.0.0", Public),
            ("172.15.255.255", Public),
            ("172.32.0.0", Public),
            ("223.255.255.255", Public),
            ("0.0.0.0", Loopback),
            ("0.0.0.1", Reserved),
            ("0.255.255.255", Reserved),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("100.64.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("198.19.255.255", Private),
            ("169.254.0.1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("100.100.100.200", Metadata),
            ("168.63.129.16", Metadata),
            ("192.0.0.192", Metadata),
            ("192.0.0.8", Reserved),
            ("203.0.113.9", Reserved),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Multicast),
            ("2606:4700:4700::1111", Public),
            ("2001:4860:4860::8888", Public),
            ("::", Loopback),
            ("::1", Loopback),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("fc00::1", Private),
            ("fdff::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("ff02::1", Multicast),
            ("2001::1", Reserved),
            ("2001:db8::1", Reserved),
            ("3fff::1", Reserved),
            ("4000::1", Reserved),
            ("100::1", Reserved),
            ("5f00::1", Reserved),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn address_that_holds_another_is_what_that_is() {
        for (held, expected) in [
            ("127.0.0.1", AddressKind::Loopback),
            ("10.1.2.3", AddressKind::Private),
            ("169.254.169.254", AddressKind::Metadata),
            ("8.8.8.8", AddressKind::Public),
        ] {
            let bytes = held.parse::<Ipv4Addr>().expect("an address").octets();
            let [a, b, c, d] = bytes;
            for text in [
                format!("::{held}"),
                format!("::ffff:{held}"),
                format!("::ffff:0:{held}"),
                format!("64:ff9b::{held}"),
                format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
            ] {
                assert_eq!(kind(&text), expected, "{text}");
            }
        }
        assert_eq!(kind("64:ff9b:1::8.8.8.8"), AddressKind::Private);
    }

    #[test]
    fn only_the_mapped_form_is_another_spelling() {
        let canonical = |text: &str| canonical(text.parse().expect("an address")).to_string();
        assert_eq!(canonical("::ffff:10.1.2.3"), "10.1.2.3");
        assert_eq!(canonical("10.1.2.3"), "10.1.2.3");
        assert_eq!(canonical("64:ff9b::10.1.2.3"), "64:ff9b::a01:203");
        assert_eq!(canonical("::10.1.2.3"), "::a01:203");
    }

    proptest! {
        #[test]
        fn both_spellings_of_an_address_are_one_kind(bits: u32) {
            let address = Ipv4Addr::from(bits);
            let mapped = AddressKind::of(address.to_ipv6_mapped().into());
            prop_assert_eq!(mapped, AddressKind::of(address.into()));
        }

        #[test]
        fn what_std_knows_to_be_special_is_not_public(bits: u32) {
            let address = Ipv4Addr::from(bits);
            let is_special = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_unspecified();
            let kind = AddressKind::of(address.into());
            prop_assert!(!is_special || kind != AddressKind::Public);
        }

        #[test]
        fn nothing_outside_of_global_unicast_is_public_but_what_holds_an_address(bits: u128) {
            let address = Ipv6Addr::from(bits);
            let is_global = bits >> 125 == 1;
            let kind = AddressKind::of(address.into());
            prop_assert!(is_global || held(address).is_some() || kind != AddressKind::Public);
        }
    }
}
