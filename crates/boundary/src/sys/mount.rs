//! Mounts, made by the child of [`super::clone`] before it becomes the program: raw system calls
//! on data that was laid out before.
//!
//! What a guest wrote into a mount on an earlier run may lie in the way of the next mount. So a
//! target is never given to the kernel as a path: it is walked to from the directory `guest`, one
//! name at a time, and no link is followed.

use super::clone::{call, errno_of};
use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::ptr;

/// Something to mount, and where below the directory `guest`.
#[derive(Debug)]
pub struct Mounting {
    /// The names on the way, without `.` and `..`; none for `guest` itself.
    pub names: Vec<CString>,
    /// Whether the last name is a file's.
    pub is_file: bool,
    /// The user and group that make a missing point where the caller's own id is nobody: in a
    /// mount that shows its files as theirs.
    pub maker: Option<(u32, u32)>,
    /// What is mounted.
    pub what: Source,
}

/// What is mounted.
#[derive(Debug)]
pub enum Source {
    /// A tree of the host.
    Tree(Tree),
    /// A new file system in memory with these options, and files in it.
    Memory {
        /// Options of tmpfs(5), as `size`, `mode`, `uid`.
        options: Vec<(&'static CStr, CString)>,
        /// Names and contents.
        files: Vec<(CString, Vec<u8>)>,
        /// Whether nothing in it can be changed.
        is_read_only: bool,
    },
}

/// A tree of the host.
#[derive(Debug)]
pub struct Tree {
    /// The host's path.
    pub source: CString,
    /// Device and inode that the source must have.
    pub identity: Option<(u64, u64)>,
    /// Whether it is mounted read-only.
    pub is_read_only: bool,
    /// Whether code in it may be mapped executable.
    pub is_executable: bool,
    /// A user namespace whose map translates the owners of files; where the file system has no
    /// such mounts, a read-only tree is mounted without it.
    pub owner_map: Option<RawFd>,
}

/// A descriptor of the child's, closed when it goes out of use.
struct Held(RawFd);

impl Drop for Held {
    fn drop(&mut self) {
        // Nothing is written through it.
        let _ = call!(SYS_close, self.0);
    }
}

/// Mounts below the directory `guest` of the working directory.
pub(super) fn mount(mounting: &Mounting) -> Result<(), i32> {
    let point = walk(mounting)?;
    let tree = match &mounting.what {
        Source::Tree(tree) => open_tree(tree)?,
        Source::Memory {
            options,
            files,
            is_read_only,
        } => memory(options, files, *is_read_only)?,
    };
    call!(
        SYS_move_mount,
        tree.0,
        c"".as_ptr(),
        point.0,
        c"".as_ptr(),
        libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH
    )
    .map(drop)
}

/// Mounts a tree on a path that nobody but the caller has a hand in.
pub(super) fn mount_at(tree: &Tree, target: &CStr) -> Result<(), i32> {
    let tree = open_tree(tree)?;
    call!(
        SYS_move_mount,
        tree.0,
        c"".as_ptr(),
        libc::AT_FDCWD,
        target.as_ptr(),
        libc::MOVE_MOUNT_F_EMPTY_PATH
    )
    .map(drop)
}

/// Walks to a mount point, making what is missing.
fn walk(mounting: &Mounting) -> Result<Held, i32> {
    let mut place = open_beneath(libc::AT_FDCWD, c"guest", true)?;
    for (index, name) in mounting.names.iter().enumerate() {
        let is_directory = !mounting.is_file || index + 1 < mounting.names.len();
        place = match open_beneath(place.0, name, is_directory) {
            Err(libc::ENOENT) => {
                make(place.0, name, is_directory, mounting.maker)?;
                open_beneath(place.0, name, is_directory)?
            }
            opened => opened?,
        };
    }
    Ok(place)
}

fn open_beneath(directory: RawFd, name: &CStr, is_directory: bool) -> Result<Held, i32> {
    let kind = if is_directory { libc::O_DIRECTORY } else { 0 };
    let flags = libc::O_PATH | libc::O_CLOEXEC | kind;
    let how = [
        u64::from(flags.unsigned_abs()),
        0,
        libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS,
    ];
    call!(
        SYS_openat2,
        directory,
        name.as_ptr(),
        how.as_ptr(),
        size_of_val(&how)
    )
    .map(Held)
}

/// Makes a mount point: as the caller, or as the one whose directory it is.
fn make(
    directory: RawFd,
    name: &CStr,
    is_directory: bool,
    maker: Option<(u32, u32)>,
) -> Result<(), i32> {
    match (make_as_caller(directory, name, is_directory), maker) {
        (Err(libc::EOVERFLOW), Some((user, group))) => {
            // These two calls give the old id and never fail.
            call!(SYS_setfsgid, group)?;
            call!(SYS_setfsuid, user)?;
            let made = make_as_caller(directory, name, is_directory);
            call!(SYS_setfsuid, 0)?;
            call!(SYS_setfsgid, 0)?;
            made
        }
        (Err(libc::EEXIST), _) => Ok(()),
        (made, _) => made,
    }
}

fn make_as_caller(directory: RawFd, name: &CStr, is_directory: bool) -> Result<(), i32> {
    if is_directory {
        return call!(SYS_mkdirat, directory, name.as_ptr(), 0o755).map(drop);
    }
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    call!(SYS_openat, directory, name.as_ptr(), flags, 0o644)
        .map(Held)
        .map(drop)
}

fn open_tree(tree: &Tree) -> Result<Held, i32> {
    let opened = call!(
        SYS_open_tree,
        libc::AT_FDCWD,
        tree.source.as_ptr(),
        libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as libc::c_uint
    )
    .map(Held)?;
    if let Some(identity) = tree.identity {
        check_identity(opened.0, identity)?;
    }
    let mut attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    if tree.is_read_only {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    if !tree.is_executable {
        attributes |= libc::MOUNT_ATTR_NOEXEC;
    }
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    match set_attributes(opened.0, c"", flags, attributes, tree.owner_map) {
        // A file system without idmapped mounts. What is only read belongs to whom it belongs.
        Err(libc::EINVAL) if tree.is_read_only && tree.owner_map.is_some() => {
            set_attributes(opened.0, c"", flags, attributes, None)?;
        }
        set => set?,
    }
    Ok(opened)
}

/// The source must still be what the caller looked at.
fn check_identity(tree: libc::c_int, (device, inode): (u64, u64)) -> Result<(), i32> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
    call!(
        SYS_newfstatat,
        tree,
        c"".as_ptr(),
        found.as_mut_ptr(),
        libc::AT_EMPTY_PATH
    )?;
    // SAFETY: the call succeeded, so the kernel has filled the structure.
    #[expect(unsafe_code, reason = "the kernel fills it")]
    let found = unsafe { found.assume_init() };
    if (found.st_dev, found.st_ino) == (device, inode) {
        Ok(())
    } else {
        Err(libc::ESTALE)
    }
}

/// `mount_setattr(2)`; nothing spreads to or from other mounts.
pub(super) fn set_attributes(
    directory: RawFd,
    path: &CStr,
    flags: libc::c_int,
    attributes: u64,
    owner_map: Option<RawFd>,
) -> Result<(), i32> {
    let attributes = libc::mount_attr {
        attr_set: attributes
            | if owner_map.is_some() {
                libc::MOUNT_ATTR_IDMAP
            } else {
                0
            },
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: owner_map.map_or(0, |fd| u64::try_from(fd).unwrap_or(u64::MAX)),
    };
    call!(
        SYS_mount_setattr,
        directory,
        path.as_ptr(),
        flags,
        &raw const attributes,
        size_of::<libc::mount_attr>()
    )
    .map(drop)
}

/// `FSCONFIG_SET_STRING` and `FSCONFIG_CMD_CREATE` (Linux 5.2, `include/uapi/linux/mount.h`).
const SET_STRING: libc::c_uint = 1;
const CREATE: libc::c_uint = 6;

/// A new tmpfs, mounted nowhere yet.
fn memory(
    options: &[(&CStr, CString)],
    files: &[(CString, Vec<u8>)],
    is_read_only: bool,
) -> Result<Held, i32> {
    let system = call!(SYS_fsopen, c"tmpfs".as_ptr(), 1).map(Held)?;
    for (key, value) in options {
        call!(
            SYS_fsconfig,
            system.0,
            SET_STRING,
            key.as_ptr(),
            value.as_ptr(),
            0
        )?;
    }
    call!(
        SYS_fsconfig,
        system.0,
        CREATE,
        ptr::null::<u8>(),
        ptr::null::<u8>(),
        0
    )?;
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    let tree = call!(SYS_fsmount, system.0, 1, attributes).map(Held)?;
    for (name, content) in files {
        write_file(tree.0, name, content)?;
    }
    if is_read_only {
        let attributes = attributes | libc::MOUNT_ATTR_RDONLY;
        set_attributes(tree.0, c"", libc::AT_EMPTY_PATH, attributes, None)?;
    }
    Ok(tree)
}

fn write_file(directory: RawFd, name: &CStr, content: &[u8]) -> Result<(), i32> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    let file = call!(SYS_openat, directory, name.as_ptr(), flags, 0o444).map(Held)?;
    write_all(file.0, content)
}

/// Writes all of it.
pub(super) fn write_all(file: RawFd, content: &[u8]) -> Result<(), i32> {
    let mut rest = content;
    while !rest.is_empty() {
        let written = call!(SYS_write, file, rest.as_ptr(), rest.len())?;
        rest = rest
            .get(usize::try_from(written).unwrap_or(0)..)
            .unwrap_or_default();
    }
    Ok(())
}
