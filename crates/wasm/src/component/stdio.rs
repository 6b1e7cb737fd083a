//! The standard streams, straight on the process's descriptors.
//!
//! Nothing is buffered and nothing is read ahead: a guest's write has reached the descriptor when
//! it returns, so nothing is lost when the process ends, and what a guest does not read stays for
//! whoever reads next.
//!
//! ```text
//!   guest ── read, write ──> poll(0) says ready ──> read(2), write(2) on this thread
//!                                 │ not ready
//!                                 └──> a helper thread waits in poll(2); other tasks go on
//! ```

use crate::host::{Host, InputDemand};
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// The most that one read brings, in bytes.
const READ_BYTES: usize = 64 << 10;
/// What a pipe that is ready takes without blocking: `PIPE_BUF` of Linux, in bytes.
const PIPE_BYTES: usize = 4096;
/// The most that one write to a regular file takes, in bytes.
const FILE_BYTES: usize = 64 << 10;

/// Writes all of the text to standard output.
///
/// # Errors
/// As write(2).
pub(crate) fn print(text: &str) -> io::Result<()> {
    write_all(rustix::stdio::stdout(), text.as_bytes())
}

/// Writes all of the text to standard error.
///
/// # Errors
/// As write(2).
pub(crate) fn print_error(text: &str) -> io::Result<()> {
    write_all(rustix::stdio::stderr(), text.as_bytes())
}

/// Standard input as a guest sees it.
#[derive(Clone)]
pub(crate) struct Input {
    channel: Arc<Channel>,
    is_terminal: bool,
}

/// Standard output or error as a guest sees it.
#[derive(Clone)]
pub(crate) struct Output {
    channel: Arc<Channel>,
    is_terminal: bool,
}

impl Input {
    /// Takes descriptor 0.
    pub(crate) fn stdin(is_terminal: bool, host: &Arc<dyn Host>) -> Self {
        let demand = is_terminal.then(|| InputDemand::new(Arc::clone(host)));
        let channel = Channel::new(rustix::stdio::stdin(), PollFlags::IN, demand);
        Self {
            channel,
            is_terminal,
        }
    }
}

impl Output {
    /// Takes descriptor 1.
    pub(crate) fn stdout(is_terminal: bool) -> Self {
        let channel = Channel::new(rustix::stdio::stdout(), PollFlags::OUT, None);
        Self {
            channel,
            is_terminal,
        }
    }

    /// Takes descriptor 2.
    pub(crate) fn stderr(is_terminal: bool) -> Self {
        let channel = Channel::new(rustix::stdio::stderr(), PollFlags::OUT, None);
        Self {
            channel,
            is_terminal,
        }
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(Stream::new(&self.channel))
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Stream::new(&self.channel))
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Stream::new(&self.channel))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stream::new(&self.channel))
    }
}

/// One descriptor and the helper that waits for it, shared by all streams on it.
struct Channel {
    fd: BorrowedFd<'static>,
    events: PollFlags,
    has_helper: AtomicBool,
    changed: Notify,
    write_bytes: OnceLock<usize>,
    demand: Option<InputDemand>,
}

impl Channel {
    fn new(fd: BorrowedFd<'static>, events: PollFlags, demand: Option<InputDemand>) -> Arc<Self> {
        Arc::new(Self {
            fd,
            events,
            demand,
            has_helper: AtomicBool::new(false),
            changed: Notify::new(),
            write_bytes: OnceLock::new(),
        })
    }

    /// Whether a read, or a write of [`Channel::write_bytes`], does not block. An error or the
    /// end of the other side counts: the call will tell.
    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.fd, self.events)];
        let at_once = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let is_ready = !matches!(poll(&mut fds, Some(&at_once)), Ok(0) | Err(Errno::INTR));
        if let Some(demand) = self.demand.as_ref().filter(|_| !is_ready) {
            demand.wait();
        }
        is_ready
    }

    /// Notes that a read has brought something.
    fn served(&self) {
        if let Some(demand) = &self.demand {
            demand.served();
        }
    }

    /// Waits until [`Channel::is_ready`], without holding this thread.
    async fn ready(self: Arc<Self>) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_ready() {
                return;
            }
            if !self.has_helper.swap(true, Ordering::AcqRel) {
                let channel = Arc::clone(&self);
                tokio::task::spawn_blocking(move || {
                    block_on(channel.fd, channel.events);
                    channel.has_helper.store(false, Ordering::Release);
                    channel.changed.notify_waiters();
                });
            }
            changed.await;
        }
    }

    /// The most that may be written at once when the descriptor is ready.
    fn write_bytes(&self) -> usize {
        *self.write_bytes.get_or_init(|| {
            let is_file = rustix::fs::fstat(self.fd)
                .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
            if is_file { FILE_BYTES } else { PIPE_BYTES }
        })
    }
}

/// Waits on this thread until the descriptor is ready.
fn block_on(fd: BorrowedFd<'_>, events: PollFlags) {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    while poll(&mut fds, None) == Err(Errno::INTR) {}
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => block_on(fd, PollFlags::OUT),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// One of a guest's handles to a [`Channel`].
struct Stream {
    channel: Arc<Channel>,
    is_closed: bool,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Stream {
    fn new(channel: &Arc<Channel>) -> Self {
        Self {
            channel: Arc::clone(channel),
            is_closed: false,
            wait: None,
        }
    }

    /// Reads what is there, at most `size` bytes. Nothing means that nothing was there after
    /// all, the end is an error.
    fn read_ready(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut buffer = Vec::with_capacity(size.min(READ_BYTES));
        match rustix::io::read(self.channel.fd, rustix::buffer::spare_capacity(&mut buffer)) {
            Ok(0) => {
                self.is_closed = true;
                Err(StreamError::Closed)
            }
            Ok(_) => {
                self.channel.served();
                Ok(buffer.into())
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(Bytes::new()),
            Err(error) => Err(failed(error)),
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.wait.is_none() {
            if self.channel.is_ready() {
                return Poll::Ready(());
            }
            self.wait = Some(Box::pin(Arc::clone(&self.channel).ready()));
        }
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(context));
            self.wait = None;
        }
        Poll::Ready(())
    }
}

fn failed(error: Errno) -> StreamError {
    match error {
        Errno::PIPE => StreamError::Closed,
        error => StreamError::LastOperationFailed(io::Error::from(error).into()),
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        if !self.is_closed {
            Arc::clone(&self.channel).ready().await;
        }
    }
}

#[async_trait]
impl InputStream for Stream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.is_closed {
            return Err(StreamError::Closed);
        }
        if size == 0 || !self.channel.is_ready() {
            return Ok(Bytes::new());
        }
        self.read_ready(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.is_closed {
            return Err(StreamError::Closed);
        }
        loop {
            Arc::clone(&self.channel).ready().await;
            if size == 0 {
                return Ok(Bytes::new());
            }
            let bytes = self.read_ready(size)?;
            if !bytes.is_empty() {
                return Ok(bytes);
            }
        }
    }
}

#[async_trait]
impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        write_all(self.channel.fd, &bytes).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => StreamError::Closed,
            _ => StreamError::LastOperationFailed(error.into()),
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.channel.is_ready() {
            Ok(self.channel.write_bytes())
        } else {
            Ok(0)
        }
    }

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        while !bytes.is_empty() {
            Arc::clone(&self.channel).ready().await;
            let chunk = bytes.get(..PIPE_BYTES).unwrap_or(&bytes);
            match rustix::io::write(self.channel.fd, chunk) {
                Ok(count) => drop(bytes.split_to(count.min(bytes.len()))),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_ready(context));
            match rustix::io::read(self.channel.fd, buffer.initialize_unfilled()) {
                Ok(count) => {
                    self.channel.served();
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_ready(context));
            let chunk = bytes.get(..self.channel.write_bytes()).unwrap_or(bytes);
            match rustix::io::write(self.channel.fd, chunk) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
