//! Ways out of a root: links, `..`, `/proc`, descriptors, other roots, setuid bits.

use crate::Case;
use crate::attempts::Attempts;
use crate::raw::{HERE, at, call, path};
use crate::stage::{DIRECTORY_FD, Stage};
use libc::{
    O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, O_TRUNC, SYS_chroot, SYS_fchdir, SYS_fchmod,
    SYS_linkat, SYS_newfstatat, SYS_openat, SYS_openat2, SYS_readlinkat, SYS_symlinkat,
};
use std::io;

pub(crate) const CASES: &[Case] = &[
    ("escape_by_symlink_is_refused", symlink),
    ("escape_by_hard_link_is_refused", hard_link),
    ("escape_by_dot_dot_is_refused", dot_dot),
    ("escape_by_proc_is_refused", proc),
    ("escape_by_a_kept_directory_is_refused", kept_directory),
    ("escape_by_a_handed_directory_is_refused", handed_directory),
    ("escape_by_another_root_is_refused", another_root),
    ("program_with_a_setuid_bit_is_refused", setuid_program),
    ("setuid_bit_on_a_file_with_content_is_refused", setuid_file),
];

fn symlink(stage: &Stage, attempts: &mut Attempts) {
    attempts.open(
        "through one that was there",
        &path(format!("{}/link", stage.read_only)),
        O_RDONLY,
    );
    let secret = path(format!("{}/secret", stage.outside));
    let upwards = path("../outside/secret");
    let ways = [("absolute", &secret), ("relative", &upwards)];
    for (name, target) in ways {
        let link = path(format!("{}/{name}", stage.writable));
        // A link may well be made in a writable mount; what counts is where it leads.
        let _ = call(
            SYS_symlinkat,
            [target.as_ptr().addr(), HERE, link.as_ptr().addr()],
        );
        attempts.open(&format!("through an {name} one"), &link, O_RDONLY);
    }
    let link = path(format!("{}/directory", stage.writable));
    let outside = path(&*stage.outside);
    let _ = call(
        SYS_symlinkat,
        [outside.as_ptr().addr(), HERE, link.as_ptr().addr()],
    );
    attempts.open(
        "below one",
        &path(format!("{}/directory/secret", stage.writable)),
        O_RDONLY,
    );
}

fn hard_link(stage: &Stage, attempts: &mut Attempts) {
    let sources = [
        format!("{}/secret", stage.outside),
        format!("{}/other", stage.code),
        format!("{}/file", stage.read_only),
    ];
    for (number, source) in sources.into_iter().enumerate() {
        let link = path(format!("{}/hard-{number}", stage.writable));
        let (source, link) = (path(source), link.as_ptr().addr());
        let arguments = [HERE, source.as_ptr().addr(), HERE, link, 0];
        attempts.call(
            &format!("linkat {}", source.to_string_lossy()),
            SYS_linkat,
            arguments,
        );
    }
}

fn dot_dot(stage: &Stage, attempts: &mut Attempts) {
    let beside = path(format!("{}/../outside/secret", stage.writable));
    attempts.open("one up", &beside, O_RDONLY);
    let up = "../".repeat(64);
    let far = path(format!("{}/{up}{}/secret", stage.writable, stage.outside));
    attempts.open("all the way up", &far, O_RDONLY);
    attempts.make("openat from a directory", || {
        let directory = path(&*stage.writable);
        let flags = (O_RDONLY | O_DIRECTORY) as usize;
        let directory = call(SYS_openat, [HERE, directory.as_ptr().addr(), flags])?;
        call(
            SYS_openat,
            [directory, c"../outside/secret".as_ptr().addr(), 0],
        )
    });
    attempts.make("openat2 from a directory", || {
        let directory = path(&*stage.read_only);
        let flags = (O_RDONLY | O_DIRECTORY) as usize;
        let directory = call(SYS_openat, [HERE, directory.as_ptr().addr(), flags])?;
        let how = [0_u64; 3];
        let up = c"../outside/secret".as_ptr().addr();
        call(SYS_openat2, [directory, up, at(&how), size_of_val(&how)])
    });
}

fn proc(stage: &Stage, attempts: &mut Attempts) {
    let of = |name: &str| path(format!("/proc/{}/{name}", stage.bystander));
    attempts.open("an environment", &of("environ"), O_RDONLY);
    attempts.open("a memory map", &of("maps"), O_RDONLY);
    attempts.open(
        "a root",
        &of(&format!("root{}/secret", stage.outside)),
        O_RDONLY,
    );
    attempts.open("our own status", c"/proc/self/status", O_RDONLY);
    attempts.open("our own memory", c"/proc/self/mem", O_RDWR);
    attempts.open(
        "our own descriptors",
        c"/proc/self/fd",
        O_RDONLY | O_DIRECTORY,
    );
    attempts.open("a setting", c"/proc/sys/kernel/hostname", O_RDONLY);
    attempts.open("the system's tree", c"/sys/kernel", O_RDONLY | O_DIRECTORY);
    attempts.open("a device", c"/dev/null", O_RDWR);
}

/// What every call does with a directory's descriptor.
fn below(attempts: &mut Attempts, directory: usize) {
    let (secret, up) = (c"secret".as_ptr().addr(), c"..".as_ptr().addr());
    attempts.call("openat", SYS_openat, [directory, secret, 0]);
    attempts.call(
        "openat of ..",
        SYS_openat,
        [directory, up, O_DIRECTORY as usize],
    );
    let how = [0_u64; 3];
    let arguments = [directory, secret, at(&how), size_of_val(&how)];
    attempts.call("openat2", SYS_openat2, arguments);
    attempts.call("fchdir", SYS_fchdir, [directory]);
}

fn kept_directory(stage: &Stage, attempts: &mut Attempts) {
    let directory = stage.kept_directory as usize;
    let room = [0_u64; 64];
    let room = at(&room);
    below(attempts, directory);
    let (secret, link) = (c"secret".as_ptr().addr(), c"link".as_ptr().addr());
    attempts.call("newfstatat", SYS_newfstatat, [directory, secret, room, 0]);
    attempts.call("readlinkat", SYS_readlinkat, [directory, link, room, 64]);
    attempts.call("fstat", libc::SYS_fstat, [directory, room]);
}

/// A directory that the keeper itself would hand over, which it never does: the lock alone stands.
fn handed_directory(_: &Stage, attempts: &mut Attempts) {
    below(attempts, DIRECTORY_FD as usize);
    let arguments = [DIRECTORY_FD as usize, c"new".as_ptr().addr(), 0o700];
    attempts.call("mkdirat", libc::SYS_mkdirat, arguments);
    let arguments = [DIRECTORY_FD as usize, c"new".as_ptr().addr(), 0x200];
    attempts.call("rmdir", libc::SYS_unlinkat, arguments);
}

fn another_root(stage: &Stage, attempts: &mut Attempts) {
    let writable = path(&*stage.writable);
    attempts.call("chroot", SYS_chroot, [writable.as_ptr().addr()]);
    attempts.call("fchdir", SYS_fchdir, [DIRECTORY_FD as usize]);
    attempts.call("chroot upwards", SYS_chroot, [c"..".as_ptr().addr()]);
}

fn setuid_program(stage: &Stage, attempts: &mut Attempts) {
    let program = path(format!("{}/setuid", stage.read_only));
    attempts.make("execve", || {
        let (name, executed) = (c"broken-out".as_ptr().addr(), c"executed".as_ptr().addr());
        let arguments = [name, executed, 0];
        call(
            libc::SYS_execve,
            [program.as_ptr().addr(), at(&arguments), 0],
        )
    });
}

/// A file that runs as whoever owns it needs the bit and content: the kernel takes the bit away
/// from a file that others write to, but not from one that they have mapped.
fn setuid_file(stage: &Stage, attempts: &mut Attempts) {
    let flags = (O_RDWR | O_CREAT | O_TRUNC) as usize;
    let how = [flags as u64, 0o6755, 0];
    let new = |name: &str, maker: &dyn Fn(usize) -> io::Result<usize>| {
        let file = path(format!("{}/{name}", stage.writable));
        maker(file.as_ptr().addr())
    };
    let openat = |file| call(SYS_openat, [HERE, file, flags, 0o6755]);
    let openat2 = |file| call(SYS_openat2, [HERE, file, at(&how), size_of_val(&how)]);
    attempts.make("write after openat", || write(new("write", &openat)?));
    attempts.make("write after openat2", || write(new("write-2", &openat2)?));
    attempts.make("mmap after openat", || map(new("map", &openat)?));
    attempts.make("mmap after openat2", || map(new("map-2", &openat2)?));
    attempts.make("fchmod after write", || {
        let file = new("chmod", &openat)?;
        let _ = write(file);
        call(SYS_fchmod, [file, 0o6755])?;
        check_setuid(file)
    });
}

fn write(file: usize) -> io::Result<usize> {
    call(libc::SYS_write, [file, c"content".as_ptr().addr(), 7])?;
    check_setuid(file)
}

fn map(file: usize) -> io::Result<usize> {
    call(libc::SYS_fallocate, [file, 0, 0, 4096])?;
    let flags = [0, 4096, 3, libc::MAP_SHARED as usize, file, 0];
    let memory = call(libc::SYS_mmap, flags)?;
    // The kernel writes for us: the time, into the mapped page.
    call(libc::SYS_clock_gettime, [0, memory])?;
    check_setuid(file)
}

/// Says whether a file has both the bit and content.
fn check_setuid(file: usize) -> io::Result<usize> {
    let room = std::cell::UnsafeCell::new([0_u8; 256]);
    call(libc::SYS_fstat, [file, room.get().addr()])?;
    let room = room.into_inner();
    let word = |start: usize| u64::from_ne_bytes(std::array::from_fn(|index| room[start + index]));
    // `struct stat` of x86-64: the mode is at 24, the size at 48.
    let (mode, size) = (word(24) as u32, word(48));
    if mode & libc::S_ISUID != 0 && size != 0 {
        Ok(0)
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}
