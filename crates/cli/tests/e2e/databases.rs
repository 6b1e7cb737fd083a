//! Real database servers, used by programs with the clients that their languages have for them.

use crate::network::{LOOPBACK, free_port, run};
use crate::workspace_for_large_programs;
use lighter_testkit::{Workspace, is_root, programs, require};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to answer.
const START_TIME: Duration = Duration::from_secs(60);

/// Where Debian keeps the versions of PostgreSQL, each in a directory of its own.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// An account of the PostgreSQL server's.
const USER: &str = "guest";
const PASSWORD: &str = "open sesame";

/// What each client of Redis says.
const REDIS_SAID: &str = "\
    greeting: hello\n\
    counter: 3\n\
    list: 499500\n\
    large: 1048576 true\n\
    nothing: true\n\
    wrong: WRONGTYPE\n\
    timeout: true\n\
    news: first second\n";

/// What each client of PostgreSQL says.
const POSTGRES_SAID: &str = "\
    cat: 4 legs, 4.5 kg\n\
    Käfer: 6 legs, 0.001 kg\n\
    snake: no legs, 2 kg\n\
    twice: 23505\n\
    rows: 20000 200010000\n\
    large: 1048576 true\n";

/// A server on a loopback address, which ends when this is dropped, and with the test's process.
struct Server {
    process: Child,
    end: Signal,
    address: String,
}

impl Server {
    /// Starts Redis, which keeps nothing; `None` if it is not on this machine.
    fn redis(workspace: &Workspace) -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let is_there = env::split_paths(&path).any(|path| path.join("redis-server").is_file());
        if !require("Redis", is_there, "Debian's package redis-server has it") {
            return None;
        }
        let port = free_port();
        let mut command = setpriv("KILL");
        command
            .args(["redis-server", "--bind", "127.0.0.1", "--save", ""])
            .args(["--port", &port.to_string()]);
        let start = Self::start(workspace, command, Signal::KILL, port, || {
            answers_ping(port)
        });
        Some(start)
    }

    /// Starts PostgreSQL with a database that wants a password; `None` if it is not on this machine.
    fn postgres(workspace: &Workspace) -> Option<Self> {
        let programs = postgres_programs();
        let why = "Debian's package postgresql has it";
        require("PostgreSQL", programs.is_some(), why);
        let programs = programs?;
        let data = make_database(workspace, &programs);
        let port = free_port();
        // An end by this signal takes its children and its shared memory with it, and writes nothing.
        let mut command = setpriv("QUIT");
        command
            .args(as_postgres())
            .arg(programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg(format!("--port={port}"))
            .args(["--listen_addresses=127.0.0.1", "--unix_socket_directories="])
            .args(["--fsync=off", "--dynamic_shared_memory_type=mmap"]);
        let start = Self::start(workspace, command, Signal::QUIT, port, || is_ready(&data));
        Some(start)
    }

    /// Starts a server in the workspace and waits until it answers.
    fn start(
        workspace: &Workspace,
        mut command: Command,
        end: Signal,
        port: u16,
        answers: impl Fn() -> bool,
    ) -> Self {
        let path = workspace.path("server.log");
        let log = File::create(&path).expect("the workspace is writable");
        command
            .current_dir(workspace.path(""))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log);
        let mut server = Self {
            process: command.spawn().expect("setpriv is there"),
            end,
            address: format!("{LOOPBACK}:{port}"),
        };
        let deadline = Instant::now() + START_TIME;
        while !answers() {
            let ended = server.process.try_wait().expect("it is a child");
            let is_lost = ended.is_some() || Instant::now() > deadline;
            let log = || fs::read_to_string(&path).unwrap_or_default();
            assert!(!is_lost, "no answer from {command:?}: {ended:?}\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.process), self.end);
        let _ = self.process.wait();
    }
}

/// A command that gets a signal when the thread that started it ends, by whatever end.
fn setpriv(signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]);
    command
}

/// Options of `setpriv` for PostgreSQL, which does not run as root: the package makes a user for it.
fn as_postgres() -> &'static [&'static str] {
    if is_root() {
        &["--reuid=postgres", "--regid=postgres", "--clear-groups"]
    } else {
        &[]
    }
}

fn answers_ping(port: u16) -> bool {
    let exchange = || {
        let mut stream = TcpStream::connect((LOOPBACK, port))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    exchange().is_ok_and(|answer| answer == *b"+PONG\r\n")
}

/// Where the programs of the newest PostgreSQL are.
fn postgres_programs() -> Option<PathBuf> {
    let versions = fs::read_dir(POSTGRES_VERSIONS).ok()?.flatten();
    versions
        .map(|version| version.path().join("bin"))
        .filter(|programs| programs.join("initdb").is_file())
        .max()
}

/// Makes the directory of a database whose one account is [`USER`].
fn make_database(workspace: &Workspace, programs: &Path) -> PathBuf {
    let home = workspace.directory("postgres");
    fs::set_permissions(&home, Permissions::from_mode(0o777)).expect("it is this process's");
    let (data, password) = (home.join("data"), workspace.write("password", PASSWORD));
    let outcome = workspace
        .command("setpriv")
        .args(as_postgres())
        .arg(programs.join("initdb"))
        .args(["--auth=scram-sha-256", "--username", USER, "--pwfile"])
        .arg(password)
        .args(["--encoding=UTF8", "--no-locale", "--no-sync", "-D"])
        .arg(&data)
        .run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    data
}

/// Says whether PostgreSQL has written that it takes connections, which is the eighth line of the file.
fn is_ready(data: &Path) -> bool {
    let file = fs::read_to_string(data.join("postmaster.pid"));
    file.is_ok_and(|text| {
        text.lines()
            .nth(7)
            .is_some_and(|line| line.trim() == "ready")
    })
}

#[test]
fn redis_is_used_from_rust() {
    let workspace = workspace_for_large_programs();
    let Some(server) = Server::redis(&workspace) else {
        return;
    };
    let flags = ["--allow-net", server.address.as_str()];
    let words = [server.address.as_str()];
    run(&workspace, &flags, &programs::redis_client(), &words).assert(0, REDIS_SAID);
}

#[test]
fn redis_is_used_from_python() {
    let workspace = workspace_for_large_programs();
    let Some(server) = Server::redis(&workspace) else {
        return;
    };
    let program = programs::database_clients_in_python();
    let flags = ["--allow-net", server.address.as_str()];
    let words = ["redis", server.address.as_str()];
    run(&workspace, &flags, &program, &words).assert(0, REDIS_SAID);
}

#[test]
fn redis_is_used_from_go() {
    let workspace = workspace_for_large_programs();
    let Some(server) = Server::redis(&workspace) else {
        return;
    };
    let flags = ["--allow-net", server.address.as_str()];
    let words = [server.address.as_str()];
    run(&workspace, &flags, &programs::redis_client_in_go(), &words).assert(0, REDIS_SAID);
}

#[test]
fn postgres_is_used_from_rust() {
    let workspace = workspace_for_large_programs();
    let Some(server) = Server::postgres(&workspace) else {
        return;
    };
    let program = programs::postgres_client();
    let flags = ["--allow-net", server.address.as_str()];
    let words = [server.address.as_str(), USER, PASSWORD];
    let said = format!("{POSTGRES_SAID}other connection: got the lock in the end\n");
    run(&workspace, &flags, &program, &words).assert(0, &said);
    // The server does look at the password.
    let words = [server.address.as_str(), USER, "sesame"];
    run(&workspace, &flags, &program, &words).assert(1, "28P01\n");
}

#[test]
fn postgres_is_used_from_python() {
    let workspace = workspace_for_large_programs();
    let Some(server) = Server::postgres(&workspace) else {
        return;
    };
    let program = programs::database_clients_in_python();
    let flags = ["--allow-net", server.address.as_str()];
    let words = ["postgres", server.address.as_str(), USER, PASSWORD];
    run(&workspace, &flags, &program, &words).assert(0, POSTGRES_SAID);
}

#[test]
fn server_is_reached_by_a_name_that_is_granted() {
    let workspace = workspace_for_large_programs();
    let Some(server) = Server::redis(&workspace) else {
        return;
    };
    let named = server.address.replace("127.0.0.1", "db.example");
    let host = ["--add-host", "db.example:127.0.0.1"];
    let flags = [&["--allow-net", named.as_str()], &host[..]].concat();
    run(&workspace, &flags, &programs::redis_client(), &[&named]).assert(0, REDIS_SAID);
}

#[test]
fn server_that_is_not_granted_is_not_reached() {
    let workspace = workspace_for_large_programs();
    let Some(server) = Server::redis(&workspace) else {
        return;
    };
    let address = server.address.as_str();
    let other = ["--allow-net", "127.0.0.1:1"];
    let refused = "Permission denied (os error 2)\n";
    for (flags, program, said) in [
        (&[][..], programs::redis_client(), refused),
        (&other, programs::redis_client(), refused),
        (&[], programs::redis_client_in_go(), "sock_open: errno 2\n"),
        (
            &other,
            programs::redis_client_in_go(),
            "sock_connect: errno 2\n",
        ),
    ] {
        let outcome = run(&workspace, flags, &program, &[address]);
        outcome.assert(1, said);
        let told = if flags.is_empty() {
            "create a TCP socket: no network is granted; allow it with --allow-net HOST:PORT or -p PORT".to_owned()
        } else {
            format!(
                "connect to {address}: it is not granted; allow it with --allow-net tcp://{address}"
            )
        };
        assert_eq!(outcome.stderr_text(), format!("lighter: refused: {told}\n"));
    }
}
