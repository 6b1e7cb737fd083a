//! Sockets of any family, and what can be done with one that is there.

use crate::Case;
use crate::attempts::Attempts;
use crate::raw::{at, call};
use crate::stage::{DIRECTORY_FD, SOCKET_FD, Stage};
use libc::{
    SYS_accept, SYS_accept4, SYS_bind, SYS_connect, SYS_getpeername, SYS_getsockname,
    SYS_getsockopt, SYS_listen, SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg, SYS_sendmmsg, SYS_sendmsg,
    SYS_sendto, SYS_setsockopt, SYS_shutdown, SYS_socket, SYS_socketpair,
};

pub(crate) const CASES: &[Case] = &[
    ("socket_of_any_family_is_refused", families),
    ("pair_of_sockets_is_refused", pair),
    ("use_of_a_handed_socket_is_refused", handed),
    ("descriptor_to_the_keeper_is_refused", send_descriptor),
    ("descriptor_from_the_keeper_is_refused", receive_descriptor),
];

const SOCKET: usize = SOCKET_FD as usize;

/// A family, a type and a protocol of it, as `linux/socket.h` and its neighbours number them.
pub(crate) const FAMILIES: &[(&str, usize, usize, usize)] = &[
    ("AF_UNIX", 1, 1, 0),
    ("AF_UNIX datagram", 1, 2, 0),
    ("AF_INET TCP", 2, 1, 0),
    ("AF_INET UDP", 2, 2, 0),
    ("AF_INET raw", 2, 3, 1),
    ("AF_INET ICMP", 2, 3, 1),
    ("AF_INET SCTP", 2, 1, 132),
    ("AF_INET MPTCP", 2, 1, 262),
    ("AF_AX25", 3, 2, 0),
    ("AF_IPX", 4, 2, 0),
    ("AF_APPLETALK", 5, 2, 0),
    ("AF_NETROM", 6, 5, 0),
    ("AF_ATMPVC", 8, 2, 0),
    ("AF_X25", 9, 5, 0),
    ("AF_INET6 TCP", 10, 1, 0),
    ("AF_INET6 UDP", 10, 2, 0),
    ("AF_INET6 raw", 10, 3, 58),
    ("AF_ROSE", 11, 5, 0),
    ("AF_KEY", 15, 3, 2),
    ("AF_NETLINK route", 16, 3, 0),
    ("AF_NETLINK diagnosis", 16, 3, 4),
    ("AF_NETLINK audit", 16, 3, 9),
    ("AF_NETLINK netfilter", 16, 3, 12),
    ("AF_NETLINK generic", 16, 3, 16),
    ("AF_PACKET raw", 17, 3, 0x300),
    ("AF_PACKET datagram", 17, 2, 0x300),
    ("AF_RDS", 21, 5, 0),
    ("AF_PPPOX", 24, 1, 0),
    ("AF_LLC", 26, 1, 0),
    ("AF_IB", 27, 1, 0),
    ("AF_MPLS", 28, 1, 0),
    ("AF_CAN", 29, 3, 1),
    ("AF_TIPC", 30, 1, 0),
    ("AF_BLUETOOTH", 31, 3, 1),
    ("AF_RXRPC", 33, 2, 2),
    ("AF_PHONET", 35, 2, 0),
    ("AF_IEEE802154", 36, 2, 0),
    ("AF_CAIF", 37, 1, 0),
    ("AF_ALG", 38, 5, 0),
    ("AF_NFC", 39, 5, 0),
    ("AF_VSOCK", 40, 1, 0),
    ("AF_KCM", 41, 2, 0),
    ("AF_QIPCRTR", 42, 2, 0),
    ("AF_SMC", 43, 1, 0),
    ("AF_XDP", 44, 3, 0),
    ("AF_MCTP", 45, 2, 0),
];

fn families(_: &Stage, attempts: &mut Attempts) {
    for (name, family, kind, protocol) in FAMILIES {
        attempts.call(name, SYS_socket, [*family, *kind, *protocol]);
    }
}

fn pair(_: &Stage, attempts: &mut Attempts) {
    let pair = [0_u32; 2];
    attempts.call("stream", SYS_socketpair, [1, 1, 0, at(&pair)]);
    attempts.call("packets", SYS_socketpair, [1, 5, 0, at(&pair)]);
}

fn handed(_: &Stage, attempts: &mut Attempts) {
    let room = [0_u64; 16];
    let (room, length) = (at(&room), [128_u32]);
    let length = at(&length);
    attempts.call("getsockname", SYS_getsockname, [SOCKET, room, length]);
    attempts.call("getpeername", SYS_getpeername, [SOCKET, room, length]);
    let four = [4_u32];
    let four = at(&four);
    attempts.call("getsockopt", SYS_getsockopt, [SOCKET, 1, 3, room, four]);
    attempts.call("setsockopt", SYS_setsockopt, [SOCKET, 1, 9, room, 4]);
    attempts.call("sendto", SYS_sendto, [SOCKET, room, 1, 0, 0, 0]);
    let peek = (libc::MSG_PEEK | libc::MSG_DONTWAIT) as usize;
    attempts.call("recvfrom", SYS_recvfrom, [SOCKET, room, 1, peek, 0, 0]);
    attempts.call("shutdown", SYS_shutdown, [SOCKET, 2]);
    rebind(attempts);
}

/// A new socket where there is one to be had; else the one that was handed.
fn rebind(attempts: &mut Attempts) {
    let address = [1_u16]; // AF_UNIX, with a name of the kernel's choice
    let (address, length) = (at(&address), size_of_val(&address));
    let new = || call(SYS_socket, [1, 1 | libc::SOCK_NONBLOCK as usize, 0]).unwrap_or(SOCKET);
    attempts.call("bind", SYS_bind, [new(), address, length]);
    let listener = new();
    let _ = call(SYS_bind, [listener, address, length]);
    attempts.call("listen", SYS_listen, [listener, 1]);
    let (name, size) = ([0_u16; 64], [128_u32]);
    let _ = call(SYS_getsockname, [listener, at(&name), at(&size)]);
    let [size] = std::hint::black_box(size);
    attempts.call("connect", SYS_connect, [new(), at(&name), size as usize]);
    attempts.call("accept", SYS_accept, [listener, 0, 0]);
    let _ = call(SYS_connect, [new(), at(&name), size as usize]);
    attempts.call("accept4", SYS_accept4, [listener, 0, 0, 0]);
}

/// A message of one byte, with room for one descriptor beside it.
struct Message {
    header: [usize; 7],
    vector: [usize; 2],
    control: [usize; 3],
    byte: u8,
}

impl Message {
    fn new(descriptor: usize) -> Box<Self> {
        let rights = libc::SOL_SOCKET as usize | (libc::SCM_RIGHTS as usize) << 32;
        let mut message = Box::new(Self {
            header: [0; 7],
            vector: [0; 2],
            control: [20, rights, descriptor],
            byte: b'x',
        });
        message.vector = [at(&message.byte), 1];
        message.header = [0, 0, at(&message.vector), 1, at(&message.control), 24, 0];
        message
    }
}

fn send_descriptor(_: &Stage, attempts: &mut Attempts) {
    let message = Message::new(DIRECTORY_FD as usize);
    attempts.call("sendmsg", SYS_sendmsg, [SOCKET, at(&message.header), 0]);
    let many = [message.header, [0; 7]];
    // `struct mmsghdr` is a header and one word.
    attempts.call("sendmmsg", SYS_sendmmsg, [SOCKET, at(&many), 1, 0]);
}

fn receive_descriptor(_: &Stage, attempts: &mut Attempts) {
    let message = Message::new(0);
    let peek = (libc::MSG_PEEK | libc::MSG_DONTWAIT) as usize;
    attempts.call("recvmsg", SYS_recvmsg, [SOCKET, at(&message.header), peek]);
    let message = Message::new(0);
    let many = [message.header, [0; 7]];
    attempts.call("recvmmsg", SYS_recvmmsg, [SOCKET, at(&many), 1, peek, 0]);
}
