//! Flags that several verbs share, and what becomes of them.

use crate::settings::{self, Configuration};
use clap::Args;
use lighter_engine::{Error, ProgramSource};
use lighter_types::escape::escape;
use lighter_types::grant::{Grant, GrantError, Grants, parse_environment_file};
use lighter_types::limits::{LimitError, Limits};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Where the engine keeps things.
#[derive(Args)]
pub(crate) struct EngineFlags {
    /// Directory for what is kept [env: LIGHTER_DATA_ROOT]
    #[arg(
        long,
        global = true,
        value_name = "DIRECTORY",
        help_heading = "Global options"
    )]
    pub(crate) data_root: Option<PathBuf>,
    /// Directory for locks and sockets [env: LIGHTER_RUN_ROOT]
    #[arg(
        long,
        global = true,
        value_name = "DIRECTORY",
        help_heading = "Global options"
    )]
    pub(crate) run_root: Option<PathBuf>,
    /// Configuration file, in place of the usual ones [env: LIGHTER_CONFIG]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Run although this system lacks parts of the boundary; see lighter info
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) insecure_no_boundary: bool,
}

/// What a program is given. Each flag is a grant of the same name.
#[derive(Args)]
#[command(next_help_heading = "Grants")]
pub(crate) struct GrantFlags {
    /// Mount a directory or file, as ./data:/data or ./data:/data:ro
    #[arg(short = 'v', long, value_name = "SOURCE:TARGET")]
    volume: Vec<String>,
    /// Mount something, as type=bind,source=./data,target=/data,readonly
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    /// Give an empty directory in memory, as /tmp or /tmp:size=64m
    #[arg(long, value_name = "TARGET")]
    tmpfs: Vec<String>,
    /// Set a variable, or pass the caller's own on
    #[arg(short = 'e', long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Give a secret, as a file under /run/secrets and by wasi:config
    #[arg(long, value_name = "NAME=FILE")]
    secret: Vec<String>,
    /// Answer wasi:config
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run as this user and group, in numbers
    #[arg(short = 'u', long, value_name = "UID:GID")]
    user: Option<String>,
    /// Withhold an interface that would be there
    #[arg(long, value_name = "INTERFACE")]
    deny: Vec<String>,
    /// Replace an interface by a trap on use
    #[arg(long, value_name = "INTERFACE")]
    stub: Vec<String>,
    /// Allow connections, datagrams and requests, as https://example.com, tcp://10.0.0.0/8:5432 or *:443
    #[arg(long, value_name = "HOST:PORT")]
    allow_net: Vec<String>,
    /// Allow lookups of names, as example.com or *.example.com
    #[arg(long, value_name = "NAME")]
    allow_dns: Vec<String>,
    /// Answer a name yourself, as db:10.1.2.3 or host.docker.internal:host-gateway
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// Ask this name server in place of the system's
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// Put it into a network: none, host, or bridge, which is the default
    #[arg(long, alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Publish a port, as 8080:80, 127.0.0.1:8080:80 or 53:53/udp
    #[arg(short = 'p', long, value_name = "PORT")]
    publish: Vec<String>,
    /// Add a credential to requests over TLS, as api.example.com=env:TOKEN; the program does not see it
    #[arg(long, value_name = "HOST=SOURCE")]
    credential: Vec<String>,
    /// Believe these authorities too, for requests over TLS
    #[arg(long, value_name = "FILE")]
    ca: Vec<String>,
    /// Meet an import with a provider (not in this version)
    #[arg(long, value_name = "INTERFACE=PROVIDER")]
    link: Vec<String>,
}

/// What a program may use up.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// End the program when it needs more memory than this, as 64m or 1.5g
    #[arg(short = 'm', long, value_name = "SIZE", allow_hyphen_values = true)]
    memory: Option<String>,
    /// Give it no more time than this many processors have, as 0.5
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    cpus: Option<String>,
    /// Let it have no more threads than this
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<String>,
    /// End it after this long, as 10s, 5m or 1h30m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    timeout: Option<String>,
}

impl LimitFlags {
    /// The limits that the boundary and the engine hold.
    pub(crate) fn limits(&self) -> Result<Limits, Error> {
        self.parse().map_err(|error| Error::Refused {
            reason: error.to_string(),
            hint: None,
        })
    }

    fn parse(&self) -> Result<Limits, LimitError> {
        let memory = self.memory.as_deref().map(Limits::parse_memory);
        let cpus = self.cpus.as_deref().map(|value| {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            Limits::parse_cpus(value, u32::try_from(processors).unwrap_or(u32::MAX))
        });
        let threads = self.pids_limit.as_deref().map(Limits::parse_threads);
        Ok(Limits {
            memory_bytes: memory.transpose()?.flatten(),
            nano_cpus: cpus.transpose()?.flatten(),
            threads: threads.transpose()?.flatten(),
        })
    }

    /// How long the program may run.
    pub(crate) fn time_limit(&self) -> Result<Option<Duration>, Error> {
        let Some(text) = &self.timeout else {
            return Ok(None);
        };
        duration(text).map(Some).ok_or_else(|| Error::Refused {
            reason: format!(
                "invalid --timeout \"{}\": expected a time, as 10s, 5m or 1h30m",
                escape(text)
            ),
            hint: None,
        })
    }
}

impl GrantFlags {
    /// All grants, the configuration's defaults first.
    pub(crate) fn grants(&self, configuration: &Configuration) -> Result<Grants, Error> {
        let mut grants = Grants::default();
        for grant in &configuration.grants {
            grants.add(grant.clone()).map_err(|error| refused(&error))?;
        }
        for file in &self.env_file {
            let (content, _) = settings::read_file(file).map_err(|error| Error::Refused {
                reason: format!(
                    "cannot read the environment file {}: {error}",
                    escape(&file.to_string_lossy())
                ),
                hint: None,
            })?;
            let entries = parse_environment_file(&content).map_err(|error| refused(&error))?;
            for entry in entries {
                grants
                    .add(Grant::Environment(entry))
                    .map_err(|error| refused(&error))?;
            }
        }
        let user: Vec<String> = self.user.iter().cloned().collect();
        let flags: [(&str, &Vec<String>); 18] = [
            ("volume", &self.volume),
            ("mount", &self.mount),
            ("tmpfs", &self.tmpfs),
            ("env", &self.env),
            ("secret", &self.secret),
            ("set", &self.set),
            ("user", &user),
            ("deny", &self.deny),
            ("stub", &self.stub),
            ("allow-net", &self.allow_net),
            ("allow-dns", &self.allow_dns),
            ("add-host", &self.add_host),
            ("dns", &self.dns),
            ("network", &self.network),
            ("publish", &self.publish),
            ("credential", &self.credential),
            ("ca", &self.ca),
            ("link", &self.link),
        ];
        for (key, values) in flags {
            for value in values {
                add(&mut grants, key, value)?;
            }
        }
        Ok(grants)
    }
}

fn add(grants: &mut Grants, key: &str, value: &str) -> Result<(), Error> {
    Grant::parse(key, value)
        .and_then(|grant| grants.add(grant))
        .map_err(|error| refused(&error))
}

fn refused(error: &GrantError) -> Error {
    Error::Refused {
        reason: error.to_string(),
        hint: error.hint().map(str::to_owned),
    }
}

/// The guest's environment: what was granted, the caller's values filled in.
pub(crate) fn environment(grants: &Grants) -> Result<Vec<(String, String)>, Error> {
    for entry in grants.environment() {
        let is_foreign =
            settings::variable(entry.name()).is_some_and(|value| value.to_str().is_none());
        if is_foreign && entry.resolve(|_| None).is_none() {
            return Err(Error::Refused {
                reason: format!(
                    "the value of the variable {} is not UTF-8",
                    escape(entry.name())
                ),
                hint: Some(
                    "WASI has only Unicode text: give another value with -e NAME=VALUE".to_owned(),
                ),
            });
        }
    }
    Ok(grants.resolve_environment(|name| settings::variable(name)?.into_string().ok()))
}

/// The program and its arguments, out of the words that end a command line.
pub(crate) fn program(words: Vec<OsString>) -> Result<(ProgramSource, Vec<String>), Error> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    let arguments = words
        .enumerate()
        .map(|(index, word)| {
            word.into_string().map_err(|word| Error::Refused {
                reason: format!(
                    "argument {} is not UTF-8: {}",
                    index + 1,
                    escape(&word.to_string_lossy())
                ),
                hint: Some("WASI has only Unicode text".to_owned()),
            })
        })
        .collect::<Result<_, _>>()?;
    Ok((source(program)?, arguments))
}

/// What a program's name names (DESIGN: a path if it starts with `.` or `/`, is `-`, or ends in
/// `.wasm` or `.wat`; else an image).
pub(crate) fn source(name: OsString) -> Result<ProgramSource, Error> {
    if name == "-" {
        return Ok(ProgramSource::Stdin);
    }
    let bytes = name.as_encoded_bytes();
    let is_path = bytes.starts_with(b".")
        || bytes.starts_with(b"/")
        || bytes.ends_with(b".wasm")
        || bytes.ends_with(b".wat");
    if is_path {
        return Ok(ProgramSource::Path(PathBuf::from(name)));
    }
    let shown = escape(&name.to_string_lossy());
    let hint = if std::path::Path::new(&name).exists() {
        format!("for the file or directory of that name write ./{shown}")
    } else {
        "a program's file is named by a path that starts with . or /, or ends in .wasm or .wat"
            .to_owned()
    };
    Err(Error::Refused {
        reason: format!("{shown} names an image, and this version has no images"),
        hint: Some(hint),
    })
}

/// A time as Go and Docker write it: numbers with the units ms, s, m, h and d.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_length = tail
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        let seconds_of_unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds_of_unit).ok()?)?;
        rest = tail;
    }
    (!text.is_empty() && total > Duration::ZERO).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_docker_writes_them() {
        assert_eq!(duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn times_without_a_unit_or_a_value_are_refused() {
        for text in ["", "10", "s", "10x", "-1s", "0s", "1..s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_told_from_paths() {
        assert_eq!(source("-".into()).expect("valid"), ProgramSource::Stdin);
        assert_eq!(
            source("a.wasm".into()).expect("valid"),
            ProgramSource::Path("a.wasm".into())
        );
        assert_eq!(
            source("./a".into()).expect("valid"),
            ProgramSource::Path("./a".into())
        );
        let error = source("redis".into()).expect_err("an image");
        assert_eq!(
            error.to_string(),
            "redis names an image, and this version has no images"
        );
    }
}
