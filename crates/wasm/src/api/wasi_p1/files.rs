//! Reading, writing and positions of files and streams.

use super::descriptor::{Descriptor, Kind};
use super::errno::Errno;
use super::types::{Dialect, rights};
use super::{Function, call, call_without_memory};
use crate::core::CoreState;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Advice, FallocateFlags, SeekFrom};
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("fd_read", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_read).map(drop)
    }),
    ("fd_write", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_write).map(drop)
    }),
    ("fd_pread", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_pread).map(drop)
    }),
    ("fd_pwrite", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_pwrite).map(drop)
    }),
    ("fd_seek", |linker, module, name, dialect| {
        let seek =
            move |caller: Caller<'_, CoreState>, fd: u32, offset: i64, whence: u32, to: u32| {
                fd_seek(caller, dialect, (fd, offset, whence), to)
            };
        linker.func_wrap(module, name, seek).map(drop)
    }),
    ("fd_tell", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_tell).map(drop)
    }),
    ("fd_close", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_close).map(drop)
    }),
    ("fd_renumber", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_renumber).map(drop)
    }),
    ("fd_sync", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_sync).map(drop)
    }),
    ("fd_datasync", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_datasync).map(drop)
    }),
    ("fd_advise", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_advise).map(drop)
    }),
    ("fd_allocate", |linker, module, name, _| {
        linker.func_wrap(module, name, fd_allocate).map(drop)
    }),
];

type Result<T> = wasmtime::Result<T>;

/// Refuses to wait on a stream that the guest asked not to wait on.
fn check_ready(descriptor: &Descriptor, events: PollFlags) -> std::result::Result<(), Errno> {
    // A socket never waits by itself.
    let Kind::Stream(stream) = &descriptor.kind else {
        return Ok(());
    };
    if !stream.is_nonblocking.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut fds = [PollFd::new(&stream.fd, events)];
    let at_once = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut fds, Some(&at_once)) {
        Ok(0) => Err(Errno::AGAIN),
        Ok(_) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Does it again after a signal, and once a stream is ready that does not wait although the guest never asked
/// for that: whoever started the keeper may have made it so.
fn patiently(
    descriptor: &Descriptor,
    events: PollFlags,
    mut operation: impl FnMut() -> rustix::io::Result<usize>,
) -> rustix::io::Result<usize> {
    use rustix::io::Errno;
    if let Kind::Socket(socket) = &descriptor.kind {
        return socket.patiently(events, operation);
    }
    loop {
        match (operation(), &descriptor.kind) {
            (Err(Errno::INTR), _) => {}
            (Err(Errno::AGAIN), Kind::Stream(stream))
                if !stream.is_nonblocking.load(Ordering::Relaxed) =>
            {
                match poll(&mut [PollFd::new(&stream.fd, events)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            (done, _) => return done,
        }
    }
}

fn fd_read(
    caller: Caller<'_, CoreState>,
    fd: u32,
    pieces: u32,
    count: u32,
    result: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let file = descriptor.file(rights::FD_READ)?;
        memory.check(result, 4)?;
        if let Kind::Stream(stream) = &descriptor.kind {
            stream.expect_input();
        }
        check_ready(&descriptor, PollFlags::IN)?;
        if let Kind::Stream(stream) = &descriptor.kind
            && !stream.is_regular()
        {
            lighter_memory::before_wait();
        }
        let done = memory.read_into(pieces, count, |pieces| {
            patiently(&descriptor, PollFlags::IN, || {
                rustix::io::readv(file, pieces)
            })
        })?;
        if let Kind::Stream(stream) = &descriptor.kind {
            stream.served();
        }
        memory.write_u32(result, done)
    })
}

fn fd_write(
    caller: Caller<'_, CoreState>,
    fd: u32,
    pieces: u32,
    count: u32,
    result: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let file = descriptor.file(rights::FD_WRITE)?;
        memory.check(result, 4)?;
        check_ready(&descriptor, PollFlags::OUT)?;
        if let Kind::Socket(socket) = &descriptor.kind {
            socket.check_pieces(count)?;
        }
        let done = memory.write_from(pieces, count, |pieces| {
            patiently(&descriptor, PollFlags::OUT, || {
                rustix::io::writev(file, pieces)
            })
        })?;
        memory.write_u32(result, done)
    })
}

fn fd_pread(
    caller: Caller<'_, CoreState>,
    fd: u32,
    pieces: u32,
    count: u32,
    offset: u64,
    result: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let file = descriptor.seekable(rights::FD_READ | rights::FD_SEEK)?;
        memory.check(result, 4)?;
        let done = memory.read_into(pieces, count, |pieces| {
            rustix::io::retry_on_intr(|| rustix::io::preadv(file, pieces, offset))
        })?;
        memory.write_u32(result, done)
    })
}

fn fd_pwrite(
    caller: Caller<'_, CoreState>,
    fd: u32,
    pieces: u32,
    count: u32,
    offset: u64,
    result: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let file = descriptor.seekable(rights::FD_WRITE | rights::FD_SEEK)?;
        memory.check(result, 4)?;
        let done = memory.write_from(pieces, count, |pieces| {
            rustix::io::retry_on_intr(|| rustix::io::pwritev(file, pieces, offset))
        })?;
        memory.write_u32(result, done)
    })
}

fn fd_seek(
    caller: Caller<'_, CoreState>,
    dialect: Dialect,
    (fd, offset, whence): (u32, i64, u32),
    result: u32,
) -> Result<u32> {
    call(caller, |context, memory| {
        let to = seek_from(dialect, offset, whence)?;
        let descriptor = context.descriptors.get(fd)?;
        // To ask for the position is to tell, whichever function asks.
        let right = match to {
            SeekFrom::Current(0) => rights::FD_TELL,
            _ => rights::FD_SEEK | rights::FD_TELL,
        };
        let file = descriptor.seekable(right)?;
        memory.check(result, 8)?;
        let position = rustix::fs::seek(file, to)?;
        memory.write_u64(result, position)
    })
}

fn seek_from(dialect: Dialect, offset: i64, whence: u32) -> std::result::Result<SeekFrom, Errno> {
    let start = || u64::try_from(offset).map_err(|_| Errno::INVAL);
    match (dialect, whence) {
        (Dialect::Preview1, 0) | (Dialect::Unstable, 2) => Ok(SeekFrom::Start(start()?)),
        (Dialect::Preview1, 1) | (Dialect::Unstable, 0) => Ok(SeekFrom::Current(offset)),
        (Dialect::Preview1, 2) | (Dialect::Unstable, 1) => Ok(SeekFrom::End(offset)),
        _ => Err(Errno::INVAL),
    }
}

fn fd_tell(caller: Caller<'_, CoreState>, fd: u32, result: u32) -> Result<u32> {
    call(caller, |context, memory| {
        let descriptor = context.descriptors.get(fd)?;
        let position = rustix::fs::tell(descriptor.seekable(rights::FD_TELL)?)?;
        memory.write_u64(result, position)
    })
}

fn fd_close(caller: Caller<'_, CoreState>, fd: u32) -> u32 {
    call_without_memory(caller, |context| context.descriptors.remove(fd).map(drop))
}

fn fd_renumber(caller: Caller<'_, CoreState>, from: u32, to: u32) -> u32 {
    call_without_memory(caller, |context| context.descriptors.renumber(from, to))
}

fn fd_sync(caller: Caller<'_, CoreState>, fd: u32) -> u32 {
    call_without_memory(caller, |context| {
        let descriptor = context.descriptors.get(fd)?;
        check_synced(&descriptor, rights::FD_SYNC)?;
        Ok(rustix::fs::fsync(descriptor.fd())?)
    })
}

fn fd_datasync(caller: Caller<'_, CoreState>, fd: u32) -> u32 {
    call_without_memory(caller, |context| {
        let descriptor = context.descriptors.get(fd)?;
        check_synced(&descriptor, rights::FD_DATASYNC)?;
        Ok(rustix::fs::fdatasync(descriptor.fd())?)
    })
}

/// Directories are synced too: that is how a program makes a rename last.
fn check_synced(descriptor: &Descriptor, right: u64) -> std::result::Result<(), Errno> {
    match descriptor.kind {
        Kind::File(_) => descriptor.check(right),
        Kind::Directory(_) | Kind::Stream(_) => Ok(()),
        Kind::Socket(_) => Err(Errno::INVAL),
    }
}

fn fd_advise(caller: Caller<'_, CoreState>, fd: u32, offset: u64, length: u64, advice: u32) -> u32 {
    call_without_memory(caller, |context| {
        let advice = match advice {
            0 => Advice::Normal,
            1 => Advice::Sequential,
            2 => Advice::Random,
            3 => Advice::WillNeed,
            4 => Advice::DontNeed,
            5 => Advice::NoReuse,
            _ => return Err(Errno::INVAL),
        };
        let descriptor = context.descriptors.get(fd)?;
        let file = descriptor.seekable(rights::FD_ADVISE)?;
        let length = NonZeroU64::new(length);
        Ok(rustix::fs::fadvise(file, offset, length, advice)?)
    })
}

fn fd_allocate(caller: Caller<'_, CoreState>, fd: u32, offset: u64, length: u64) -> u32 {
    call_without_memory(caller, |context| {
        let descriptor = context.descriptors.get(fd)?;
        let file = descriptor.seekable(rights::FD_ALLOCATE)?;
        Ok(rustix::fs::fallocate(
            file,
            FallocateFlags::empty(),
            offset,
            length,
        )?)
    })
}
