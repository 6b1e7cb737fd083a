//! Directories that are made once, kept between runs and shared by all test processes.
//!
//! ```text
//! <cache>/programs/<name>/<key>/       what was made; it appears whole, by a rename
//! <cache>/programs/<name>/lock         held by whoever makes it; others wait
//! <cache>/programs/<name>/partial/     being made, or left by someone who was killed
//! <cache>/data/                        Lighter's data directory for large programs
//! ```

use sha2::{Digest, Sha256};
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be had: a whole sentence for whoever reads the failed test.
pub(crate) type Failure = String;

/// Where everything is kept that tests fetch and build.
pub(crate) fn root() -> PathBuf {
    if let Some(path) = env::var_os("LIGHTER_TEST_CACHE") {
        return PathBuf::from(path);
    }
    let home = env::var_os("HOME").expect("HOME is set, or LIGHTER_TEST_CACHE");
    Path::new(&home).join(".cache/lighter-tests")
}

/// Returns the directory `name/key`, made by `make` in a directory of its own if it is not there.
///
/// Another key of the same name is what an older version of the tests used, and goes.
///
/// # Panics
/// If it can't be made.
pub(crate) fn ensure(
    name: &str,
    key: &str,
    make: impl FnOnce(&Path) -> Result<(), Failure>,
) -> PathBuf {
    let home = root().join("programs").join(name);
    let done = home.join(key);
    if done.is_dir() {
        return done;
    }
    let made = make_locked(&home, &done, make);
    made.unwrap_or_else(|why| panic!("could not get the program {name}: {why}"));
    done
}

fn make_locked(
    home: &Path,
    done: &Path,
    make: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    fs::create_dir_all(home).map_err(|error| at(home, &error))?;
    let path = home.join("lock");
    let lock = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| at(&path, &error))?;
    lock.lock().map_err(|error| at(&path, &error))?;
    if done.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(home)
        .map_err(|error| at(home, &error))?
        .flatten()
    {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).map_err(|error| at(&entry.path(), &error))?;
        }
    }
    let partial = home.join("partial");
    fs::create_dir(&partial).map_err(|error| at(&partial, &error))?;
    make(&partial)?;
    fs::rename(&partial, done).map_err(|error| at(done, &error))
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn digest_of_file(path: &Path) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|error| at(path, &error))?;
    Ok(hexadecimal(&Sha256::digest(bytes)))
}

/// A key that changes with any file below `directory`, and with `recipe`.
pub(crate) fn key_of_tree(directory: &Path, recipe: &str) -> Result<String, Failure> {
    let mut hasher = Sha256::new();
    hasher.update(recipe.as_bytes());
    for file in list_files(directory)? {
        hasher.update([0]);
        hasher.update(
            file.strip_prefix(directory)
                .unwrap_or(&file)
                .as_os_str()
                .as_encoded_bytes(),
        );
        hasher.update([0]);
        hasher.update(digest_of_file(&file)?.as_bytes());
    }
    Ok(hexadecimal(&hasher.finalize()[..8]))
}

/// Copies the files below `from` into `to`, which need not exist.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), Failure> {
    for file in list_files(from)? {
        let target = to.join(file.strip_prefix(from).unwrap_or(&file));
        let parent = target.parent().unwrap_or(to);
        fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
        fs::copy(&file, &target).map_err(|error| at(&target, &error))?;
    }
    Ok(())
}

/// The sentence for an error of the operating system on `path`.
pub(crate) fn at(path: &Path, error: &io::Error) -> Failure {
    format!("{}: {error}", path.display())
}

/// All files below a directory, sorted, what a build left there excepted.
fn list_files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current).map_err(|error| at(&current, &error))? {
            let path = entry.map_err(|error| at(&current, &error))?.path();
            let is_output = path.ends_with("target") || path.ends_with("node_modules");
            match (path.is_dir(), is_output) {
                (true, true) => {}
                (true, false) => open.push(path),
                (false, _) => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
