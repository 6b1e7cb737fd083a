//! `read-directory` of WASI 0.3.
//!
//! wasmtime-wasi ends the whole listing at an entry that somebody removes meanwhile and at a name
//! that is not Unicode. Here the first is passed over, and the second is told at the end, when
//! all other entries have come.

use super::filesystem::{Handle, TYPES};
use super::status::kind;
use crate::component::{ComponentLinker, ComponentState as State};
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, FutureReader, StreamProducer, StreamReader, StreamResult};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p3::bindings::filesystem::types::{DirectoryEntry, ErrorCode};

/// The most entries that are taken from the system before the guest takes them.
const BATCH: usize = 64;

pub(super) fn link(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    linker.instance(TYPES)?.func_wrap(
        "[method]descriptor.read-directory",
        |mut store: StoreContextMut<'_, State>, (handle,): (Handle,)| {
            let opened = match store.data().table.get(&handle)? {
                Descriptor::Dir(directory) => {
                    Listing::open(&directory.dir).map_err(ErrorCode::from)
                }
                Descriptor::File(_) => Err(ErrorCode::NotDirectory),
            };
            let (told, tells) = oneshot::channel();
            let entries = match opened {
                Ok(listing) => {
                    let producer = Producer {
                        listing,
                        told: Some(told),
                        error: None,
                    };
                    StreamReader::new(&mut store, producer)?
                }
                Err(code) => {
                    // The other end is ours, and waits.
                    let _ = told.send(Err(code));
                    StreamReader::new(&mut store, std::iter::empty())?
                }
            };
            let end = FutureReader::new(&mut store, tells)?;
            Ok(((entries, end),))
        },
    )
}

/// The entries of one directory, in the system's order.
struct Listing {
    directory: Arc<File>,
    entries: Dir,
}

/// What comes next in a listing.
enum Next {
    Entry(DirectoryEntry),
    /// A name that no guest can be told.
    Unnameable,
}

impl Listing {
    fn open(directory: &Arc<File>) -> io::Result<Self> {
        Ok(Self {
            directory: Arc::clone(directory),
            entries: Dir::read_from(directory)?,
        })
    }

    fn next(&mut self) -> io::Result<Option<Next>> {
        for entry in self.entries.by_ref() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let found = match entry.file_type() {
                FileType::Unknown => {
                    match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                        Err(Errno::NOENT) => continue,
                        Err(error) => return Err(error.into()),
                    }
                }
                known => known,
            };
            return Ok(Some(match name.to_str() {
                Ok(name) => Next::Entry(DirectoryEntry {
                    type_: kind(found),
                    name: name.to_owned(),
                }),
                Err(_) => Next::Unnameable,
            }));
        }
        Ok(None)
    }
}

/// Gives a guest the entries as it takes them, and then says how the listing ended.
struct Producer {
    listing: Listing,
    told: Option<oneshot::Sender<Result<(), ErrorCode>>>,
    error: Option<ErrorCode>,
}

impl Producer {
    /// The next entries, fewer than [`BATCH`] only at the end, and whether that is reached.
    fn batch(&mut self) -> (Vec<DirectoryEntry>, bool) {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            match self.listing.next() {
                Ok(Some(Next::Entry(entry))) => batch.push(entry),
                Ok(Some(Next::Unnameable)) => self.error = Some(ErrorCode::IllegalByteSequence),
                Ok(None) => return (batch, true),
                Err(error) => {
                    self.error = Some(error.into());
                    return (batch, true);
                }
            }
        }
        (batch, false)
    }

    fn tell(&mut self) {
        if let Some(told) = self.told.take() {
            let result = self.error.take().map_or(Ok(()), Err);
            // A guest that does not want to know has dropped its end.
            let _ = told.send(result);
        }
    }
}

impl StreamProducer<State> for Producer {
    type Item = DirectoryEntry;
    type Buffer = wasmtime::component::VecBuffer<DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        _is_cancelled: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // Somebody only asks whether there is something to come.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let (batch, is_over) = self.batch();
        destination.set_buffer(batch.into());
        if is_over {
            self.tell();
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.tell();
    }
}
