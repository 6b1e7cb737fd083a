//! Signs for a runner that serves TLS: its key never leaves the keeper.
//!
//! ```text
//!   runner ── scheme (u16, big-endian), message ──▶ a thread of the keeper's: is it one of a handshake?
//!          ◀── the signature, or nothing ──────────   signs it
//! ```
//!
//! A runner that somebody has taken over can have handshakes signed, as it could serve them before; nothing else
//! gets a signature, so that the key stands for the server in TLS alone.

use crate::failed::{Failed, keeper_failed};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown,
    socketpair,
};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The key of a server.
pub trait Signer: Send + Sync {
    /// Signs a message by a scheme of TLS (RFC 8446, section 4.2.3); none, if the key has not that one.
    fn sign(&self, scheme: u16, message: &[u8]) -> Option<Vec<u8>>;
}

/// The longest request, in bytes: the longest message is that of TLS 1.3 with the longest hash.
const REQUEST_BYTES: usize = 512;
/// The stack of the thread that signs, in bytes.
const STACK_BYTES: usize = 256 << 10;

/// A thread that signs until its runner ends.
pub(crate) struct Signing {
    socket: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Signing {
    /// Starts it, and gives the runner's end of the socket.
    pub(crate) fn start(signer: Arc<dyn Signer>) -> Result<(Self, OwnedFd), Failed> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(keeper_failed("make a socket for the server's key"))?;
        let socket = Arc::new(ours);
        let thread = thread::Builder::new()
            .name("signing".to_owned())
            .stack_size(STACK_BYTES)
            .spawn({
                let socket = Arc::clone(&socket);
                move || serve(&socket, signer.as_ref())
            })
            .map_err(|source| Failed::Keeper {
                action: "start a thread for the server's key",
                source,
            })?;
        let signing = Self {
            socket,
            thread: Some(thread),
        };
        Ok((signing, theirs))
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        // The runner may have ended, and its end of the socket with it.
        let _ = shutdown(&self.socket, Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // It has ended either way.
            let _ = thread.join();
        }
    }
}

fn serve(socket: &OwnedFd, signer: &dyn Signer) {
    let mut request = [0; REQUEST_BYTES];
    loop {
        let length = match recv(socket, &mut request[..], RecvFlags::empty()) {
            // Nobody is there any more.
            Ok((0, _)) => return,
            Ok((length, _)) => length,
            Err(Errno::INTR) => continue,
            Err(_) => return,
        };
        let answer = answer(request.get(..length).unwrap_or_default(), signer);
        // No signature is one that says no.
        let answer = answer.unwrap_or_else(|| vec![0]);
        if send(socket, &answer, SendFlags::NOSIGNAL).is_err() {
            return;
        }
    }
}

fn answer(request: &[u8], signer: &dyn Signer) -> Option<Vec<u8>> {
    let (scheme, message) = request.split_first_chunk()?;
    is_of_handshake(message)
        .then(|| signer.sign(u16::from_be_bytes(*scheme), message))
        .flatten()
}

/// What a server signs in TLS 1.3, before the hash of what was said (RFC 8446, section 4.4.3).
const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";
/// How many spaces stand before it.
const SPACES: usize = 64;
/// The lengths of the hashes: SHA-256, SHA-384 and SHA-512.
const HASHES: [usize; 3] = [32, 48, 64];
/// The random bytes of both sides, which begin what a server signs in TLS 1.2 (RFC 8422, section 5.4).
const RANDOMS: usize = 64;
/// A curve by its name.
const NAMED_CURVE: u8 = 3;

/// Whether a message is what a server signs in a handshake.
fn is_of_handshake(message: &[u8]) -> bool {
    let Some((beginning, rest)) = message.split_at_checked(SPACES) else {
        return false;
    };
    if let Some(hash) = rest.strip_prefix(CONTEXT) {
        return beginning.iter().all(|byte| *byte == b' ') && HASHES.contains(&hash.len());
    }
    debug_assert_eq!(SPACES, RANDOMS);
    match rest {
        [NAMED_CURVE, _, _, length, point @ ..] => point.len() == usize::from(*length),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Signer for Echo {
        fn sign(&self, scheme: u16, message: &[u8]) -> Option<Vec<u8>> {
            (scheme == 0x0403).then(|| message.to_vec())
        }
    }

    fn handshake(hash: usize) -> Vec<u8> {
        let mut message = vec![b' '; SPACES];
        message.extend(CONTEXT);
        message.extend(vec![7; hash]);
        message
    }

    fn request(scheme: u16, message: &[u8]) -> Vec<u8> {
        [&scheme.to_be_bytes(), message].concat()
    }

    #[test]
    fn handshakes_of_both_versions_are_signed() {
        let message = handshake(32);
        assert_eq!(
            answer(&request(0x0403, &message), &Echo),
            Some(message.clone())
        );
        assert_eq!(answer(&request(0x0804, &message), &Echo), None);
        let mut older = vec![9; RANDOMS];
        older.extend([NAMED_CURVE, 0, 29, 32]);
        older.extend([1; 32]);
        assert_eq!(answer(&request(0x0403, &older), &Echo), Some(older));
    }

    #[test]
    fn nothing_else_is_signed() {
        let mut shifted = handshake(32);
        shifted[0] = b'a';
        let mut client = handshake(32);
        client.splice(
            SPACES..,
            b"TLS 1.3, client CertificateVerify\0".iter().copied(),
        );
        let mut longer = vec![9; RANDOMS];
        longer.extend([NAMED_CURVE, 0, 29, 1, 1, 1]);
        for message in [
            &shifted,
            &client,
            &longer,
            &handshake(33),
            &b"{\"alg\":\"ES256\"}".to_vec(),
            &Vec::new(),
        ] {
            assert_eq!(answer(&request(0x0403, message), &Echo), None);
        }
        assert_eq!(answer(&[4], &Echo), None);
    }
}
