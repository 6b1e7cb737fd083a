//! The control socket, seen from the role.

use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{
    CONTROL_FD, End, FROM_RUNNER_BYTES, Failure, FrameError, FromRunner, HEADER_BYTES, Order,
    TO_RUNNER_BYTES, ToRunner, decode, encode, message_length,
};
use rustix::fd::{FromRawFd, OwnedFd};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

/// The most distinct refusals that are told; a guest that collects more is not worth hearing.
const TOLD_REFUSALS: usize = 256;

/// The socket to the keeper, and what was said on it already.
#[derive(Debug)]
pub(crate) struct Control {
    socket: Mutex<File>,
    refusals: Mutex<BTreeSet<Refusal>>,
}

impl Control {
    /// Takes the descriptor that the keeper left at its place.
    pub(crate) fn open() -> io::Result<Self> {
        #[expect(
            unsafe_code,
            reason = "the number is a convention between keeper and role"
        )]
        // SAFETY: nothing else in this process uses this number; whether it is open is asked next.
        let socket = unsafe { OwnedFd::from_raw_fd(CONTROL_FD) };
        let kind = rustix::fs::fstat(&socket)
            .map(|status| rustix::fs::FileType::from_raw_mode(status.st_mode));
        if kind != Ok(rustix::fs::FileType::Socket) {
            std::mem::forget(socket);
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        Ok(Self {
            socket: Mutex::new(File::from(socket)),
            refusals: Mutex::default(),
        })
    }

    /// Waits for the one order.
    pub(crate) fn order(&self) -> io::Result<Order> {
        self.read()
    }

    /// Waits for what the keeper says after its order.
    pub(crate) fn hear(&self) -> io::Result<ToRunner> {
        self.read()
    }

    fn read<M: DeserializeOwned>(&self) -> io::Result<M> {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut header = [0; HEADER_BYTES];
        socket.read_exact(&mut header)?;
        let invalid = |error: FrameError| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut body = vec![0; message_length(header, TO_RUNNER_BYTES).map_err(invalid)?];
        socket.read_exact(&mut body)?;
        decode(&body).map_err(invalid)
    }

    /// Sends a message. If the keeper is gone there is nobody to tell, and the process is about
    /// to die with it.
    pub(crate) fn send(&self, message: &FromRunner) {
        let too_long = || {
            FromRunner::Ended(End::Failed(Failure::Internal {
                reason: "what the runner has to say is longer than a frame".to_owned(),
            }))
        };
        let frame =
            encode(message, FROM_RUNNER_BYTES).or_else(|_| encode(&too_long(), FROM_RUNNER_BYTES));
        if let Ok(frame) = frame {
            let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = socket.write_all(&frame);
        }
    }
}

impl lighter_wasm::Host for Control {
    fn refused(&self, refusal: Refusal) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() < TOLD_REFUSALS && refusals.insert(refusal.clone()) {
            drop(refusals);
            self.send(&FromRunner::Refused(refusal));
        }
    }

    fn set_up(&self) {
        lighter_memory::give_back_program();
    }

    fn wants_input(&self) {
        self.send(&FromRunner::WantsInput);
    }
}
