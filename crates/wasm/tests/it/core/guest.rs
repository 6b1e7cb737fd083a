//! Builds guests and runs each in a process of its own, through the example `wasm-run`.

use lighter_testkit::example;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// How a run ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Fails unless the guest exited with 0 and nothing was refused.
    pub(crate) fn succeeded(&self) {
        assert_eq!(self.code, Some(0), "{self:#?}");
    }
}

/// A directory of one test, removed with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lighter-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file of this test and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// As `--dir` wants it.
    pub(crate) fn at(&self, guest_path: &str) -> String {
        format!("{guest_path}={}", self.0.display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program that compiles and runs a guest.
fn runner() -> PathBuf {
    example("lighter-wasm", "wasm-run")
}

/// The command that runs a program, before its arguments.
pub(crate) fn command(options: &[&str], program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(runner());
    command
        .args(options)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a program to its end.
pub(crate) fn run(options: &[&str], program: &Path, arguments: &[&str]) -> Outcome {
    finish(start(command(options, program, arguments)))
}

pub(crate) fn start(mut command: Command) -> Child {
    command.spawn().expect("wasm-run starts")
}

/// Waits for the end of a run.
pub(crate) fn finish(child: Child) -> Outcome {
    let output = child.wait_with_output().expect("wasm-run ends");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a program given as text.
pub(crate) fn run_text(name: &str, options: &[&str], text: &str, arguments: &[&str]) -> Outcome {
    let scratch = Scratch::new(name);
    let program = scratch.file("app.wat", text);
    run(options, &program, arguments)
}

/// Reads a run's first line.
pub(crate) fn first_line(child: &mut Child) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    let stdout = child.stdout.as_mut().expect("it is piped");
    while stdout.read(&mut byte).expect("it can be read") == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    String::from_utf8(line).expect("it is text")
}

/// Compiles `tests/guests/NAME.rs`, once per content and compiler.
pub(crate) fn rust(name: &str, target: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/guests")
        .join(format!("{name}.rs"));
    let mut hasher = DefaultHasher::new();
    std::fs::read(&source)
        .expect("the source is there")
        .hash(&mut hasher);
    target.hash(&mut hasher);
    env!("CARGO_PKG_RUST_VERSION").hash(&mut hasher);
    let directory = cache().join("guests");
    std::fs::create_dir_all(&directory).expect("the cache can be made");
    let program = directory.join(format!("{name}-{:016x}.wasm", hasher.finish()));
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ONE_AT_A_TIME.lock();
    if program.exists() {
        return program;
    }
    let unfinished = directory.join(format!("{name}-{}.tmp", std::process::id()));
    let status = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "-O",
            "-g",
            "--crate-type",
            "bin",
            "--target",
            target,
        ])
        .arg("-o")
        .args([&unfinished, &source])
        .status()
        .expect("rustc starts");
    assert!(status.success(), "{name} does not compile");
    // Tests of other processes make the same file.
    std::fs::rename(&unfinished, &program).expect("the cache can be written");
    program
}

pub(crate) fn cache() -> PathBuf {
    match std::env::var_os("LIGHTER_TEST_CACHE") {
        Some(path) => path.into(),
        None => {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/lighter-tests")
        }
    }
}

/// Writes to a run's input and closes it.
pub(crate) fn feed(child: &mut Child, bytes: &[u8]) {
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(bytes).expect("it can be written");
}
