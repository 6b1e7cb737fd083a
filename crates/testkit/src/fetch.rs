//! Packages by their ordinary clients, each checked against the hash it is known by.

use crate::cache::{Failure, at, digest_of_file};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A package of npm or PyPI.
pub(crate) struct Package {
    /// Its name, with its scope.
    pub(crate) name: &'static str,
    /// Its exact version.
    pub(crate) version: &'static str,
    /// The SHA-256 of its archive.
    pub(crate) sha256: &'static str,
}

/// Fetches a package of npm and unpacks the members named (all of them, if none is) into `directory/package`.
pub(crate) fn unpack_npm(
    package: &Package,
    directory: &Path,
    members: &[&str],
) -> Result<(), Failure> {
    let id = format!("{}@{}", package.name, package.version);
    let mut npm = client("npm", directory);
    run(npm.args(["pack", "--silent", &id]))?;
    let archive = find_archive(directory, ".tgz")?;
    check(&archive, package.sha256)?;
    run(client("tar", directory)
        .arg("-xzf")
        .arg(&archive)
        .args(members))?;
    remove(&archive)
}

/// Fetches a wheel of PyPI and installs it alone into `directory`.
pub(crate) fn unpack_wheel(package: &Package, directory: &Path) -> Result<(), Failure> {
    let id = format!("{}=={}", package.name, package.version);
    let pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"];
    let mut download = client("python3", directory);
    run(download.args(pip).args([
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        ".",
        &id,
    ]))?;
    let archive = find_archive(directory, ".whl")?;
    check(&archive, package.sha256)?;
    let mut install = client("python3", directory);
    let options = [
        "install",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--root-user-action",
        "ignore",
        "--target",
        ".",
    ];
    run(install.args(pip).args(options).arg(&archive))?;
    remove(&archive)
}

/// Fetches the upstream archive of a Debian source package and unpacks it into `directory/source`.
///
/// The machine's own sources are asked, with their own keys, through an index of this function's own:
/// source packages need not be enabled, nor this process be root.
pub(crate) fn unpack_debian_source(
    name: &str,
    archive_end: &str,
    sha256: &str,
    directory: &Path,
) -> Result<(), Failure> {
    let apt = directory.join("apt");
    for part in ["sources", "lists/partial", "cache/archives/partial"] {
        let path = apt.join(part);
        fs::create_dir_all(&path).map_err(|error| at(&path, &error))?;
    }
    let script = "cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null \
        | sed -n 's/^deb /deb-src /p' > apt/sources/source.list; \
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null \
        | sed 's/^Types:.*/Types: deb-src/' > apt/sources/source.sources; true";
    run(client("sh", directory).args(["-c", script]))?;
    let option = |key: &str, value: &Path| format!("{key}={}", value.display());
    let options = [
        option("Dir::Etc::SourceList", Path::new("/dev/null")),
        option("Dir::Etc::SourceParts", &apt.join("sources")),
        option("Dir::State::Lists", &apt.join("lists")),
        option("Dir::Cache", &apt.join("cache")),
        "APT::Sandbox::User=".to_owned(),
    ];
    let apt_get = || {
        let mut command = client("apt-get", directory);
        command
            .arg("-qq")
            .args(options.iter().flat_map(|option| ["-o", option]));
        command
    };
    run(apt_get().arg("update"))?;
    run(apt_get().args(["source", "--download-only", "--tar-only", name]))?;
    let archive = find_archive(directory, archive_end)?;
    check(&archive, sha256)?;
    let source = directory.join("source");
    fs::create_dir(&source).map_err(|error| at(&source, &error))?;
    run(client("tar", &source)
        .args(["--strip-components=1", "-xf"])
        .arg(&archive))?;
    fs::remove_dir_all(&apt).map_err(|error| at(&apt, &error))?;
    remove(&archive)
}

/// A command in `directory`, free of what cargo and this tree set for their own builds.
pub(crate) fn client(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    for name in [
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_MANIFEST_DIR",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end; what it printed is kept for the case that it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, Failure> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .map_err(|error| format!("could not start {shown}: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{shown} ended with {}:\n{stdout}{stderr}",
        output.status
    ))
}

fn find_archive(directory: &Path, end: &str) -> Result<PathBuf, Failure> {
    let entries = fs::read_dir(directory).map_err(|error| at(directory, &error))?;
    let found = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(end));
    found.ok_or_else(|| format!("no file that ends in {end} came"))
}

fn check(archive: &Path, sha256: &str) -> Result<(), Failure> {
    let found = digest_of_file(archive)?;
    if found == sha256 {
        return Ok(());
    }
    Err(format!(
        "{}: its SHA-256 is {found}, not {sha256}",
        archive.display()
    ))
}

fn remove(archive: &Path) -> Result<(), Failure> {
    fs::remove_file(archive).map_err(|error| at(archive, &error))
}
