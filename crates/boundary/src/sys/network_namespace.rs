//! A network namespace that nobody is in: sockets are made in it by children that live for that.
//!
//! A child shares this process's memory and descriptors, so what it opens is this process's; it goes into
//! the namespace, makes its socket there and ends. So no process has to stay to hold the namespace, and an
//! ordinary user, whose process may not enter it, has one as well.

use super::clone::{call, errno_of};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// A network namespace with nothing in it but its loopback device.
#[derive(Debug)]
pub struct NetworkNamespace {
    network: OwnedFd,
    /// The user namespace that it belongs to, where it needed one.
    user: Option<OwnedFd>,
}

impl NetworkNamespace {
    /// Makes one: as root, or in a user namespace.
    ///
    /// # Errors
    /// The kernel's refusal: without rights there have to be user namespaces.
    pub fn make() -> Result<Self, Errno> {
        let made = in_child(libc::CLONE_NEWNET, &mut || {
            raise_loopback()?;
            Ok([open_own(c"/proc/self/ns/net")?, -1])
        });
        match made {
            Ok(made) => Ok(Self::of(made)),
            Err(Errno::PERM) => {
                let flags = libc::CLONE_NEWNET | libc::CLONE_NEWUSER;
                in_child(flags, &mut || {
                    raise_loopback()?;
                    let network = open_own(c"/proc/self/ns/net")?;
                    match open_own(c"/proc/self/ns/user") {
                        Ok(user) => Ok([network, user]),
                        Err(error) => {
                            call!(SYS_close, network)?;
                            Err(error)
                        }
                    }
                })
                .map(Self::of)
            }
            Err(error) => Err(error),
        }
    }

    fn of([network, user]: [RawFd; 2]) -> Self {
        Self {
            network: own(network),
            user: (user >= 0).then(|| own(user)),
        }
    }

    /// Makes a socket in it, of a family and a type with its flags (socket(2)).
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn socket(&self, family: i32, kind: i32) -> Result<OwnedFd, Errno> {
        let network = self.network.as_raw_fd();
        let user = self.user.as_ref().map(OwnedFd::as_raw_fd);
        let [socket, _] = in_child(0, &mut || {
            if let Some(user) = user {
                call!(SYS_setns, user, libc::CLONE_NEWUSER)?;
            }
            call!(SYS_setns, network, libc::CLONE_NEWNET)?;
            Ok([call!(SYS_socket, family, kind | libc::SOCK_CLOEXEC, 0)?, -1])
        })?;
        Ok(own(socket))
    }
}

fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: a child has just opened it in the table that it shares with this process, and told nobody else.
    #[expect(unsafe_code, reason = "descriptors of a child come as numbers")]
    unsafe {
        OwnedFd::from_raw_fd(descriptor)
    }
}

fn open_own(path: &std::ffi::CStr) -> Result<RawFd, i32> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags)
}

/// Sets the loopback device up: a new namespace has it down (netdevice(7)).
fn raise_loopback() -> Result<(), i32> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    let socket = call!(SYS_socket, libc::AF_INET, kind, 0)?;
    // `struct ifreq`: the name in 16 bytes, then the flags.
    let mut request = [0_u8; 40];
    for (place, byte) in request.iter_mut().zip(b"lo") {
        *place = *byte;
    }
    for (place, byte) in request
        .iter_mut()
        .skip(16)
        .zip((libc::IFF_UP as u16).to_ne_bytes())
    {
        *place = byte;
    }
    let raised = call!(SYS_ioctl, socket, libc::SIOCSIFFLAGS, request.as_ptr());
    call!(SYS_close, socket)?;
    raised.map(drop)
}

/// What a child does, and what came of it: two descriptors, or an error.
struct Work<'a> {
    run: &'a mut dyn FnMut() -> Result<[RawFd; 2], i32>,
    done: Result<[RawFd; 2], i32>,
}

const STACK_BYTES: usize = 64 << 10;

/// Has a child do something that makes system calls only, in new namespaces if `flags` ask for them.
fn in_child(
    flags: libc::c_int,
    run: &mut dyn FnMut() -> Result<[RawFd; 2], i32>,
) -> Result<[RawFd; 2], Errno> {
    let mut work = Work {
        run,
        done: Err(libc::EIO),
    };
    let mut stack = Vec::<u128>::with_capacity(STACK_BYTES / size_of::<u128>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;
    #[expect(unsafe_code, reason = "no crate offers clone with shared memory")]
    // SAFETY: the child runs `child` on a stack of its own that outlives it, because CLONE_VFORK keeps this
    // thread from running until the child has ended; `work` lives as long.
    let pid = unsafe { libc::clone(child, top.cast(), flags, (&raw mut work).cast()) };
    if pid < 0 {
        let error = io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    #[expect(unsafe_code, reason = "rustix does not wait for such children")]
    // SAFETY: a child of ours that has ended and that tells nobody; no status is asked for.
    unsafe {
        libc::waitpid(pid, ptr::null_mut(), libc::__WALL);
    }
    work.done.map_err(Errno::from_raw_os_error)
}

extern "C" fn child(work: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `in_child` passed a pointer to its work, and does not touch it until we are gone.
    #[expect(unsafe_code, reason = "the argument of clone is untyped")]
    let work = unsafe { &mut *work.cast::<Work<'_>>() };
    work.done = (work.run)();
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn port_of_a_namespace_is_nobody_elses() {
        let Ok(namespace) = NetworkNamespace::make() else {
            lighter_testkit::absent("network namespaces", "this user may not make them");
            return;
        };
        let socket = |kind| {
            namespace
                .socket(libc::AF_INET, kind)
                .expect("it can be made")
        };
        let listener = std::net::TcpListener::from(socket(libc::SOCK_STREAM));
        rustix::net::bind(&listener, &std::net::SocketAddr::from(([127, 0, 0, 1], 1)))
            .expect("whoever has a namespace has all its ports");
        rustix::net::listen(&listener, 1).expect("it is bound");
        let address = listener.local_addr().expect("it is bound");
        let inside = TcpStream::from(socket(libc::SOCK_STREAM));
        rustix::net::connect(&inside, &address).expect("the loopback device is up");
        TcpStream::connect(address).expect_err("nobody listens here");
    }
}
