//! What is written of requests: a line on standard error for a fault, and one on standard output for each, if that
//! was asked for.

use http::header::{HeaderMap, HeaderName, REFERER, USER_AGENT};
use http::{Method, Request, StatusCode, Version};
use hyper::body::Incoming;
use lighter_types::escape::escape;
use lighter_types::http::LogFormat;
use lighter_wasm::Fault;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Instant;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What happened, for who reads the log.
fn reason(fault: &Fault) -> String {
    match fault {
        Fault::Trapped { report } => report.clone(),
        Fault::Exited { code } => format!("the program exited with {code} and gave no answer"),
        Fault::OutOfMemory => "it needs more memory than --memory allows".to_owned(),
        Fault::OutOfTime { limit } => {
            format!("it used a processor for more than {limit:?} (--request-cpu-time)")
        }
        Fault::NoAnswer { error: None } => "the program returned without an answer".to_owned(),
        Fault::NoAnswer { error: Some(error) } => {
            format!("the program answered with the error {error}")
        }
        Fault::Late { limit } => format!("the program took more than {limit:?}"),
        Fault::NoInstance { reason } => format!("no instance could be made: {reason}"),
    }
}

/// A request as the line of a fault names it.
#[derive(Clone)]
pub(super) struct Line {
    method: Method,
    target: String,
}

impl Line {
    pub(super) fn of(request: &Request<Incoming>) -> Self {
        Self {
            method: request.method().clone(),
            target: request.uri().path().to_owned(),
        }
    }

    /// One line for a fault; without a status the answer had begun.
    pub(super) fn tell(&self, status: Option<StatusCode>, fault: &Fault) {
        let status = status.map_or("cut short".to_owned(), |status| status.as_u16().to_string());
        let reason = reason(fault);
        let reason = reason.lines().next().unwrap_or_default();
        let text = format!(
            "lighter: {} {}: {status}: {}\n",
            escape(self.method.as_str()),
            escape(&self.target),
            escape(reason)
        );
        // Nobody may read it.
        let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    }
}

/// One request, as the access log has it. It is written when this is dropped: when its answer was sent, or nobody
/// takes it any more.
pub(super) struct Visit {
    format: LogFormat,
    peer: SocketAddr,
    time: OffsetDateTime,
    begin: Instant,
    method: Method,
    target: String,
    version: Version,
    referer: Option<String>,
    agent: Option<String>,
    status: StatusCode,
    bytes: u64,
}

impl Visit {
    pub(super) fn begin(format: LogFormat, request: &Request<Incoming>, peer: SocketAddr) -> Self {
        let target = request.uri().path_and_query();
        Self {
            format,
            peer,
            time: OffsetDateTime::now_utc(),
            begin: Instant::now(),
            method: request.method().clone(),
            target: target.map_or("*".to_owned(), ToString::to_string),
            version: request.version(),
            referer: field(request.headers(), &REFERER),
            agent: field(request.headers(), &USER_AGENT),
            status: StatusCode::OK,
            bytes: 0,
        }
    }

    /// Notes how it is answered.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// Notes a piece of the answer's body.
    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes += u64::try_from(bytes).unwrap_or(0);
    }

    /// The line, as Apache's "combined" and nginx have it.
    fn combined(&self) -> String {
        let time = self.time;
        let quoted = |text: Option<&str>| text.map_or("-".to_owned(), plain);
        format!(
            "{} - - [{:02}/{}/{}:{:02}:{:02}:{:02} +0000] \"{} {} {:?}\" {} {} \"{}\" \"{}\"\n",
            self.peer.ip().to_canonical(),
            time.day(),
            time.month().to_string().get(..3).unwrap_or_default(),
            time.year(),
            time.hour(),
            time.minute(),
            time.second(),
            plain(self.method.as_str()),
            plain(&self.target),
            self.version,
            self.status.as_u16(),
            self.bytes,
            quoted(self.referer.as_deref()),
            quoted(self.agent.as_deref()),
        )
    }

    fn json(&self) -> String {
        let mut line = String::from("{");
        let mut text = |name: &str, value: &str| {
            let separator = if line.len() > 1 { "," } else { "" };
            // Writing to a string does not fail.
            let _ = write!(line, "{separator}\"{name}\":\"{}\"", in_json(value));
        };
        text("time", &self.time.format(&Rfc3339).unwrap_or_default());
        text("remote", &self.peer.ip().to_canonical().to_string());
        text("method", self.method.as_str());
        text("target", &self.target);
        text("protocol", &format!("{:?}", self.version));
        for (name, value) in [("referer", &self.referer), ("user_agent", &self.agent)] {
            if let Some(value) = value {
                text(name, value);
            }
        }
        let seconds = self.begin.elapsed().as_secs_f64();
        let _ = writeln!(
            line,
            ",\"status\":{},\"bytes\":{},\"seconds\":{seconds:.6}}}",
            self.status.as_u16(),
            self.bytes
        );
        line
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let line = match self.format {
            LogFormat::Common => self.combined(),
            LogFormat::Json => self.json(),
        };
        // Nobody may read it.
        let _ = rustix::io::write(rustix::stdio::stdout(), line.as_bytes());
    }
}

fn field(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = fields.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Text within quotes: what would end them, or is none to print, by its number.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if !b"\"\\".contains(&byte) => plain.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(plain, "\\x{byte:02x}")),
        }
    }
    plain
}

/// The content of a string in JSON (RFC 8259, section 7).
fn in_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            // Writing to a string does not fail.
            ..' ' | '\u{7f}' => drop(write!(escaped, "\\u{:04x}", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_forges_a_line() {
        assert_eq!(plain("/a\"b\\c\nd\u{e9}"), "/a\\x22b\\x5cc\\x0ad\\xc3\\xa9");
        assert_eq!(
            in_json("a\"b\\c\nd\u{7f}\u{e9}"),
            "a\\\"b\\\\c\\u000ad\\u007f\u{e9}"
        );
    }
}
