//! What a descriptor is: its type, flags, rights, size and times.

use super::descriptor::{Descriptor, Kind};
use super::errno::Errno;
use super::types::{
    DATA_SYNC, Dialect, FileStatus, fdflags, fdstat, filetype, filetype_of, fstflags, rights,
};
use super::{Function, call, call_without_memory};
use crate::core::CoreState;
use lighter_types::grant::Protocol;
use rustix::fs::{FileType, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use std::sync::atomic::Ordering;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("fd_fdstat_get", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_fdstat_get).map(drop)
    }),
    ("fd_fdstat_set_flags", |linker, module, name, _| {
        linker
            .func_wrap(module, name, fd_fdstat_set_flags)
            .map(drop)
    }),
    ("fd_fdstat_set_rights", |linker, module, name, _| {
        linker
            .func_wrap(module, name, fd_fdstat_set_rights)
            .map(drop)
    }),
    ("fd_filestat_get", |linker, module, name, dialect| {
        let get = move |caller: Caller<'_, CoreState>, fd: u32, result: u32| {
            fd_filestat_get(caller, dialect, fd, result)
        };
        linker.func_wrap(module, name, get).map(drop)
    }),
    ("fd_filestat_set_size", |linker, module, name, _| {
        linker
            .func_wrap(module, name, fd_filestat_set_size)
            .map(drop)
    }),
    ("fd_filestat_set_times", |linker, module, name, _| {
        linker
            .func_wrap(module, name, fd_filestat_set_times)
            .map(drop)
    }),
];

fn fd_fdstat_get(caller: Caller<'_, CoreState>, fd: u32, result: u32) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        if let Kind::Socket(socket) = &descriptor.kind {
            socket.looked_after();
        }
        let (base, inheriting) = descriptor.rights();
        let record = fdstat(
            file_type(&descriptor)?,
            flags(&descriptor)?,
            base,
            inheriting,
        );
        memory.write(result, &record)
    })
}

/// A stream is a character device only if it is a terminal to the guest: programs ask no more
/// than that to decide whether a person is there. A pipe has no type in WASI 0.1.
fn file_type(descriptor: &Descriptor) -> Result<u8, Errno> {
    Ok(match &descriptor.kind {
        Kind::Stream(stream) if stream.is_terminal => filetype::CHARACTER_DEVICE,
        Kind::Stream(stream) if stream.is_regular() => filetype::REGULAR_FILE,
        Kind::Stream(_) => filetype::UNKNOWN,
        Kind::Directory(_) => filetype::DIRECTORY,
        Kind::Socket(socket) => match socket.protocol {
            Protocol::Tcp => filetype::SOCKET_STREAM,
            Protocol::Udp => filetype::SOCKET_DGRAM,
        },
        Kind::File(file) => {
            let stat = rustix::fs::fstat(file)?;
            filetype_of(FileType::from_raw_mode(stat.st_mode))
        }
    })
}

/// What a guest may ask of a file with `fd_fdstat_set_flags`.
const SETTABLE: u32 = fdflags::APPEND | fdflags::NONBLOCK;

fn flags(descriptor: &Descriptor) -> Result<u32, Errno> {
    match &descriptor.kind {
        Kind::Directory(_) => Ok(0),
        Kind::Stream(stream) if stream.is_nonblocking.load(Ordering::Relaxed) => {
            Ok(fdflags::NONBLOCK)
        }
        Kind::Socket(socket) if socket.is_nonblocking() => Ok(fdflags::NONBLOCK),
        Kind::Stream(_) | Kind::Socket(_) => Ok(0),
        Kind::File(file) => {
            let set = rustix::fs::fcntl_getfl(file)?;
            let mut flags = 0;
            if set.contains(OFlags::APPEND) {
                flags |= fdflags::APPEND;
            }
            if set.contains(OFlags::NONBLOCK) {
                flags |= fdflags::NONBLOCK;
            }
            if set.contains(OFlags::SYNC) {
                flags |= fdflags::SYNC;
            } else if set.contains(DATA_SYNC) {
                flags |= fdflags::DSYNC;
            }
            Ok(flags)
        }
    }
}

fn fd_fdstat_set_flags(caller: Caller<'_, CoreState>, fd: u32, wanted: u32) -> u32 {
    call_without_memory(caller, |context| {
        if wanted & !fdflags::ALL != 0 {
            return Err(Errno::INVAL);
        }
        let descriptor = context.descriptors.get(fd)?;
        let file = descriptor.file(rights::FD_FDSTAT_SET_FLAGS)?;
        let is_nonblocking = wanted & fdflags::NONBLOCK != 0;
        match &descriptor.kind {
            Kind::Stream(_) | Kind::Socket(_) if wanted & !SETTABLE != 0 => {
                return Err(Errno::INVAL);
            }
            Kind::Stream(stream) => {
                stream
                    .is_nonblocking
                    .store(is_nonblocking, Ordering::Relaxed);
                return Ok(());
            }
            Kind::Socket(socket) => {
                socket.set_nonblocking(is_nonblocking);
                return Ok(());
            }
            Kind::File(_) | Kind::Directory(_) => {}
        }
        // How writes are synced is settled when a file is opened.
        if (wanted ^ flags(&descriptor)?) & !SETTABLE != 0 {
            return Err(Errno::INVAL);
        }
        let mut set = rustix::fs::fcntl_getfl(file)?;
        set.set(OFlags::APPEND, wanted & fdflags::APPEND != 0);
        set.set(OFlags::NONBLOCK, wanted & fdflags::NONBLOCK != 0);
        Ok(rustix::fs::fcntl_setfl(file, set)?)
    })
}

fn fd_fdstat_set_rights(caller: Caller<'_, CoreState>, fd: u32, base: u64, inheriting: u64) -> u32 {
    call_without_memory(caller, |context| {
        context.descriptors.get(fd)?.shrink_rights(base, inheriting)
    })
}

fn fd_filestat_get(
    caller: Caller<'_, CoreState>,
    dialect: Dialect,
    fd: u32,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        descriptor.check(rights::FD_FILESTAT_GET)?;
        let mut status = FileStatus::of(&rustix::fs::fstat(descriptor.fd())?);
        status.file_type = file_type_of_status(&descriptor, status.file_type)?;
        let (record, length) = status.record(dialect);
        memory.write(result, record.get(..length).ok_or(Errno::IO)?)
    })
}

fn file_type_of_status(descriptor: &Descriptor, found: u8) -> Result<u8, Errno> {
    match descriptor.kind {
        Kind::Stream(_) | Kind::Socket(_) => file_type(descriptor),
        Kind::File(_) | Kind::Directory(_) => Ok(found),
    }
}

fn fd_filestat_set_size(caller: Caller<'_, CoreState>, fd: u32, size_bytes: u64) -> u32 {
    call_without_memory(caller, |context| {
        let descriptor = context.descriptors.get(fd)?;
        let file = descriptor.file(rights::FD_FILESTAT_SET_SIZE)?;
        Ok(rustix::fs::ftruncate(file, size_bytes)?)
    })
}

fn fd_filestat_set_times(
    caller: Caller<'_, CoreState>,
    fd: u32,
    accessed_ns: u64,
    modified_ns: u64,
    flags: u32,
) -> u32 {
    call_without_memory(caller, |context| {
        let times = timestamps(accessed_ns, modified_ns, flags)?;
        let descriptor = context.descriptors.get(fd)?;
        descriptor.check(rights::FD_FILESTAT_SET_TIMES)?;
        rustix::fs::futimens(descriptor.fd(), &times)
            .map_err(|errno| context.fail("set times of", descriptor.path.clone(), errno.into()))
    })
}

/// The two times that a guest wants to set, or to leave.
pub(super) fn timestamps(
    accessed_ns: u64,
    modified_ns: u64,
    flags: u32,
) -> Result<Timestamps, Errno> {
    if flags & !fstflags::ALL != 0 {
        return Err(Errno::INVAL);
    }
    let time = |nanoseconds, set, now| match (flags & set != 0, flags & now != 0) {
        (true, true) => Err(Errno::INVAL),
        (true, false) => Ok(super::clocks::timespec(nanoseconds)),
        (false, true) => Ok(marker(UTIME_NOW)),
        (false, false) => Ok(marker(UTIME_OMIT)),
    };
    Ok(Timestamps {
        last_access: time(accessed_ns, fstflags::ATIM, fstflags::ATIM_NOW)?,
        last_modification: time(modified_ns, fstflags::MTIM, fstflags::MTIM_NOW)?,
    })
}

fn marker(marker: rustix::fs::Nsecs) -> Timespec {
    Timespec {
        tv_sec: 0,
        tv_nsec: marker,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_set_or_now_but_not_both() {
        let both = fstflags::ATIM | fstflags::ATIM_NOW;
        assert_eq!(timestamps(1, 1, both).err(), Some(Errno::INVAL));
        assert_eq!(timestamps(1, 1, 16).err(), Some(Errno::INVAL));
        let times = timestamps(1_500_000_000, 0, fstflags::ATIM).expect("valid flags");
        assert_eq!(times.last_access.tv_sec, 1);
        assert_eq!(times.last_access.tv_nsec, 500_000_000);
        assert_eq!(times.last_modification.tv_nsec, UTIME_OMIT);
    }
}
