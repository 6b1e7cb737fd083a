//! What a case is played on: files inside and outside of the grants, a bystander, descriptors.
//!
//! ```text
//!   stage-PID/
//!     outside/     secret, link -> secret, directory/    granted to nobody
//!     code/        artifact (this program), other        read-only; the artifact may be read
//!     read-only/   file, link -> ../outside/secret, setuid
//!     writable/    file
//!     scratch/     where the tree is put together
//! ```

use serde::{Deserialize, Serialize};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, Permissions};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// A terminal's end, which no runner is handed.
pub(crate) const TERMINAL_FD: i32 = 4;
/// The directory outside, which no runner is handed either.
pub(crate) const DIRECTORY_FD: i32 = 5;
/// The keeper's namespace of host names.
pub(crate) const NAMESPACE_FD: i32 = 6;
/// A socket that the keeper holds the other end of, with one byte to read.
pub(crate) const SOCKET_FD: i32 = 7;

/// Where a case is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Without any lock.
    Free,
    /// Locked as a guest with mounts is.
    Tree,
    /// Locked as a role is that parses or compiles.
    Empty,
    /// Locked as a guest with a network is.
    Network,
}

/// Where the locked process finds what it attacks; its order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stage {
    pub(crate) kind: Kind,
    pub(crate) case: String,
    /// The host's path of what is granted to nobody.
    pub(crate) outside: String,
    pub(crate) code: String,
    pub(crate) read_only: String,
    pub(crate) writable: String,
    /// The number of a process that is not ours.
    pub(crate) bystander: i32,
    /// Where in its memory the mark stands.
    pub(crate) mark: usize,
    /// The number of a directory that the keeper left open.
    pub(crate) kept_directory: i32,
    /// A port of the loopback's that may be reached.
    pub(crate) granted: u16,
    /// One that may not.
    pub(crate) other: u16,
    /// One to which datagrams may go and connections may not.
    pub(crate) half: u16,
    /// One that nobody has.
    pub(crate) free: u16,
    /// One that the host shows, by the same number.
    pub(crate) published: u16,
    /// Where to, with what, if that is not for the case to say.
    pub(crate) wish: Option<Wish>,
    /// A handle of `outside/secret`, where the file system makes them.
    pub(crate) handle: Vec<u8>,
}

/// A destination, and grants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) address: SocketAddr,
    pub(crate) grants: Vec<String>,
}

/// A user that is not root, for a file with a setuid bit.
const SETUID_OWNER: u32 = 61_235;

/// Makes the stage's files below the working directory.
pub(crate) fn build() -> PathBuf {
    let here = std::env::current_dir().expect("the working directory is there");
    let root = here.join(format!("stage-{}", std::process::id()));
    fs::create_dir(&root).expect("the working directory can be written");
    for name in ["outside", "code", "read-only", "writable", "scratch"] {
        fs::create_dir(root.join(name)).expect("it was just made");
    }
    let program = std::env::current_exe().expect("/proc is mounted");
    for name in ["code/artifact", "read-only/setuid"] {
        fs::copy(&program, root.join(name)).expect("this program can be read");
    }
    for name in [
        "outside/secret",
        "code/other",
        "read-only/file",
        "writable/file",
    ] {
        fs::write(root.join(name), name).expect("it was just made");
    }
    fs::create_dir(root.join("outside/directory")).expect("it was just made");
    symlink("secret", root.join("outside/link")).expect("it was just made");
    symlink("../outside/secret", root.join("read-only/link")).expect("it was just made");
    let setuid = root.join("read-only/setuid");
    if rustix::process::geteuid().is_root() {
        chown(&setuid, Some(SETUID_OWNER), Some(SETUID_OWNER)).expect("root may give files away");
    }
    fs::set_permissions(&setuid, Permissions::from_mode(0o4755)).expect("it was just made");
    root
}

/// All that can be seen of the files that no case may change.
pub(crate) fn look(root: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    for name in ["outside", "code", "read-only"] {
        look_at(&root.join(name), &mut seen);
    }
    seen
}

fn look_at(path: &Path, seen: &mut Vec<String>) {
    let found = fs::symlink_metadata(path).expect("it can be looked at");
    let content = if found.is_file() {
        let mut hasher = DefaultHasher::new();
        fs::read(path).expect("it can be read").hash(&mut hasher);
        Some(hasher.finish())
    } else {
        None
    };
    seen.push(format!(
        "{} {:o} {}:{} {} links, content {content:?}, {}.{}",
        path.display(),
        found.mode(),
        found.uid(),
        found.gid(),
        found.nlink(),
        found.mtime(),
        found.mtime_nsec(),
    ));
    if found.is_dir() {
        let entries = fs::read_dir(path).expect("it can be listed");
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("it can be listed").path())
            .collect();
        paths.sort();
        for path in paths {
            look_at(&path, seen);
        }
    }
}
