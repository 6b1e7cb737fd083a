//! Compiled code, kept so that it is made once.
//!
//! ```text
//!   <data>/compiled/
//!     key                     64 random bytes that bind everything below to this installation
//!     files/<dev>-<inode>     of a program's file: its identity and the digest of its bytes
//!     code/<key>/code         native code; <key> is a digest of program, engine and processor
//!     code/<key>/check        its identity on this boot and its MAC
//!     locks/<key>             held while it is made: concurrent runs make it once
//! ```
//!
//! A warm start reads two small records and the state of two files, whatever their sizes. A
//! record counts only with the right MAC, on the boot it was written in, and if the file it
//! speaks of has not changed since; else the file is hashed again, and code whose MAC does not
//! fit is made again. Nothing here is synced: what a crash leaves half-written has no right MAC.

mod boot;
mod identity;
mod record;
mod sweep;

pub(crate) use boot::Boot;
pub(crate) use sweep::{prune, usage};

use crate::Error;
use crate::program::{Program, Sealed, seal};
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use hmac::{Hmac, KeyInit, Mac};
use identity::Identity;
use lighter_types::cpu::CpuFeatures;
use lighter_types::digest::{Digest, hex};
use lighter_types::program::ProgramKind;
use record::InstallationKey;
use rustix::fs::{FlockOperation, StatVfsMountFlags};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file with the native code, in an entry's directory.
pub(crate) const CODE_FILE: &str = "code";

/// How much is kept, and for how long after its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// The size of all compiled code, in bytes.
    pub size_bytes: u64,
    /// The age since the last use.
    pub age: Duration,
}

impl Default for CacheLimits {
    /// 10 GiB and 90 days.
    fn default() -> Self {
        Self {
            size_bytes: 10 << 30,
            age: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

/// Native code that is ready to be mapped.
#[derive(Debug)]
pub(crate) struct Code {
    /// The directory that holds it, and nothing that a guest may not see.
    pub(crate) directory: PathBuf,
    pub(crate) kind: ProgramKind,
    /// The processor it was made for: this one, on this boot.
    pub(crate) cpu: CpuFeatures,
    /// Whether the directory goes away with this value.
    is_temporary: bool,
}

impl Drop for Code {
    fn drop(&mut self) {
        if self.is_temporary {
            // It lies in the run directory, which a boot empties, should this fail.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// What is known of a program's file.
#[derive(Serialize, Deserialize)]
struct FileRecord {
    boot: Boot,
    identity: Identity,
    build: String,
    cpu_bits: u32,
    digest: Digest,
    key: [u8; 32],
}

/// What is known of an entry's native code.
#[derive(Serialize, Deserialize)]
struct CodeRecord {
    boot: Boot,
    identity: Identity,
    kind: ProgramKind,
    mac: [u8; 32],
}

/// The cache of one data directory.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    run_directory: PathBuf,
    boot: Boot,
    limits: CacheLimits,
    installation: Option<InstallationKey>,
}

/// A program and where its code is, or would be.
pub(crate) struct Slot {
    pub(crate) sealed: Sealed,
    pub(crate) cpu: CpuFeatures,
    key: [u8; 32],
}

/// What a look into the cache found.
pub(crate) enum Found {
    /// The code.
    Code(Code),
    /// The program's bytes, to be compiled.
    Nothing(Box<Slot>),
}

impl Cache {
    /// Opens the cache, and makes what it needs. A data directory that cannot be written is no
    /// error: then nothing is kept, and `warn` is told why.
    pub(crate) fn open(
        data_directory: &Path,
        run_directory: &Path,
        limits: CacheLimits,
        warn: &mut dyn FnMut(String),
    ) -> Self {
        let directory = data_directory.join("compiled");
        let opened = match InstallationKey::open(&directory) {
            Ok(_) if is_noexec(&directory) => Err(io::Error::other("it is mounted noexec")),
            opened => opened,
        };
        let installation = match opened {
            Ok(key) => Some(key),
            Err(error) => {
                warn(format!(
                    "compiled code is not kept: could not use {}: {error}",
                    directory.display()
                ));
                None
            }
        };
        let run_directory = run_directory.to_owned();
        Self {
            directory,
            run_directory,
            boot: Boot::current(),
            limits,
            installation,
        }
    }

    /// Looks for the code of a program.
    pub(crate) fn find(&self, program: &Program) -> Result<Found, Error> {
        if let Some(code) = self.find_by_file(program) {
            return Ok(Found::Code(code));
        }
        let sealed = seal(program)?;
        let cpu = CpuFeatures::detect();
        let key = key(&sealed.digest, cpu);
        let slot = Box::new(Slot { sealed, cpu, key });
        Ok(match self.find_by_key(&slot.key, slot.cpu) {
            Some(code) => {
                self.remember(program, &slot);
                Found::Code(code)
            }
            None => Found::Nothing(slot),
        })
    }

    /// The quick way: the file is the one that was hashed before, on this boot.
    fn find_by_file(&self, program: &Program) -> Option<Code> {
        let stat = program.stat.as_ref()?;
        let record: FileRecord = record::read(
            self.installation.as_ref()?,
            &self.file_record(stat),
            &file_name(stat),
        )
        .ok()?;
        let is_current = record.boot == self.boot
            && record.build == lighter_wasm::BUILD_ID
            && record.identity.is_of(stat);
        if !is_current {
            return None;
        }
        self.find_by_key(&record.key, CpuFeatures::from_bits(record.cpu_bits))
    }

    fn find_by_key(&self, key: &[u8; 32], cpu: CpuFeatures) -> Option<Code> {
        let installation = self.installation.as_ref()?;
        let directory = self.entry(key);
        let stat = rustix::fs::stat(directory.join(CODE_FILE)).ok()?;
        let check = directory.join("check");
        let mut record: CodeRecord = record::read(installation, &check, key).ok()?;
        if record.boot != self.boot || !record.identity.is_of(&stat) {
            // Another boot, or something was written: the content decides.
            let mut file = File::open(directory.join(CODE_FILE)).ok()?;
            let mac = mac_of_file(installation, key, &mut file).ok()?;
            if mac != record.mac {
                return None;
            }
            record.boot = self.boot;
            record.identity = Identity::of(&stat);
            // Not being able to write it only costs the next start this check again.
            let _ = record::write(installation, &check, key, &record);
        }
        sweep::mark_used(&directory);
        Some(Code {
            directory,
            kind: record.kind,
            cpu,
            is_temporary: false,
        })
    }

    /// Opens the lock that is held while this code is made, so that concurrent runs make it once.
    /// Without it (nothing is kept) they each make their own.
    pub(crate) fn lock_file(&self, slot: &Slot) -> Option<File> {
        self.installation.as_ref()?;
        let path = self.directory.join("locks").join(hex(&slot.key));
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .ok()
    }

    /// Takes the lock if nobody holds it; it is held until the file is dropped.
    pub(crate) fn try_lock(lock: &File) -> bool {
        rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Looks for the code of a slot again.
    pub(crate) fn find_again(&self, slot: &Slot) -> Option<Code> {
        self.find_by_key(&slot.key, slot.cpu)
    }

    /// Keeps code that was made, or, where that cannot be, puts it where it can be mapped this
    /// once.
    pub(crate) fn keep(
        &self,
        program: &Program,
        slot: &Slot,
        kind: ProgramKind,
        artifact: &mut File,
        warn: &mut dyn FnMut(String),
    ) -> Result<Code, Error> {
        if let Some(installation) = &self.installation {
            match self.store(installation, slot, kind, artifact) {
                Ok(directory) => {
                    self.remember(program, slot);
                    sweep::enforce(&self.directory, self.limits);
                    return Ok(Code {
                        directory,
                        kind,
                        cpu: slot.cpu,
                        is_temporary: false,
                    });
                }
                Err(error) => warn(format!(
                    "compiled code is not kept: could not write to {}: {error}",
                    self.directory.display()
                )),
            }
        }
        let directory = self
            .directory_for_once()?
            .join(unique_name("lighter-uncached-"));
        let code = Code {
            directory,
            kind,
            cpu: slot.cpu,
            is_temporary: true,
        };
        write_entry(&code.directory, artifact, |_| ())
            .map_err(|error| Error::file("write compiled code to", &code.directory, error))?;
        Ok(code)
    }

    /// Where code lies that is not kept: somewhere that code can be run from.
    fn directory_for_once(&self) -> Result<&Path, Error> {
        let places = [
            self.run_directory.as_path(),
            Path::new("/dev/shm"),
            Path::new("/tmp"),
            Path::new("/var/tmp"),
        ];
        let found = places
            .into_iter()
            .find(|place| place.is_dir() && !is_noexec(place))
            .ok_or_else(|| Error::Refused {
                reason: "compiled code can be put nowhere: every place for it is mounted noexec"
                    .to_owned(),
                hint: Some("name another place with --data-root".to_owned()),
            })?;
        sweep::remove_left_behind_uncached(found);
        Ok(found)
    }

    fn store(
        &self,
        installation: &InstallationKey,
        slot: &Slot,
        kind: ProgramKind,
        artifact: &mut File,
    ) -> io::Result<PathBuf> {
        let directory = self.entry(&slot.key);
        let new = self.directory.join("code").join(unique_name(".new-"));
        let mut mac = content_mac(installation, &slot.key);
        let written = write_entry(&new, artifact, |chunk| mac.update(chunk)).and_then(|stat| {
            let record = CodeRecord {
                boot: self.boot,
                identity: Identity::of(&stat),
                kind,
                mac: mac.finalize().into_bytes().into(),
            };
            record::write(installation, &new.join("check"), &slot.key, &record)?;
            // An entry that is there already did not pass its check.
            let _ = fs::remove_dir_all(&directory);
            fs::rename(&new, &directory)
        });
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&new);
            return Err(error);
        }
        Ok(directory)
    }

    /// Takes out code that the engine did not accept.
    pub(crate) fn forget(&self, code: &Code) {
        let _ = fs::remove_dir_all(&code.directory);
    }

    /// Notes the digest of the program's file, unless it may have changed since it was opened.
    fn remember(&self, program: &Program, slot: &Slot) {
        let (Some(installation), Some(before)) = (&self.installation, &program.stat) else {
            return;
        };
        let Ok(after) = rustix::fs::fstat(&program.file) else {
            return;
        };
        let identity = Identity::of(&after);
        if !identity.is_same_state(before) {
            return;
        }
        let record = FileRecord {
            boot: self.boot,
            identity,
            build: lighter_wasm::BUILD_ID.to_owned(),
            cpu_bits: slot.cpu.bits(),
            digest: slot.sealed.digest,
            key: slot.key,
        };
        // Without the record the next start hashes the file again.
        let _ = record::write(
            installation,
            &self.file_record(&after),
            &file_name(&after),
            &record,
        );
    }

    fn entry(&self, key: &[u8; 32]) -> PathBuf {
        self.directory.join("code").join(hex(key))
    }

    fn file_record(&self, stat: &rustix::fs::Stat) -> PathBuf {
        self.directory
            .join("files")
            .join(format!("{:x}-{:x}", stat.st_dev, stat.st_ino))
    }
}

fn is_noexec(directory: &Path) -> bool {
    rustix::fs::statvfs(directory)
        .is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// A name that nobody else uses: process numbers repeat in other process namespaces.
fn unique_name(prefix: &str) -> String {
    let mut bytes = [0; 8];
    // Without randomness the names meet, and the one who comes second is told so.
    let _ = getrandom::fill(&mut bytes);
    format!("{prefix}{:016x}", u64::from_ne_bytes(bytes))
}

/// The name of a file's record: which file it speaks of, wherever the record lies.
fn file_name(stat: &rustix::fs::Stat) -> [u8; 32] {
    let mut hasher = Blake2b::<U32>::new();
    hasher.update(b"lighter file\0");
    hasher.update(stat.st_dev.to_le_bytes());
    hasher.update(stat.st_ino.to_le_bytes());
    hasher.finalize().into()
}

fn key(digest: &Digest, cpu: CpuFeatures) -> [u8; 32] {
    let mut hasher = Blake2b::<U32>::new();
    hasher.update(b"lighter compiled code 1\0");
    hasher.update(lighter_wasm::BUILD_ID.as_bytes());
    hasher.update(cpu.bits().to_le_bytes());
    hasher.update(digest.as_bytes());
    hasher.finalize().into()
}

fn content_mac(installation: &InstallationKey, key: &[u8; 32]) -> Hmac<Sha256> {
    let mut mac = installation.mac(b"lighter native code");
    mac.update(key);
    mac
}

fn mac_of_file(
    installation: &InstallationKey,
    key: &[u8; 32],
    file: &mut File,
) -> io::Result<[u8; 32]> {
    let mut mac = content_mac(installation, key);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            Some([]) | None => return Ok(mac.finalize().into_bytes().into()),
            Some(chunk) => mac.update(chunk),
        }
    }
}

/// Writes an entry's directory and its code, readable for runners, and tells the code's state.
fn write_entry(
    directory: &Path,
    artifact: &mut File,
    mut each_chunk: impl FnMut(&[u8]),
) -> io::Result<rustix::fs::Stat> {
    use std::io::Seek;
    artifact.rewind()?;
    fs::DirBuilder::new().mode(0o755).create(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    let mut code = File::options()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(directory.join(CODE_FILE))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = artifact.read(&mut buffer)?;
        let chunk = buffer.get(..read).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        each_chunk(chunk);
        code.write_all(chunk)?;
    }
    code.set_permissions(fs::Permissions::from_mode(0o444))?;
    Ok(rustix::fs::fstat(&code)?)
}

/// The key type's constructor, kept here so that the record module needs no cryptography of its
/// own choice.
pub(crate) fn new_mac(key: &[u8; record::KEY_BYTES], purpose: &[u8]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(key.into());
    mac.update(purpose);
    mac.update(b"\0");
    mac
}
