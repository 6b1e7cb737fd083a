//! Requests on their way: by which HTTP, in which pieces, for how long, and what becomes of them where a server does not
//! answer as it should.

use crate::network::{LOOPBACK, free_port};
use crate::requests::{Site, both, granted, raw, run};
use crate::workspace;
use lighter_testkit::programs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn request_is_sent_by_the_http_that_its_server_speaks() {
    let site = Site::start();
    let (http, https) = (site.nginx.http, site.nginx.https[0]);
    for program in both() {
        for (url, answer) in [
            (
                format!("http://a.example:{http}/"),
                format!("http a.example:{http} a.example HTTP/1.1 [] []"),
            ),
            (
                format!("https://a.example:{https}/"),
                format!("https a.example:{https} a.example HTTP/2.0 [] []"),
            ),
            (
                format!("https://127.0.0.1:{https}/"),
                format!("https 127.0.0.1:{https} 127.0.0.1 HTTP/2.0 [] []"),
            ),
        ] {
            let grant = url.trim_end_matches('/');
            let outcome = site.run(program.clone(), &["--allow-net", grant], &["get", &url]);
            assert_eq!(
                outcome.stdout_text(),
                format!("200\n{answer}\n"),
                "{}",
                outcome.describe()
            );
            assert_eq!(outcome.stderr_text(), "");
        }
    }
}

#[test]
fn request_of_grpc_is_sent_by_http_2_without_tls() {
    let site = Site::start();
    let url = format!("http://127.0.0.1:{}/", site.nginx.http2);
    let words = [
        "send",
        "POST",
        &url,
        "x",
        "content-type:application/grpc",
        "te:trailers",
    ];
    let grant = url.trim_end_matches('/');
    for program in both() {
        let outcome = site.run(program, &["--allow-net", grant], &words);
        assert!(
            outcome.stdout_text().contains("HTTP/2.0"),
            "{}",
            outcome.describe()
        );
    }
}

#[test]
fn bodies_and_trailers_go_both_ways() {
    let (workspace, outside) = (workspace(), crate::workspace());
    let port = free_port();
    // A guest of the other kind is the server.
    let listens = format!("127.0.0.1:{port}:80");
    let mut server = std::process::Command::new(env!("CARGO_BIN_EXE_lighter"))
        .args(["run", "-p", &listens])
        .arg(programs::http())
        .env("LIGHTER_DATA_ROOT", outside.data())
        .env("LIGHTER_RUN_ROOT", outside.run_root())
        .spawn()
        .expect("lighter is there");
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect((LOOPBACK, port)).is_err() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    let (origin, echo) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/echo"),
    );
    for program in both() {
        let words = |words: &[&str]| {
            let run = workspace.lighter(["run", "--timeout", "60s", "--allow-net", &origin]);
            let outcome = run.arg(&program).args(words).run();
            assert_eq!(outcome.stderr_text(), "", "{}", outcome.describe());
            outcome.stdout_text()
        };
        assert_eq!(words(&["stream", "20000000", &echo]), "20000000\n");
        assert_eq!(
            words(&["trailers", &echo, "hello\n"]),
            "200\nhello\nx-end: of it\n"
        );
    }
    server.kill().expect("it runs");
    server.wait().expect("it is a child");
}

#[test]
fn waits_are_as_long_as_the_program_says() {
    let workspace = workspace();
    let keep = |stream: TcpStream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(20));
            drop(stream);
        });
    };
    let silent = raw(b"", keep);
    let halting = raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbeginning",
        keep,
    );
    let origin = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}/");
    let begin = Instant::now();
    for program in both() {
        for (url, waits, expected) in [
            // It connects, and says nothing of TLS.
            (
                origin("https", silent),
                ["300", "20000", "20000"],
                "ConnectionTimeout",
            ),
            (
                origin("http", silent),
                ["20000", "300", "20000"],
                "ConnectionReadTimeout",
            ),
            (
                origin("http", halting),
                ["20000", "20000", "300"],
                "ConnectionReadTimeout",
            ),
        ] {
            let run = workspace.lighter([
                "run",
                "--timeout",
                "60s",
                "--allow-net",
                url.trim_end_matches('/'),
            ]);
            let [connect, first, between] = waits;
            let outcome = run
                .arg(&program)
                .args(["waits", connect, first, between, &url])
                .run();
            assert!(
                outcome.stdout_text().contains(expected),
                "{url} {waits:?}: {}",
                outcome.describe()
            );
        }
    }
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn answer_that_is_none_is_told_as_what_it_is() {
    let workspace = workspace();
    let long: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)).into_boxed_str(),
    );
    for (answer, expected) in [
        (&b"nonsense\r\n\r\n"[..], "HttpProtocolError"),
        (b"", "HttpResponseIncomplete"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "HttpResponseIncomplete"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
            "HttpResponseIncomplete",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
            "HttpProtocolError",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nxx",
            "HttpProtocolError",
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "HttpProtocolError",
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
            "HttpResponseIncomplete",
        ),
        (
            b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
            "HttpProtocolError",
        ),
        (b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", "HttpProtocolError"),
        (
            b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            "HttpProtocolError",
        ),
        (long.as_bytes(), "HttpResponseHeaderSectionSize"),
    ] {
        let url = format!("http://127.0.0.1:{}/", raw(answer, drop));
        let printed = granted(&workspace, &url, &["get", &url]);
        assert!(
            printed.contains(expected),
            "{:?}: {printed}",
            String::from_utf8_lossy(&answer[..answer.len().min(80)])
        );
    }
    // A body without a length ends with its connection.
    let url = format!(
        "http://127.0.0.1:{}/",
        raw(b"HTTP/1.1 200 OK\r\n\r\nall\n", drop)
    );
    assert_eq!(granted(&workspace, &url, &["get", &url]), "200\nall\n");
    let nobody = format!("http://127.0.0.1:{}/", free_port());
    assert_eq!(
        granted(&workspace, &nobody, &["get", &nobody]),
        "ErrorCode::ConnectionRefused\n"
    );
    let connect = granted(&workspace, &url, &["send", "CONNECT", &url, ""]);
    assert_eq!(connect, "ErrorCode::HttpRequestMethodInvalid\n");
}

#[test]
fn many_requests_at_once_share_connections_and_leave_nothing() {
    let site = Site::start();
    let url = format!("http://127.0.0.1:{}/", site.nginx.http);
    let printed = granted(&site.workspace, &url, &["at-once", "500", &url]);
    assert_eq!(printed, "{\"200\": 500}\n");
    let printed = granted(&site.workspace, &url, &["drop", "1000", &url]);
    assert_eq!(printed, "dropped\n");
}

#[test]
fn connection_that_its_server_ends_loses_no_request() {
    let site = Site::start();
    // nginx ends each after twenty requests, those that come meanwhile unseen.
    for port in [site.nginx.http, site.nginx.https[0]] {
        let scheme = if port == site.nginx.http {
            "http"
        } else {
            "https"
        };
        let url = format!("{scheme}://127.0.0.1:{port}/");
        let flags = ["--allow-net", url.trim_end_matches('/')];
        let outcome = site.run(programs::requests(), &flags, &["at-once", "60", &url]);
        assert_eq!(
            outcome.stdout_text(),
            "{\"200\": 60}\n",
            "{}",
            outcome.describe()
        );
    }
}

#[test]
fn flood_of_small_pieces_harms_no_other_request() {
    let workspace = workspace();
    let pieces: &'static [u8] = b"1\r\nx\r\n".repeat(4096).leak();
    let flood = move |mut stream: TcpStream| {
        thread::spawn(move || while stream.write_all(pieces).is_ok() {});
    };
    let hostile = raw(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        flood,
    );
    let slow = raw(b"", |mut stream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(3));
            // Whoever asked may be gone.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        });
    });
    let [hostile, slow] = [hostile, slow].map(|port| format!("http://127.0.0.1:{port}/"));
    let grants = [&hostile, &slow].map(|url| url.trim_end_matches('/'));
    let flags = ["--allow-net", grants[0], "--allow-net", grants[1]];
    let outcome = run(&workspace, &flags, &["beside", &hostile, "8", &slow]);
    assert_eq!(outcome.stdout_text(), "200\nok", "{}", outcome.describe());
}

#[test]
fn body_is_sent_by_whatever_method_and_trace_is_not() {
    let workspace = workspace();
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut seen = Vec::new();
        let mut bytes = [0; 4096];
        while !seen.ends_with(b"0\r\n\r\n") {
            let length = stream.read(&mut bytes).expect("it sends");
            assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend(&bytes[..length]);
        }
        stream
            .write_all(b"HTTP/1.1 204 None\r\n\r\n")
            .expect("it takes it");
        String::from_utf8_lossy(&seen).into_owned()
    });
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(
        granted(&workspace, &url, &["send", "GET", &url, "a body"]),
        "204\n"
    );
    let seen = server.join().expect("it does not panic");
    assert!(
        seen.contains("transfer-encoding: chunked") && seen.contains("a body"),
        "{seen}"
    );
    let trace = granted(&workspace, &url, &["send", "TRACE", &url, ""]);
    assert_eq!(trace, "ErrorCode::HttpRequestMethodInvalid\n");
    // Browsers' gRPC is HTTP/1.1.
    let url = format!(
        "http://127.0.0.1:{}/",
        raw(b"HTTP/1.1 204 None\r\n\r\n", drop)
    );
    let words = [
        "send",
        "POST",
        &url,
        "x",
        "content-type:application/grpc-web+proto",
    ];
    assert_eq!(granted(&workspace, &url, &words), "204\n");
}
