//! Who has sent datagrams to which socket: they may be answered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// For how long an answer may be late, as Linux keeps the state of a stream of datagrams
/// (`nf_conntrack_udp_timeout_stream`).
const LATEST: Duration = Duration::from_secs(120);

/// The most that are kept, of all sockets of a runner together.
const MOST: usize = 1 << 16;

/// Peers by the socket's cookie.
#[derive(Debug, Default)]
pub(super) struct Peers(HashMap<(u64, SocketAddr), Instant>);

impl Peers {
    /// Notes that a peer has sent something.
    pub(super) fn add(&mut self, socket: u64, peer: SocketAddr) {
        let now = Instant::now();
        if self.0.len() >= MOST {
            self.0.retain(|_, seen| now.duration_since(*seen) < LATEST);
        }
        if self.0.len() >= MOST {
            // A flood of senders: those that come now are as good as those that came before.
            self.0.clear();
        }
        self.0.insert((socket, peer), now);
    }

    /// Whether a peer has sent something lately.
    pub(super) fn has(&self, socket: u64, peer: SocketAddr) -> bool {
        let seen = self.0.get(&(socket, peer));
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
    fn flood_of_senders_is_bounded() {
        let mut peers = Peers::default();
        for number in 0..3 * MOST {
            peers.add(1, peer(number));
            assert!(peers.has(1, peer(number)));
        }
        assert!(peers.0.len() <= MOST);
    }
}
