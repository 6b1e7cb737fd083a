//! Filters of sockets (socket(7), `SO_ATTACH_FILTER`; the kernel's Documentation/networking/filter.rst): who is
//! heard by a socket of datagrams.

use super::socket_option;
use rustix::io::Errno;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

/// Lets a socket of UDP hear these peers and nobody else.
///
/// # Errors
/// The kernel's refusal: too many peers take more than a socket may have.
pub fn hear_only(socket: impl AsFd, peers: &[SocketAddr]) -> Result<(), Errno> {
    let mut program: Vec<libc::sock_filter> = peers.iter().flat_map(test).collect();
    program.push(end(0));
    let list = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::NOBUFS)?,
        filter: program.as_mut_ptr(),
    };
    socket_option::set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &list)
}

/// Lets a socket hear everybody.
///
/// # Errors
/// The kernel's refusal; `ENOENT` if it does.
pub fn hear_all(socket: impl AsFd) -> Result<(), Errno> {
    socket_option::set(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0_i32)
}

/// Where the header of IP begins, before the socket's own data (`SKF_NET_OFF`).
const NETWORK_HEADER: u32 = (-0x10_0000_i32).cast_unsigned();

const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const UNLESS_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

fn instruction(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt: 0,
        jf: 0,
        k,
    }
}

/// Takes so many bytes of the datagram.
fn end(bytes: u32) -> libc::sock_filter {
    instruction(RETURN, bytes)
}

/// Takes all of a datagram from one peer, and goes on behind itself for any other.
fn test(peer: &SocketAddr) -> Vec<libc::sock_filter> {
    let (version, source, words): (u32, u32, Vec<u32>) = match peer.ip() {
        IpAddr::V4(address) => (0x40, 12, vec![u32::from(address)]),
        IpAddr::V6(address) => {
            let octets = address.octets();
            let (words, _) = octets.as_chunks::<4>();
            (
                0x60,
                8,
                words.iter().map(|word| u32::from_be_bytes(*word)).collect(),
            )
        }
    };
    let mut program = vec![
        instruction(LOAD_BYTE, NETWORK_HEADER),
        instruction(AND, 0xf0),
        instruction(UNLESS_EQUAL, version),
    ];
    for (offset, word) in (source..).step_by(4).zip(words) {
        program.push(instruction(LOAD_WORD, NETWORK_HEADER.wrapping_add(offset)));
        program.push(instruction(UNLESS_EQUAL, word));
    }
    // The first field of the header of UDP (RFC 768).
    program.push(instruction(LOAD_HALF, 0));
    program.push(instruction(UNLESS_EQUAL, peer.port().into()));
    program.push(end(u32::MAX));
    let length = program.len();
    for (index, instruction) in program.iter_mut().enumerate() {
        if u32::from(instruction.code) == UNLESS_EQUAL {
            instruction.jf = u8::try_from(length - index - 1).unwrap_or(u8::MAX);
        }
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    /// What a socket hears of two peers, of which it was told to hear the first.
    fn heard(listener: &str, peers: [&str; 2]) -> String {
        let socket = UdpSocket::bind(listener).expect("a free port");
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("a time");
        let port = socket.local_addr().expect("bound").port();
        let [first, second] = peers.map(|peer| UdpSocket::bind((peer, 0)).expect("a free port"));
        let admitted = first.local_addr().expect("bound");
        let others = (0..31).map(|last| SocketAddr::from(([192, 0, 2, last], 53)));
        let peers: Vec<SocketAddr> = others.chain([admitted]).collect();
        hear_only(&socket, &peers).expect("it is a socket");
        let mut texts = String::new();
        for (peer, text) in [(&second, b"no"), (&first, b"ok")] {
            let own = peer.local_addr().expect("bound").ip();
            peer.send_to(text, (own, port)).expect("it can be sent");
        }
        let mut buffer = [0; 8];
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            texts.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        hear_all(&socket).expect("it has a filter");
        let own = second.local_addr().expect("bound").ip();
        second.send_to(b"!", (own, port)).expect("it can be sent");
        if let Ok((length, _)) = socket.recv_from(&mut buffer) {
            texts.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        texts
    }

    #[test]
    fn socket_hears_whom_it_should() {
        assert_eq!(heard("127.0.0.1:0", ["127.0.0.1"; 2]), "ok!");
        assert_eq!(heard("0.0.0.0:0", ["127.0.0.1", "127.0.0.2"]), "ok!");
        assert_eq!(heard("[::1]:0", ["::1"; 2]), "ok!");
        // IPv4 to a socket of both families.
        assert_eq!(heard("[::]:0", ["127.0.0.1", "::1"]), "ok!");
    }

    #[test]
    fn socket_without_peers_hears_nobody() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        socket.set_nonblocking(true).expect("it is a socket");
        hear_only(&socket, &[]).expect("it is a socket");
        socket.send_to(b"x", address).expect("it can be sent");
        socket.recv_from(&mut [0; 1]).expect_err("nothing is heard");
    }
}
