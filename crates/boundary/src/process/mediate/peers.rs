//! Who has sent datagrams to which socket: they may be answered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// For how long an answer may be late, as Linux keeps the state of a stream of datagrams
/// (`nf_conntrack_udp_timeout_stream`).
const LATEST: Duration = Duration::from_secs(120);

/// The most that are kept, of all sockets of a runner together.
const MOST: usize = 1 << 16;

/// The most that one socket hears, of whom it has spoken to: the last ones.
const MOST_HEARD: usize = 16;

/// The most sockets of which it is known whom they have spoken to.
const MOST_SPEAKERS: usize = 4096;

/// Peers by the socket's cookie.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Who has sent something, and when.
    senders: HashMap<(u64, SocketAddr), Instant>,
    /// Whom a socket has spoken to, the last one last.
    heard: HashMap<u64, Vec<SocketAddr>>,
}

impl Peers {
    /// Notes that a peer has sent something.
    pub(super) fn add(&mut self, socket: u64, peer: SocketAddr) {
        let now = Instant::now();
        if self.senders.len() >= MOST {
            self.senders
                .retain(|_, seen| now.duration_since(*seen) < LATEST);
        }
        if self.senders.len() >= MOST {
            // A flood of senders: those that come now are as good as those that came before.
            self.senders.clear();
        }
        self.senders.insert((socket, peer), now);
    }

    /// Notes that a socket speaks to a peer, and gives all that it hears from now on, if that is new.
    pub(super) fn speak(&mut self, socket: u64, peer: SocketAddr) -> Option<&[SocketAddr]> {
        if self.heard.len() >= MOST_SPEAKERS && !self.heard.contains_key(&socket) {
            // Most of them are closed; who speaks again is noted again.
            self.heard.clear();
        }
        let heard = self.heard.entry(socket).or_default();
        if heard.contains(&peer) {
            return None;
        }
        if heard.len() >= MOST_HEARD {
            heard.remove(0);
        }
        heard.push(peer);
        Some(heard)
    }

    /// Forgets whom a socket has spoken to.
    pub(super) fn forget(&mut self, socket: u64) {
        self.heard.remove(&socket);
    }

    /// Whether a peer has sent something lately.
    pub(super) fn has(&self, socket: u64, peer: SocketAddr) -> bool {
        let seen = self.senders.get(&(socket, peer));
        seen.is_some_and(|seen| seen.elapsed() < LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: usize) -> SocketAddr {
        let port = u16::try_from(number % 60_000).expect("small");
        let last = u8::try_from(number / 60_000).expect("small");
        SocketAddr::new([10, 0, 0, last].into(), port)
    }

    #[test]
    fn who_sent_to_a_socket_is_answered_by_that_socket_alone() {
        let mut peers = Peers::default();
        peers.add(1, peer(1));
        assert!(peers.has(1, peer(1)));
        assert!(!peers.has(2, peer(1)));
        assert!(!peers.has(1, peer(2)));
    }

    #[test]
    fn last_of_those_spoken_to_are_heard() {
        let mut peers = Peers::default();
        for number in 0..MOST_HEARD + 1 {
            let heard = peers.speak(1, peer(number)).expect("it is new");
            assert_eq!(heard.last(), Some(&peer(number)));
            assert!(heard.len() <= MOST_HEARD);
        }
        assert_eq!(peers.speak(1, peer(MOST_HEARD)), None);
        let again = peers.speak(1, peer(0)).expect("it was forgotten");
        assert!(!again.contains(&peer(1)));
        for socket in 0..3 * MOST_SPEAKERS as u64 {
            peers.speak(socket, peer(0));
        }
        assert!(peers.heard.len() <= MOST_SPEAKERS);
    }

    #[test]
    fn flood_of_senders_is_bounded() {
        let mut peers = Peers::default();
        for number in 0..3 * MOST {
            peers.add(1, peer(number));
            assert!(peers.has(1, peer(number)));
        }
        assert!(peers.senders.len() <= MOST);
    }
}
