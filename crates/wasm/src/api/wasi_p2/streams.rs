//! Streams of WASI 0.2 on files, read and written on the thread that asks.
//!
//! wasmtime-wasi's own hand each call that does not block to a helper thread. A file answers as
//! fast as a thread starts, and a write that has returned is not lost when the program ends.

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// The most that one call reads or writes, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Reads a file from a position on.
pub(super) struct Input {
    file: Arc<File>,
    position: u64,
}

/// Writes a file from a position on, or at its end.
pub(super) struct Output {
    file: Arc<File>,
    position: Option<u64>,
}

impl Input {
    pub(super) fn new(file: Arc<File>, position: u64) -> Self {
        Self { file, position }
    }
}

impl Output {
    /// Writes from `position` on; at the end, wherever that is at each write, if it is `None`.
    pub(super) fn new(file: Arc<File>, position: Option<u64>) -> Self {
        Self { file, position }
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(position) = &mut self.position else {
            let slices = [IoSlice::new(bytes)];
            return Ok(pwritev2(&self.file, &slices, 0, ReadWriteFlags::APPEND)?);
        };
        let count = self.file.write_at(bytes, *position)?;
        *position = position.saturating_add(count as u64);
        Ok(count)
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {}
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = Vec::with_capacity(size.min(CHUNK_BYTES));
        loop {
            let free = rustix::buffer::spare_capacity(&mut buffer);
            match rustix::io::pread(&self.file, free, self.position) {
                Ok(0) => return Err(StreamError::Closed),
                Ok(count) => {
                    self.position = self.position.saturating_add(count as u64);
                    return Ok(buffer.into());
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match self.write_some(rest) {
                Ok(0) => return Err(failed(io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK_BYTES)
    }
}

fn failed(error: io::Error) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}
