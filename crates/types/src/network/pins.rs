//! What allowed names were looked up as: for a while those addresses are theirs.

use super::policy::{PinnedName, Source};
use crate::grant::HostName;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an answer is good for at least: programs look a name up and connect later.
const SHORTEST: Duration = Duration::from_secs(60);

/// How long at most, whatever a server says of it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The most that are kept: a guest may look up as many names as there are below a granted one.
const MOST: usize = 4096;

/// The answers of lookups, by address.
#[derive(Debug, Default)]
pub struct Pins {
    by_address: HashMap<IpAddr, Vec<(PinnedName, Instant)>>,
    count: usize,
}

impl Pins {
    /// Keeps what a name was looked up as, `time_to_live` as the server said.
    pub fn pin(
        &mut self,
        name: &HostName,
        source: Source,
        addresses: &[IpAddr],
        time_to_live: Duration,
        now: Instant,
    ) {
        let until = now + time_to_live.clamp(SHORTEST, LONGEST);
        for address in addresses {
            let address = super::kind::canonical(*address);
            if self.renew(address, name, source, until) {
                continue;
            }
            if self.count >= MOST {
                self.make_room(now);
            }
            let pinned = PinnedName {
                name: name.clone(),
                source,
            };
            self.by_address
                .entry(address)
                .or_default()
                .push((pinned, until));
            self.count += 1;
        }
    }

    /// Prolongs a pin that is there.
    fn renew(&mut self, address: IpAddr, name: &HostName, source: Source, until: Instant) -> bool {
        let known = self.by_address.get_mut(&address).and_then(|pins| {
            pins.iter_mut()
                .find(|(pinned, _)| pinned.name == *name && pinned.source == source)
        });
        known.is_some_and(|(_, old)| {
            *old = until.max(*old);
            true
        })
    }

    /// The names that an address was the answer for.
    #[must_use]
    pub fn names_of(&self, address: IpAddr, now: Instant) -> Vec<PinnedName> {
        self.by_address
            .get(&address)
            .into_iter()
            .flatten()
            .filter(|(_, until)| now < *until)
            .map(|(pinned, _)| pinned.clone())
            .collect()
    }

    /// Lets go of what is past, and else of the half that would be past first.
    fn make_room(&mut self, now: Instant) {
        self.keep_after(now);
        if self.count < MOST {
            return;
        }
        let mut ends: Vec<Instant> = self
            .by_address
            .values()
            .flatten()
            .map(|(_, until)| *until)
            .collect();
        let (_, middle, _) = ends.select_nth_unstable(MOST / 2);
        let middle = *middle;
        self.keep_after(middle);
        if self.count >= MOST {
            // All end at one time.
            self.by_address.clear();
            self.count = 0;
        }
    }

    fn keep_after(&mut self, time: Instant) {
        for pins in self.by_address.values_mut() {
            pins.retain(|(_, until)| time < *until);
        }
        self.by_address.retain(|_, pins| !pins.is_empty());
        self.count = self.by_address.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn name(text: &str) -> HostName {
        HostName::parse(text).expect("a name")
    }

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn pin_lasts_as_long_as_the_answer_is_good_and_a_minute_at_least() {
        let (mut pins, now) = (Pins::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        pins.pin(
            &name("a.b"),
            Source::System,
            &[address(1)],
            Duration::ZERO,
            now,
        );
        pins.pin(
            &name("c.d"),
            Source::Servers,
            &[address(1)],
            Duration::from_secs(300),
            now,
        );
        let names = |seconds| {
            let names = pins.names_of(address(1), at(seconds));
            names
                .iter()
                .map(|pinned| pinned.name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(59), ["a.b", "c.d"]);
        assert_eq!(names(60), ["c.d"]);
        assert_eq!(names(300), Vec::<String>::new());
        assert!(pins.names_of(address(2), now).is_empty());
    }

    #[test]
    fn time_to_live_of_a_lying_server_is_cut() {
        let (mut pins, now) = (Pins::default(), Instant::now());
        let forever = Duration::from_secs(u32::MAX.into());
        pins.pin(&name("a.b"), Source::System, &[address(1)], forever, now);
        assert!(pins.names_of(address(1), now + LONGEST).is_empty());
    }

    #[test]
    fn mapped_address_is_kept_as_what_it_is() {
        let (mut pins, now) = (Pins::default(), Instant::now());
        let mapped = "::ffff:10.1.2.3".parse().expect("an address");
        pins.pin(&name("a.b"), Source::System, &[mapped], Duration::ZERO, now);
        let plain = "10.1.2.3".parse().expect("an address");
        assert_eq!(pins.names_of(plain, now).len(), 1);
    }

    #[test]
    fn number_of_pins_is_bounded_and_the_latest_stay() {
        let (mut pins, now) = (Pins::default(), Instant::now());
        for number in 0..3 * u32::try_from(MOST).expect("small") {
            let time = now + Duration::from_millis(number.into());
            let ttl = Duration::from_secs(3600);
            pins.pin(&name("a.b"), Source::System, &[address(number)], ttl, time);
            assert!(pins.count <= MOST);
            assert_eq!(pins.names_of(address(number), time).len(), 1);
        }
        let kept: usize = pins.by_address.values().map(Vec::len).sum();
        assert_eq!(kept, pins.count);
    }

    #[test]
    fn pins_that_end_at_one_time_are_bounded_too() {
        let (mut pins, now) = (Pins::default(), Instant::now());
        let addresses: Vec<IpAddr> = (0..10_000).map(address).collect();
        pins.pin(
            &name("a.b"),
            Source::System,
            &addresses,
            Duration::ZERO,
            now,
        );
        assert!((1..=MOST).contains(&pins.count));
    }

    #[test]
    fn same_answer_again_takes_no_room() {
        let (mut pins, now) = (Pins::default(), Instant::now());
        for _ in 0..10 {
            pins.pin(
                &name("a.b"),
                Source::System,
                &[address(1)],
                Duration::ZERO,
                now,
            );
        }
        assert_eq!(pins.count, 1);
    }
}
