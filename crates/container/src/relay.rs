//! Streams between the caller's terminal and a runner, which never holds a terminal itself.
//!
//! ```text
//!   terminal ──read──▶ buffer ──write──▶ pipe ──▶ runner's stdin
//!   terminal ◀─write── buffer ◀──read─── pipe ◀── runner's stdout, stderr
//! ```
//!
//! The caller's terminal stays in its own mode: its line discipline edits, echoes and makes
//! signals, which reach the keeper and not the guest. It is read when the guest waits for input,
//! and no further: what is typed for whoever comes next stays.

use lighter_boundary::sys::terminal::without_waiting;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How often a keeper in the background looks whether it may read its terminal again.
const FOREGROUND_CHECK: Duration = Duration::from_millis(200);

/// How much is taken from a stream at once, in bytes.
const CHUNK_BYTES: usize = 16 << 10;

/// What a stream that is ready takes without blocking, in bytes: `PIPE_BUF` of Linux.
const READY_BYTES: usize = 4096;

/// All streams of one run that are relayed.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    input: Option<Input>,
    outputs: Vec<Output>,
}

/// The caller's terminal, read for the runner.
#[derive(Debug)]
struct Input {
    to_runner: OwnedFd,
    buffer: Vec<u8>,
    is_wanted: bool,
    is_paused: bool,
}

/// What the runner writes, for the caller's terminal.
#[derive(Debug)]
struct Output {
    from_runner: OwnedFd,
    to_caller: BorrowedFd<'static>,
    /// The same, where it is a terminal: to write there never waits.
    terminal: Option<OwnedFd>,
    has_carriage_returns: bool,
    buffer: Vec<u8>,
}

impl Relay {
    /// Relays the caller's standard input into this pipe.
    pub(crate) fn relay_input(&mut self, to_runner: OwnedFd) {
        self.input = Some(Input {
            to_runner,
            buffer: Vec::new(),
            is_wanted: false,
            is_paused: false,
        });
    }

    /// Relays this pipe to the caller's standard output or error. `has_carriage_returns` is for
    /// a guest that was promised a terminal while the caller has none: lines then end as a
    /// terminal's do.
    pub(crate) fn relay_output(
        &mut self,
        from_runner: OwnedFd,
        is_stderr: bool,
        has_carriage_returns: bool,
    ) {
        let to_caller = if is_stderr {
            rustix::stdio::stderr()
        } else {
            rustix::stdio::stdout()
        };
        self.outputs.push(Output {
            from_runner,
            to_caller,
            terminal: without_waiting(to_caller),
            has_carriage_returns,
            buffer: Vec::new(),
        });
    }

    /// The guest waits for input: what is typed next is for it.
    pub(crate) fn want_input(&mut self) {
        if let Some(input) = &mut self.input {
            input.is_wanted = true;
        }
    }

    /// How soon to look again although nothing happened.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.input
            .as_ref()
            .filter(|input| input.is_wanted && input.is_paused)
            .map(|_| FOREGROUND_CHECK)
    }

    /// Adds what is waited for: first each output, then the input.
    pub(crate) fn register<'a>(&'a mut self, polled: &mut Vec<PollFd<'a>>) {
        for output in &self.outputs {
            polled.push(if output.buffer.is_empty() {
                PollFd::from_borrowed_fd(output.from_runner.as_fd(), PollFlags::IN)
            } else {
                PollFd::from_borrowed_fd(output.to_caller, PollFlags::OUT)
            });
        }
        if let Some(input) = &mut self.input {
            input.is_paused = input.buffer.is_empty() && (!input.is_wanted || !is_in_foreground());
            let waited = if !input.buffer.is_empty() {
                PollFd::from_borrowed_fd(input.to_runner.as_fd(), PollFlags::OUT)
            } else if input.is_paused {
                PollFd::from_borrowed_fd(input.to_runner.as_fd(), PollFlags::empty())
            } else {
                PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)
            };
            polled.push(waited);
        }
    }

    /// Moves bytes where `ready`, in the order of [`Relay::register`], says so.
    pub(crate) fn pump(&mut self, ready: &[bool]) {
        let mut index = 0;
        self.outputs.retain_mut(|output| {
            let is_ready = ready.get(index) == Some(&true);
            index += 1;
            !is_ready || output.pump()
        });
        if ready.get(index) == Some(&true)
            && let Some(input) = &mut self.input
            && !input.pump()
        {
            self.input = None;
        }
    }

    /// Whether all that the runner wrote has reached the caller. The end of a runner closes its
    /// side of every pipe.
    pub(crate) fn is_drained(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Brings over what the runner left in its pipes, as far as the caller takes it at once.
    pub(crate) fn drain_now(&mut self) {
        for mut output in self.outputs.drain(..) {
            while output.is_ready() && output.pump() {}
        }
        self.input = None;
    }
}

/// Whether this process may read its terminal without being stopped for it.
fn is_in_foreground() -> bool {
    match rustix::termios::tcgetpgrp(rustix::stdio::stdin()) {
        Ok(group) => group == rustix::process::getpgrp(),
        // Not our controlling terminal: nothing stops us.
        Err(_) => true,
    }
}

impl Input {
    /// Moves one chunk one step; `false` once there is nothing more to move.
    fn pump(&mut self) -> bool {
        if self.buffer.is_empty() {
            if self.is_paused {
                // Only the end of the runner's side is reported while nothing is waited for.
                return false;
            }
            let mut chunk = vec![0; CHUNK_BYTES];
            match rustix::io::read(rustix::stdio::stdin(), &mut chunk) {
                Ok(0) => return false,
                Ok(length) => {
                    chunk.truncate(length);
                    self.buffer = chunk;
                    self.is_wanted = false;
                }
                Err(Errno::AGAIN | Errno::INTR) => return true,
                Err(_) => return false,
            }
        }
        match rustix::io::write(&self.to_runner, &self.buffer) {
            Ok(written) => {
                self.buffer.drain(..written);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        }
    }
}

impl Output {
    /// Moves one chunk one step; `false` once there is nothing more to move, or nobody to take it.
    fn pump(&mut self) -> bool {
        if !self.buffer.is_empty() {
            // What is ready takes this much without blocking.
            let chunk = self.buffer.get(..READY_BYTES).unwrap_or(&self.buffer);
            let to_caller = self.terminal.as_ref().map_or(self.to_caller, AsFd::as_fd);
            return match rustix::io::write(to_caller, chunk) {
                Ok(written) => {
                    self.buffer.drain(..written);
                    true
                }
                Err(Errno::AGAIN | Errno::INTR) => true,
                Err(_) => false,
            };
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        match rustix::io::read(&self.from_runner, &mut chunk) {
            Ok(0) => false,
            Ok(length) => {
                chunk.truncate(length);
                self.buffer = if self.has_carriage_returns {
                    with_carriage_returns(&chunk)
                } else {
                    chunk
                };
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        }
    }

    /// Whether the next step does not block.
    fn is_ready(&self) -> bool {
        let at_once = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let step = if self.buffer.is_empty() {
            PollFd::from_borrowed_fd(self.from_runner.as_fd(), PollFlags::IN)
        } else {
            PollFd::from_borrowed_fd(self.to_caller, PollFlags::OUT)
        };
        rustix::event::poll(&mut [step], Some(&at_once)) == Ok(1)
    }
}

/// Ends lines as a terminal's output processing does (ONLCR).
fn with_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for byte in bytes {
        if *byte == b'\n' {
            lines.push(b'\r');
        }
        lines.push(*byte);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_a_promised_terminal_end_as_a_terminals_do() {
        assert_eq!(with_carriage_returns(b"a\nb\n"), b"a\r\nb\r\n");
    }
}
