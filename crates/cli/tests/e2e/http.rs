//! HTTP in: an instance for each request, what requests may take, and who is harmed by whom.

use crate::network::{LOOPBACK, free_port};
use crate::workspace;
use lighter_testkit::{Workspace, programs};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to be there, and a request to be answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that serves, until this is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) workspace: Workspace,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(program: &Path, flags: &[&str]) -> Self {
        Self::start_in(workspace(), program, flags)
    }

    /// Starts it in a workspace that has something in it.
    pub(crate) fn start_in(workspace: Workspace, program: &Path, flags: &[&str]) -> Self {
        let port = free_port();
        let log = File::create(workspace.path("log")).expect("the workspace is writable");
        let process = Command::new(env!("CARGO_BIN_EXE_lighter"))
            .args(["run", "-p", &format!("127.0.0.1:{port}:80")])
            .args(flags)
            .arg(program)
            .env("LIGHTER_DATA_ROOT", workspace.data())
            .env("LIGHTER_RUN_ROOT", workspace.run_root())
            .current_dir(workspace.path(""))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .expect("lighter is there");
        let mut server = Self {
            process,
            workspace,
            port,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((LOOPBACK, port)).is_err() {
            let ended = server.process.try_wait().expect("it is a child");
            let is_lost = ended.is_some() || Instant::now() > deadline;
            assert!(!is_lost, "{ended:?}\n{}", server.log());
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((LOOPBACK, self.port)).expect("it listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("it is a socket");
        stream
    }

    /// Sends bytes, and gives all that comes back until the server closes.
    pub(crate) fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("it takes them");
        rest(&mut stream)
    }

    /// The status and the body for a path.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        parts(&self.send(request.as_bytes()))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.workspace.path("log")).unwrap_or_default()
    }

    /// The process in which the program runs.
    pub(crate) fn runner(&self) -> u32 {
        let keeper = self.process.id();
        let children = format!("/proc/{keeper}/task/{keeper}/children");
        let children = fs::read_to_string(children).expect("it runs");
        let first = children.split_whitespace().next();
        first
            .and_then(|child| child.parse().ok())
            .expect("it has a child")
    }

    /// Whether a line is in the log, or comes soon.
    pub(crate) fn has_line(&self, line: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.log().lines().any(|other| other == line) {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        true
    }

    pub(crate) fn tell(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }

    /// The code it ends with.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("it is a child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All that comes until the other side closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends it too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status and the body of a response.
fn parts(response: &str) -> (u16, String) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((response, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.unwrap_or(0), body.to_owned())
}

fn answer(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

#[test]
fn request_is_answered_by_a_fresh_instance_of_either_version() {
    for program in [programs::http(), programs::http_p3()] {
        let server = Server::start(&program, &[]);
        let hello = server.get("/hello");
        assert_eq!(hello.0, 200, "{}", server.log());
        assert!(hello.1.contains("hello\n"), "{hello:?}");
        for _ in 0..3 {
            let count = server.get("/count").1;
            assert!(count.contains("1\n") && !count.contains("2\n"), "{count}");
        }
        assert_eq!(server.get("/nowhere").0, 404);
    }
}

#[test]
fn instance_answers_as_often_as_it_may() {
    for program in [programs::http(), programs::http_p3()] {
        let server = Server::start(&program, &["--reuse", "3"]);
        let counts: Vec<String> = (0..5).map(|_| server.get("/count").1).collect();
        for (count, expected) in counts.iter().zip(["1\n", "2\n", "3\n", "1\n", "2\n"]) {
            assert!(count.contains(expected), "{counts:?}");
        }
    }
}

#[test]
fn what_a_guest_does_not_answer_is_answered_for_it_and_told() {
    let server = Server::start(&programs::http(), &[]);
    for (path, status, body, line) in [
        (
            "/trap",
            500,
            "the program failed\n",
            "500: the program aborted: it reached an `unreachable` instruction",
        ),
        (
            "/begun",
            500,
            "the program failed\n",
            "500: the program aborted: it reached an `unreachable` instruction",
        ),
        (
            "/exit",
            500,
            "the program failed\n",
            "500: the program exited with 1 and gave no answer",
        ),
        (
            "/nothing",
            502,
            "the program gave no answer\n",
            "502: the program returned without an answer",
        ),
        (
            "/denied",
            502,
            "the program gave no answer\n",
            "502: the program answered with the error ErrorCode::HttpRequestDenied",
        ),
    ] {
        assert_eq!(server.get(path), answer(status, body));
        let line = format!("lighter: GET {path}: {line}");
        assert!(server.has_line(&line), "{line}\n{}", server.log());
        assert_eq!(server.get("/hello"), answer(200, "hello\n"));
    }
    // What began is cut short, so that nobody takes it for whole.
    let half = server.get("/half");
    assert_eq!(half, answer(200, "first"));
    assert!(server.has_line(
        "lighter: GET /half: cut short: the program aborted: it reached an `unreachable` instruction"
    ));
}

#[test]
fn guest_sees_the_request_as_it_was_sent() {
    let server = Server::start(&programs::http(), &["-e", "NAME=value"]);
    let request = "PATCH /head?a=b HTTP/1.1\r\nHost: shop.example:81\r\nX-One: 1\r\nX-one: 2\r\n\
                   Connection: close\r\n\r\n";
    let (status, text) = parts(&server.send(request.as_bytes()));
    assert_eq!(status, 200);
    for line in [
        "Method::Patch Some(Scheme::Http) shop.example:81 /head?a=b",
        "x-one: 1",
        "x-one: 2",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    assert_eq!(server.get("/environment?NAME"), answer(200, "value"));
    let body = server.get("/body?100000").1;
    assert_eq!(body.matches('x').count(), 100_000);
}

#[test]
fn body_and_trailers_come_and_go_in_pieces() {
    for program in [programs::http(), programs::http_p3()] {
        let server = Server::start(&program, &[]);
        let mut stream = server.connect();
        let head = "POST /echo HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nTrailer: X-Sum\r\n\
                    Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nfirst\r\n";
        stream.write_all(head.as_bytes()).expect("it takes it");
        // What was sent is back before the rest is.
        let mut seen = String::new();
        while !seen.contains("first") {
            let mut piece = [0; 1024];
            let length = stream.read(&mut piece).expect("it answers");
            assert_ne!(length, 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        let tail = "6\r\nsecond\r\n0\r\nX-Sum: 11\r\n\r\n";
        stream.write_all(tail.as_bytes()).expect("it takes it");
        let left = rest(&mut stream);
        assert!(left.contains("second"), "{left}");
    }
}

#[test]
fn endless_requests_stop_no_others_and_are_ended() {
    for program in [programs::http(), programs::http_p3()] {
        let server = Server::start(&program, &["--request-cpu-time", "500ms"]);
        thread::scope(|scope| {
            let endless: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (server.get("/spin"), Instant::now())))
                .collect();
            thread::sleep(Duration::from_millis(200));
            let mut answered = Instant::now();
            for _ in 0..20 {
                assert_eq!(server.get("/hello").0, 200);
                answered = Instant::now();
            }
            for endless in endless {
                let (response, ended) = endless.join().expect("it is answered");
                assert_eq!(response, answer(500, "the program failed\n"));
                assert!(ended > answered, "it was not there meanwhile");
            }
        });
        let line =
            "lighter: GET /spin: 500: it used a processor for more than 500ms (--request-cpu-time)";
        assert!(server.has_line(line), "{}", server.log());
        assert_eq!(server.get("/hello").0, 200);
    }
}

#[test]
fn guest_that_asks_the_host_without_end_is_ended() {
    let server = Server::start(&programs::http(), &["--request-cpu-time", "300ms"]);
    assert_eq!(server.get("/spin-calls").0, 500);
    assert_eq!(server.get("/hello"), answer(200, "hello\n"));
}

#[test]
fn time_that_is_waited_is_not_the_processors() {
    let flags = ["--request-cpu-time", "100ms", "--response-timeout", "20s"];
    let server = Server::start(&programs::http(), &flags);
    assert_eq!(server.get("/sleep?1000"), answer(200, "slept\n"));
}

#[test]
fn late_answer_is_none() {
    let flags = ["--response-timeout", "300ms", "--max-concurrent", "1"];
    let server = Server::start(&programs::http(), &flags);
    let late = server.get("/sleep?20000");
    assert_eq!(late, answer(504, "the program took too long\n"));
    // Nor has it kept its place.
    assert_eq!(server.get("/hello"), answer(200, "hello\n"));
}

#[test]
fn no_more_are_answered_at_once_than_may_be() {
    let server = Server::start(&programs::http(), &["--max-concurrent", "1"]);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(server.get("/sleep?300"), answer(200, "slept\n")));
        }
    });
    assert!(start.elapsed() > Duration::from_millis(900));
}

#[test]
fn request_that_needs_too_much_memory_harms_no_other() {
    let server = Server::start(&programs::http(), &["--memory", "48m"]);
    for _ in 0..2 {
        assert_eq!(
            server.get("/memory?100"),
            answer(500, "the program failed\n")
        );
        assert_eq!(server.get("/memory?10").0, 200);
    }
    let line = "lighter: GET /memory: 500: it needs more memory than --memory allows";
    assert!(server.has_line(line), "{}", server.log());
}

#[test]
fn what_is_too_long_or_no_request_is_refused() {
    let flags = ["--max-body-size", "10", "--max-header-size", "8k"];
    let server = Server::start(&programs::http(), &flags);
    let post = |fields: &str, body: &str| {
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
        parts(&server.send(format!("{head}{body}").as_bytes())).0
    };
    assert_eq!(post("Content-Length: 10\r\n", "0123456789"), 200);
    assert_eq!(post("Content-Length: 11\r\n", "0123456789a"), 413);
    let long = format!("X: {}\r\n", "x".repeat(20_000));
    assert_eq!(post(&long, ""), 431);
    for (request, status) in [
        ("GET /hello HTTP/1.1\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
        ("GET /hello\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
    ] {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).expect("it takes it");
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("it is a socket");
        assert_eq!(parts(&rest(&mut stream)).0, status, "{request:?}");
    }
    assert_eq!(server.get("/hello"), answer(200, "hello\n"));
}

#[test]
fn client_that_is_silent_is_let_go() {
    let server = Server::start(&programs::http(), &["--header-timeout", "500ms"]);
    for beginning in ["", "GET /hello HTTP/1.1\r\nHost: a\r\nX-"] {
        let start = Instant::now();
        server.send(beginning.as_bytes());
        let time = start.elapsed();
        assert!(time > Duration::from_millis(300), "{time:?}");
        assert!(time < Duration::from_secs(20), "{time:?}");
    }
}

#[test]
fn requests_of_one_connection_are_answered_in_their_order() {
    let server = Server::start(&programs::http(), &[]);
    let mut requests = String::new();
    for path in ["/sleep?100", "/hello", "/count"] {
        requests.push_str(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    requests.push_str("GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let text = server.send(requests.as_bytes());
    let places: Vec<_> = ["slept\n", "hello\n", "1\n", "the program gave no answer\n"]
        .iter()
        .map(|body| text.find(body).unwrap_or_else(|| panic!("{body}: {text}")))
        .collect();
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn server_that_is_to_end_answers_what_it_has() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&programs::http(), &[]);
        // Neither who says nothing nor who waits for more holds it up.
        let mut silent = server.connect();
        let mut idle = server.connect();
        let hello = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
        idle.write_all(hello).expect("it takes it");
        idle.read_exact(&mut [0; 20]).expect("it answers");
        thread::scope(|scope| {
            let answered = scope.spawn(|| server.get("/sleep?700"));
            thread::sleep(Duration::from_millis(200));
            server.tell(signal);
            assert_eq!(answered.join().expect("it ends"), answer(200, "slept\n"));
        });
        assert_eq!(server.code(), Some(0), "{}", server.log());
        assert_eq!(rest(&mut silent), "");
    }
}

#[test]
fn server_waits_no_longer_than_it_may() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut server = Server::start(&programs::http(), &["--drain-timeout", "300ms"]);
        thread::scope(|scope| {
            scope.spawn(|| server.get("/sleep?30000"));
            thread::sleep(Duration::from_millis(200));
            server.tell(signal);
        });
        assert_eq!(server.code(), Some(code), "{}", server.log());
    }
}

#[test]
fn http_2_is_spoken_to_who_speaks_it() {
    let server = Server::start(&programs::http(), &[]);
    let url = format!("http://127.0.0.1:{}/echo", server.port);
    let workspace = workspace();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    workspace.write("body", &body);
    let curl = workspace.command("curl").args([
        "--silent",
        "--show-error",
        "--http2-prior-knowledge",
        "--data-binary",
        "@body",
        "--write-out",
        "%{stderr}%{http_version} %{http_code}",
        &url,
    ]);
    let outcome = curl.run();
    assert_eq!(outcome.stderr_text(), "2 200", "{}", server.log());
    assert!(outcome.stdout == body, "it is another one");
}

#[test]
fn every_published_port_serves() {
    let program = programs::http();
    let other = free_port();
    let flag = format!("127.0.0.1:{other}:8081");
    let server = Server::start(&program, &["-p", &flag]);
    assert_eq!(server.get("/hello"), answer(200, "hello\n"));
    let mut stream = TcpStream::connect((LOOPBACK, other)).expect("it listens");
    stream
        .write_all(b"GET /hello HTTP/1.0\r\nHost: a\r\n\r\n")
        .expect("it takes it");
    assert_eq!(parts(&rest(&mut stream)), answer(200, "hello\n"));
}

#[test]
fn handler_without_a_port_is_refused_with_the_flag() {
    let workspace = workspace();
    let program = workspace.copy(programs::http(), "http.wasm");
    let words = [
        "answers HTTP requests, and no port is published",
        "hint: publish one, as -p 8080:80",
    ];
    let run = workspace.lighter(["run"]).arg(&program);
    run.run().assert_refused(125, &words);
    let explain = |flags: &[&str]| {
        let explain = workspace.lighter(["explain"]).args(flags);
        explain.arg(&program).run()
    };
    let outcome = explain(&[]);
    assert_eq!(outcome.code, Some(126), "{}", outcome.describe());
    assert!(outcome.stdout_text().contains(words[0]));
    let outcome = explain(&["-p", "8080:80"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    assert!(
        outcome
            .stdout_text()
            .contains("entry:   wasi:http/incoming-handler@0.2.12")
    );
}

#[test]
fn handler_of_another_type_is_refused() {
    let workspace = workspace();
    let text = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $h (export "handle" (func $f)))
        (export "wasi:http/incoming-handler@0.2.3" (instance $h)))"#;
    workspace.write("odd.wat", text);
    let run = workspace.lighter(["run", "-p", "127.0.0.1::80", "./odd.wat"]);
    let told = "./odd.wat cannot run: no instance of it can be made: failed to convert function to given type";
    run.run().assert_refused(126, &[told]);
}

#[test]
fn wrong_values_of_http_flags_are_refused() {
    let workspace = workspace();
    for (flag, value, expected) in [
        ("--reuse", "0", "expected a number of 1 to 4294967295"),
        ("--max-concurrent", "5000", "expected a number of 1 to 4096"),
        ("--max-header-size", "1k", "expected a size of 8k to 1m"),
        ("--max-body-size", "x", "expected a size, as 10m"),
        (
            "--response-timeout",
            "0",
            "expected a time, as 10s, 5m or 1h30m",
        ),
        (
            "--request-cpu-time",
            "-1s",
            "expected a time, as 10s, 5m or 1h30m",
        ),
    ] {
        let run = workspace.lighter(["run", flag, value, "./none.wasm"]);
        let told = format!("invalid {flag} \"{value}\": {expected}");
        run.run().assert_refused(125, &[&told]);
    }
}

#[test]
fn access_log_has_a_line_for_each_request() {
    let server = Server::start(&programs::http(), &["--access-log", "common"]);
    server.get("/body?5000");
    server.get("/trap");
    let request =
        "GET /head?a HTTP/1.1\r\nHost: a\r\nUser-Agent: x\"y\r\nConnection: close\r\n\r\n";
    server.send(request.as_bytes());
    server.send(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    let lines = [
        "\"GET /body?5000 HTTP/1.1\" 200 5000 \"-\" \"-\"",
        "\"GET /trap HTTP/1.1\" 500 19 \"-\" \"-\"",
        "\"GET / HTTP/1.1\" 400 ",
        "\"-\" \"x\\x22y\"",
    ];
    let deadline = Instant::now() + PATIENCE;
    while !lines.iter().all(|line| server.log().contains(line)) {
        assert!(Instant::now() < deadline, "{}", server.log());
        thread::sleep(Duration::from_millis(10));
    }
    let log = server.log();
    let first = log
        .lines()
        .find(|line| line.contains("/body"))
        .expect("it is there");
    assert!(first.starts_with("127.0.0.1 - - ["), "{first}");
    let server = Server::start(&programs::http(), &["--access-log", "json"]);
    server.get("/hello");
    let line = "\"method\":\"GET\",\"target\":\"/hello\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":6,\"seconds\":";
    while !server.log().contains(line) {
        assert!(Instant::now() < deadline, "{}", server.log());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn answer_that_its_program_did_not_end_does_not_look_whole() {
    let server = Server::start(&programs::http(), &[]);
    // Its request breaks off in the middle, and with it the program.
    let broken =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let mut stream = server.connect();
    stream.write_all(broken).expect("it takes them");
    let mut beginning = [0; 4096];
    let mut seen = String::new();
    while !seen.contains("hello") {
        let length = stream.read(&mut beginning).expect("it answers");
        assert!(length > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&beginning[..length]));
    }
    stream.write_all(b"ZZ\r\nbad").expect("it takes them");
    seen.push_str(&rest(&mut stream));
    assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
}

#[test]
fn head_has_no_body_by_either_http() {
    let server = Server::start(&programs::http(), &[]);
    let origin = format!("http://127.0.0.1:{}/hello", server.port);
    for http in ["--http1.1", "--http2-prior-knowledge"] {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--head",
                "--max-time",
                "20",
                http,
                &origin,
            ])
            .output()
            .expect("curl is there");
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        assert!(
            output.status.success() && text.contains("content-length: 6"),
            "{http}: {output:?}"
        );
    }
    assert!(!server.log().contains("cut short"), "{}", server.log());
}

#[test]
fn body_that_is_too_long_is_told_however_it_comes() {
    let server = Server::start(&programs::http(), &["--max-body-size", "1k"]);
    let head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = format!("{head}1000\r\n{}\r\n0\r\n\r\n", "x".repeat(4096));
    let (status, body) = parts(&server.send(request.as_bytes()));
    assert!(
        status == 413 || (status == 200 && !body.ends_with("0\r\n\r\n")),
        "{status} {body}"
    );
    let deadline = Instant::now() + PATIENCE;
    while !server
        .log()
        .contains("its body is longer than it may be (--max-body-size)")
    {
        assert!(Instant::now() < deadline, "{}", server.log());
        thread::sleep(Duration::from_millis(10));
    }
    let long = format!(
        "GET /hello HTTP/1.1\r\nHost: a\r\nX: {}\r\nConnection: close\r\n\r\n",
        "x".repeat(66_000)
    );
    assert_eq!(parts(&server.send(long.as_bytes())).0, 431);
}
