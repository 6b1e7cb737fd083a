//! Small files that only this installation can have written.
//!
//! ```text
//!   0      32
//!   +------+-------------------+
//!   | MAC  | record (postcard) |   the MAC is over the record's name and the record
//!   +------+-------------------+
//! ```

use super::{new_mac, unique_name};
use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const MAC_BYTES: usize = 32;
/// More than any record takes.
const RECORD_BYTES: u64 = 4096;

/// The key that binds the cache to this installation.
pub(crate) struct InstallationKey([u8; KEY_BYTES]);

/// As long as a block of SHA-256, in bytes.
pub(crate) const KEY_BYTES: usize = 64;

impl std::fmt::Debug for InstallationKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl InstallationKey {
    /// Reads the key, or makes it together with the directories around it.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("key");
        if let Some(key) = read_key(&path)? {
            return Ok(Self(key));
        }
        for each in ["code", "files", "locks"] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory.join(each))?;
        }
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        let new = directory.join(unique_name(".key-"));
        write_private(&new, &key)?;
        // Of several that start at once the first one's key counts.
        let linked = fs::hard_link(&new, &path);
        fs::remove_file(&new)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => read_key(&path)?
                .map(Self)
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    /// A MAC for one purpose.
    pub(crate) fn mac(&self, purpose: &[u8]) -> Hmac<Sha256> {
        new_mac(&self.0, purpose)
    }
}

fn read_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let mut key = [0; KEY_BYTES];
    match File::open(path) {
        Ok(mut file) => file.read_exact(&mut key).map(|()| Some(key)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}

/// BLAKE2, because SHA-256 asks the processor what it can do before it starts, which costs a virtual
/// machine as much as all else that a record takes.
fn record_mac(key: &InstallationKey, name: &[u8; 32], body: &[u8]) -> Blake2bMac<U32> {
    let mut mac = <Blake2bMac<U32> as KeyInit>::new(&key.0.into());
    mac.update(b"lighter record\0");
    mac.update(name);
    mac.update(body);
    mac
}

/// Reads a record that this installation wrote; anything else is an error.
pub(crate) fn read<T: DeserializeOwned>(
    key: &InstallationKey,
    path: &Path,
    name: &[u8; 32],
) -> io::Result<T> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut bytes = Vec::with_capacity(512);
    File::open(path)?
        .take(RECORD_BYTES)
        .read_to_end(&mut bytes)?;
    let (mac, body) = bytes.split_at_checked(MAC_BYTES).ok_or_else(invalid)?;
    record_mac(key, name, body)
        .verify_slice(mac)
        .map_err(|_| invalid())?;
    postcard::from_bytes(body).map_err(|_| invalid())
}

/// Writes a record in place of an older one.
pub(crate) fn write<T: Serialize>(
    key: &InstallationKey,
    path: &Path,
    name: &[u8; 32],
    record: &T,
) -> io::Result<()> {
    let body = postcard::to_allocvec(record).map_err(io::Error::other)?;
    let mut bytes = record_mac(key, name, &body)
        .finalize()
        .into_bytes()
        .to_vec();
    bytes.extend_from_slice(&body);
    let mut new = path.as_os_str().to_owned();
    new.push(unique_name(".new-"));
    let new = Path::new(&new);
    let written = write_private(new, &bytes).and_then(|()| fs::rename(new, path));
    if written.is_err() {
        let _ = fs::remove_file(new);
    }
    written
}
