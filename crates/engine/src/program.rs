//! Finds the program that a user names and reads its first eight bytes.

use crate::Error;
use lighter_boundary::sys::memory_file;
use lighter_types::escape::escape;
use lighter_types::program::{FileKind, HEAD_LENGTH, detect};
use lighter_types::runner_protocol::PROGRAM_BYTES;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use sha2::{Digest as _, Sha256};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// What a user names to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramSource {
    /// A file, or a directory that holds one program.
    Path(PathBuf),
    /// The bytes on standard input.
    Stdin,
}

/// A program that was found.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its name, as it is shown.
    pub(crate) name: String,
    /// The name of its file without directories, the default of the guest's first argument.
    pub(crate) file_name: String,
    pub(crate) file: File,
    /// The file's state when it was opened, if it is a file that stays.
    pub(crate) stat: Option<Stat>,
    pub(crate) kind: FileKind,
}

/// Its bytes, which nobody can change any more, and their digest.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) file: File,
    pub(crate) digest: lighter_types::digest::Digest,
    pub(crate) length: u64,
}

/// What the copies of programs in memory are called.
const MEMORY_FILE: &CStr = c"lighter-program";

/// Where the common toolchains leave what they build, below a project's directory.
const BUILD_DIRECTORIES: &[&str] = &[
    ".",
    "target/wasm32-wasip2/release",
    "target/wasm32-wasip1/release",
    "target/wasm32-wasip1-threads/release",
    "build",
    "dist",
    "out",
    "bin",
    "zig-out/bin",
];

/// Opens the program.
pub(crate) fn open(source: &ProgramSource) -> Result<Program, Error> {
    let program = match source {
        ProgramSource::Stdin => read_stdin()?,
        ProgramSource::Path(path) => open_path(path)?,
    };
    match refusal(program.kind) {
        None => Ok(program),
        Some((reason, hint)) => Err(Error::not_runnable(
            &program.name,
            reason,
            hint.map(str::to_owned),
        )),
    }
}

/// Why a file of this kind is not run, and what to do instead.
fn refusal(kind: FileKind) -> Option<(String, Option<&'static str>)> {
    let (reason, hint) = match kind {
        FileKind::Wasm(_) | FileKind::Text => return None,
        FileKind::Empty => ("is empty", Some("build it again")),
        FileKind::Precompiled => (
            "is native code that was compiled ahead of time, which is never taken from outside",
            Some("give the .wasm file that it was made from"),
        ),
        FileKind::Elf => (
            "is an ELF program, not WebAssembly",
            Some("build it for wasm32-wasip1 or wasm32-wasip2, or run it as it is"),
        ),
        FileKind::Script => (
            "is a script, not WebAssembly",
            Some(
                "run its interpreter as a .wasm program and give it the script in a mounted directory",
            ),
        ),
        FileKind::Unknown => (
            "is not WebAssembly",
            Some("a program starts with the bytes 00 61 73 6d"),
        ),
        FileKind::UnknownWasm { version, layer } => {
            return Some((
                format!("is WebAssembly of an unknown kind (version {version}, layer {layer})"),
                Some("core modules have version 1 and layer 0, components version 13 and layer 1"),
            ));
        }
    };
    Some((reason.to_owned(), hint))
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

fn open_path(path: &Path) -> Result<Program, Error> {
    let name = shown(path);
    // Not blocking: a FIFO without a writer would hold us.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let unreadable = |error: rustix::io::Errno| match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => Error::ProgramNotFound {
            program: name.clone(),
            hint: Some(
                "give the path of a .wasm or .wat file, or of a directory that holds one"
                    .to_owned(),
            ),
        },
        error => Error::not_runnable(
            &name,
            format!("cannot be opened: {}", io::Error::from(error)),
            (error == rustix::io::Errno::ACCESS)
                .then(|| format!("you may not read it: chmod +r {name}, or ask its owner")),
        ),
    };
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NXIO) => return Err(not_a_file(&name, "a socket or a device")),
        opened => File::from(opened.map_err(unreadable)?),
    };
    let stat = rustix::fs::fstat(&file).map_err(unreadable)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return open_path(&find_in_directory(path)?),
        FileType::Fifo => return Err(not_a_file(&name, "a named pipe")),
        _ => return Err(not_a_file(&name, "a device")),
    }
    let kind = head(&file)
        .map(|head| detect(&head))
        .map_err(|error| Error::not_runnable(&name, format!("cannot be read: {error}"), None))?;
    let file_name = path
        .file_name()
        .map_or_else(|| name.clone(), |base| base.to_string_lossy().into_owned());
    Ok(Program {
        name,
        file_name,
        file,
        stat: Some(stat),
        kind,
    })
}

fn not_a_file(name: &str, what: &str) -> Error {
    Error::not_runnable(
        name,
        format!("is {what}, not a file"),
        Some("give the program on standard input: lighter run - < FILE".to_owned()),
    )
}

/// Looks for the one program that a directory holds: beside other things in it, or where
/// toolchains leave what they build.
fn find_in_directory(directory: &Path) -> Result<PathBuf, Error> {
    for place in BUILD_DIRECTORIES {
        let place = if *place == "." {
            directory.to_owned()
        } else {
            directory.join(place)
        };
        let mut found = programs_in(&place);
        found.sort();
        match found.as_slice() {
            [] => {}
            [one] => return Ok(one.clone()),
            [first, ..] => {
                let names: Vec<String> = found.iter().map(|path| shown(path)).collect();
                return Err(Error::not_runnable(
                    &shown(directory),
                    format!("holds {} programs: {}", names.len(), names.join(", ")),
                    Some(format!("name one of them, as lighter run {}", shown(first))),
                ));
            }
        }
    }
    Err(Error::not_runnable(
        &shown(directory),
        "is a directory that holds no built program (.wasm or .wat)",
        Some("build the project first, or name the program's file".to_owned()),
    ))
}

fn programs_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm" || extension == "wat")
        })
        .filter(|path| path.is_file())
        .collect()
}

fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_LENGTH];
    let mut length = 0;
    while let Some(rest) = head.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    head.truncate(length);
    Ok(head)
}

fn read_stdin() -> Result<Program, Error> {
    let name = "standard input".to_owned();
    let failed = |error| not_copied("standard input", &error);
    let mut file = memory_file::create(MEMORY_FILE).map_err(failed)?;
    let mut stdin = io::stdin().lock().take(PROGRAM_BYTES + 1);
    let length = io::copy(&mut stdin, &mut file).map_err(failed)?;
    check_length(&name, length)?;
    let kind = detect(&head(&file).map_err(failed)?);
    Ok(Program {
        name,
        file_name: "-".to_owned(),
        file,
        stat: None,
        kind,
    })
}

/// That a program could not be copied to memory.
fn not_copied(name: &str, error: &io::Error) -> Error {
    let (what, hint) = match error.kind() {
        io::ErrorKind::FileTooLarge => (
            "cannot be copied to memory",
            Some("the limit on the size of files holds there too: raise it (ulimit -f)"),
        ),
        _ => ("cannot be read", None),
    };
    Error::not_runnable(name, format!("{what}: {error}"), hint.map(str::to_owned))
}

fn check_length(name: &str, length: u64) -> Result<(), Error> {
    if length > PROGRAM_BYTES {
        let reason = format!("is larger than {} MiB", PROGRAM_BYTES >> 20);
        return Err(Error::not_runnable(name, reason, None));
    }
    Ok(())
}

/// Copies the program's bytes to where nobody changes them, and tells their digest: what is
/// compiled is what was hashed.
pub(crate) fn seal(program: &Program) -> Result<Sealed, Error> {
    let failed = |error| not_copied(&program.name, &error);
    let mut from = &program.file;
    from.rewind().map_err(failed)?;
    let mut to = memory_file::create(MEMORY_FILE).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut length = 0_u64;
    loop {
        let read = from.read(&mut buffer).map_err(failed)?;
        let chunk = buffer.get(..read).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        length += chunk.len() as u64;
        check_length(&program.name, length)?;
        hasher.update(chunk);
        to.write_all(chunk).map_err(failed)?;
    }
    to.rewind().map_err(failed)?;
    memory_file::seal(&to).map_err(failed)?;
    let digest = lighter_types::digest::Digest::from_bytes(hasher.finalize().into());
    Ok(Sealed {
        file: to,
        digest,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_foreign_kind_is_refused_with_its_name() {
        let words = |kind| refusal(kind).expect("it is not run").0;
        assert_eq!(words(FileKind::Elf), "is an ELF program, not WebAssembly");
        assert!(words(FileKind::Precompiled).contains("never taken from outside"));
        assert!(
            words(FileKind::UnknownWasm {
                version: 10,
                layer: 1
            })
            .contains("version 10, layer 1")
        );
    }
}
