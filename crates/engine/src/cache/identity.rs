//! Whether a file is still the one that was looked at.

use rustix::fs::Stat;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Device, inode, size and times of a file, and when they were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    state: State,
    recorded_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    device: u64,
    inode: u64,
    size: i64,
    modified: Instant,
    changed: Instant,
}

/// Seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Instant(i64, i64);

/// Two changes within one tick of the file system's clock look the same. The kernel's is at most
/// 10 ms; a file system that keeps whole seconds shows it by times without nanoseconds.
const TICK_NANOSECONDS: i64 = 20_000_000;
const COARSE_TICK_SECONDS: i64 = 2;

impl Identity {
    /// The file's identity as it is seen now.
    pub(crate) fn of(stat: &Stat) -> Self {
        let now = clock_gettime(ClockId::Realtime);
        Self {
            state: State::of(stat),
            recorded_at: Instant(now.tv_sec, now.tv_nsec),
        }
    }

    /// Whether the file has not changed since, and could not have without showing it.
    pub(crate) fn is_of(&self, stat: &Stat) -> bool {
        self.state == State::of(stat) && self.is_settled()
    }

    /// Whether two looks saw the same.
    pub(crate) fn is_same_state(&self, stat: &Stat) -> bool {
        self.state == State::of(stat)
    }

    /// Whether the last change was over when the file was looked at.
    fn is_settled(&self) -> bool {
        let Instant(seconds, nanoseconds) = self.state.modified.max(self.state.changed);
        let is_coarse = nanoseconds == 0;
        let settled_at = if is_coarse {
            Instant(seconds.saturating_add(COARSE_TICK_SECONDS), 0)
        } else {
            let nanoseconds = nanoseconds.saturating_add(TICK_NANOSECONDS);
            Instant(
                seconds.saturating_add(nanoseconds / 1_000_000_000),
                nanoseconds % 1_000_000_000,
            )
        };
        self.recorded_at >= settled_at
    }
}

impl State {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: Instant(
                stat.st_mtime,
                i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
            changed: Instant(
                stat.st_ctime,
                i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(changed: Instant, recorded_at: Instant) -> Identity {
        let state = State {
            device: 1,
            inode: 2,
            size: 3,
            modified: Instant(10, 5),
            changed,
        };
        Identity { state, recorded_at }
    }

    #[test]
    fn look_within_the_tick_of_a_change_is_not_trusted() {
        assert!(!identity(Instant(10, 5), Instant(10, 6)).is_settled());
        assert!(!identity(Instant(10, 990_000_000), Instant(11, 1)).is_settled());
        assert!(identity(Instant(10, 990_000_000), Instant(11, 10_000_000)).is_settled());
    }

    #[test]
    fn whole_seconds_need_longer() {
        assert!(!identity(Instant(11, 0), Instant(12, 0)).is_settled());
        assert!(identity(Instant(11, 0), Instant(13, 0)).is_settled());
    }
}
