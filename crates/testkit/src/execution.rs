//! One run of a command: what it is given, and what came of it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// As long as anything may take that compiles nothing large.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// A command to be run, with an environment of its own.
///
/// The environment holds `PATH` and what [`Execution::env`] adds; standard input is empty unless
/// [`Execution::stdin`] gives bytes.
pub struct Execution {
    command: Command,
    shown: OsString,
    stdin: Vec<u8>,
    timeout: Duration,
    user: Option<u32>,
}

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All of standard output.
    pub stdout: Vec<u8>,
    /// All of standard error.
    pub stderr: Vec<u8>,
}

impl Execution {
    /// A command without arguments.
    pub(crate) fn new(program: &OsStr) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Self {
            command,
            shown: program.to_owned(),
            stdin: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            user: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            self.shown.push(" ");
            self.shown.push(argument.as_ref());
            self.command.arg(argument);
        }
        self
    }

    /// Adds a variable to the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the directory that the command starts in.
    #[must_use]
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Gives bytes to standard input, and then its end.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets how long the command may take; five minutes if nothing is said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs the command as the user and group `id`, in no other group. Only root may.
    #[must_use]
    pub fn as_user(mut self, id: u32) -> Self {
        self.user = Some(id);
        self
    }

    /// Runs the command to its end.
    ///
    /// # Panics
    /// If it can't be started, or does not end in time: it is killed then, and what it printed is shown.
    pub fn run(mut self) -> Outcome {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.start();
        let mut stdin = child.stdin.take().expect("a pipe was asked for");
        let bytes = std::mem::take(&mut self.stdin);
        let writer = thread::spawn(move || match stdin.write_all(&bytes) {
            // The command need not read all of it.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                panic!("could not write to it: {error}")
            }
            _ => {}
        });
        let stdout = read_all(child.stdout.take().expect("a pipe was asked for"));
        let stderr = read_all(child.stderr.take().expect("a pipe was asked for"));
        let ended = wait(&mut child, self.timeout);
        let text = "a thread that reads or writes a pipe does not panic";
        writer.join().expect(text);
        let (stdout, stderr) = (stdout.join().expect(text), stderr.join().expect(text));
        let (code, signal) = match ended {
            Some(status) => (status.code(), status.signal()),
            None => panic!(
                "{} was killed after {:?}, having printed:\n{}{}",
                self.shown.display(),
                self.timeout,
                String::from_utf8_lossy(&stdout),
                String::from_utf8_lossy(&stderr)
            ),
        };
        Outcome {
            code,
            signal,
            stdout,
            stderr,
        }
    }

    /// The same command, run by another program that takes it as its last arguments.
    pub(crate) fn through(self, program: &str, options: &[&str]) -> Self {
        let inner = self.command;
        let mut command = Command::new(program);
        command
            .args(options)
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear();
        command.envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        if let Some(directory) = inner.get_current_dir() {
            command.current_dir(directory);
        }
        Self { command, ..self }
    }

    /// Starts the command with the standard streams set on it.
    pub(crate) fn start(&mut self) -> Child {
        if let Some(id) = self.user {
            // Without supplementary groups: the standard library drops root's when it changes the user.
            self.command.uid(id).gid(id);
        }
        let shown = self.shown.display();
        self.command
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {shown}: {error}"))
    }

    /// The command itself, for what only some need.
    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// How long it may take.
    pub(crate) fn time_limit(&self) -> Duration {
        self.timeout
    }
}

impl Outcome {
    /// Standard output as text; bytes that are none are replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; bytes that are none are replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Checks exit code and standard output, and shows everything if one is another.
    ///
    /// # Panics
    /// If the exit code or standard output differ.
    #[track_caller]
    pub fn assert(&self, code: i32, stdout: &str) {
        let is_same = self.code == Some(code) && self.stdout == stdout.as_bytes();
        assert!(
            is_same,
            "expected exit code {code} and {stdout:?}, got\n{}",
            self.describe()
        );
    }

    /// Checks that the command was refused: exit code, nothing on standard output, and words on standard error.
    ///
    /// # Panics
    /// If one of these is not so.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, words: &[&str]) {
        let stderr = self.stderr_text();
        let missing: Vec<_> = words
            .iter()
            .filter(|word| !stderr.contains(**word))
            .collect();
        let is_refused = self.code == Some(code) && self.stdout.is_empty() && missing.is_empty();
        assert!(
            is_refused,
            "expected a refusal with {code} that says {missing:?}, got\n{}",
            self.describe()
        );
    }

    /// All of it, to be read by a person.
    pub fn describe(&self) -> String {
        let (code, signal) = (self.code, self.signal);
        let (stdout, stderr) = (self.stdout_text(), self.stderr_text());
        format!("code {code:?}, signal {signal:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Waits for a child's end; one that takes too long is killed.
pub(crate) fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .expect("a child that was not waited for");
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("a timeout of minutes");
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(0) => break,
            Ok(_) => return Some(child.wait().expect("it has ended")),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("could not wait for a child: {error}"),
        }
    }
    // It may have ended by itself in this moment.
    let _ = pidfd_send_signal(&process, Signal::KILL);
    child.wait().expect("it was killed");
    None
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}
