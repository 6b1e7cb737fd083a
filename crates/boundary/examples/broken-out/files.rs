//! Files that were not granted, and changes that were not.

use crate::Case;
use crate::attempts::Attempts;
use crate::raw::{HERE, at, call, path};
use crate::stage::Stage;
use libc::{
    O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR, O_WRONLY, SYS_access, SYS_chmod, SYS_chown,
    SYS_creat, SYS_faccessat, SYS_faccessat2, SYS_fanotify_init, SYS_fchmodat, SYS_fchmodat2,
    SYS_fchownat, SYS_futimesat, SYS_getxattr, SYS_inotify_add_watch, SYS_inotify_init1,
    SYS_lchown, SYS_linkat, SYS_listxattr, SYS_lsetxattr, SYS_lstat, SYS_mkdirat, SYS_mknod,
    SYS_mknodat, SYS_newfstatat, SYS_open_by_handle_at, SYS_openat, SYS_readlink, SYS_readlinkat,
    SYS_removexattr, SYS_renameat, SYS_setxattr, SYS_stat, SYS_statfs, SYS_statx, SYS_symlinkat,
    SYS_truncate, SYS_unlinkat, SYS_utime, SYS_utimensat, SYS_utimes,
};

pub(crate) const CASES: &[Case] = &[
    ("open_outside_the_mounts_is_refused", open_outside),
    ("open_of_other_code_is_refused", open_other_code),
    ("open_by_handle_is_refused", open_by_handle),
    (
        "path_descriptor_outside_the_mounts_is_refused",
        open_path_only,
    ),
    ("stat_outside_the_mounts_is_refused", stat),
    ("readlink_outside_the_mounts_is_refused", readlink),
    ("chdir_outside_the_mounts_is_refused", chdir),
    ("chmod_outside_the_mounts_is_refused", chmod_outside),
    ("chown_outside_the_mounts_is_refused", chown_outside),
    ("utime_outside_the_mounts_is_refused", utime_outside),
    ("setxattr_outside_the_mounts_is_refused", setxattr_outside),
    ("change_outside_the_mounts_is_refused", change_outside),
    ("change_of_other_code_is_refused", change_other_code),
    ("change_of_a_read_only_mount_is_refused", change_read_only),
    ("mode_and_owner_in_a_mount_are_refused", mode_in_a_mount),
    ("device_in_a_mount_is_refused", device),
    ("watch_of_files_is_refused", watch),
];

fn open_outside(stage: &Stage, attempts: &mut Attempts) {
    let secret = path(format!("{}/secret", stage.outside));
    attempts.open("to read", &secret, O_RDONLY);
    attempts.open("to write", &secret, O_WRONLY);
    attempts.open("to list", &path(&*stage.outside), O_RDONLY | O_DIRECTORY);
    attempts.open("the root", c"/", O_RDONLY | O_DIRECTORY);
    let new = path(format!("{}/new", stage.outside));
    attempts.open("to make", &new, O_WRONLY | O_CREAT);
    attempts.call("creat", SYS_creat, [new.as_ptr().addr(), 0o600]);
}

fn open_other_code(stage: &Stage, attempts: &mut Attempts) {
    let other = path(format!("{}/other", stage.code));
    attempts.open("to read", &other, O_RDONLY);
    attempts.open("to write", &other, O_RDWR);
    attempts.open("to list", &path(&*stage.code), O_RDONLY | O_DIRECTORY);
    let artifact = path(format!("{}/artifact", stage.code));
    attempts.call("truncate", SYS_truncate, [artifact.as_ptr().addr(), 0]);
}

fn open_by_handle(stage: &Stage, attempts: &mut Attempts) {
    // Any directory on the same file system will do, as will the working directory.
    attempts.make("open_by_handle_at", || {
        let directory = path(&*stage.writable);
        let flags = (O_RDONLY | O_DIRECTORY) as usize;
        let directory = call(SYS_openat, [HERE, directory.as_ptr().addr(), flags])?;
        let handle = stage.handle.as_ptr().addr();
        call(
            SYS_open_by_handle_at,
            [directory, handle, O_RDONLY as usize],
        )
    });
}

fn open_path_only(stage: &Stage, attempts: &mut Attempts) {
    attempts.open("file", &path(format!("{}/secret", stage.outside)), O_PATH);
    attempts.open("directory", &path(&*stage.outside), O_PATH | O_DIRECTORY);
}

fn stat(stage: &Stage, attempts: &mut Attempts) {
    let secret = path(format!("{}/secret", stage.outside));
    let file = secret.as_ptr().addr();
    let room = [0_u64; 64];
    let room = at(&room);
    attempts.call("stat", SYS_stat, [file, room]);
    attempts.call("lstat", SYS_lstat, [file, room]);
    attempts.call("newfstatat", SYS_newfstatat, [HERE, file, room, 0]);
    let basic = libc::STATX_BASIC_STATS as usize;
    attempts.call("statx", SYS_statx, [HERE, file, 0, basic, room]);
    attempts.call("statfs", SYS_statfs, [file, room]);
    attempts.call("access", SYS_access, [file, 0]);
    attempts.call("faccessat", SYS_faccessat, [HERE, file, 0]);
    attempts.call("faccessat2", SYS_faccessat2, [HERE, file, 0, 0]);
}

fn readlink(stage: &Stage, attempts: &mut Attempts) {
    let link = path(format!("{}/link", stage.outside));
    let room = [0_u8; 64];
    let (link, room) = (link.as_ptr().addr(), at(&room));
    attempts.call("readlink", SYS_readlink, [link, room, 64]);
    attempts.call("readlinkat", SYS_readlinkat, [HERE, link, room, 64]);
}

fn chdir(stage: &Stage, attempts: &mut Attempts) {
    let outside = path(&*stage.outside);
    attempts.call("chdir", libc::SYS_chdir, [outside.as_ptr().addr()]);
    let directory = path(format!("{}/directory", stage.outside));
    attempts.call("chdir below", libc::SYS_chdir, [directory.as_ptr().addr()]);
}

fn chmod(attempts: &mut Attempts, file: &str) {
    let file = path(file);
    let file = file.as_ptr().addr();
    attempts.call("chmod", SYS_chmod, [file, 0o666]);
    attempts.call("fchmodat", SYS_fchmodat, [HERE, file, 0o666]);
    attempts.call("fchmodat2", SYS_fchmodat2, [HERE, file, 0o666, 0]);
}

fn chown(attempts: &mut Attempts, file: &str) {
    let file = path(file);
    let file = file.as_ptr().addr();
    attempts.call("chown", SYS_chown, [file, 1, 1]);
    attempts.call("lchown", SYS_lchown, [file, 1, 1]);
    attempts.call("fchownat", SYS_fchownat, [HERE, file, 1, 1, 0]);
}

fn utime(attempts: &mut Attempts, file: &str) {
    let file = path(file);
    let file = file.as_ptr().addr();
    let times = [1_u64; 4];
    let times = at(&times);
    attempts.call("utime", SYS_utime, [file, times]);
    attempts.call("utimes", SYS_utimes, [file, times]);
    attempts.call("futimesat", SYS_futimesat, [HERE, file, times]);
    attempts.call("utimensat", SYS_utimensat, [HERE, file, times, 0]);
}

fn setxattr(attempts: &mut Attempts, file: &str) {
    let file = path(file);
    let (file, name, room) = (file.as_ptr().addr(), c"user.x", [0_u8; 64]);
    let (name, room) = (name.as_ptr().addr(), at(&room));
    attempts.call("setxattr", SYS_setxattr, [file, name, room, 1, 0]);
    attempts.call("lsetxattr", SYS_lsetxattr, [file, name, room, 1, 0]);
    attempts.call("getxattr", SYS_getxattr, [file, name, room, 64]);
    attempts.call("listxattr", SYS_listxattr, [file, room, 64]);
    attempts.call("removexattr", SYS_removexattr, [file, name]);
}

fn chmod_outside(stage: &Stage, attempts: &mut Attempts) {
    chmod(attempts, &format!("{}/secret", stage.outside));
}

fn chown_outside(stage: &Stage, attempts: &mut Attempts) {
    chown(attempts, &format!("{}/secret", stage.outside));
}

fn utime_outside(stage: &Stage, attempts: &mut Attempts) {
    utime(attempts, &format!("{}/secret", stage.outside));
}

fn setxattr_outside(stage: &Stage, attempts: &mut Attempts) {
    setxattr(attempts, &format!("{}/secret", stage.outside));
}

/// All that changes a directory or what it holds; the last attempt takes the file away.
fn change(attempts: &mut Attempts, directory: &str, name: &str) {
    let in_it = |name: &str| path(format!("{directory}/{name}"));
    let (file, new, renamed) = (in_it(name), in_it("new"), in_it("renamed"));
    let (file, new) = (file.as_ptr().addr(), new.as_ptr().addr());
    let renamed = renamed.as_ptr().addr();
    attempts.call("truncate", SYS_truncate, [file, 1]);
    attempts.call("mkdirat", SYS_mkdirat, [HERE, new, 0o700]);
    let directory_flag = libc::AT_REMOVEDIR as usize;
    attempts.call("rmdir", SYS_unlinkat, [HERE, new, directory_flag]);
    attempts.call(
        "symlinkat",
        SYS_symlinkat,
        [c"x".as_ptr().addr(), HERE, new],
    );
    attempts.call("unlinkat", SYS_unlinkat, [HERE, new, 0]);
    attempts.call("linkat", SYS_linkat, [HERE, file, HERE, new, 0]);
    attempts.call("renameat", SYS_renameat, [HERE, new, HERE, renamed]);
    attempts.call("unlinkat file", SYS_unlinkat, [HERE, file, 0]);
}

fn change_outside(stage: &Stage, attempts: &mut Attempts) {
    change(attempts, &stage.outside, "secret");
}

fn change_other_code(stage: &Stage, attempts: &mut Attempts) {
    let other = format!("{}/other", stage.code);
    chmod(attempts, &other);
    chown(attempts, &other);
    utime(attempts, &other);
    setxattr(attempts, &other);
    change(attempts, &stage.code, "other");
}

fn change_read_only(stage: &Stage, attempts: &mut Attempts) {
    let file = format!("{}/file", stage.read_only);
    attempts.open("to write", &path(&*file), O_RDWR);
    attempts.open("to make", &path(format!("{file}-new")), O_RDWR | O_CREAT);
    chmod(attempts, &file);
    chown(attempts, &file);
    utime(attempts, &file);
    setxattr(attempts, &file);
    change(attempts, &stage.read_only, "file");
}

/// What not even a writable mount allows.
fn mode_in_a_mount(stage: &Stage, attempts: &mut Attempts) {
    let file = format!("{}/file", stage.writable);
    chmod(attempts, &file);
    setxattr(attempts, &file);
    chown(attempts, &file);
}

fn device(stage: &Stage, attempts: &mut Attempts) {
    let node = |name: &str| path(format!("{}/{name}", stage.writable));
    let (null, block, pipe) = (node("null"), node("block"), node("pipe"));
    // /dev/null and the first disk of old.
    let (null_device, disk) = (0x103, 0x300);
    let character = (libc::S_IFCHR | 0o666) as usize;
    let (null, block, pipe) = (
        null.as_ptr().addr(),
        block.as_ptr().addr(),
        pipe.as_ptr().addr(),
    );
    let arguments = [HERE, null, character, null_device];
    attempts.call("mknodat character", SYS_mknodat, arguments);
    let arguments = [HERE, block, (libc::S_IFBLK | 0o600) as usize, disk];
    attempts.call("mknodat block", SYS_mknodat, arguments);
    attempts.call(
        "mknod pipe",
        SYS_mknod,
        [pipe, (libc::S_IFIFO | 0o600) as usize, 0],
    );
}

fn watch(stage: &Stage, attempts: &mut Attempts) {
    attempts.make("inotify", || {
        let outside = path(&*stage.outside);
        let watcher = call(SYS_inotify_init1, [0])?;
        let all = libc::IN_ALL_EVENTS as usize;
        call(
            SYS_inotify_add_watch,
            [watcher, outside.as_ptr().addr(), all],
        )
    });
    attempts.call("fanotify_init", SYS_fanotify_init, [0, 0]);
}
