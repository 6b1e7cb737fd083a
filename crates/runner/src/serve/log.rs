//! What is written of requests: a line on standard error for a fault, and one on standard output for each, if that
//! was asked for.

use http::header::{HeaderMap, HeaderName, REFERER, USER_AGENT};
use http::{Method, Request, StatusCode, Version};
use hyper::body::Incoming;
use lighter_types::escape::escape;
use lighter_types::http::LogFormat;
use lighter_wasm::Fault;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
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
        Fault::Late { limit } => {
            format!("the program took more than {limit:?} (--response-timeout, --request-timeout)")
        }
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
        self.say(&status, reason.lines().next().unwrap_or_default());
    }

    /// One line for a body that is longer than it may be.
    pub(super) fn tell_too_long(&self, status: Option<StatusCode>) {
        let status = status.map_or("cut short".to_owned(), |status| status.as_u16().to_string());
        self.say(
            &status,
            "its body is longer than it may be (--max-body-size)",
        );
    }

    fn say(&self, status: &str, reason: &str) {
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

/// The most lines that wait to be written; what comes beyond that is lost, and counted.
const MOST_LINES: usize = 4096;
/// How long the last lines may take.
const LAST_LINES_TIME: Duration = Duration::from_secs(1);

/// What is written of each request, by a thread of its own: who reads it may be slow, and no request waits for that.
pub(super) struct AccessLog {
    format: LogFormat,
    /// Nothing behind the last one.
    lines: SyncSender<Option<String>>,
    lost: AtomicU64,
}

impl AccessLog {
    /// Starts it; it has ended when the receiver hears of it.
    pub(super) fn start(format: LogFormat) -> io::Result<(Arc<Self>, Receiver<()>)> {
        let (lines, waiting) = sync_channel::<Option<String>>(MOST_LINES);
        let (ended, end) = sync_channel(1);
        let write = move || {
            while let Ok(Some(line)) = waiting.recv() {
                let mut rest = line.as_bytes();
                while !rest.is_empty() {
                    match rustix::io::write(rustix::stdio::stdout(), rest) {
                        Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                        Err(rustix::io::Errno::INTR) => {}
                        // Nobody reads it.
                        Err(_) => break,
                    }
                }
            }
            let _ = ended.send(());
        };
        thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(write)?;
        let log = Self {
            format,
            lines,
            lost: AtomicU64::new(0),
        };
        Ok((Arc::new(log), end))
    }

    fn write(&self, line: String) {
        if self.lines.try_send(Some(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for the last lines, and tells how many were lost.
    pub(super) fn end(&self, end: &Receiver<()>) {
        let deadline = Instant::now() + LAST_LINES_TIME;
        // Whoever reads may take too long.
        while self.lines.try_send(None).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = end.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            let text = format!(
                "lighter: {lost} lines of the access log were lost: nobody took them in time\n"
            );
            let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        }
    }
}

/// The stack of that thread, in bytes.
const STACK_BYTES: usize = 128 << 10;

/// One request, as the access log has it. It is written when this is dropped: when its answer was sent, or nobody
/// takes it any more.
pub(super) struct Visit {
    log: Arc<AccessLog>,
    peer: SocketAddr,
    time: OffsetDateTime,
    begin: Instant,
    method: Method,
    target: String,
    version: Version,
    referer: Option<String>,
    agent: Option<String>,
    /// None, as long as there is no answer.
    status: Option<StatusCode>,
    bytes: u64,
}

impl Visit {
    pub(super) fn begin(
        log: &Arc<AccessLog>,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Self {
        let target = request.uri().path_and_query();
        Self {
            log: Arc::clone(log),
            peer,
            time: OffsetDateTime::now_utc(),
            begin: Instant::now(),
            method: request.method().clone(),
            target: target.map_or("*".to_owned(), ToString::to_string),
            version: request.version(),
            referer: field(request.headers(), &REFERER),
            agent: field(request.headers(), &USER_AGENT),
            status: None,
            bytes: 0,
        }
    }

    /// Notes how it is answered.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
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
            self.status(),
            self.bytes,
            quoted(self.referer.as_deref()),
            quoted(self.agent.as_deref()),
        )
    }

    /// The status; for who has gone before there was one, the number that nginx has for that.
    fn status(&self) -> u16 {
        self.status.map_or(499, |status| status.as_u16())
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
            self.status(),
            self.bytes
        );
        line
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.log.write(match self.log.format {
            LogFormat::Common => self.combined(),
            LogFormat::Json => self.json(),
        });
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
