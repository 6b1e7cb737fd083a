//! Directories of the host, volumes and memory file systems that a guest sees: `-v`, `--mount`
//! and `--tmpfs` (Docker CLI reference, "docker container run").

use super::csv;
use super::error::{Form, GrantError};
use super::path::GuestPath;
use super::size::parse_size_bytes;
use std::fmt;

const VOLUME: Form = Form {
    key: "volume",
    expected: "[SOURCE:]TARGET[:ro|rw]",
};
const TMPFS: Form = Form {
    key: "tmpfs",
    expected: "TARGET[:size=SIZE,mode=OCTAL,ro|rw]",
};

/// Something that a guest finds at a path.
///
/// Its text, by [`std::str::FromStr`] and [`fmt::Display`], is that of `--mount`; the canonical one has no
/// field that says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where the guest sees it. `/` is allowed: a guest need not have an image.
    pub target: GuestPath,
    /// What it is.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        /// The path as it was given; a relative one starts with `.` and is relative to the
        /// caller's directory.
        source: String,
        /// Whether changes are refused.
        is_read_only: bool,
    },
    /// A volume of the engine's.
    Volume {
        /// Its name; without one it belongs to the container and goes with it.
        name: Option<VolumeName>,
        /// Whether changes are refused.
        is_read_only: bool,
        /// Whether an empty volume stays empty instead of being filled from the image.
        is_left_empty: bool,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// The most it holds, in bytes.
        size_bytes: Option<u64>,
        /// The permission bits of its root, at most 0o7777.
        mode: Option<u32>,
        /// Whether changes are refused.
        is_read_only: bool,
    },
}

/// The name of a volume: `[a-zA-Z0-9][a-zA-Z0-9_.-]+` (Docker, `RestrictedNamePattern`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VolumeName(String);

impl VolumeName {
    /// Takes a name in.
    ///
    /// # Errors
    /// What is wrong, in Docker's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut characters = text.chars();
        let is_valid = characters.next().is_some_and(|c| c.is_ascii_alphanumeric())
            && (2..=255).contains(&text.len())
            && characters.all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if is_valid {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "\"{text}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, \
             use absolute path"
        ))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The options behind the target of `-v`, or their fields in `--mount`.
#[derive(Clone, Copy, Default)]
struct VolumeOptions {
    is_read_only: bool,
    is_left_empty: bool,
}

impl Mount {
    /// Reads what `-v` takes: `[SOURCE:]TARGET[:OPTIONS]`. A source that starts with `/` or `.`
    /// is a path, any other the name of a volume.
    ///
    /// # Errors
    /// [`GrantError::Malformed`], with Docker's words.
    pub fn from_volume_flag(text: &str) -> Result<Self, GrantError> {
        let wrong = |reason: String| VOLUME.wrong(text, reason);
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts[..] {
            [target] => (None, target, ""),
            // As Docker: a volume without a source has no options.
            [_, mode] if volume_options(mode).is_ok() && !mode.is_empty() => {
                return Err(wrong(format!("invalid volume specification: '{text}'")));
            }
            [source, target] => (Some(source), target, ""),
            [source, target, options] => (Some(source), target, options),
            _ => {
                return Err(wrong(format!(
                    "invalid volume specification: '{text}': too many colons"
                )));
            }
        };
        if source.is_some_and(str::is_empty) || target.is_empty() {
            return Err(wrong(format!("invalid volume specification: '{text}'")));
        }
        let options = volume_options(options).map_err(wrong)?;
        let target = GuestPath::parse(target).map_err(wrong)?;
        let kind = match source {
            Some(path) if path.starts_with(['/', '.']) => {
                if options.is_left_empty {
                    return Err(wrong("invalid mode: nocopy".to_owned()));
                }
                MountKind::Bind {
                    source: bind_source(path).map_err(wrong)?,
                    is_read_only: options.is_read_only,
                }
            }
            name => MountKind::Volume {
                name: name.map(VolumeName::parse).transpose().map_err(wrong)?,
                is_read_only: options.is_read_only,
                is_left_empty: options.is_left_empty,
            },
        };
        Ok(Self { target, kind })
    }

    /// Reads what `--tmpfs` takes: `TARGET[:OPTIONS]`.
    ///
    /// # Errors
    /// [`GrantError::Malformed`].
    pub fn from_tmpfs_flag(text: &str) -> Result<Self, GrantError> {
        let wrong = |reason: String| TMPFS.wrong(text, reason);
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        let target = GuestPath::parse(target).map_err(wrong)?;
        let (mut size_bytes, mut mode, mut is_read_only) = (None, None, false);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "size" => size_bytes = Some(tmpfs_size("size", value).map_err(wrong)?),
                "mode" => mode = Some(tmpfs_mode("mode", value).map_err(wrong)?),
                "ro" => is_read_only = true,
                "rw" => is_read_only = false,
                // It is so already.
                "noexec" | "nosuid" | "nodev" => {}
                "exec" | "suid" | "dev" => {
                    return Err(wrong(format!(
                        "tmpfs option \"{key}\" would have no effect: a guest starts no programs and has no devices"
                    )));
                }
                "uid" | "gid" => {
                    return Err(wrong(format!(
                        "tmpfs option \"{key}\" is not supported: a tmpfs belongs to its guest"
                    )));
                }
                _ => return Err(wrong(format!("invalid tmpfs option \"{option}\""))),
            }
        }
        Ok(Self {
            target,
            kind: MountKind::Tmpfs {
                size_bytes,
                mode,
                is_read_only,
            },
        })
    }

    /// Whether changes are refused.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        match self.kind {
            MountKind::Bind { is_read_only, .. }
            | MountKind::Volume { is_read_only, .. }
            | MountKind::Tmpfs { is_read_only, .. } => is_read_only,
        }
    }
}

/// Reads the options of `-v`. Docker has four groups, each at most once.
fn volume_options(text: &str) -> Result<VolumeOptions, String> {
    let mut options = VolumeOptions::default();
    let mut seen: Vec<&str> = Vec::new();
    for option in text.split(',').filter(|_| !text.is_empty()) {
        let group = match option {
            "ro" | "rw" => "access",
            "nocopy" => "copy",
            // A mount here is always as consistent as can be, and private.
            "consistent" | "cached" | "delegated" => "consistency",
            "private" | "rprivate" => "propagation",
            "z" | "Z" => return Err(no_relabel(option)),
            "shared" | "rshared" | "slave" | "rslave" => return Err(no_propagation(option)),
            _ => return Err(format!("invalid mode: {text}")),
        };
        if seen.contains(&group) {
            return Err(format!("invalid mode: {text}"));
        }
        seen.push(group);
        options.is_read_only |= option == "ro";
        options.is_left_empty |= option == "nocopy";
    }
    Ok(options)
}

fn no_relabel(option: &str) -> String {
    format!("option {option} is not supported: files are not relabelled for SELinux")
}

pub(super) fn no_propagation(option: &str) -> String {
    format!(
        "option {option} is not supported: mounts made after the start do not pass between host and guest"
    )
}

pub(super) fn bind_source(path: &str) -> Result<String, String> {
    if path.contains('\0') {
        return Err("path holds a NUL character".to_owned());
    }
    Ok(path.to_owned())
}

pub(super) fn tmpfs_size(key: &str, value: &str) -> Result<u64, String> {
    match parse_size_bytes(value) {
        Some(0) => Err(format!(
            "invalid value for {key}: {value}: a tmpfs without a limit has no {key}"
        )),
        Some(bytes) => Ok(bytes),
        None => Err(format!("invalid value for {key}: {value}")),
    }
}

pub(super) fn tmpfs_mode(key: &str, value: &str) -> Result<u32, String> {
    let is_octal = !value.is_empty() && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u32::from_str_radix(value, 8)
        .ok()
        .filter(|mode| is_octal && *mode <= 0o7777);
    mode.ok_or_else(|| format!("invalid value for {key}: {value}"))
}

impl fmt::Display for Mount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = |path: &str| csv::quote(&format!("source={path}"));
        let mut fields = match &self.kind {
            MountKind::Bind { source: path, .. } => vec!["type=bind".to_owned(), source(path)],
            MountKind::Volume { name, .. } => {
                let name = name.as_ref().map(|name| source(name.as_str()));
                ["type=volume".to_owned()].into_iter().chain(name).collect()
            }
            MountKind::Tmpfs { .. } => vec!["type=tmpfs".to_owned()],
        };
        fields.push(csv::quote(&format!("target={}", self.target)));
        if self.is_read_only() {
            fields.push("readonly".to_owned());
        }
        match self.kind {
            MountKind::Bind { .. } => {}
            MountKind::Volume { is_left_empty, .. } => {
                fields.extend(is_left_empty.then(|| "volume-nocopy".to_owned()));
            }
            MountKind::Tmpfs {
                size_bytes, mode, ..
            } => {
                fields.extend(size_bytes.map(|bytes| format!("tmpfs-size={bytes}")));
                fields.extend(mode.map(|mode| format!("tmpfs-mode={mode:o}")));
            }
        }
        formatter.write_str(&fields.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn volume(text: &str) -> Mount {
        Mount::from_volume_flag(text).expect("valid -v")
    }

    fn volume_error(text: &str) -> String {
        let error = Mount::from_volume_flag(text).expect_err("invalid -v");
        error.reason()
    }

    fn mount(text: &str) -> Mount {
        text.parse().expect("valid --mount")
    }

    fn mount_error(text: &str) -> String {
        text.parse::<Mount>().expect_err("invalid --mount").reason()
    }

    fn tmpfs_error(text: &str) -> String {
        Mount::from_tmpfs_flag(text)
            .expect_err("invalid --tmpfs")
            .reason()
    }

    #[test]
    fn directory_of_the_host_is_bound() {
        assert_eq!(
            volume("./data:/data/:ro").to_string(),
            "type=bind,source=./data,target=/data,readonly"
        );
        assert_eq!(
            volume("/a:/data/../x").to_string(),
            "type=bind,source=/a,target=/x"
        );
        assert_eq!(volume("/a:/:rw").target.as_str(), "/");
    }

    #[test]
    fn name_is_a_volume() {
        assert_eq!(
            volume("cache:/c:nocopy").to_string(),
            "type=volume,source=cache,target=/c,volume-nocopy"
        );
        assert_eq!(volume("/c").to_string(), "type=volume,target=/c");
    }

    #[test]
    fn options_that_hold_already_are_accepted() {
        assert_eq!(volume("/a:/b:ro,cached,rprivate"), volume("/a:/b:ro"));
    }

    #[test]
    fn options_that_cannot_work_are_refused_with_the_reason() {
        assert!(volume_error("/a:/b:Z").contains("SELinux"));
        assert!(volume_error("/a:/b:rshared").contains("do not pass between"));
        assert_eq!(volume_error("/a:/b:rx"), "invalid mode: rx");
        assert_eq!(volume_error("/a:/b:ro,rw"), "invalid mode: ro,rw");
        assert_eq!(volume_error("/a:/b:nocopy"), "invalid mode: nocopy");
    }

    #[test]
    fn malformed_volume_is_refused_in_docker_words() {
        assert_eq!(
            volume_error("/a:b"),
            "invalid mount path: 'b' mount path must be absolute"
        );
        assert_eq!(
            volume_error("/a:ro"),
            "invalid volume specification: '/a:ro'"
        );
        assert_eq!(volume_error(":/b"), "invalid volume specification: ':/b'");
        assert_eq!(
            volume_error("/a:/b:ro:x"),
            "invalid volume specification: '/a:/b:ro:x': too many colons"
        );
        assert_eq!(
            volume_error("rel/path:/b"),
            "\"rel/path\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, \
             use absolute path"
        );
    }

    #[test]
    fn error_names_flag_value_and_form() {
        assert_eq!(
            Mount::from_volume_flag("/a:/b:rx")
                .expect_err("invalid")
                .to_string(),
            "invalid grant volume \"/a:/b:rx\": invalid mode: rx; expected [SOURCE:]TARGET[:ro|rw]"
        );
    }

    #[test]
    fn mount_fields_have_docker_aliases() {
        assert_eq!(
            mount("type=bind,src=/a,dst=/b,ro"),
            mount("TYPE=bind,source=/a,destination=/b,readonly=true")
        );
        assert!(!mount("type=bind,src=/a,dst=/b,readonly=0").is_read_only());
        assert_eq!(mount("src=v1,dst=/b"), volume("v1:/b"));
    }

    #[test]
    fn comma_in_a_path_is_quoted() {
        let kept = mount("type=bind,\"src=/a,b\",dst=/c");
        assert_eq!(kept.to_string(), "type=bind,\"source=/a,b\",target=/c");
    }

    #[test]
    fn malformed_mount_is_refused_in_docker_words() {
        assert_eq!(
            mount_error("type=bind,src"),
            "invalid field 'src' must be a key=value pair"
        );
        assert_eq!(
            mount_error("type=bind,foo=1"),
            "unexpected key 'foo' in 'foo=1'"
        );
        assert_eq!(
            mount_error("type=bind,src=/a,dst=/b,ro=maybe"),
            "invalid value for ro: maybe"
        );
        assert_eq!(mount_error("type=bind,src=/a"), "target is required");
        assert_eq!(
            mount_error("type=bind,dst=/b"),
            "invalid mount config for type \"bind\": field Source must not be empty"
        );
        assert_eq!(
            mount_error("type=tmpfs,src=/a,dst=/b"),
            "invalid mount config for type \"tmpfs\": field Source must not be specified"
        );
        assert_eq!(
            mount_error("type=disk,dst=/b"),
            "invalid mount config for type \"disk\": mount type unknown"
        );
        assert_eq!(
            mount_error("type=bind,src=/a,dst=/b,tmpfs-size=1m"),
            "cannot mix 'tmpfs-*' options with mount type 'bind'"
        );
        assert_eq!(
            mount_error("type=bind,src=a,dst=/b"),
            "invalid mount config for type \"bind\": invalid mount path: 'a' mount path must be absolute"
        );
        assert_eq!(
            mount_error("type=bind,src=/a,dst=b"),
            "invalid mount path: 'b' mount path must be absolute"
        );
        assert!(mount_error("type=bind,\"src=/a").contains("quoted-field"));
    }

    #[test]
    fn tmpfs_has_a_size_and_a_mode() {
        let both = "type=tmpfs,target=/tmp,tmpfs-size=67108864,tmpfs-mode=1777";
        let parsed = Mount::from_tmpfs_flag("/tmp:size=64m,mode=1777,noexec").expect("valid");
        assert_eq!(parsed.to_string(), both);
        assert_eq!(mount(both), parsed);
        assert!(
            Mount::from_tmpfs_flag("/tmp:ro")
                .expect("valid")
                .is_read_only()
        );
    }

    #[test]
    fn malformed_tmpfs_is_refused() {
        assert_eq!(
            tmpfs_error("tmp"),
            "invalid mount path: 'tmp' mount path must be absolute"
        );
        assert_eq!(tmpfs_error("/tmp:size=50%"), "invalid value for size: 50%");
        assert_eq!(tmpfs_error("/tmp:mode=+7"), "invalid value for mode: +7");
        assert_eq!(
            tmpfs_error("/tmp:mode=17777"),
            "invalid value for mode: 17777"
        );
        assert_eq!(
            tmpfs_error("/tmp:speed=1"),
            "invalid tmpfs option \"speed=1\""
        );
        assert!(tmpfs_error("/tmp:exec").contains("no effect"));
    }

    fn any_mount() -> impl Strategy<Value = Mount> {
        let bind = ("[/.][^\\x00]{0,20}", any::<bool>()).prop_map(|(source, is_read_only)| {
            MountKind::Bind {
                source,
                is_read_only,
            }
        });
        let name = proptest::option::of("[a-zA-Z0-9][a-zA-Z0-9_.-]{1,20}");
        let volume =
            (name, any::<bool>(), any::<bool>()).prop_map(|(name, is_read_only, is_left_empty)| {
                MountKind::Volume {
                    name: name.map(|name| VolumeName::parse(&name).expect("valid")),
                    is_read_only,
                    is_left_empty,
                }
            });
        let tmpfs = (
            proptest::option::of(1..u64::MAX),
            proptest::option::of(0..=0o7777_u32),
            any::<bool>(),
        )
            .prop_map(|(size_bytes, mode, is_read_only)| MountKind::Tmpfs {
                size_bytes,
                mode,
                is_read_only,
            });
        ("/[^\\x00]{0,20}", prop_oneof![bind, volume, tmpfs]).prop_map(|(target, kind)| Mount {
            target: GuestPath::parse(&target).expect("absolute"),
            kind,
        })
    }

    proptest! {
        #[test]
        fn every_mount_survives_its_text(mount in any_mount()) {
            prop_assert_eq!(mount.to_string().parse::<Mount>().expect("canonical"), mount);
        }
    }
}
