//! One behaviour of WASI 0.1 per name given as argument; a behaviour that is wrong panics.
//! The directory `/` is open and empty.

#![allow(clippy::all)]

use std::collections::BTreeMap;

mod wasi {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub fn clock_res_get(id: u32, out: *mut u64) -> u32;
        pub fn clock_time_get(id: u32, precision: u64, out: *mut u64) -> u32;
        pub fn fd_advise(fd: u32, offset: u64, length: u64, advice: u32) -> u32;
        pub fn fd_allocate(fd: u32, offset: u64, length: u64) -> u32;
        pub fn fd_close(fd: u32) -> u32;
        pub fn fd_datasync(fd: u32) -> u32;
        pub fn fd_fdstat_get(fd: u32, out: *mut u8) -> u32;
        pub fn fd_fdstat_set_flags(fd: u32, flags: u32) -> u32;
        pub fn fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64) -> u32;
        pub fn fd_filestat_get(fd: u32, out: *mut u8) -> u32;
        pub fn fd_filestat_set_size(fd: u32, size: u64) -> u32;
        pub fn fd_filestat_set_times(fd: u32, atim: u64, mtim: u64, flags: u32) -> u32;
        pub fn fd_pread(fd: u32, iovs: *const u32, count: u32, offset: u64, out: *mut u32) -> u32;
        pub fn fd_prestat_dir_name(fd: u32, buffer: *mut u8, length: u32) -> u32;
        pub fn fd_prestat_get(fd: u32, out: *mut u32) -> u32;
        pub fn fd_pwrite(fd: u32, iovs: *const u32, count: u32, offset: u64, out: *mut u32) -> u32;
        pub fn fd_read(fd: u32, iovs: *const u32, count: u32, out: *mut u32) -> u32;
        pub fn fd_readdir(fd: u32, buffer: *mut u8, length: u32, cookie: u64, out: *mut u32) -> u32;
        pub fn fd_renumber(from: u32, to: u32) -> u32;
        pub fn fd_seek(fd: u32, offset: i64, whence: u32, out: *mut u64) -> u32;
        pub fn fd_sync(fd: u32) -> u32;
        pub fn fd_tell(fd: u32, out: *mut u64) -> u32;
        pub fn fd_write(fd: u32, iovs: *const u32, count: u32, out: *mut u32) -> u32;
        pub fn path_create_directory(fd: u32, path: *const u8, length: usize) -> u32;
        pub fn path_filestat_get(fd: u32, f: u32, p: *const u8, n: usize, out: *mut u8) -> u32;
        pub fn path_filestat_set_times(
            fd: u32, f: u32, p: *const u8, n: usize, atim: u64, mtim: u64, flags: u32,
        ) -> u32;
        pub fn path_link(
            fd: u32, f: u32, p: *const u8, n: usize, to: u32, q: *const u8, m: usize,
        ) -> u32;
        pub fn path_open(
            fd: u32, f: u32, p: *const u8, n: usize, how: u32, base: u64, inheriting: u64,
            flags: u32, out: *mut u32,
        ) -> u32;
        pub fn path_readlink(
            fd: u32, p: *const u8, n: usize, buffer: *mut u8, length: usize, out: *mut u32,
        ) -> u32;
        pub fn path_remove_directory(fd: u32, p: *const u8, n: usize) -> u32;
        pub fn path_rename(fd: u32, p: *const u8, n: usize, to: u32, q: *const u8, m: usize) -> u32;
        pub fn path_symlink(p: *const u8, n: usize, fd: u32, q: *const u8, m: usize) -> u32;
        pub fn path_unlink_file(fd: u32, p: *const u8, n: usize) -> u32;
        pub fn poll_oneoff(from: *const u8, to: *mut u8, count: u32, out: *mut u32) -> u32;
        pub fn proc_raise(signal: u32) -> u32;
        pub fn random_get(buffer: *mut u8, length: usize) -> u32;
        pub fn sched_yield() -> u32;
        pub fn sock_accept(fd: u32, flags: u32, out: *mut u32) -> u32;
        pub fn sock_recv(fd: u32, i: *const u32, n: u32, f: u32, o: *mut u32, p: *mut u32) -> u32;
        pub fn sock_send(fd: u32, i: *const u32, n: u32, f: u32, o: *mut u32) -> u32;
        pub fn sock_shutdown(fd: u32, how: u32) -> u32;
    }
}

const ACCES: u32 = 2;
const BADF: u32 = 8;
const EXIST: u32 = 20;
const FAULT: u32 = 21;
const ILSEQ: u32 = 25;
const INVAL: u32 = 28;
const ISDIR: u32 = 31;
const LOOP: u32 = 32;
const NAMETOOLONG: u32 = 37;
const NOENT: u32 = 44;
const NOSYS: u32 = 52;
const NOTDIR: u32 = 54;
const NOTEMPTY: u32 = 55;
const NOTSOCK: u32 = 57;
const PERM: u32 = 63;
const SPIPE: u32 = 70;
const NOTCAPABLE: u32 = 76;

const READ: u64 = 1 << 1;
const SEEK: u64 = 1 << 2;
const WRITE: u64 = 1 << 6;
const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;

const CREAT: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCL: u32 = 4;
const TRUNC: u32 = 8;
const FOLLOW: u32 = 1;
const APPEND: u32 = 1;
const NONBLOCK: u32 = 4;

const ROOT: u32 = 3;

fn check(errno: u32) -> Result<(), u32> {
    if errno == 0 { Ok(()) } else { Err(errno) }
}

fn open_at(
    dir: u32, lookup: u32, path: &str, how: u32, base: u64, flags: u32,
) -> Result<u32, u32> {
    let mut fd = 0;
    check(unsafe {
        wasi::path_open(dir, lookup, path.as_ptr(), path.len(), how, base, base, flags, &mut fd)
    })?;
    assert!(fd > 2);
    Ok(fd)
}
fn open(path: &str, how: u32, base: u64) -> Result<u32, u32> {
    open_at(ROOT, 0, path, how, base, 0)
}
fn close(fd: u32) {
    assert_eq!(unsafe { wasi::fd_close(fd) }, 0);
}
fn create(path: &str) {
    close(open(path, CREAT | EXCL, READ | WRITE).expect("create"));
}
fn mkdir(path: &str) -> Result<(), u32> {
    check(unsafe { wasi::path_create_directory(ROOT, path.as_ptr(), path.len()) })
}
fn rmdir(path: &str) -> Result<(), u32> {
    check(unsafe { wasi::path_remove_directory(ROOT, path.as_ptr(), path.len()) })
}
fn unlink(path: &str) -> Result<(), u32> {
    check(unsafe { wasi::path_unlink_file(ROOT, path.as_ptr(), path.len()) })
}
fn symlink(target: &str, path: &str) -> Result<(), u32> {
    check(unsafe {
        wasi::path_symlink(target.as_ptr(), target.len(), ROOT, path.as_ptr(), path.len())
    })
}
fn link_at(from: u32, lookup: u32, a: &str, to: u32, b: &str) -> Result<(), u32> {
    check(unsafe { wasi::path_link(from, lookup, a.as_ptr(), a.len(), to, b.as_ptr(), b.len()) })
}
fn link(a: &str, b: &str) -> Result<(), u32> {
    link_at(ROOT, 0, a, ROOT, b)
}
fn rename(a: &str, b: &str) -> Result<(), u32> {
    check(unsafe { wasi::path_rename(ROOT, a.as_ptr(), a.len(), ROOT, b.as_ptr(), b.len()) })
}
fn readlink(path: &str, space: usize) -> Result<Vec<u8>, u32> {
    let mut buffer = vec![0; space];
    let mut used = 0;
    check(unsafe {
        wasi::path_readlink(
            ROOT, path.as_ptr(), path.len(), buffer.as_mut_ptr(), space, &mut used,
        )
    })?;
    buffer.truncate(used as usize);
    Ok(buffer)
}
fn pieces(parts: &[&[u8]]) -> Vec<u32> {
    parts.iter().flat_map(|part| [part.as_ptr() as u32, part.len() as u32]).collect()
}
fn write(fd: u32, bytes: &[u8]) -> Result<u32, u32> {
    let mut done = 0;
    check(unsafe { wasi::fd_write(fd, pieces(&[bytes]).as_ptr(), 1, &mut done) })?;
    Ok(done)
}
fn pwrite(fd: u32, bytes: &[u8], offset: u64) -> Result<u32, u32> {
    let mut done = 0;
    check(unsafe { wasi::fd_pwrite(fd, pieces(&[bytes]).as_ptr(), 1, offset, &mut done) })?;
    Ok(done)
}
fn read(fd: u32, space: usize) -> Result<Vec<u8>, u32> {
    let mut buffer = vec![0; space];
    let mut done = 0;
    check(unsafe { wasi::fd_read(fd, pieces(&[&buffer]).as_ptr(), 1, &mut done) })?;
    buffer.truncate(done as usize);
    Ok(buffer)
}
fn pread(fd: u32, space: usize, offset: u64) -> Result<Vec<u8>, u32> {
    let mut buffer = vec![0; space];
    let mut done = 0;
    check(unsafe { wasi::fd_pread(fd, pieces(&[&buffer]).as_ptr(), 1, offset, &mut done) })?;
    buffer.truncate(done as usize);
    Ok(buffer)
}
fn seek(fd: u32, offset: i64, whence: u32) -> Result<u64, u32> {
    let mut position = 0;
    check(unsafe { wasi::fd_seek(fd, offset, whence, &mut position) })?;
    Ok(position)
}
fn tell(fd: u32) -> Result<u64, u32> {
    let mut position = 0;
    check(unsafe { wasi::fd_tell(fd, &mut position) })?;
    Ok(position)
}

#[derive(Debug, PartialEq, Clone, Copy)]
struct Status {
    device: u64,
    inode: u64,
    kind: u8,
    links: u64,
    size: u64,
    atim: u64,
    mtim: u64,
}
fn status(bytes: [u8; 64]) -> Status {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    Status {
        device: number(0),
        inode: number(8),
        kind: bytes[16],
        links: number(24),
        size: number(32),
        atim: number(40),
        mtim: number(48),
    }
}
fn stat_fd(fd: u32) -> Result<Status, u32> {
    let mut bytes = [0; 64];
    check(unsafe { wasi::fd_filestat_get(fd, bytes.as_mut_ptr()) })?;
    Ok(status(bytes))
}
fn stat_path(path: &str, lookup: u32) -> Result<Status, u32> {
    let mut bytes = [0; 64];
    check(unsafe {
        wasi::path_filestat_get(ROOT, lookup, path.as_ptr(), path.len(), bytes.as_mut_ptr())
    })?;
    Ok(status(bytes))
}
/// Type, flags, rights, inheriting rights.
fn fdstat(fd: u32) -> Result<(u8, u16, u64, u64), u32> {
    let mut bytes = [0; 24];
    check(unsafe { wasi::fd_fdstat_get(fd, bytes.as_mut_ptr()) })?;
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    Ok((bytes[0], u16::from_le_bytes([bytes[2], bytes[3]]), number(8), number(16)))
}

fn big_random_buf() {
    let mut buffer = vec![0; 3 << 20];
    assert_eq!(unsafe { wasi::random_get(buffer.as_mut_ptr(), buffer.len()) }, 0);
    assert!(buffer[(3 << 20) - 64..].iter().any(|byte| *byte != 0));
    assert_eq!(unsafe { wasi::random_get(u32::MAX as *mut u8, 2) }, FAULT);
}

fn clocks() {
    for id in 0..4 {
        let (mut resolution, mut first, mut second) = (0, 0, 0);
        unsafe {
            assert_eq!(wasi::clock_res_get(id, &mut resolution), 0, "clock {id}");
            assert_eq!(wasi::clock_time_get(id, 1, &mut first), 0);
            assert_eq!(wasi::clock_time_get(id, 0, &mut second), 0);
        }
        assert!(resolution > 0);
        assert!(second >= first);
    }
    let mut time = 0;
    assert_eq!(unsafe { wasi::clock_time_get(9, 0, &mut time) }, INVAL);
    assert_eq!(unsafe { wasi::sched_yield() }, 0);
    assert_eq!(unsafe { wasi::proc_raise(6) }, NOSYS);
}

fn close_preopen() {
    let dir = open(".", DIRECTORY, 0).expect("open .");
    close(ROOT);
    assert_eq!(unsafe { wasi::fd_renumber(dir, ROOT) }, BADF);
    assert_eq!(unsafe { wasi::fd_close(ROOT) }, BADF);
    let mut name = [0; 2];
    assert_eq!(unsafe { wasi::fd_prestat_get(ROOT, name.as_mut_ptr()) }, BADF);
    close(dir);
}

fn overwrite_preopen() {
    mkdir("sub").unwrap();
    let dir = open("sub", DIRECTORY, 0).unwrap();
    let before = stat_fd(dir).unwrap();
    assert_eq!(unsafe { wasi::fd_renumber(dir, ROOT) }, 0);
    assert_eq!(stat_fd(ROOT).unwrap().inode, before.inode);
    assert_eq!(fdstat(dir), Err(BADF));
}

fn preopen() {
    let mut prestat = [9; 2];
    assert_eq!(unsafe { wasi::fd_prestat_get(ROOT, prestat.as_mut_ptr()) }, 0);
    assert_eq!(prestat, [0, 1]);
    let mut name = [0; 4];
    unsafe {
        assert_eq!(wasi::fd_prestat_dir_name(ROOT, name.as_mut_ptr(), 0), NAMETOOLONG);
        assert_eq!(wasi::fd_prestat_dir_name(ROOT, name.as_mut_ptr(), 4), 0);
        assert_eq!(wasi::fd_prestat_get(4, prestat.as_mut_ptr()), BADF);
        assert_eq!(wasi::fd_prestat_get(0, prestat.as_mut_ptr()), BADF);
    }
    assert_eq!(&name, b"/\0\0\0");
    let (kind, flags, base, inheriting) = fdstat(ROOT).unwrap();
    assert_eq!((kind, flags), (3, 0));
    assert_eq!(base & (SEEK | FD_FILESTAT_SET_SIZE), 0);
    close(open_at(ROOT, 0, ".", 0, base, 0).unwrap());
    close(open(".", 0, 0).unwrap());
    close(open(".", DIRECTORY, READ).unwrap());
    assert_eq!(open(".", DIRECTORY, READ | WRITE), Err(ISDIR));
    assert_ne!(inheriting & READ & WRITE, READ);
    // A directory that was opened is not found open.
    let dir = open(".", DIRECTORY, 0).unwrap();
    assert_eq!(unsafe { wasi::fd_prestat_get(dir, prestat.as_mut_ptr()) }, BADF);
}

fn dangling_fd() {
    let fd = open("file", CREAT, READ | WRITE).unwrap();
    unlink("file").unwrap();
    assert_eq!(write(fd, b"abc"), Ok(3));
    assert_eq!(stat_fd(fd).unwrap().links, 0);
    close(fd);
    mkdir("sub").unwrap();
    let dir = open("sub", DIRECTORY, 0).unwrap();
    rmdir("sub").unwrap();
    assert_eq!(open_at(dir, 0, "x", CREAT, WRITE, 0), Err(NOENT));
    close(dir);
}

fn dangling_symlink() {
    symlink("nowhere", "link").unwrap();
    assert_eq!(open_at(ROOT, FOLLOW, "link", 0, READ, 0), Err(NOENT));
    assert_eq!(open("link", DIRECTORY, 0), Err(NOTDIR));
    assert_eq!(open("link", 0, 0), Err(LOOP));
}

fn dir_fd_op_failures() {
    let mut done = 0;
    assert_eq!(read(ROOT, 8), Err(BADF));
    assert_eq!(pread(ROOT, 8, 0), Err(BADF));
    assert_eq!(write(ROOT, b"x"), Err(BADF));
    assert_eq!(pwrite(ROOT, b"x", 0), Err(BADF));
    for whence in 0..3 {
        assert_eq!(seek(ROOT, 0, whence), Err(BADF));
    }
    assert_eq!(tell(ROOT), Err(BADF));
    unsafe {
        assert_eq!(wasi::fd_allocate(ROOT, 0, 1), BADF);
        assert_eq!(wasi::fd_advise(ROOT, 0, 1, 0), BADF);
        assert_eq!(wasi::fd_filestat_set_size(ROOT, 0), BADF);
        assert_eq!(wasi::fd_fdstat_set_flags(ROOT, 0), BADF);
        // A rename is made to last through its directory.
        assert_eq!(wasi::fd_sync(ROOT), 0);
        assert_eq!(wasi::fd_readdir(99, std::ptr::null_mut(), 0, 0, &mut done), BADF);
    }
}

fn file_ops() {
    let fd = open("file", CREAT | EXCL, READ | WRITE).unwrap();
    assert_eq!(open("file", CREAT | EXCL, READ | WRITE), Err(EXIST));
    unsafe {
        assert_eq!(wasi::fd_advise(fd, 0, 100, 3), 0);
        assert_eq!(wasi::fd_advise(fd, 0, 100, 6), INVAL);
        assert_eq!(wasi::fd_allocate(fd, 0, 100), 0);
        assert_eq!(stat_fd(fd).unwrap().size, 100);
        assert_eq!(wasi::fd_allocate(fd, 10, 10), 0);
        assert_eq!(stat_fd(fd).unwrap().size, 100);
        assert_eq!(wasi::fd_allocate(fd, 90, 20), 0);
        assert_eq!(stat_fd(fd).unwrap().size, 110);
        assert_ne!(wasi::fd_allocate(fd, u64::MAX, 20), 0);
        assert_eq!(wasi::fd_filestat_set_size(fd, 0), 0);
        assert_eq!(wasi::fd_sync(fd), 0);
        assert_eq!(wasi::fd_datasync(fd), 0);
    }
    assert_eq!(write(fd, b"0123456789"), Ok(10));
    assert_eq!(tell(fd), Ok(10));
    assert_eq!(seek(fd, -4, 1), Ok(6));
    assert_eq!(read(fd, 8).unwrap(), b"6789");
    assert_eq!(seek(fd, 0, 2), Ok(10));
    assert_eq!(seek(fd, 0, 0), Ok(0));
    assert_eq!(seek(fd, -1, 0), Err(INVAL));
    assert_eq!(seek(fd, -1, 1), Err(INVAL));
    assert_eq!(seek(fd, 0, 3), Err(INVAL));
    assert_eq!(seek(fd, 1 << 40, 0), Ok(1 << 40));
    assert_ne!(seek(fd, i64::MAX, 1).err(), None);
    assert_eq!(seek(fd, 3, 0), Ok(3));
    assert_eq!(pread(fd, 3, 5).unwrap(), b"567");
    assert_eq!(pwrite(fd, b"AB", 8), Ok(2));
    assert_eq!(tell(fd), Ok(3));
    assert_eq!(pread(fd, 20, 0).unwrap(), b"01234567AB");
    assert_eq!(pread(fd, 20, 10).unwrap(), b"");
    close(fd);
    let fd = open("file", TRUNC, READ).unwrap();
    assert_eq!(stat_fd(fd).unwrap().size, 0);
    close(fd);
}

fn scattered() {
    let fd = open("file", CREAT, READ | WRITE).unwrap();
    let mut done = 0;
    let parts: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; n as usize]).collect();
    let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let all: Vec<u8> = parts.concat();
    unsafe {
        assert_eq!(wasi::fd_write(fd, pieces(&slices).as_ptr(), 40, &mut done), 0);
    }
    assert_eq!(done as usize, all.len());
    for counts in [vec![5, 700], vec![100, 0, 7, 13, 400]] {
        let buffers: Vec<Vec<u8>> = counts.iter().map(|n| vec![0_u8; *n]).collect();
        let slices: Vec<&[u8]> = buffers.iter().map(Vec::as_slice).collect();
        let count = slices.len() as u32;
        unsafe {
            assert_eq!(wasi::fd_pread(fd, pieces(&slices).as_ptr(), count, 0, &mut done), 0);
        }
        let length: usize = counts.iter().sum();
        assert_eq!(done as usize, length);
        assert_eq!(buffers.concat(), all[..length]);
    }
    unsafe {
        assert_eq!(wasi::fd_write(fd, std::ptr::null(), 0, &mut done), 0);
        assert_eq!(done, 0);
        assert_eq!(wasi::fd_write(fd, [u32::MAX - 3, 8].as_ptr(), 1, &mut done), FAULT);
        assert_eq!(wasi::fd_write(fd, (u32::MAX - 3) as *const u32, 1, &mut done), FAULT);
        assert_eq!(wasi::fd_read(fd, [0, 4].as_ptr(), u32::MAX, &mut done), FAULT);
        assert_eq!(wasi::fd_read(fd, [0, 4].as_ptr(), 1, (u32::MAX - 1) as *mut u32), FAULT);
    }
}

fn append() {
    let fd = open_at(ROOT, 0, "file", CREAT, READ | WRITE, APPEND).unwrap();
    assert_eq!(fdstat(fd).unwrap().1, 1);
    write(fd, b"aa").unwrap();
    seek(fd, 0, 0).unwrap();
    write(fd, b"bb").unwrap();
    assert_eq!(pread(fd, 9, 0).unwrap(), b"aabb");
    unsafe {
        assert_eq!(wasi::fd_fdstat_set_flags(fd, 0), 0);
        seek(fd, 0, 0).unwrap();
        write(fd, b"c").unwrap();
        assert_eq!(pread(fd, 9, 0).unwrap(), b"cabb");
        assert_eq!(wasi::fd_fdstat_set_flags(fd, APPEND | NONBLOCK), 0);
        assert_eq!(fdstat(fd).unwrap().1, 5);
        assert_eq!(wasi::fd_fdstat_set_flags(fd, 2), INVAL);
        assert_eq!(wasi::fd_fdstat_set_flags(fd, 32), INVAL);
    }
    close(fd);
    let fd = open_at(ROOT, 0, "file", CREAT | TRUNC, WRITE, APPEND | NONBLOCK | 2).unwrap();
    assert_eq!(fdstat(fd).unwrap().1, 7);
    assert_eq!(stat_fd(fd).unwrap().size, 0);
}

fn times() {
    create("file");
    let fd = open("file", 0, READ | WRITE).unwrap();
    let before = stat_fd(fd).unwrap();
    let set = |atim, mtim, flags| unsafe { wasi::fd_filestat_set_times(fd, atim, mtim, flags) };
    assert_eq!(set(0, 1_500_000_000, 4), 0);
    let after = stat_fd(fd).unwrap();
    assert_eq!((after.atim, after.mtim), (before.atim, 1_500_000_000));
    assert_eq!(set(7, 0, 1 | 8), 0);
    let after = stat_fd(fd).unwrap();
    assert_eq!(after.atim, 7);
    assert!(after.mtim > 1_600_000_000_000_000_000);
    assert_eq!(set(0, 0, 1 | 2), INVAL);
    assert_eq!(set(0, 0, 4 | 8), INVAL);
    assert_eq!(set(0, 0, 16), INVAL);
    symlink("file", "link").unwrap();
    let set = |lookup, flags| unsafe {
        wasi::path_filestat_set_times(ROOT, lookup, "link".as_ptr(), 4, 5, 6, flags)
    };
    assert_eq!(set(FOLLOW, 5), 0);
    assert_eq!(stat_path("file", 0).unwrap().mtim, 6);
    assert_ne!(stat_path("link", 0).unwrap().mtim, 6);
    assert_eq!(set(0, 4), 0);
    assert_eq!(stat_path("link", 0).unwrap().mtim, 6);
    assert_eq!(set(0, 4 | 8), INVAL);
    assert_eq!(unsafe { wasi::fd_filestat_set_times(ROOT, 3, 4, 5) }, 0);
    assert_eq!(stat_fd(ROOT).unwrap().mtim, 4);
}

fn file_status() {
    create("file");
    let fd = open("file", 0, READ | WRITE).unwrap();
    write(fd, b"hello").unwrap();
    let by_fd = stat_fd(fd).unwrap();
    let by_path = stat_path("file", 0).unwrap();
    assert_eq!(by_fd, by_path);
    assert_eq!((by_fd.kind, by_fd.size, by_fd.links), (4, 5, 1));
    assert_eq!(by_fd.device, stat_fd(ROOT).unwrap().device);
    mkdir("sub").unwrap();
    assert_eq!(stat_path("sub", 0).unwrap().kind, 3);
    assert_eq!(stat_path("sub/", 0).unwrap().kind, 3);
    assert_eq!(stat_path("file/", 0).err(), Some(NOTDIR));
    assert_eq!(stat_path(".", 0).unwrap().inode, stat_fd(ROOT).unwrap().inode);
    assert_eq!(stat_path("", 0).err(), Some(NOENT));
    assert_eq!(stat_path("none", 0).err(), Some(NOENT));
    symlink("file", "link").unwrap();
    assert_eq!(stat_path("link", 0).unwrap().kind, 7);
    assert_eq!(stat_path("link", 0).unwrap().size, 4);
    assert_eq!(stat_path("link", FOLLOW).unwrap(), by_path);
    symlink("..", "up").unwrap();
    assert_eq!(stat_path("up", FOLLOW).err(), Some(PERM));
}

fn interesting_paths() {
    mkdir("dir").unwrap();
    mkdir("dir/nested").unwrap();
    create("dir/nested/file");
    let ok = [
        "dir/nested/file",
        "dir/.//nested/../../dir/nested/../nested///./file",
        "./dir/nested/file",
    ];
    for path in ok {
        close(open(path, 0, READ).expect(path));
    }
    let wrong = [
        ("/dir/nested/file", PERM),
        ("..", PERM),
        ("../", PERM),
        ("dir/../..", PERM),
        ("dir/nested/../../../x", PERM),
        ("dir/nested/file\0", INVAL),
        ("dir/nested/file/", NOTDIR),
        ("dir/nested/file/.", NOTDIR),
        ("", NOENT),
        ("dir/none/file", NOENT),
    ];
    for (path, errno) in wrong {
        assert_eq!(open(path, 0, READ), Err(errno), "{path:?}");
    }
    assert_eq!(open(&"x".repeat(300), 0, READ), Err(NAMETOOLONG));
    let mut fd = 0;
    unsafe {
        let bad = b"\xff\xfe";
        let errno = wasi::path_open(ROOT, 0, bad.as_ptr(), 2, 0, READ, 0, 0, &mut fd);
        assert_eq!(errno, ILSEQ);
        let errno = wasi::path_open(ROOT, 0, u32::MAX as _, 2, 0, READ, 0, 0, &mut fd);
        assert_eq!(errno, FAULT);
    }
    assert_eq!(mkdir("/x"), Err(PERM));
    assert_eq!(mkdir("../x"), Err(PERM));
    assert_eq!(unlink("../x"), Err(PERM));
    assert_eq!(rename("dir", "../x"), Err(PERM));
    assert_eq!(stat_path("../x", 0).err(), Some(PERM));
    assert_eq!(stat_path("..", 0).err(), Some(PERM));
}

fn nofollow_errors() {
    mkdir("target").unwrap();
    symlink("target", "link").unwrap();
    assert_eq!(open("link", DIRECTORY, 0), Err(NOTDIR));
    assert_eq!(open("link", 0, 0), Err(LOOP));
    close(open_at(ROOT, FOLLOW, "link", DIRECTORY, 0, 0).unwrap());
    unlink("link").unwrap();
    rmdir("target").unwrap();
    create("target");
    symlink("target", "link").unwrap();
    assert_eq!(open("link", DIRECTORY, 0), Err(NOTDIR));
    assert_eq!(open_at(ROOT, FOLLOW, "link", DIRECTORY, 0, 0), Err(NOTDIR));
    close(open_at(ROOT, FOLLOW, "link", 0, READ, 0).unwrap());
}

fn path_open_flags() {
    assert_eq!(open("none", 0, READ), Err(NOENT));
    create("file");
    assert_eq!(open_at(0, 0, "file", 0, READ, 0), Err(BADF));
    let fd = open("file", 0, READ).unwrap();
    assert_eq!(open_at(fd, 0, "file", 0, READ, 0), Err(NOTDIR));
    close(open_at(ROOT, 0, "file", 0, READ, NONBLOCK).unwrap());
    assert_eq!(open("file", DIRECTORY, 0), Err(NOTDIR));
    assert_eq!(open("x", CREAT | DIRECTORY, 0), Err(INVAL));
    assert_eq!(open("x", 16, 0), Err(INVAL));
    assert_eq!(open_at(ROOT, 0, "x", CREAT, WRITE, 64), Err(INVAL));
    mkdir("sub").unwrap();
    assert_eq!(open("sub", 0, WRITE), Err(ISDIR));
    assert_eq!(open("sub", CREAT, READ), Err(ISDIR));
    let sub = open("sub", 0, READ).unwrap();
    assert_eq!(fdstat(sub).unwrap().0, 3);
    // Only reading.
    let (_, _, base, _) = fdstat(fd).unwrap();
    assert_eq!(base & (READ | WRITE), READ);
    assert_eq!(read(fd, 4), Ok(vec![]));
    assert_eq!(write(fd, b"x"), Err(BADF));
    // Only writing.
    let fd = open("file", 0, WRITE).unwrap();
    assert_eq!(fdstat(fd).unwrap().2 & (READ | WRITE), WRITE);
    assert_eq!(read(fd, 4), Err(BADF));
    assert_eq!(write(fd, b"x"), Ok(1));
}

fn rights() {
    create("file");
    let fd = open("file", 0, READ | WRITE).unwrap();
    let (_, _, base, inheriting) = fdstat(fd).unwrap();
    let set = |fd, base, inheriting| unsafe { wasi::fd_fdstat_set_rights(fd, base, inheriting) };
    assert_eq!(set(fd, base & !(READ | WRITE), inheriting), 0);
    assert_eq!(fdstat(fd).unwrap().2 & (READ | WRITE), 0);
    assert_ne!(fdstat(fd).unwrap().2 & SEEK, 0);
    assert_eq!(read(fd, 1), Err(BADF));
    assert_eq!(write(fd, b"x"), Err(BADF));
    assert_eq!(set(fd, base, inheriting), NOTCAPABLE);
    let (_, _, base, inheriting) = fdstat(ROOT).unwrap();
    close(open("file", TRUNC, 0).unwrap());
    assert_eq!(set(ROOT, base, inheriting & !FD_FILESTAT_SET_SIZE), 0);
    close(open("file", TRUNC, 0).unwrap());
    let rest = base & !PATH_FILESTAT_SET_SIZE;
    assert_eq!(set(ROOT, rest, inheriting & !FD_FILESTAT_SET_SIZE), 0);
    assert_eq!(open("file", TRUNC, 0), Err(NOTCAPABLE));
    // What is opened has no more than it inherits.
    assert_eq!(set(ROOT, rest, READ), 0);
    let fd = open("file", 0, READ | WRITE).unwrap();
    assert_eq!(fdstat(fd).unwrap().2, READ);
    assert_eq!(write(fd, b"x"), Err(BADF));
    assert_eq!(set(ROOT, 0, 0), 0);
    assert_eq!(mkdir("sub"), Err(NOTCAPABLE));
    assert_eq!(open("file", 0, READ), Err(NOTCAPABLE));
}

fn path_link() {
    create("file");
    link("file", "link").unwrap();
    assert_eq!(stat_path("file", 0), stat_path("link", 0));
    assert_eq!(stat_path("link", 0).unwrap().links, 2);
    assert_eq!(link("file", "link"), Err(EXIST));
    assert_eq!(link("file", "file"), Err(EXIST));
    unlink("link").unwrap();
    mkdir("sub").unwrap();
    let sub = open("sub", DIRECTORY, 0).unwrap();
    link_at(ROOT, 0, "file", sub, "link").unwrap();
    assert_eq!(link("file", "sub"), Err(EXIST));
    assert_eq!(link("sub", "link"), Err(PERM));
    assert_eq!(link("file", "link/"), Err(NOENT));
    symlink("target", "symlink").unwrap();
    link("symlink", "link").unwrap();
    assert_eq!(stat_path("link", 0).unwrap().kind, 7);
    assert_eq!(link("file", "symlink"), Err(EXIST));
    assert_eq!(link_at(ROOT, FOLLOW, "symlink", ROOT, "other"), Err(INVAL));
}

fn path_rename() {
    mkdir("source").unwrap();
    rename("source", "target").unwrap();
    assert_eq!(open("source", DIRECTORY, 0), Err(NOENT));
    mkdir("source").unwrap();
    rename("source", "target").expect("onto an empty directory");
    mkdir("source").unwrap();
    create("target/file");
    assert_eq!(rename("source", "target"), Err(NOTEMPTY));
    create("file");
    assert_eq!(rename("source", "file"), Err(NOTDIR));
    assert_eq!(rename("file", "source"), Err(ISDIR));
    create("other");
    rename("file", "other").expect("onto a file");
    assert_eq!(rename("none", "x"), Err(NOENT));
    // Slashes at the end belong to directories.
    rename("source/", "renamed").unwrap();
    rename("renamed", "source/").unwrap();
    rename("source/", "renamed/").unwrap();
    assert_eq!(rename("other/", "x"), Err(NOTDIR));
    assert_eq!(rename("other/", "x/"), Err(NOTDIR));
    assert!(stat_path("other", 0).is_ok());
}

fn trailing_slashes() {
    mkdir("dir/").unwrap();
    assert_eq!(unlink("dir"), Err(ISDIR));
    assert_eq!(unlink("dir/"), Err(ISDIR));
    assert_eq!(mkdir("dir"), Err(EXIST));
    rmdir("dir/").unwrap();
    create("file");
    assert_eq!(unlink("file/"), Err(NOTDIR));
    assert_eq!(rmdir("file"), Err(NOTDIR));
    assert_eq!(rmdir("file/"), Err(NOTDIR));
    assert_eq!(symlink("source", "target/"), Err(NOENT));
    assert_eq!(symlink("source", "file/"), Err(NOTDIR));
    assert_eq!(symlink("source", "file"), Err(EXIST));
    mkdir("dir").unwrap();
    assert_eq!(symlink("source", "dir/"), Err(EXIST));
    assert_eq!(symlink("source", "dir"), Err(EXIST));
    create("dir/file");
    assert_eq!(rmdir("dir"), Err(NOTEMPTY));
    assert_eq!(rmdir("none"), Err(NOENT));
}

fn symlinks() {
    create("file");
    symlink("file", "link").unwrap();
    assert_eq!(readlink("link", 64).unwrap(), b"file");
    assert_eq!(readlink("link", 2).unwrap(), b"fi");
    assert_eq!(readlink("file", 64), Err(INVAL));
    assert_eq!(readlink("none", 64), Err(NOENT));
    close(open_at(ROOT, FOLLOW, "link", 0, READ, 0).unwrap());
    assert_eq!(symlink("/etc/passwd", "absolute"), Err(PERM));
    symlink("../../x", "out").unwrap();
    assert_eq!(open_at(ROOT, FOLLOW, "out", 0, READ, 0), Err(PERM));
    assert_eq!(open_at(ROOT, FOLLOW, "out", CREAT, WRITE, 0), Err(PERM));
    symlink("loop", "loop").unwrap();
    assert_eq!(open_at(ROOT, FOLLOW, "loop", 0, READ, 0), Err(LOOP));
    mkdir("dir").unwrap();
    symlink("dir", "dirlink").unwrap();
    create("dirlink/file");
    assert!(stat_path("dir/file", 0).is_ok());
    unlink("link").unwrap();
    assert!(stat_path("file", 0).is_ok());
}

/// Lists from a cookie with a buffer: entries as (cookie, inode, type, name), whether cut.
fn list(fd: u32, cookie: u64, space: usize) -> (Vec<(u64, u64, u8, String)>, bool) {
    let mut buffer = vec![0; space];
    let mut used = 0;
    let errno =
        unsafe { wasi::fd_readdir(fd, buffer.as_mut_ptr(), space as u32, cookie, &mut used) };
    assert_eq!(errno, 0);
    let mut rest = &buffer[..used as usize];
    let mut entries = vec![];
    while rest.len() >= 24 {
        let number = |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().unwrap());
        let length = (number(16) & 0xffff_ffff) as usize;
        let Some(name) = rest.get(24..24 + length) else { break };
        let name = String::from_utf8(name.to_vec()).unwrap();
        entries.push((number(0), number(8), rest[20], name));
        rest = &rest[24 + length..];
    }
    (entries, used as usize == space)
}

fn readdir() {
    mkdir("sub").unwrap();
    let fd = open("sub", DIRECTORY, READ).unwrap();
    let (entries, is_cut) = list(fd, 0, 4096);
    assert!(!is_cut);
    let names: BTreeMap<_, _> = entries.iter().map(|e| (e.3.as_str(), e)).collect();
    assert_eq!(names.keys().copied().collect::<Vec<_>>(), [".", ".."]);
    assert_eq!(names["."].1, stat_fd(fd).unwrap().inode);
    assert_eq!(names["."].2, 3);
    let count = 500;
    for index in 0..count {
        create(&format!("sub/file-{index:04}"));
    }
    // However small the buffer, each entry comes once.
    for space in [60, 100, 333, 4096, 1 << 20] {
        let mut seen = BTreeMap::new();
        let mut cookie = 0;
        loop {
            let (entries, is_cut) = list(fd, cookie, space);
            for entry in entries {
                cookie = entry.0;
                assert_eq!(seen.insert(entry.3.clone(), entry.2), None, "{}", entry.3);
            }
            if !is_cut {
                break;
            }
        }
        assert_eq!(seen.len(), count + 2, "{space}");
        assert_eq!(seen["file-0007"], 4);
    }
    // Going back to an entry, and while others go.
    let (entries, _) = list(fd, 0, 1 << 20);
    let (again, _) = list(fd, entries[99].0, 1 << 20);
    assert_eq!(entries[100..], again[..]);
    for entry in &entries[..50] {
        if entry.3.starts_with("file") {
            unlink(&format!("sub/{}", entry.3)).unwrap();
        }
    }
    let (again, _) = list(fd, entries[99].0, 1 << 20);
    assert_eq!(entries[100..], again[..]);
    let mut used = 0;
    unsafe {
        assert_eq!(wasi::fd_readdir(fd, 0 as _, u32::MAX, 0, &mut used), FAULT);
        let mut byte = [0; 8];
        assert_eq!(wasi::fd_readdir(fd, byte.as_mut_ptr(), 8, 0, &mut used), 0);
    }
    assert_eq!(used, 8);
    assert_eq!(list(fd, 0, 0).0.len(), 0);
}

fn renumber() {
    let a = open("a", CREAT, READ | WRITE).unwrap();
    let b = open("b", CREAT, READ | WRITE).unwrap();
    let was = stat_fd(a).unwrap();
    unsafe {
        assert_eq!(wasi::fd_renumber(a, a), 0);
        assert_eq!(wasi::fd_renumber(a, 77), BADF);
        assert_eq!(wasi::fd_renumber(77, a), BADF);
        assert_eq!(wasi::fd_renumber(a, b), 0);
        assert_eq!(wasi::fd_close(a), BADF);
    }
    assert_eq!(stat_fd(b).unwrap(), was);
    // The lowest free number is given, as POSIX says.
    assert_eq!(open("b", 0, READ), Ok(a));
    for stream in [0, 1] {
        let to = open("c", CREAT, 0).unwrap();
        assert_eq!(unsafe { wasi::fd_renumber(stream, to) }, 0);
        assert!(fdstat(to).is_ok());
        assert_eq!(fdstat(stream), Err(BADF));
        close(to);
        // The freed low number would be the next one given.
        let errno = unsafe {
            let mut fd = 9;
            let errno = wasi::path_open(ROOT, 0, b"c".as_ptr(), 1, 0, 0, 0, 0, &mut fd);
            assert_eq!(fd, stream);
            errno
        };
        assert_eq!(errno, 0);
    }
}

fn subscription(user: u64, tag: u8, fields: &[(usize, u64)]) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[..8].copy_from_slice(&user.to_le_bytes());
    bytes[8] = tag;
    for (at, number) in fields {
        bytes[*at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// Events as (user data, error, type, bytes, flags).
fn poll(subscriptions: &[[u8; 48]]) -> Result<Vec<(u64, u16, u8, u64, u16)>, u32> {
    let mut events = vec![[0_u8; 32]; subscriptions.len()];
    let mut count = 0;
    check(unsafe {
        wasi::poll_oneoff(
            subscriptions.as_ptr().cast(),
            events.as_mut_ptr().cast(),
            subscriptions.len() as u32,
            &mut count,
        )
    })?;
    Ok(events[..count as usize]
        .iter()
        .map(|event| {
            let number = |at: usize| u64::from_le_bytes(event[at..at + 8].try_into().unwrap());
            (
                number(0),
                u16::from_le_bytes([event[8], event[9]]),
                event[10],
                number(16),
                u16::from_le_bytes([event[24], event[25]]),
            )
        })
        .collect())
}

fn now(clock: u32) -> u64 {
    let mut time = 0;
    assert_eq!(unsafe { wasi::clock_time_get(clock, 0, &mut time) }, 0);
    time
}

fn poll_clocks() {
    assert_eq!(poll(&[]), Err(INVAL));
    let millis = 1_000_000;
    for clock in [0, 1] {
        let start = now(1);
        let sleep = subscription(7, 0, &[(16, clock), (24, 20 * millis)]);
        let long = subscription(8, 0, &[(16, clock), (24, u64::MAX)]);
        assert_eq!(poll(&[long, sleep]), Ok(vec![(7, 0, 0, 0, 0)]));
        assert!(now(1) - start >= 20 * millis);
        let end = now(clock as u32) + 20 * millis;
        let until = subscription(9, 0, &[(16, clock), (24, end), (40, 1)]);
        assert_eq!(poll(&[until]), Ok(vec![(9, 0, 0, 0, 0)]));
        assert!(now(clock as u32) >= end);
        let past = subscription(9, 0, &[(16, clock), (24, 1), (40, 1)]);
        assert_eq!(poll(&[past]), Ok(vec![(9, 0, 0, 0, 0)]));
    }
    let wrong = subscription(1, 0, &[(16, 99)]);
    assert_eq!(poll(&[wrong]), Ok(vec![(1, INVAL as u16, 0, 0, 0)]));
    assert_eq!(poll(&[subscription(1, 3, &[])]), Err(INVAL));
}

/// Standard input is a pipe that gets `x` and is closed, after a while.
fn poll_stdin() {
    let millis = 1_000_000;
    let input = subscription(1, 1, &[(16, 0)]);
    let soon = subscription(2, 0, &[(16, 1), (24, 5 * millis)]);
    assert_eq!(poll(&[input, soon]), Ok(vec![(2, 0, 0, 0, 0)]));
    assert_eq!(unsafe { wasi::fd_fdstat_set_flags(0, NONBLOCK) }, 0);
    assert_eq!(read(0, 1), Err(6));
    println!("ready");
    let late = subscription(2, 0, &[(16, 1), (24, 20_000 * millis)]);
    let events = poll(&[input, late]).unwrap();
    assert_eq!((events.len(), events[0].0, events[0].2), (1, 1, 1));
    assert_eq!(read(0, 8).unwrap(), b"x");
    poll(&[input]).unwrap();
    assert_eq!(read(0, 8).unwrap(), b"");
    let output = subscription(3, 2, &[(16, 1)]);
    assert_eq!(poll(&[output, late]).unwrap()[0].0, 3);
}

fn poll_files() {
    let fd = open("file", CREAT, READ | WRITE).unwrap();
    write(fd, b"abc").unwrap();
    seek(fd, 1, 0).unwrap();
    let ready = subscription(1, 1, &[(16, fd.into())]);
    let output = subscription(2, 2, &[(16, fd.into())]);
    let unknown = subscription(3, 1, &[(16, 99)]);
    let directory = subscription(4, 2, &[(16, ROOT.into())]);
    assert_eq!(poll(&[ready]), Ok(vec![(1, 0, 1, 2, 0)]));
    seek(fd, 0, 2).unwrap();
    assert_eq!(poll(&[ready]), Ok(vec![(1, 0, 1, 0, 1)]));
    let events = poll(&[output, unknown, directory]).unwrap();
    assert_eq!(events[0].0, 2);
    assert_eq!(events[1], (3, BADF as u16, 1, 0, 0));
    assert_eq!(events[2], (4, BADF as u16, 2, 0, 0));
}

fn sockets() {
    let mut out = 0;
    let fd = open("file", CREAT, READ).unwrap();
    for (fd, errno) in [(fd, NOTSOCK), (0, NOTSOCK), (ROOT, NOTSOCK), (99, BADF)] {
        unsafe {
            assert_eq!(wasi::sock_accept(fd, 0, &mut out), errno);
            assert_eq!(wasi::sock_recv(fd, [0].as_ptr(), 0, 0, &mut out, &mut out), errno);
            assert_eq!(wasi::sock_send(fd, [0].as_ptr(), 0, 0, &mut out), errno);
            assert_eq!(wasi::sock_shutdown(fd, 3), errno);
        }
    }
}

/// Prints the type and position of each stream: type, whether it seeks.
fn streams() {
    let kinds: Vec<String> = (0..3)
        .map(|fd| {
            let (kind, flags, _, _) = fdstat(fd).unwrap();
            assert_eq!(stat_fd(fd).unwrap().kind, kind);
            assert_eq!(flags, 0);
            match seek(fd, 0, 1) {
                Ok(_) => format!("{kind} seeks"),
                Err(errno) => {
                    assert_eq!(errno, SPIPE);
                    assert_eq!(tell(fd), Err(SPIPE));
                    format!("{kind}")
                }
            }
        })
        .collect();
    println!("{}", kinds.join(", "));
    assert_eq!(read(1, 1), Err(BADF));
    assert_eq!(write(0, b"x"), Err(BADF));
}

/// The directory `/ro` cannot be written.
fn refused() {
    let ro = 4;
    assert_eq!(open_at(ro, 0, "new", CREAT, WRITE, 0), Err(ACCES));
    assert_eq!(open("../x", 0, READ), Err(PERM));
}

fn main() {
    let name = std::env::args().nth(1).expect("the behaviour's name");
    let behaviour = match name.as_str() {
        "big_random_buf" => big_random_buf,
        "clocks" => clocks,
        "close_preopen" => close_preopen,
        "overwrite_preopen" => overwrite_preopen,
        "preopen" => preopen,
        "dangling_fd" => dangling_fd,
        "dangling_symlink" => dangling_symlink,
        "dir_fd_op_failures" => dir_fd_op_failures,
        "file_ops" => file_ops,
        "scattered" => scattered,
        "append" => append,
        "times" => times,
        "file_status" => file_status,
        "interesting_paths" => interesting_paths,
        "nofollow_errors" => nofollow_errors,
        "path_open_flags" => path_open_flags,
        "rights" => rights,
        "path_link" => path_link,
        "path_rename" => path_rename,
        "trailing_slashes" => trailing_slashes,
        "symlinks" => symlinks,
        "readdir" => readdir,
        "renumber" => renumber,
        "poll_clocks" => poll_clocks,
        "poll_stdin" => poll_stdin,
        "poll_files" => poll_files,
        "sockets" => sockets,
        "streams" => streams,
        "refused" => refused,
        other => panic!("no behaviour {other}"),
    };
    behaviour();
}
