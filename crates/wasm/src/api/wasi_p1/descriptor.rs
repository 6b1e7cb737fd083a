//! The descriptors of one program and the table that its threads share.
//!
//! ```text
//!   0 1 2      standard streams          Stream
//!   3 ..       listeners on published ports       Socket
//!   then       "." if a working directory was asked for, the granted directories
//!   then       what the program opens    File, Directory, Socket
//! ```
//!
//! The table's lock is held to look an entry up or to change it, never during a system call on
//! one: a thread that blocks in a read leaves the others free.

use super::errno::Errno;
use super::socket::Socket;
use super::types::rights;
use crate::host::{Host, InputDemand};
use cap_std::fs::Dir;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::FileType;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// The most descriptors of one program; the system's own limit is usually lower.
const DESCRIPTORS: usize = 1 << 16;

/// From which length on the path of a directory is not kept for what is below it, in bytes.
const PATH_BYTES: usize = 1024;

/// One open descriptor.
pub(super) struct Descriptor {
    /// What it is.
    pub(super) kind: Kind,
    /// The path by which it was opened, from the guest's root where that is known.
    pub(super) path: String,
    base: AtomicU64,
    inheriting: AtomicU64,
}

/// What a descriptor is.
pub(super) enum Kind {
    /// A standard stream.
    Stream(Stream),
    /// Anything opened by a path that is no directory.
    File(OwnedFd),
    /// A directory.
    Directory(Directory),
    /// A socket.
    Socket(Socket),
}

/// A standard stream: the process's own descriptor, of which others may hold duplicates.
pub(super) struct Stream {
    /// The process's descriptor.
    pub(super) fd: BorrowedFd<'static>,
    /// Whether it is a terminal to the guest.
    pub(super) is_terminal: bool,
    /// Whether it is a regular file, once someone asked.
    is_regular: OnceLock<bool>,
    /// Whether the guest asked not to be blocked. Kept here, because the system's flag would
    /// change the stream for everyone who holds it.
    pub(super) is_nonblocking: AtomicBool,
    /// Where it is standard input and a terminal: who brings what is typed.
    demand: Option<InputDemand>,
}

/// A directory.
pub(super) struct Directory {
    /// The way to what is in it, and to nothing else.
    pub(super) dir: Dir,
    /// The name under which the guest found it open, if it did.
    pub(super) preopen_name: Option<String>,
    /// Where the system's own listing stands: the cookie of the entry that comes next.
    pub(super) listing: Mutex<u64>,
}

/// The rights to have a position.
const POSITION: u64 = rights::FD_SEEK | rights::FD_TELL;

impl Stream {
    /// Asks for input if there is none and somebody has to bring it.
    pub(super) fn expect_input(&self) {
        let Some(demand) = &self.demand else {
            return;
        };
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        if poll(&mut fds, Some(&at_once)) == Ok(0) {
            demand.wait();
        }
    }

    /// Notes that a read has brought something.
    pub(super) fn served(&self) {
        if let Some(demand) = &self.demand {
            demand.served();
        }
    }

    /// Whether the stream is a regular file.
    pub(super) fn is_regular(&self) -> bool {
        *self.is_regular.get_or_init(|| {
            !self.is_terminal
                && rustix::fs::fstat(self.fd).is_ok_and(|stat| {
                    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                })
        })
    }
}

impl Descriptor {
    /// Makes a descriptor with rights of its own and rights for what is opened through it.
    pub(super) fn new(kind: Kind, path: String, base: u64, inheriting: u64) -> Self {
        Self {
            kind,
            path,
            base: AtomicU64::new(base),
            inheriting: AtomicU64::new(inheriting),
        }
    }

    /// A directory that is open when the guest starts.
    pub(super) fn preopen(dir: Dir, name: String, path: String) -> Self {
        let directory = Directory {
            dir,
            preopen_name: Some(name),
            listing: Mutex::new(0),
        };
        let kind = Kind::Directory(directory);
        Self::new(kind, path, rights::DIRECTORY, rights::INHERITING)
    }

    /// Standard input.
    pub(super) fn stdin(is_terminal: bool, host: &Arc<dyn Host>) -> Self {
        let demand = is_terminal.then(|| InputDemand::new(Arc::clone(host)));
        Self::stream(rustix::stdio::stdin(), is_terminal, rights::FD_READ, demand)
    }

    /// Standard output or error.
    pub(super) fn output(fd: BorrowedFd<'static>, is_terminal: bool) -> Self {
        Self::stream(fd, is_terminal, rights::FD_WRITE, None)
    }

    fn stream(
        fd: BorrowedFd<'static>,
        is_terminal: bool,
        direction: u64,
        demand: Option<InputDemand>,
    ) -> Self {
        let base = direction
            | rights::FD_FDSTAT_SET_FLAGS
            | rights::FD_FILESTAT_GET
            | rights::POLL_FD_READWRITE
            | POSITION;
        let stream = Stream {
            fd,
            is_terminal,
            is_regular: OnceLock::new(),
            is_nonblocking: AtomicBool::new(false),
            demand,
        };
        Self::new(Kind::Stream(stream), String::new(), base, 0)
    }

    /// The rights of the descriptor and those for what is opened through it. Only a stream that
    /// is a regular file has a position; programs take one that has none for a terminal if its
    /// type says so.
    pub(super) fn rights(&self) -> (u64, u64) {
        let mut base = self.base.load(Ordering::Relaxed);
        if let Kind::Stream(stream) = &self.kind
            && !stream.is_regular()
        {
            base &= !POSITION;
        }
        (base, self.inheriting.load(Ordering::Relaxed))
    }

    /// Gives rights up.
    ///
    /// # Errors
    /// `notcapable` if a right is asked for that the descriptor does not have.
    pub(super) fn shrink_rights(&self, base: u64, inheriting: u64) -> Result<(), Errno> {
        let (had_base, had_inheriting) = self.rights();
        if base & !had_base != 0 || inheriting & !had_inheriting != 0 {
            return Err(Errno::NOTCAPABLE);
        }
        // Two threads that shrink at once keep what both kept.
        self.base.fetch_and(base, Ordering::Relaxed);
        self.inheriting.fetch_and(inheriting, Ordering::Relaxed);
        Ok(())
    }

    /// Checks for a right: what a descriptor was not opened for is a bad descriptor for that, as
    /// in POSIX; any other right can only have been given up.
    pub(super) fn check(&self, right: u64) -> Result<(), Errno> {
        if self.base.load(Ordering::Relaxed) & right == right {
            return Ok(());
        }
        if right & (rights::FD_READ | rights::FD_WRITE) != 0 {
            return Err(Errno::BADF);
        }
        Err(Errno::NOTCAPABLE)
    }

    /// The system's descriptor, whatever the kind.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Stream(stream) => stream.fd,
            Kind::File(file) => file.as_fd(),
            Kind::Directory(directory) => directory.dir.as_fd(),
            Kind::Socket(socket) => socket.as_fd(),
        }
    }

    /// The descriptor of a stream or file, checked for a right; a directory is a bad one.
    pub(super) fn file(&self, right: u64) -> Result<BorrowedFd<'_>, Errno> {
        if let Kind::Directory(_) = self.kind {
            return Err(Errno::BADF);
        }
        self.check(right)?;
        Ok(self.fd())
    }

    /// As [`Descriptor::file`], for what has a position: a stream has one if it is a file.
    pub(super) fn seekable(&self, right: u64) -> Result<BorrowedFd<'_>, Errno> {
        match &self.kind {
            Kind::Stream(stream) if !stream.is_regular() => Err(Errno::SPIPE),
            Kind::Socket(_) => Err(Errno::SPIPE),
            _ => self.file(right),
        }
    }

    /// The directory, checked for a right.
    pub(super) fn directory(&self, right: u64) -> Result<&Directory, Errno> {
        match &self.kind {
            Kind::Directory(directory) => {
                self.check(right)?;
                Ok(directory)
            }
            Kind::File(_) | Kind::Socket(_) => Err(Errno::NOTDIR),
            Kind::Stream(_) => Err(Errno::BADF),
        }
    }

    /// The guest's name for a path below this directory, to be told to a person: a guest may open
    /// one below the other without end, so what is too long begins anew.
    pub(super) fn path_below(&self, path: &str) -> String {
        match self.path.as_str() {
            "" | "." => path.to_owned(),
            own if path.starts_with('/') || own.len() > PATH_BYTES => path.to_owned(),
            own => format!("{}/{path}", own.trim_end_matches('/')),
        }
    }
}

/// The descriptors by number.
pub(super) struct DescriptorTable {
    entries: RwLock<Vec<Option<Arc<Descriptor>>>>,
}

impl DescriptorTable {
    /// A table of the descriptors that are open at the start, from 0 up.
    pub(super) fn new(descriptors: impl IntoIterator<Item = Descriptor>) -> Self {
        let entries = descriptors
            .into_iter()
            .map(|descriptor| Some(Arc::new(descriptor)))
            .collect();
        Self {
            entries: RwLock::new(entries),
        }
    }

    /// Finds a descriptor.
    pub(super) fn get(&self, number: u32) -> Result<Arc<Descriptor>, Errno> {
        let index = usize::try_from(number).map_err(|_| Errno::BADF)?;
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(index)
            .and_then(Clone::clone)
            .ok_or(Errno::BADF)
    }

    /// Gives a descriptor the lowest free number, as POSIX does.
    pub(super) fn insert(&self, descriptor: Descriptor) -> Result<u32, Errno> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let index = entries
            .iter()
            .position(Option::is_none)
            .unwrap_or(entries.len());
        if index >= DESCRIPTORS {
            return Err(Errno::MFILE);
        }
        let entry = Some(Arc::new(descriptor));
        match entries.get_mut(index) {
            Some(free) => *free = entry,
            None => entries.push(entry),
        }
        u32::try_from(index).map_err(|_| Errno::MFILE)
    }

    /// Takes a descriptor out; it is closed when the last call that uses it ends.
    pub(super) fn remove(&self, number: u32) -> Result<Arc<Descriptor>, Errno> {
        let index = usize::try_from(number).map_err(|_| Errno::BADF)?;
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(index)
            .and_then(Option::take)
            .ok_or(Errno::BADF)
    }

    /// Moves a descriptor onto another open one, which is closed.
    pub(super) fn renumber(&self, from: u32, to: u32) -> Result<(), Errno> {
        let from = usize::try_from(from).map_err(|_| Errno::BADF)?;
        let to = usize::try_from(to).map_err(|_| Errno::BADF)?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let is_open = |index: usize| entries.get(index).is_some_and(Option::is_some);
        if !is_open(from) || !is_open(to) {
            return Err(Errno::BADF);
        }
        if from == to {
            return Ok(());
        }
        let moved = entries.get_mut(from).and_then(Option::take);
        if let Some(place) = entries.get_mut(to) {
            let closed = std::mem::replace(place, moved);
            drop(entries);
            drop(closed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(base: u64) -> Descriptor {
        let (read, _) = rustix::pipe::pipe().expect("a pipe can be made");
        Descriptor::new(Kind::File(read), "x".to_owned(), base, 0)
    }

    #[test]
    fn lowest_free_number_is_given() {
        let table = DescriptorTable::new([file(0), file(0), file(0)]);
        assert!(table.remove(1).is_ok());
        assert_eq!(table.insert(file(0)), Ok(1));
        assert_eq!(table.insert(file(0)), Ok(3));
    }

    #[test]
    fn renumber_needs_both_to_be_open() {
        let table = DescriptorTable::new([file(0), file(rights::FD_READ)]);
        assert_eq!(table.renumber(1, 7), Err(Errno::BADF));
        assert_eq!(table.renumber(1, 0), Ok(()));
        assert_eq!(table.get(1).err(), Some(Errno::BADF));
        assert!(
            table
                .get(0)
                .is_ok_and(|moved| moved.rights().0 == rights::FD_READ)
        );
    }

    #[test]
    fn rights_only_shrink() {
        let file = file(rights::FD_READ | rights::FD_SEEK);
        assert_eq!(file.shrink_rights(rights::FD_SEEK, 0), Ok(()));
        assert_eq!(
            file.shrink_rights(rights::FD_READ, 0),
            Err(Errno::NOTCAPABLE)
        );
        assert_eq!(file.check(rights::FD_READ), Err(Errno::BADF));
        assert_eq!(file.check(rights::FD_TELL), Err(Errno::NOTCAPABLE));
        assert_eq!(file.check(rights::FD_SEEK), Ok(()));
    }
}
