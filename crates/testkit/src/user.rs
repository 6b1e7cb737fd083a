//! Who the tests run as, and the ordinary user that root can become.

/// The user and group id of the ordinary user: one that nobody has.
pub const ORDINARY_ID: u32 = 61_234;

/// Says whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
