//! A directory per test, with a data and a run directory of Lighter's own in it.

use crate::cache;
use crate::execution::Execution;
use crate::user::{ORDINARY_ID, is_root};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A place to run `lighter` in, which goes when it is dropped.
///
/// ```text
/// <temporary>/lighter-test-PID-N/
///   data/  LIGHTER_DATA_ROOT        files/  the test's own files
///   run/   LIGHTER_RUN_ROOT         home/   HOME
/// ```
pub struct Workspace {
    lighter: PathBuf,
    root: PathBuf,
    data: PathBuf,
    owner: Option<u32>,
}

impl Workspace {
    /// Makes an empty workspace for the `lighter` given: `env!("CARGO_BIN_EXE_lighter")`.
    pub fn new(lighter: impl Into<PathBuf>) -> Self {
        Self::make(lighter.into(), None)
    }

    /// Makes a workspace whose `lighter` keeps its compiled code for all tests that come after.
    ///
    /// For programs that take long to compile. Lighter itself keys what it compiled by its own build.
    pub fn with_shared_data(lighter: impl Into<PathBuf>) -> Self {
        let mut workspace = Self::make(lighter.into(), None);
        workspace.data = cache::root().join("data");
        workspace
    }

    /// Makes a workspace that belongs to an ordinary user, and runs `lighter` as that user.
    ///
    /// To root that is [`ORDINARY_ID`]; anyone else is an ordinary user already. `lighter` is copied into
    /// the workspace, since the build directory may be closed to others.
    pub fn of_ordinary_user(lighter: impl AsRef<Path>) -> Self {
        let mut workspace = Self::make(PathBuf::new(), is_root().then_some(ORDINARY_ID));
        workspace.lighter = workspace.root.join("lighter");
        fs::copy(lighter, &workspace.lighter).expect("lighter can be copied into the workspace");
        workspace
    }

    fn make(lighter: PathBuf, owner: Option<u32>) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("lighter-test-{}-{number}", process::id()));
        // What a killed process with the same id left.
        drop(fs::remove_dir_all(&root));
        let data = root.join("data");
        let workspace = Self {
            lighter,
            root,
            data,
            owner,
        };
        for (name, mode) in [
            ("", 0o755),
            ("data", 0o700),
            ("run", 0o700),
            ("home", 0o700),
            ("files", 0o755),
        ] {
            let path = workspace.root.join(name);
            fs::create_dir(&path).expect("the temporary directory is writable");
            workspace.give(&path, mode);
        }
        workspace
    }

    /// The path of one of the test's own files, whether it exists or not.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join("files").join(name)
    }

    /// Lighter's data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Lighter's run directory.
    pub fn run_root(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Writes a file, and the directories above it.
    pub fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            self.directory(parent);
        }
        fs::write(&path, contents).expect("the workspace is writable");
        self.give(&path, 0o644);
        path
    }

    /// Makes a directory, and those above it.
    pub fn directory(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            self.directory(parent);
        }
        fs::create_dir_all(&path).expect("the workspace is writable");
        self.give(&path, 0o755);
        path
    }

    /// Copies a file into the workspace: an ordinary user can't read the cache of root's programs.
    pub fn copy(&self, from: impl AsRef<Path>, name: impl AsRef<Path>) -> PathBuf {
        let from = from.as_ref();
        let contents = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self.write(name, contents)
    }

    /// What a file holds, as text.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// `lighter` with arguments, in the directory of the test's own files.
    pub fn lighter<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Execution {
        self.command(&self.lighter).args(arguments)
    }

    /// Any command, in the environment that `lighter` is given.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Execution {
        let mut execution = Execution::new(program.as_ref());
        if let Some(id) = self.owner {
            execution = execution.as_user(id);
        }
        execution
            .directory(self.path(""))
            .env("HOME", self.root.join("home"))
            .env("LIGHTER_DATA_ROOT", &self.data)
            .env("LIGHTER_RUN_ROOT", self.run_root())
    }

    /// Gives a path to the workspace's user.
    fn give(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .expect("it was made by this process");
        if let Some(id) = self.owner {
            chown(path, Some(id), Some(id)).expect("root may give files away");
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // A test that failed on the way has said so already.
        drop(fs::remove_dir_all(&self.root));
    }
}
