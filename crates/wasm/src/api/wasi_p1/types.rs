//! The numbers and records of WASI 0.1 (`typenames.witx`), and where `wasi_unstable` differs.

use rustix::fs::{FileType, OFlags, Stat};

/// Which of the two interfaces of the same functions a program imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `wasi_unstable`, of 2019.
    Unstable,
    /// `wasi_snapshot_preview1`: WASI 0.1.
    Preview1,
}

impl Dialect {
    /// The dialect that an import module speaks, if it is one of the two.
    pub(crate) fn of(module: &str) -> Option<Self> {
        match module {
            "wasi_unstable" => Some(Self::Unstable),
            "wasi_snapshot_preview1" => Some(Self::Preview1),
            _ => None,
        }
    }
}

/// What a descriptor may be used for, one bit each.
pub(super) mod rights {
    pub(crate) const FD_DATASYNC: u64 = 1 << 0;
    pub(crate) const FD_READ: u64 = 1 << 1;
    pub(crate) const FD_SEEK: u64 = 1 << 2;
    pub(crate) const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub(crate) const FD_SYNC: u64 = 1 << 4;
    pub(crate) const FD_TELL: u64 = 1 << 5;
    pub(crate) const FD_WRITE: u64 = 1 << 6;
    pub(crate) const FD_ADVISE: u64 = 1 << 7;
    pub(crate) const FD_ALLOCATE: u64 = 1 << 8;
    pub(crate) const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
    pub(crate) const PATH_CREATE_FILE: u64 = 1 << 10;
    pub(crate) const PATH_LINK_SOURCE: u64 = 1 << 11;
    pub(crate) const PATH_LINK_TARGET: u64 = 1 << 12;
    pub(crate) const PATH_OPEN: u64 = 1 << 13;
    pub(crate) const FD_READDIR: u64 = 1 << 14;
    pub(crate) const PATH_READLINK: u64 = 1 << 15;
    pub(crate) const PATH_RENAME_SOURCE: u64 = 1 << 16;
    pub(crate) const PATH_RENAME_TARGET: u64 = 1 << 17;
    pub(crate) const PATH_FILESTAT_GET: u64 = 1 << 18;
    pub(crate) const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
    pub(crate) const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
    pub(crate) const FD_FILESTAT_GET: u64 = 1 << 21;
    pub(crate) const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    pub(crate) const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
    pub(crate) const PATH_SYMLINK: u64 = 1 << 24;
    pub(crate) const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
    pub(crate) const PATH_UNLINK_FILE: u64 = 1 << 26;
    pub(crate) const POLL_FD_READWRITE: u64 = 1 << 27;
    pub(crate) const SOCK_SHUTDOWN: u64 = 1 << 28;
    pub(crate) const SOCK_ACCEPT: u64 = 1 << 29;

    /// What can be done with a directory.
    pub(crate) const DIRECTORY: u64 = PATH_CREATE_DIRECTORY
        | PATH_CREATE_FILE
        | PATH_LINK_SOURCE
        | PATH_LINK_TARGET
        | PATH_OPEN
        | FD_READDIR
        | PATH_READLINK
        | PATH_RENAME_SOURCE
        | PATH_RENAME_TARGET
        | PATH_FILESTAT_GET
        | PATH_FILESTAT_SET_SIZE
        | PATH_FILESTAT_SET_TIMES
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_TIMES
        | PATH_SYMLINK
        | PATH_REMOVE_DIRECTORY
        | PATH_UNLINK_FILE;

    /// What can be done with a file.
    pub(crate) const FILE: u64 = FD_DATASYNC
        | FD_READ
        | FD_SEEK
        | FD_FDSTAT_SET_FLAGS
        | FD_SYNC
        | FD_TELL
        | FD_WRITE
        | FD_ADVISE
        | FD_ALLOCATE
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_SIZE
        | FD_FILESTAT_SET_TIMES
        | POLL_FD_READWRITE;

    /// What can be done with what is opened through a directory.
    pub(crate) const INHERITING: u64 = DIRECTORY | FILE;
}

/// The flags of an open descriptor.
pub(super) mod fdflags {
    pub(crate) const APPEND: u32 = 1;
    pub(crate) const DSYNC: u32 = 2;
    pub(crate) const NONBLOCK: u32 = 4;
    pub(crate) const RSYNC: u32 = 8;
    pub(crate) const SYNC: u32 = 16;
    pub(crate) const ALL: u32 = APPEND | DSYNC | NONBLOCK | RSYNC | SYNC;
}

/// `O_DSYNC`, as on x86-64 and ARM. The name that `rustix` 1.1
/// has for it means `O_SYNC`, of which this is one bit.
pub(super) const DATA_SYNC: OFlags = OFlags::from_bits_retain(0o10_000);

/// How `path_open` opens.
pub(super) mod oflags {
    pub(crate) const CREAT: u32 = 1;
    pub(crate) const DIRECTORY: u32 = 2;
    pub(crate) const EXCL: u32 = 4;
    pub(crate) const TRUNC: u32 = 8;
    pub(crate) const ALL: u32 = CREAT | DIRECTORY | EXCL | TRUNC;
}

/// Whether a symbolic link at the end of a path is followed.
pub(super) const LOOKUP_SYMLINK_FOLLOW: u32 = 1;

/// Which times are set, and to what.
pub(super) mod fstflags {
    pub(crate) const ATIM: u32 = 1;
    pub(crate) const ATIM_NOW: u32 = 2;
    pub(crate) const MTIM: u32 = 4;
    pub(crate) const MTIM_NOW: u32 = 8;
    pub(crate) const ALL: u32 = ATIM | ATIM_NOW | MTIM | MTIM_NOW;
}

/// What a descriptor or directory entry is.
pub(super) mod filetype {
    pub(crate) const UNKNOWN: u8 = 0;
    pub(crate) const BLOCK_DEVICE: u8 = 1;
    pub(crate) const CHARACTER_DEVICE: u8 = 2;
    pub(crate) const DIRECTORY: u8 = 3;
    pub(crate) const REGULAR_FILE: u8 = 4;
    pub(crate) const SOCKET_DGRAM: u8 = 5;
    pub(crate) const SOCKET_STREAM: u8 = 6;
    pub(crate) const SYMBOLIC_LINK: u8 = 7;
}

/// The number of the system's file type.
pub(super) fn filetype_of(file_type: FileType) -> u8 {
    match file_type {
        FileType::RegularFile => filetype::REGULAR_FILE,
        FileType::Directory => filetype::DIRECTORY,
        FileType::Symlink => filetype::SYMBOLIC_LINK,
        FileType::CharacterDevice => filetype::CHARACTER_DEVICE,
        FileType::BlockDevice => filetype::BLOCK_DEVICE,
        FileType::Socket => filetype::SOCKET_STREAM,
        // WASI 0.1 has no name for a pipe.
        FileType::Fifo | FileType::Unknown => filetype::UNKNOWN,
    }
}

/// Lays out the record that `fd_fdstat_get` answers.
pub(super) fn fdstat(file_type: u8, flags: u32, base: u64, inheriting: u64) -> [u8; 24] {
    let mut record = Record::<24>::new();
    record.put(0, &[file_type]);
    record.put(2, &u16::try_from(flags).unwrap_or(0).to_le_bytes());
    record.put(8, &base.to_le_bytes());
    record.put(16, &inheriting.to_le_bytes());
    record.bytes
}

/// What the guest learns of a file.
pub(super) struct FileStatus {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) file_type: u8,
    pub(super) links: u64,
    pub(super) size_bytes: u64,
    pub(super) accessed_ns: u64,
    pub(super) modified_ns: u64,
    pub(super) changed_ns: u64,
}

impl FileStatus {
    /// The status as the system gives it.
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_fallible_conversions,
        reason = "the fields' widths differ between architectures"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: u64::try_from(stat.st_dev).unwrap_or(0),
            inode: u64::try_from(stat.st_ino).unwrap_or(0),
            file_type: filetype_of(FileType::from_raw_mode(stat.st_mode)),
            links: u64::try_from(stat.st_nlink).unwrap_or(1),
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            accessed_ns: nanoseconds(stat.st_atime.into(), stat.st_atime_nsec.into()),
            modified_ns: nanoseconds(stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            changed_ns: nanoseconds(stat.st_ctime.into(), stat.st_ctime_nsec.into()),
        }
    }

    /// Lays out the record, 64 bytes of WASI 0.1 or 56 of `wasi_unstable`.
    pub(super) fn record(&self, dialect: Dialect) -> ([u8; 64], usize) {
        let mut record = Record::<64>::new();
        record.put(0, &self.device.to_le_bytes());
        record.put(8, &self.inode.to_le_bytes());
        record.put(16, &[self.file_type]);
        let (size_at, length) = match dialect {
            Dialect::Preview1 => {
                record.put(24, &self.links.to_le_bytes());
                (32, 64)
            }
            Dialect::Unstable => {
                let links = u32::try_from(self.links).unwrap_or(u32::MAX);
                record.put(20, &links.to_le_bytes());
                (24, 56)
            }
        };
        record.put(size_at, &self.size_bytes.to_le_bytes());
        record.put(size_at + 8, &self.accessed_ns.to_le_bytes());
        record.put(size_at + 16, &self.modified_ns.to_le_bytes());
        record.put(size_at + 24, &self.changed_ns.to_le_bytes());
        (record.bytes, length)
    }
}

/// A time of the system as WASI counts it; what lies before 1970 is 1970.
fn nanoseconds(seconds: i128, part_ns: i128) -> u64 {
    let total = seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(part_ns);
    u64::try_from(total.max(0)).unwrap_or(u64::MAX)
}

/// Bytes of a known size that are filled field by field.
pub(super) struct Record<const N: usize> {
    pub(super) bytes: [u8; N],
}

impl<const N: usize> Record<N> {
    pub(super) fn new() -> Self {
        Self { bytes: [0; N] }
    }

    /// Puts a field at an offset that is a constant of the format.
    pub(super) fn put(&mut self, at: usize, field: &[u8]) {
        debug_assert!(at + field.len() <= N);
        if let Some(place) = self.bytes.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    }
}

/// Takes a number of two, four or eight bytes out of a record.
pub(super) fn number(record: &[u8], at: usize, length: usize) -> u64 {
    record
        .get(at..at + length)
        .unwrap_or(&[])
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
