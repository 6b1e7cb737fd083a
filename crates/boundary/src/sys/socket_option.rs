//! Options of sockets that no well-kept crate offers as they are needed here.

use rustix::io::Errno;
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The options that a socket takes along: those that a runner may set, but for the sizes of buffers. A level
/// and a number each, with values of four bytes.
const COPIED: [(i32, i32); 13] = [
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_BROADCAST),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::IPPROTO_IP, libc::IP_TOS),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
];

/// Which of the buffers have a size that was asked for (`SO_BUF_LOCK`, Linux 5.14): bit 0 that for sending, bit 1
/// that for receiving.
const SO_BUF_LOCK: i32 = 72;
const BUFFERS: [(u32, i32); 2] = [(1, libc::SO_SNDBUF), (2, libc::SO_RCVBUF)];

/// The network namespace of a socket, by a number of its own (`SO_NETNS_COOKIE`, Linux 5.14).
const SO_NETNS_COOKIE: i32 = 71;

/// Gives a socket another one's options, where it has them.
pub fn copy_all(from: impl AsFd, to: impl AsFd) {
    let (from, to) = (from.as_fd(), to.as_fd());
    for (level, option) in COPIED {
        // What one family or transport lacks, the other socket lacks too.
        if let Ok(value) = get::<u32>(from, level, option) {
            let _ = set(to, level, option, &value);
        }
    }
    let asked = get::<u32>(from, libc::SOL_SOCKET, SO_BUF_LOCK).unwrap_or(0);
    for (_, option) in BUFFERS.iter().filter(|(bit, _)| asked & bit != 0) {
        if let Ok(size) = get::<u32>(from, libc::SOL_SOCKET, *option) {
            // The kernel doubles what is asked for.
            let _ = set(to, libc::SOL_SOCKET, *option, &(size / 2));
        }
    }
}

/// The network namespace that a socket is in.
///
/// # Errors
/// The kernel's refusal; it does not know it before Linux 5.14.
pub fn network(socket: impl AsFd) -> Result<u64, Errno> {
    get(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE)
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// Gets an option whose value is a number.
fn get<N: Copy + Default>(socket: impl AsFd, level: i32, option: i32) -> Result<N, Errno> {
    let mut value = N::default();
    let mut length = u32::try_from(size_of::<N>()).map_err(|_| Errno::INVAL)?;
    let socket = socket.as_fd().as_raw_fd();
    let place: *mut c_void = (&raw mut value).cast();
    // SAFETY: the value is a number of the length given, which the kernel does not exceed.
    #[expect(unsafe_code, reason = "rustix has not all options")]
    let got = unsafe { libc::getsockopt(socket, level, option, place, &raw mut length) };
    if got < 0 {
        return Err(last_error());
    }
    Ok(value)
}

/// Sets an option whose value is what the kernel expects of it.
pub(super) fn set<T>(socket: impl AsFd, level: i32, option: i32, value: &T) -> Result<(), Errno> {
    let socket = socket.as_fd().as_raw_fd();
    let length = u32::try_from(size_of::<T>()).map_err(|_| Errno::INVAL)?;
    let place: *const c_void = (&raw const *value).cast();
    // SAFETY: the value has the length given, and lives until the call returns.
    #[expect(unsafe_code, reason = "rustix has not all options")]
    let set = unsafe { libc::setsockopt(socket, level, option, place, length) };
    if set < 0 { Err(last_error()) } else { Ok(()) }
}
