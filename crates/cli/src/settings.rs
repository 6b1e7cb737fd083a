//! The only place that reads the environment, the current user and the configuration files.

use crate::flags::{EngineFlags, duration};
use lighter_engine::{CacheLimits, Error, Settings};
use lighter_types::escape::escape;
use lighter_types::grant::{DnsGrant, Grant, GrantError, KEYS, parse_size_bytes};
use lighter_types::network::Reach;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the configuration files and the environment say.
pub(crate) struct Configuration {
    /// The engine's settings.
    pub(crate) engine: Settings,
    /// Grants that every program gets.
    pub(crate) grants: Vec<Grant>,
}

const SYSTEM_FILE: &str = "/etc/lighter/config.toml";

/// A variable of the caller's environment.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A variable that names a directory: set, and not empty.
fn path_variable(name: &str) -> Option<PathBuf> {
    variable(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Whether output may be coloured or drawn (<https://no-color.org>).
pub(crate) fn is_plain() -> bool {
    variable("NO_COLOR").is_some_and(|value| !value.is_empty())
        || variable("TERM").is_some_and(|value| value == "dumb")
}

/// Reads all settings: flags before the environment, before the user's file, before the system's.
pub(crate) fn read(flags: &EngineFlags) -> Result<Configuration, Error> {
    let is_root = rustix::process::geteuid().is_root();
    let home = path_variable("HOME");
    let user_file = path_variable("XDG_CONFIG_HOME")
        .or_else(|| home.as_ref().map(|home| home.join(".config")))
        .map(|directory| directory.join("lighter/config.toml"));
    let mut file = File::default();
    match flags
        .config
        .clone()
        .or_else(|| path_variable("LIGHTER_CONFIG"))
    {
        Some(named) => {
            // Its ceiling holds for those too who name another file.
            let mut system = File::default();
            system.read(Path::new(SYSTEM_FILE), false)?;
            file.ceilings = system.ceilings;
            file.read(&named, true)?;
        }
        None => {
            file.read(Path::new(SYSTEM_FILE), false)?;
            if let Some(user_file) = &user_file {
                file.read(user_file, false)?;
            }
        }
    }
    let run_root = first([
        flags.run_root.clone(),
        path_variable("LIGHTER_RUN_ROOT"),
        file.run_root.take(),
        is_root.then(|| PathBuf::from("/run/lighter")),
        path_variable("XDG_RUNTIME_DIR").map(|directory| directory.join("lighter")),
    ])
    .unwrap_or_else(|| format!("/tmp/lighter-{}", rustix::process::geteuid().as_raw()).into());
    let data_root = first([
        flags.data_root.clone(),
        path_variable("LIGHTER_DATA_ROOT"),
        file.data_root.take(),
        is_root.then(|| PathBuf::from("/var/lib/lighter")),
        path_variable("XDG_DATA_HOME").map(|directory| directory.join("lighter")),
        home.as_ref().map(|home| home.join(".local/share/lighter")),
    ])
    .unwrap_or_else(|| run_root.join("data"));
    let docker = path_variable("DOCKER_CONFIG").or_else(|| home.map(|home| home.join(".docker")));
    let hidden = [
        Path::new(SYSTEM_FILE).parent().map(Path::to_owned),
        user_file.and_then(|file| file.parent().map(Path::to_owned)),
        docker,
    ];
    let engine = Settings {
        data_root: absolute(data_root)?,
        run_root: absolute(run_root)?,
        hidden: hidden.into_iter().flatten().collect(),
        ceilings: file.ceilings,
        cache: file.cache,
        is_insecure: flags.insecure_no_boundary,
    };
    Ok(Configuration {
        engine,
        grants: file.grants,
    })
}

fn first<const N: usize>(candidates: [Option<PathBuf>; N]) -> Option<PathBuf> {
    candidates.into_iter().flatten().next()
}

fn absolute(path: PathBuf) -> Result<PathBuf, Error> {
    std::path::absolute(&path).map_err(|error| Error::Refused {
        reason: format!("cannot use {} as a directory: {error}", path.display()),
        hint: None,
    })
}

/// The most that is read of a file of settings or variables, in bytes.
const FILE_BYTES: u64 = 1 << 20;

/// Reads a file that a user wrote, and tells who owns it.
///
/// # Errors
/// The system's; or it is longer than a person writes.
pub(crate) fn read_file(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let file = std::fs::File::open(path)?;
    let owner = file.metadata()?.uid();
    let mut content = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES {
        let limit = FILE_BYTES >> 10;
        return Err(io::Error::other(format!("longer than {limit} KiB")));
    }
    Ok((content, owner))
}

fn into_text((content, owner): (Vec<u8>, u32)) -> io::Result<(String, u32)> {
    let text = String::from_utf8(content).map_err(io::Error::other)?;
    Ok((text, owner))
}

/// What the configuration files say; a later file's word counts.
#[derive(Default)]
struct File {
    data_root: Option<PathBuf>,
    run_root: Option<PathBuf>,
    cache: CacheLimits,
    ceilings: Vec<Reach>,
    grants: Vec<Grant>,
}

const SETTINGS: [&str; 5] = [
    "data-root",
    "run-root",
    "cache-size",
    "cache-age",
    "ceiling",
];

fn text(key: &str, value: &toml::Value) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("{}: expected text in quotes", escape(key)))
}

/// One text or a list of them.
fn texts(key: &str, value: &toml::Value) -> Result<Vec<String>, String> {
    match value {
        toml::Value::Array(values) => values.iter().map(|value| text(key, value)).collect(),
        value => Ok(vec![text(key, value)?]),
    }
}

/// What the network is held to, if `[ceiling]` speaks of it. What it does not list is then forbidden.
fn ceiling(table: &toml::Table) -> Result<Option<Reach>, String> {
    let mut reach = Reach::default();
    for (key, value) in table {
        let wrong = |error: GrantError| error.to_string();
        match key.as_str() {
            "allow-net" => {
                for value in texts(key, value)? {
                    reach.destinations.push(value.parse().map_err(wrong)?);
                }
            }
            "allow-dns" => {
                for value in texts(key, value)? {
                    let DnsGrant(pattern) = value.parse().map_err(wrong)?;
                    reach.lookups.push(pattern);
                }
            }
            _ => {
                return Err(format!(
                    "has an unknown key {}: expected allow-net or allow-dns",
                    escape(key)
                ));
            }
        }
    }
    Ok((!table.is_empty()).then_some(reach))
}

impl File {
    fn read(&mut self, path: &Path, must_exist: bool) -> Result<(), Error> {
        let refused = |what: String| Error::Refused {
            reason: format!("configuration file {}: {what}", path.display()),
            hint: None,
        };
        let text = match read_file(path).and_then(into_text) {
            Ok((text, _)) if must_exist => text,
            Ok((text, owner)) if [rustix::process::geteuid().as_raw(), 0].contains(&owner) => text,
            // It grants rights, so a file that was only found has to be the caller's own.
            Ok(_) => {
                return Err(refused(
                    "belongs to somebody else; name it with --config if it is meant".to_owned(),
                ));
            }
            // Where HOME is somebody else's, nothing in it is the caller's.
            Err(error)
                if !must_exist
                    && matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                    ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(refused(format!("cannot be read: {error}"))),
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            refused(format!("is not valid: {}", error.message()))
        })?;
        for (key, value) in &table {
            self.set(key, value).map_err(refused)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &toml::Value) -> Result<(), String> {
        let text = |value: &toml::Value| text(key, value);
        let wrong = |expected: &str| format!("{key}: expected {expected}");
        match key {
            "data-root" => self.data_root = Some(text(value)?.into()),
            "run-root" => self.run_root = Some(text(value)?.into()),
            "cache-size" => {
                self.cache.size_bytes =
                    parse_size_bytes(&text(value)?).ok_or_else(|| wrong("a size, as \"10g\""))?;
            }
            "cache-age" => {
                self.cache.age =
                    duration(&text(value)?).ok_or_else(|| wrong("a time, as \"90d\""))?;
            }
            "ceiling" => {
                let table = value
                    .as_table()
                    .ok_or_else(|| wrong("a table, [ceiling]"))?;
                let ceiling = ceiling(table).map_err(|error| format!("[ceiling] {error}"))?;
                self.ceilings.extend(ceiling);
            }
            key if KEYS.contains(&key) => {
                for value in texts(key, value)? {
                    let grant = Grant::parse(key, &value).map_err(|error| error.to_string())?;
                    self.grants.push(grant);
                }
            }
            _ => {
                return Err(format!(
                    "unknown key {}: expected one of {}, {}",
                    escape(key),
                    SETTINGS.join(", "),
                    KEYS.join(", ")
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Result<File, String> {
        let table: toml::Table = text.parse().expect("valid TOML");
        let mut file = File::default();
        for (key, value) in &table {
            file.set(key, value)?;
        }
        Ok(file)
    }

    #[test]
    fn grants_and_sizes_are_read() {
        let file = set("cache-size = \"1g\"\nenv = [\"A=1\", \"B=2\"]\n").expect("valid");
        assert_eq!(file.cache.size_bytes, 1 << 30);
        assert_eq!(file.grants.len(), 2);
    }

    #[test]
    fn unknown_key_is_refused_with_the_known_ones() {
        let Err(error) = set("colour = \"red\"") else {
            panic!("accepted")
        };
        assert!(error.starts_with("unknown key colour: expected one of data-root"));
    }

    #[test]
    fn ceiling_of_each_file_is_kept() {
        let mut file = set("[ceiling]\nallow-net = \"*:443\"\n").expect("valid");
        let table: toml::Table = "ceiling.allow-dns = [\"*.a\", \"b\"]"
            .parse()
            .expect("TOML");
        for (key, value) in &table {
            file.set(key, value).expect("valid");
        }
        let [first, second] = &file.ceilings[..] else {
            panic!("two of them")
        };
        assert_eq!(first.destinations.len(), 1);
        assert_eq!((second.destinations.len(), second.lookups.len()), (0, 2));
        assert!(set("[ceiling]\n").expect("valid").ceilings.is_empty());
    }

    #[test]
    fn ceiling_that_is_not_understood_is_refused() {
        let error = |text: &str| set(text).err().expect("refused");
        assert_eq!(
            error("[ceiling]\npublish = \"80\"\n"),
            "[ceiling] has an unknown key publish: expected allow-net or allow-dns"
        );
        assert!(
            error("[ceiling]\nallow-net = \"a..b\"\n")
                .starts_with("[ceiling] invalid grant allow-net")
        );
        assert_eq!(
            error("ceiling = \"none\""),
            "ceiling: expected a table, [ceiling]"
        );
    }

    #[test]
    fn wrong_type_is_refused() {
        let Err(error) = set("cache-size = 10") else {
            panic!("accepted")
        };
        assert_eq!(error, "cache-size: expected text in quotes");
    }
}
