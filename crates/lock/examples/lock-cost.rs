//! Locks a new process 500 times as a guest's is locked, and prints how long that took, in
//! microseconds: the least, and the median. `benches/lock` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a program for measurements fails where it likes"
)]

use lighter_lock::{Bounds, Grants, Role, lock};
use lighter_types::bundle::FileRight;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 500;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lock", artifact] => lock_once(artifact, &[]),
        ["lock", artifact, directory] => lock_once(
            artifact,
            &[FileRight {
                runner_path: directory.to_owned(),
                is_writable: true,
            }],
        ),
        _ => {
            print("without mounts", &["lock", "/proc/self/exe"]);
            print("with a mount", &["lock", "/proc/self/exe", "/tmp"]);
        }
    }
}

fn lock_once(artifact: &str, files: &[FileRight]) {
    let grants = Grants {
        artifact: Some(artifact),
        files,
        has_network: false,
        has_published: false,
        bounds: Bounds {
            data_bytes: None,
            address_bytes: None,
            cpu_seconds: None,
            file_bytes: None,
            threads: Some(4100),
        },
        has_own_root: true,
        may_lack_parts: false,
    };
    let start = Instant::now();
    let locked = lock(Role::Run, &grants).and_then(|lock| lock.seal_code());
    let elapsed = start.elapsed().as_nanos();
    locked.expect("this system has all that is needed");
    write!(std::io::stdout(), "{elapsed}").expect("standard output is open");
}

fn print(what: &str, arguments: &[&str]) {
    let program = std::env::current_exe().expect("/proc is mounted");
    let mut times: Vec<u64> = (0..ROUNDS)
        .map(|_| {
            let mut child = Command::new(&program)
                .args(arguments)
                .stdout(Stdio::piped())
                .spawn()
                .expect("this program can be run");
            let mut text = String::new();
            let output = child.stdout.as_mut().expect("a pipe was asked for");
            output.read_to_string(&mut text).expect("it can be read");
            assert!(child.wait().expect("it is our child").success());
            text.parse().expect("it is a number")
        })
        .collect();
    times.sort_unstable();
    let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
    let line = format!(
        "the lock, {what}: min {:.0} us, median {:.0} us\n",
        microseconds(times[0]),
        microseconds(times[ROUNDS / 2])
    );
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("standard output is open");
}
