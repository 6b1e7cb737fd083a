//! Flags for programs that answer HTTP requests.

use crate::flags::duration;
use clap::Args;
use lighter_engine::{Error, TlsFiles};
use lighter_types::escape::escape;
use lighter_types::grant::parse_size_bytes;
use lighter_types::http::{HttpSettings, LogFormat};
use std::path::PathBuf;
use std::time::Duration;

/// What requests may take.
#[derive(Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpFlags {
    /// Let an instance answer this many requests; each gets a fresh one by default
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    reuse: Option<String>,
    /// Answer no more requests at once than this; others wait (default: 128)
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    max_concurrent: Option<String>,
    /// Refuse requests whose head is longer (default: 64k)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    max_header_size: Option<String>,
    /// Refuse requests whose body is longer
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    max_body_size: Option<String>,
    /// Close connections that bring no request in this time (default: 60s)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    header_timeout: Option<String>,
    /// End requests that are not answered in this time (default: 60s)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    response_timeout: Option<String>,
    /// End requests whose answer is not whole in this time (default: 10m)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    request_timeout: Option<String>,
    /// End requests that use a processor for longer than this (default: 30s)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    request_cpu_time: Option<String>,
    /// Wait this long for requests that go on when the server is told to end (default: 10s)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    drain_timeout: Option<String>,
    /// Write a line on standard output for each request: common or json
    #[arg(long, value_name = "FORMAT")]
    access_log: Option<String>,
    /// Serve TLS with this certificate, in PEM; the program's process never gets its key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// The most requests that are answered at once: as many as there is room for in a process.
const MOST_CONCURRENT: u32 = 4096;
/// The longest head of a request, in bytes.
const HEAD_BYTES: std::ops::RangeInclusive<u64> = 8 << 10..=1 << 20;

impl HttpFlags {
    /// The files of the certificate and its key.
    pub(crate) fn tls(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { certificate, key })
    }

    /// What the flags say, and what holds without them.
    pub(crate) fn settings(&self) -> Result<HttpSettings, Error> {
        let mut settings = HttpSettings::default();
        if let Some(text) = &self.reuse {
            settings.reuse = number("reuse", text, u32::MAX)?;
        }
        if let Some(text) = &self.max_concurrent {
            settings.most_concurrent = number("max-concurrent", text, MOST_CONCURRENT)?;
        }
        if let Some(text) = &self.max_header_size {
            let bytes = parse_size_bytes(text).filter(|bytes| HEAD_BYTES.contains(bytes));
            settings.head_bytes = bytes
                .and_then(|bytes| u32::try_from(bytes).ok())
                .ok_or_else(|| wrong("max-header-size", text, "a size of 8k to 1m"))?;
        }
        if let Some(text) = &self.max_body_size {
            let bytes = parse_size_bytes(text);
            let bytes = bytes.ok_or_else(|| wrong("max-body-size", text, "a size, as 10m"))?;
            settings.body_bytes = Some(bytes);
        }
        settings.access_log = match self.access_log.as_deref() {
            None => None,
            Some("common") => Some(LogFormat::Common),
            Some("json") => Some(LogFormat::Json),
            Some(other) => return Err(wrong("access-log", other, "common or json")),
        };
        for (name, text, time) in [
            (
                "header-timeout",
                &self.header_timeout,
                &mut settings.head_time,
            ),
            (
                "response-timeout",
                &self.response_timeout,
                &mut settings.first_byte_time,
            ),
            (
                "request-timeout",
                &self.request_timeout,
                &mut settings.total_time,
            ),
            (
                "request-cpu-time",
                &self.request_cpu_time,
                &mut settings.cpu_time,
            ),
            (
                "drain-timeout",
                &self.drain_timeout,
                &mut settings.drain_time,
            ),
        ] {
            if let Some(text) = text {
                let parsed = duration(text).filter(|time| *time > Duration::ZERO);
                *time = parsed.ok_or_else(|| wrong(name, text, "a time, as 10s, 5m or 1h30m"))?;
            }
        }
        Ok(settings)
    }
}

fn number(flag: &str, text: &str, most: u32) -> Result<u32, Error> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|number| is_plain && (1..=most).contains(number));
    number.ok_or_else(|| wrong(flag, text, &format!("a number of 1 to {most}")))
}

fn wrong(flag: &str, text: &str, expected: &str) -> Error {
    Error::Refused {
        reason: format!("invalid --{flag} \"{}\": expected {expected}", escape(text)),
        hint: None,
    }
}
