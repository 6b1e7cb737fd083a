//! The network of a runner that has some: reaching what is not granted, in every spelling, by races, by
//! other calls, and by the options of a socket.

use crate::Case;
use crate::attempts::{Attempts, Word, tell};
use crate::raw::{at, call};
use crate::stage::Stage;
use libc::{
    SYS_accept4, SYS_bind, SYS_close, SYS_connect, SYS_fcntl, SYS_getpeername, SYS_getsockname,
    SYS_getsockopt, SYS_ioctl, SYS_listen, SYS_poll, SYS_sendmmsg, SYS_sendmsg, SYS_sendto,
    SYS_setsockopt, SYS_socket,
};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    ("granted_address_is_reached", granted),
    ("connect_to_what_is_not_granted_is_refused", connect),
    ("datagram_to_what_is_not_granted_is_refused", datagram),
    (
        "address_that_changes_during_the_call_leads_nowhere",
        race_address,
    ),
    (
        "descriptor_that_changes_during_the_call_leads_nowhere",
        race_descriptor,
    ),
    ("port_that_was_not_published_is_nobody_elses", bind),
    ("listener_that_was_not_published_is_nobody_elses", listen),
    ("fast_open_is_refused", fast_open),
    ("option_with_a_right_in_it_is_refused", options),
    ("socket_of_another_protocol_is_refused", protocols),
    ("answer_to_ones_own_call_is_refused", answer),
];

const INET: usize = libc::AF_INET as usize;
const INET6: usize = libc::AF_INET6 as usize;
const STREAM: usize = libc::SOCK_STREAM as usize;
const DATAGRAM: usize = libc::SOCK_DGRAM as usize;

/// For how long a race is run at most.
const RACE_TIME: Duration = Duration::from_secs(3);

/// For how many turns of an empty loop a socket is left under its number.
const PAUSE: usize = 2000;

/// The length of a race in which nobody listens that should be reached.
fn refused() -> io::Error {
    io::Error::from_raw_os_error(libc::EACCES)
}

/// An address as the kernel takes it, and its length.
#[derive(Clone)]
struct Address([u8; 28], usize);

impl Address {
    fn v4(octets: [u8; 4], port: u16) -> Self {
        let mut bytes = [0; 28];
        bytes[..2].copy_from_slice(&2_u16.to_ne_bytes());
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        bytes[4..8].copy_from_slice(&octets);
        Self(bytes, 16)
    }

    fn v6(address: &str, port: u16) -> Self {
        let address: std::net::Ipv6Addr = address.parse().expect("an address");
        let mut bytes = [0; 28];
        bytes[..2].copy_from_slice(&10_u16.to_ne_bytes());
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        bytes[8..24].copy_from_slice(&address.octets());
        Self(bytes, 28)
    }

    fn port(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }
}

/// The ways to write the machine itself.
fn spellings(port: u16) -> [(&'static str, usize, Address); 6] {
    [
        ("127.0.0.1", INET, Address::v4([127, 0, 0, 1], port)),
        ("127.1.2.3", INET, Address::v4([127, 1, 2, 3], port)),
        ("0.0.0.0", INET, Address::v4([0; 4], port)),
        ("::1", INET6, Address::v6("::1", port)),
        ("::", INET6, Address::v6("::", port)),
        (
            "::ffff:127.0.0.1",
            INET6,
            Address::v6("::ffff:127.0.0.1", port),
        ),
    ]
}

fn socket(family: usize, kind: usize) -> io::Result<usize> {
    call(SYS_socket, [family, kind, 0])
}

fn close(descriptor: usize) {
    let _ = call(SYS_close, [descriptor]);
}

/// Makes a socket for one attempt.
fn with_socket(
    family: usize,
    kind: usize,
    attempt: impl FnOnce(usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let socket = socket(family, kind)?;
    let done = attempt(socket);
    close(socket);
    done
}

fn connect_to(socket: usize, address: &Address) -> io::Result<usize> {
    call(SYS_connect, [socket, at(&address.0), address.1])
}

fn send_to(socket: usize, address: &Address) -> io::Result<usize> {
    let byte = [b'x'];
    call(
        SYS_sendto,
        [socket, at(&byte), 1, 0, at(&address.0), address.1],
    )
}

fn peer_port(socket: usize) -> Option<u16> {
    let (name, length) = (Address([0; 28], 28), [28_u32]);
    call(SYS_getpeername, [socket, at(&name.0), at(&length)]).ok()?;
    Some(std::hint::black_box(name).port())
}

fn granted(stage: &Stage, attempts: &mut Attempts) {
    let address = Address::v4([127, 0, 0, 1], stage.granted);
    let mapped = Address::v6("::ffff:127.0.0.1", stage.granted);
    attempts.make("TCP", || {
        with_socket(INET, STREAM, |socket| connect_to(socket, &address))
    });
    attempts.make("TCP, mapped", || {
        with_socket(INET6, STREAM, |socket| connect_to(socket, &mapped))
    });
    attempts.make("UDP", || {
        with_socket(INET, DATAGRAM, |socket| connect_to(socket, &address))
    });
    attempts.make("datagram", || {
        with_socket(INET, DATAGRAM, |socket| send_to(socket, &address))
    });
}

/// Reaches what it is told to.
pub(crate) const REACH: Case = ("reach", |stage, attempts| {
    let wish = stage.wish.as_ref().expect("somebody wishes it");
    let port = wish.address.port();
    let (family, address) = match wish.address.ip() {
        IpAddr::V4(ip) => (INET, Address::v4(ip.octets(), port)),
        IpAddr::V6(ip) => (INET6, Address::v6(&ip.to_string(), port)),
    };
    attempts.make("TCP", || {
        with_socket(family, STREAM, |socket| connect_to(socket, &address))
    });
    attempts.make("UDP", || {
        with_socket(family, DATAGRAM, |socket| connect_to(socket, &address))
    });
    attempts.make("datagram", || {
        with_socket(family, DATAGRAM, |socket| send_to(socket, &address))
    });
});

fn connect(stage: &Stage, attempts: &mut Attempts) {
    for (name, family, address) in spellings(stage.other) {
        for (transport, kind) in [("TCP", STREAM), ("UDP", DATAGRAM)] {
            attempts.make(&format!("{transport} to {name}"), || {
                with_socket(family, kind, |socket| connect_to(socket, &address))
            });
        }
    }
    // What is granted for datagrams is not for connections.
    let half = Address::v4([127, 0, 0, 1], stage.half);
    attempts.make("TCP where UDP is granted", || {
        with_socket(INET, STREAM, |socket| connect_to(socket, &half))
    });
}

fn datagram(stage: &Stage, attempts: &mut Attempts) {
    for (name, family, address) in spellings(stage.other) {
        attempts.make(&format!("sendto {name}"), || {
            with_socket(family, DATAGRAM, |socket| send_to(socket, &address))
        });
    }
    let (granted, other) = (
        Address::v4([127, 0, 0, 1], stage.granted),
        Address::v4([127, 0, 0, 1], stage.other),
    );
    let connected = |attempt: &dyn Fn(usize) -> io::Result<usize>| {
        with_socket(INET, DATAGRAM, |socket| {
            connect_to(socket, &granted)?;
            attempt(socket)
        })
    };
    attempts.make("sendto another than the peer", || {
        connected(&|socket| send_to(socket, &other))
    });
    let byte = [b'x'];
    let vector = [at(&byte), 1];
    let header = [at(&other.0), other.1, at(&vector), 1, 0, 0, 0];
    attempts.make("sendmsg another than the peer", || {
        connected(&|socket| call(SYS_sendmsg, [socket, at(&header), 0]))
    });
    let many = [header, [0; 7]];
    attempts.make("sendmmsg", || {
        with_socket(INET, DATAGRAM, |socket| {
            call(SYS_sendmmsg, [socket, at(&many), 1, 0])
        })
    });
}

/// A race's turns, until its time is over.
fn turns() -> impl Iterator<Item = ()> {
    let start = Instant::now();
    std::iter::from_fn(move || (start.elapsed() < RACE_TIME).then_some(()))
}

/// One thread changes the port in the address that another hands to the kernel.
fn race_address(stage: &Stage, attempts: &mut Attempts) {
    let ports = [stage.granted.to_be(), stage.other.to_be()];
    attempts.make("TCP", || {
        // `struct sockaddr_in` in words of 16 bits: family, port, address, nothing.
        let address: [AtomicU16; 8] = Default::default();
        address[0].store(libc::AF_INET as u16, Ordering::Relaxed);
        address[2].store(u16::from_ne_bytes([127, 0]), Ordering::Relaxed);
        address[3].store(u16::from_ne_bytes([0, 1]), Ordering::Relaxed);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for port in ports {
                        address[1].store(port, Ordering::Relaxed);
                    }
                }
            });
            let reached = turns().find_map(|()| {
                let socket = socket(INET, STREAM).ok()?;
                let connected = call(SYS_connect, [socket, at(&address), 16]);
                let port = connected.ok().and_then(|_| peer_port(socket));
                close(socket);
                (port == Some(stage.other)).then_some(1)
            });
            is_over.store(true, Ordering::Relaxed);
            reached.ok_or_else(refused)
        })
    });
}

/// One thread puts sockets of other kinds under the number that another connects.
fn race_descriptor(stage: &Stage, attempts: &mut Attempts) {
    let half = Address::v4([127, 0, 0, 1], stage.half);
    attempts.make("TCP where UDP is granted", || {
        let number = socket(INET, DATAGRAM)?;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for kind in [STREAM, DATAGRAM] {
                        // The lowest free number is the one that was just freed.
                        close(number);
                        let _ = socket(INET, kind);
                        // Each is there for about as long as a call takes.
                        for _ in 0..PAUSE {
                            std::hint::spin_loop();
                        }
                    }
                }
            });
            let reached = turns().find_map(|()| {
                let _ = connect_to(number, &half);
                let (kind, length) = ([0_u32], [4_u32]);
                let asked = [number, 1, 3, at(&kind), at(&length)];
                call(SYS_getsockopt, asked).ok()?;
                let [kind] = std::hint::black_box(kind);
                let is_stream = kind as usize == STREAM;
                (is_stream && peer_port(number) == Some(stage.half)).then_some(1)
            });
            is_over.store(true, Ordering::Relaxed);
            reached.ok_or_else(refused)
        })
    });
}

fn bind_to(socket: usize, address: &Address) -> io::Result<usize> {
    call(SYS_bind, [socket, at(&address.0), address.1])
}

/// For how long somebody outside comes to a port that was told.
pub(crate) const KNOCKING_TIME: Duration = Duration::from_millis(300);

/// Tells the port that a socket has, waits for whoever comes there, and succeeds if somebody does.
fn await_stranger(socket: usize, also: Option<u16>) -> io::Result<usize> {
    let (name, length) = (Address([0; 28], 28), [28_u32]);
    call(SYS_getsockname, [socket, at(&name.0), at(&length)])?;
    let port = std::hint::black_box(name).port();
    for port in also.into_iter().chain([port]) {
        tell(&Word::Listens(port));
    }
    // `struct pollfd`: what comes in. Somebody may have come before.
    let polled = [socket as u64 | 1 << 32];
    let time = KNOCKING_TIME.as_millis() as usize + 100;
    match call(SYS_poll, [at(&polled), 1, time])? {
        0 => Err(refused()),
        _ => Ok(0),
    }
}

fn bind(stage: &Stage, attempts: &mut Attempts) {
    let free = stage.free;
    for (name, family, address) in spellings(free) {
        for (transport, kind) in [("TCP", STREAM), ("UDP", DATAGRAM)] {
            attempts.make(&format!("{transport}, {name}"), || {
                with_socket(family, kind, |socket| {
                    bind_to(socket, &address)?;
                    if kind == STREAM {
                        call(SYS_listen, [socket, 1])?;
                    }
                    await_stranger(socket, Some(free))
                })
            });
        }
    }
    let granted = Address::v4([127, 0, 0, 1], stage.granted);
    attempts.make("UDP, where a datagram was sent from", || {
        with_socket(INET, DATAGRAM, |socket| {
            send_to(socket, &granted)?;
            await_stranger(socket, None)
        })
    });
}

fn listen(stage: &Stage, attempts: &mut Attempts) {
    attempts.make("never bound", || {
        with_socket(INET, STREAM, |socket| {
            call(SYS_listen, [socket, 1])?;
            await_stranger(socket, None)
        })
    });
    attempts.make("bound to any port", || {
        with_socket(INET, STREAM, |socket| {
            bind_to(socket, &Address::v4([0; 4], 0))?;
            call(SYS_listen, [socket, 1])?;
            await_stranger(socket, None)
        })
    });
    attempts.make("a copy of what was bound to any port", || {
        with_socket(INET, STREAM, |socket| {
            bind_to(socket, &Address::v4([0; 4], 0))?;
            with_copy(socket, |copy| {
                call(SYS_listen, [socket, 1])?;
                call(SYS_listen, [copy, 1])?;
                await_stranger(copy, None)
            })
        })
    });
    attempts.make("a connection to a published port", || {
        with_socket(INET, STREAM, |socket| {
            bind_to(socket, &Address::v4([0; 4], stage.published))?;
            call(SYS_listen, [socket, 1])?;
            tell(&Word::Listens(stage.published));
            let connection = call(SYS_accept4, [socket, 0, 0, 0])?;
            // AF_UNSPEC takes the peer from it.
            let _ = connect_to(connection, &Address([0; 28], 16));
            let listening = call(SYS_listen, [connection, 1]);
            let reached = listening.and_then(|_| await_stranger(connection, None));
            close(connection);
            reached
        })
    });
    attempts.make("bound by a connection that failed", || {
        with_socket(INET, STREAM, |socket| {
            let _ = connect_to(socket, &Address::v4([127, 0, 0, 1], stage.granted));
            // AF_UNSPEC takes the peer from it.
            let _ = connect_to(socket, &Address([0; 28], 16));
            call(SYS_listen, [socket, 1])?;
            await_stranger(socket, None)
        })
    });
}

/// Tries something with another descriptor of the same socket.
fn with_copy(socket: usize, attempt: impl FnOnce(usize) -> io::Result<usize>) -> io::Result<usize> {
    let copy = call(SYS_fcntl, [socket, libc::F_DUPFD_CLOEXEC as usize, 3])?;
    let done = attempt(copy);
    close(copy);
    done
}

fn fast_open(stage: &Stage, attempts: &mut Attempts) {
    let other = Address::v4([127, 0, 0, 1], stage.other);
    let byte = [b'x'];
    let flags = libc::MSG_FASTOPEN as usize;
    attempts.make("sendto", || {
        with_socket(INET, STREAM, |socket| {
            call(
                SYS_sendto,
                [socket, at(&byte), 1, flags, at(&other.0), other.1],
            )
        })
    });
    for (name, option) in [("TCP_FASTOPEN", 23), ("TCP_FASTOPEN_CONNECT", 30)] {
        set(attempts, name, (INET, STREAM), (6, option), &1_u32);
    }
}

/// Sets an option of a new socket.
fn set<T>(
    attempts: &mut Attempts,
    name: &str,
    (family, kind): (usize, usize),
    (level, option): (usize, usize),
    value: &T,
) {
    attempts.make(name, || {
        with_socket(family, kind, |socket| {
            call(
                SYS_setsockopt,
                [socket, level, option, at(value), size_of::<T>()],
            )
        })
    });
}

fn options(_: &Stage, attempts: &mut Attempts) {
    let (tcp, udp) = ((INET, STREAM), (INET, DATAGRAM));
    // A program for the kernel that passes all: `ret 0xffffffff`.
    let program = [0xffff_ffff_0000_0006_u64];
    let filter = [1_usize, at(&program)];
    set(attempts, "SO_ATTACH_FILTER", udp, (1, 26), &filter);
    set(attempts, "SO_REUSEPORT", tcp, (1, 15), &1_u32);
    attempts.make("SO_REUSEADDR of UDP, by which a port is shared", || {
        with_socket(INET, DATAGRAM, share)
    });
    set(attempts, "SO_LINGER", tcp, (1, 13), &[1_u32, 0x7fff_ffff]);
    set(attempts, "SO_MARK", tcp, (1, 36), &1_u32);
    set(attempts, "SO_PRIORITY", tcp, (1, 12), &7_u32);
    set(attempts, "SO_BINDTODEVICE", tcp, (1, 25), b"lo\0\0");
    set(attempts, "SO_SNDTIMEO", tcp, (1, 21), &[60_u64, 0]);
    set(
        attempts,
        "IP_ADD_MEMBERSHIP",
        udp,
        (0, 35),
        &[224, 1, 2, 3, 127, 0, 0, 1_u8],
    );
    set(
        attempts,
        "IP_MULTICAST_IF",
        udp,
        (0, 32),
        &[127, 0, 0, 1_u8],
    );
    set(attempts, "IP_TRANSPARENT", tcp, (0, 19), &1_u32);
    set(attempts, "IP_FREEBIND", tcp, (0, 15), &1_u32);
    set(attempts, "IP_PKTINFO", udp, (0, 8), &1_u32);
    set(attempts, "IP_RECVERR", udp, (0, 11), &1_u32);
    set(
        attempts,
        "IPV6_V6ONLY on the other level",
        (INET6, DATAGRAM),
        (41, 49),
        &1_u32,
    );
    set(attempts, "TCP_CONGESTION", tcp, (6, 13), b"reno");
    set(attempts, "TCP_REPAIR", tcp, (6, 19), &1_u32);
}

/// Whether the option is set afterwards.
fn share(socket: usize) -> io::Result<usize> {
    let (mut value, length) = ([1_u32], [4_u32]);
    call(SYS_setsockopt, [socket, 1, 2, at(&value), 4])?;
    value = [0];
    call(SYS_getsockopt, [socket, 1, 2, at(&value), at(&length)])?;
    if value == [0] { Err(refused()) } else { Ok(0) }
}

fn protocols(_: &Stage, attempts: &mut Attempts) {
    for (name, family, kind, protocol) in crate::sockets::FAMILIES {
        let is_granted = matches!((*family, *kind, *protocol), (2 | 10, 1 | 2, 0));
        if !is_granted {
            attempts.call(name, SYS_socket, [*family, *kind, *protocol]);
        }
    }
}

/// Asks the filter to let a call through: whoever holds its listener may.
fn answer(_: &Stage, attempts: &mut Attempts) {
    for descriptor in 3..32_usize {
        // SECCOMP_IOCTL_NOTIF_RECV into room for a notice, and SECCOMP_IOCTL_NOTIF_SEND with
        // SECCOMP_USER_NOTIF_FLAG_CONTINUE.
        let (notice, answer) = ([0_u64; 10], [1_u64, 0, 1 << 32]);
        let receive = [descriptor, 0xc050_2100, at(&notice)];
        attempts.call(&format!("receive on {descriptor}"), SYS_ioctl, receive);
        let send = [descriptor, 0xc018_2101, at(&answer)];
        attempts.call(&format!("send on {descriptor}"), SYS_ioctl, send);
    }
}
