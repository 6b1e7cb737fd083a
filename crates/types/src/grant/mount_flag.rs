//! The form of `--mount`: one record of comma-separated fields, with Docker's names and words
//! (Docker CLI, `opts/mount.go`).

use super::csv;
use super::error::{Form, GrantError};
use super::mount::{
    Mount, MountKind, VolumeName, bind_source, no_propagation, tmpfs_mode, tmpfs_size,
};
use super::path::GuestPath;
use std::str::FromStr;

const MOUNT: Form = Form {
    key: "mount",
    expected: "type=bind|volume|tmpfs,[source=SOURCE,]target=TARGET[,readonly]",
};

/// The fields of `--mount`, before it is known which of them may stand together.
#[derive(Default)]
struct MountFields {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    is_read_only: bool,
    is_left_empty: bool,
    size_bytes: Option<u64>,
    mode: Option<u32>,
    /// The kind that an option with a prefix belongs to.
    has_bind_option: bool,
    has_volume_option: bool,
    has_tmpfs_option: bool,
}

impl FromStr for Mount {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let wrong = |reason: String| MOUNT.wrong(text, reason);
        let mut fields = MountFields::default();
        for field in csv::split(text).map_err(|reason| MOUNT.wrong(text, reason))? {
            fields.read(&field).map_err(wrong)?;
        }
        fields.into_mount().map_err(wrong)
    }
}

impl MountFields {
    /// Takes one field in (Docker CLI, `opts/mount.go`, whose words these are).
    fn read(&mut self, field: &str) -> Result<(), String> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        let flag = || match value {
            None => Ok(true),
            Some(value) => {
                parse_bool(value).ok_or_else(|| format!("invalid value for {key}: {value}"))
            }
        };
        match key.as_str() {
            "readonly" | "ro" => {
                self.is_read_only = flag()?;
                return Ok(());
            }
            "volume-nocopy" => {
                self.is_left_empty = flag()?;
                self.has_volume_option = true;
                return Ok(());
            }
            _ => {}
        }
        let value = value
            .ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?
            .to_owned();
        match key.as_str() {
            "type" => self.kind = Some(value.to_ascii_lowercase()),
            "source" | "src" => self.source = Some(value),
            "target" | "dst" | "destination" => self.target = Some(value),
            "tmpfs-size" => {
                self.size_bytes = Some(tmpfs_size(&key, &value)?);
                self.has_tmpfs_option = true;
            }
            "tmpfs-mode" => {
                self.mode = Some(tmpfs_mode(&key, &value)?);
                self.has_tmpfs_option = true;
            }
            "consistency"
                if matches!(&*value, "default" | "consistent" | "cached" | "delegated") => {}
            "bind-propagation" => {
                self.has_bind_option = true;
                match &*value {
                    "private" | "rprivate" => {}
                    "shared" | "rshared" | "slave" | "rslave" => {
                        return Err(no_propagation(&value));
                    }
                    _ => return Err(format!("invalid propagation mode: {value}")),
                }
            }
            "bind-recursive" if value == "enabled" => self.has_bind_option = true,
            "bind-recursive" | "bind-nonrecursive" | "bind-create-src" | "volume-subpath"
            | "volume-label" | "volume-driver" | "volume-opt" | "image-subpath" | "consistency" => {
                return Err(format!("{key}={value} is not supported"));
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        Ok(())
    }

    fn into_mount(self) -> Result<Mount, String> {
        let kind = self.kind.as_deref().unwrap_or("volume");
        let mixed = |options: &str| {
            Err(format!(
                "cannot mix '{options}-*' options with mount type '{kind}'"
            ))
        };
        if self.has_bind_option && kind != "bind" {
            return mixed("bind");
        }
        if self.has_volume_option && kind != "volume" {
            return mixed("volume");
        }
        if self.has_tmpfs_option && kind != "tmpfs" {
            return mixed("tmpfs");
        }
        let target = self.target.filter(|target| !target.is_empty());
        let target = GuestPath::parse(&target.ok_or("target is required")?)?;
        let source = self.source.filter(|source| !source.is_empty());
        let is_read_only = self.is_read_only;
        let config = |reason: &str| format!("invalid mount config for type \"{kind}\": {reason}");
        let kind = match kind {
            "bind" => {
                let source = source.ok_or_else(|| config("field Source must not be empty"))?;
                if !source.starts_with(['/', '.']) {
                    let reason =
                        format!("invalid mount path: '{source}' mount path must be absolute");
                    return Err(config(&reason));
                }
                MountKind::Bind {
                    source: bind_source(&source)?,
                    is_read_only,
                }
            }
            "volume" => MountKind::Volume {
                name: source.as_deref().map(VolumeName::parse).transpose()?,
                is_read_only,
                is_left_empty: self.is_left_empty,
            },
            "tmpfs" if source.is_some() => {
                return Err(config("field Source must not be specified"));
            }
            "tmpfs" => MountKind::Tmpfs {
                size_bytes: self.size_bytes,
                mode: self.mode,
                is_read_only,
            },
            "image" | "npipe" | "cluster" => return Err(config("mount type is not supported")),
            _ => return Err(config("mount type unknown")),
        };
        Ok(Mount { target, kind })
    }
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
