//! HTTP out: requests leave by the role that sends them, to where they may go, over TLS to whom it says it is, with
//! what the program does not see.

use crate::network::{LOOPBACK, free_port};
use crate::workspace;
use lighter_testkit::{
    Authority, NameServer, Nginx, Outcome, Reply, Validity, Workspace, programs,
};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Both versions of the program that sends requests.
fn both() -> [PathBuf; 2] {
    [programs::requests(), programs::requests_p3()]
}

/// Runs the program of WASI 0.2.
fn run(workspace: &Workspace, flags: &[&str], words: &[&str]) -> Outcome {
    let run = workspace.lighter(["run", "--timeout", "30s"]).args(flags);
    run.arg(programs::requests()).args(words).run()
}

/// What it printed, with all that it was granted.
fn granted(workspace: &Workspace, url: &str, words: &[&str]) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let authority = rest.split('/').next().expect("an authority");
    let grant = format!("{scheme}://{authority}");
    run(workspace, &["--allow-net", &grant], words).stdout_text()
}

/// A server that answers each connection's beginning with the same bytes, and then does something.
fn raw(answer: &'static [u8], then: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 65536];
            // Whoever came may be gone.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
            then(stream);
        }
    });
    port
}

/// A workspace with an nginx that has a certificate for `a.example`, and what the runs are told of it.
struct Site {
    workspace: Workspace,
    nginx: Nginx,
    authority: String,
}

impl Site {
    fn start() -> Self {
        let (workspace, authority) = (workspace(), Authority::new());
        let certificate = authority.sign(&["a.example", "127.0.0.1"], Validity::Now);
        let nginx = Nginx::start(&workspace, &[certificate]);
        let path = workspace.write("ca.pem", authority.certificate());
        let authority = path.to_string_lossy().into_owned();
        Self {
            workspace,
            nginx,
            authority,
        }
    }

    /// Runs with the authority believed and the name mapped here.
    fn run(&self, program: PathBuf, flags: &[&str], words: &[&str]) -> Outcome {
        self.workspace
            .lighter(["run", "--timeout", "30s", "--ca", &self.authority])
            .args([
                "--add-host",
                "a.example:127.0.0.1",
                "--add-host",
                "b.example:127.0.0.1",
            ])
            .args(flags)
            .arg(program)
            .args(words)
            .run()
    }
}

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
fn credential_goes_to_its_host_over_tls_alone() {
    let site = Site::start();
    let (http, https) = (site.nginx.http, site.nginx.https[0]);
    let key = site.workspace.write("key", "of a file\n");
    let from_file = format!("a.example=x-key:file:{}", key.display());
    let sent = |host: &str, scheme: &str, port: u16| {
        let url = format!("{scheme}://{host}:{port}/");
        let words = ["send", "GET", &url, "", "authorization:the program's"];
        let run = site
            .workspace
            .lighter(["run", "--timeout", "30s", "--ca", &site.authority])
            .args(["--add-host", "a.example:127.0.0.1"])
            .args([
                "--allow-net",
                &format!("127.0.0.1:{port}"),
                "--allow-net",
                &format!("a.example:{port}"),
            ])
            .args([
                "--credential",
                "a.example=env:TOKEN",
                "--credential",
                &from_file,
            ])
            .env("TOKEN", "t0ken");
        let outcome = run.arg(programs::requests()).args(words).run();
        outcome.stdout_text()
    };
    assert!(sent("a.example", "https", https).ends_with("[Bearer t0ken] [of a file]\n"));
    assert!(sent("127.0.0.1", "https", https).ends_with("[the program's] []\n"));
    assert!(sent("a.example", "http", http).ends_with("[the program's] []\n"));
}

#[test]
fn credential_that_is_not_there_is_told_before_anything_runs() {
    let workspace = workspace();
    let told = |flags: &[&str]| {
        let outcome = run(&workspace, flags, &["get", "http://127.0.0.1/"]);
        assert_eq!(outcome.code, Some(125));
        outcome.stderr_text()
    };
    assert_eq!(
        told(&["--credential", "a.example=env:NOT_SET"]),
        "lighter: cannot give the credential for a.example: the variable NOT_SET is not set\n\
         hint: export NOT_SET=...\n"
    );
    assert!(told(&["--credential", "a.example=file:./none"]).contains("./none cannot be read"));
    workspace.write("lines", "one\ntwo");
    assert!(
        told(&["--credential", "a.example=file:./lines"])
            .contains("it has characters in it that no header holds")
    );
    let twice = [
        "--credential",
        "a.example=env:PATH",
        "--credential",
        "A.example=env:HOME",
    ];
    assert!(told(&twice).contains("the credential for a.example (authorization) is given twice"));
    assert!(told(&["--ca", "./none"]).contains("cannot believe the authorities in ./none"));
    workspace.write("empty.pem", "nothing");
    assert_eq!(
        told(&["--ca", "./empty.pem"]),
        "lighter: cannot believe the authorities in ./empty.pem: it holds no certificate in PEM\n\
         hint: name a file with certificates in PEM: --ca FILE\n"
    );
}

#[test]
fn certificate_that_is_not_believed_is_told_with_its_fault() {
    let (workspace, authority) = (workspace(), Authority::new());
    let stranger = Authority::new();
    let certificates = [
        (
            authority.sign(&["127.0.0.1"], Validity::Past),
            "it has expired",
        ),
        (
            authority.sign(&["127.0.0.1"], Validity::Future),
            "it is not valid yet",
        ),
        (
            authority.sign(&["b.example"], Validity::Now),
            "it is for another host",
        ),
        (
            stranger.sign(&["127.0.0.1"], Validity::Now),
            "nobody who is believed has signed it; name its authority's certificate with --ca FILE",
        ),
    ];
    let (certificates, faults): (Vec<_>, Vec<_>) = certificates.into_iter().unzip();
    let nginx = Nginx::start(&workspace, &certificates);
    workspace.write("ca.pem", authority.certificate());
    for (port, fault) in nginx.https.iter().zip(faults) {
        let origin = format!("https://127.0.0.1:{port}");
        let outcome = run(
            &workspace,
            &["--ca", "./ca.pem", "--allow-net", &origin],
            &["get", &format!("{origin}/")],
        );
        assert_eq!(
            outcome.stdout_text(),
            "ErrorCode::TlsCertificateError\n",
            "{fault}"
        );
        assert_eq!(
            outcome.stderr_text(),
            format!(
                "lighter: refused: request {origin}: its certificate is not believed: {fault}\n"
            )
        );
    }
}

#[test]
fn redirection_is_decided_on_like_any_request() {
    let site = Site::start();
    let http = site.nginx.http;
    let (url, elsewhere) = (
        format!("http://127.0.0.1:{http}/redirect"),
        format!("http://127.0.0.2:{http}"),
    );
    for program in both() {
        let grant = format!("http://127.0.0.1:{http}");
        let outcome = site.run(program.clone(), &["--allow-net", &grant], &["follow", &url]);
        assert!(
            outcome
                .stdout_text()
                .starts_with(&format!("{url}\n{elsewhere}/\n"))
                && outcome.stdout_text().contains("HttpRequestDenied"),
            "{}",
            outcome.describe()
        );
        assert_eq!(
            outcome.stderr_text(),
            format!(
                "lighter: refused: request {elsewhere}: it is not granted; allow it with --allow-net {elsewhere}\n"
            )
        );
        let flags = ["--allow-net", &grant, "--allow-net", &elsewhere];
        let outcome = site.run(program, &flags, &["follow", &url]);
        assert_eq!(outcome.stdout_text(), format!("{url}\n{elsewhere}/\n200\n"));
    }
}

#[test]
fn name_leads_no_request_inside() {
    let (workspace, port) = (workspace(), raw(b"HTTP/1.1 204 None\r\n\r\n", drop));
    let server = NameServer::start(|name| match name {
        "inside.example" => Reply::Addresses(vec![LOOPBACK]),
        "both.example" => Reply::Addresses(vec![LOOPBACK, IpAddr::from([127, 0, 0, 2])]),
        "silent.example" => Reply::Refusal,
        _ => Reply::NoName,
    });
    let dns = server.address.to_string();
    let get = |name: &str, flags: &[&str]| {
        let url = format!("http://{name}:{port}/");
        let mut all = vec!["--dns", &dns];
        all.extend(flags);
        let outcome = run(&workspace, &all, &["get", &url]);
        (outcome.stdout_text(), outcome.stderr_text())
    };
    let name = format!("http://inside.example:{port}");
    let (printed, told) = get("inside.example", &["--allow-net", &name]);
    assert_eq!(printed, "ErrorCode::HttpRequestDenied\n");
    assert_eq!(
        told,
        format!(
            "lighter: refused: request {name} (127.0.0.1): inside.example is granted, but names lead to no loopback \
             addresses; allow it with --allow-net http://127.0.0.1:{port}\n"
        )
    );
    // The address itself, and a lookup of the name.
    let address = format!("http://127.0.0.1:{port}");
    let flags = ["--allow-net", &address, "--allow-dns", "*.example"];
    assert_eq!(get("inside.example", &flags).0, "204\n");
    // What of a name's addresses may be reached is.
    assert_eq!(get("both.example", &flags).0, "204\n");
    // The lookup is not granted.
    let (printed, told) = get("other.test", &flags);
    assert_eq!(printed, "ErrorCode::HttpRequestDenied\n");
    assert!(
        told.contains(&format!(
            "allow it with --allow-net http://other.test:{port}"
        )),
        "{told}"
    );
    assert!(
        get("none.example", &flags)
            .0
            .starts_with("ErrorCode::DnsError")
    );
    let (printed, told) = get("silent.example", &flags);
    assert_eq!(printed, "ErrorCode::DnsTimeout\n");
    assert!(
        told.contains("look up silent.example: the name servers answered that they cannot say"),
        "{told}"
    );
}

#[test]
fn ceiling_holds_requests_too() {
    let (workspace, port) = (workspace(), raw(b"HTTP/1.1 204 None\r\n\r\n", drop));
    workspace.write(
        "config.toml",
        format!("[ceiling]\nallow-net = \"https://127.0.0.1:{port}\"\n"),
    );
    let grant = format!("127.0.0.1:{port}");
    let flags = ["--config", "config.toml", "--allow-net", &grant];
    let outcome = run(&workspace, &flags, &["get", &format!("http://{grant}/")]);
    assert_eq!(outcome.stdout_text(), "ErrorCode::HttpRequestDenied\n");
    assert!(
        outcome
            .stderr_text()
            .contains("[ceiling] of the configuration forbids it")
    );
    let outcome = run(&workspace, &flags, &["get", &format!("https://{grant}/")]);
    assert_eq!(outcome.stdout_text(), "ErrorCode::TlsProtocolError\n");
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
fn grant_of_requests_opens_no_socket() {
    let (workspace, port) = (workspace(), raw(b"", drop));
    let to = format!("127.0.0.1:{port}");
    let origin = format!("https://{to}");
    for program in [
        programs::sockets_component(),
        programs::sockets_p3(),
        programs::wasmedge_sockets(),
    ] {
        let run = workspace.lighter(["run", "--timeout", "20s", "--allow-net", &origin]);
        let outcome = run.arg(program).args(["connect", &to, "x"]).run();
        let told = format!(
            "lighter: refused: connect to {to}: it is not granted; allow it with --allow-net tcp://{to}\n"
        );
        assert_eq!(outcome.stderr_text(), told, "{}", outcome.describe());
    }
}

#[test]
fn server_that_is_its_own_authority_is_believed_if_it_is_named() {
    let workspace = workspace();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args([
            "-subj",
            "/CN=x",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-days",
            "2",
        ])
        .args(["-keyout", "own.key", "-out", "own.pem"])
        .current_dir(workspace.path(""))
        .output()
        .expect("openssl is there");
    assert!(made.status.success());
    let own = lighter_testkit::Certificate {
        certificate: workspace.read("own.pem"),
        key: workspace.read("own.key"),
    };
    let nginx = Nginx::start(&workspace, &[own]);
    let origin = format!("https://127.0.0.1:{}", nginx.https[0]);
    let url = format!("{origin}/");
    let believed = run(
        &workspace,
        &["--ca", "own.pem", "--allow-net", &origin],
        &["get", &url],
    );
    assert!(
        believed.stdout_text().starts_with("200\n"),
        "{}",
        believed.describe()
    );
    let stranger = run(&workspace, &["--allow-net", &origin], &["get", &url]);
    assert!(
        stranger
            .stderr_text()
            .contains("nobody who is believed has signed it; name its authority"),
        "{}",
        stranger.describe()
    );
    // Its name counts as anybody's.
    let origin = format!("https://other.example:{}", nginx.https[0]);
    let flags = [
        "--ca",
        "own.pem",
        "--add-host",
        "other.example:127.0.0.1",
        "--allow-net",
        &origin,
    ];
    let other = run(&workspace, &flags, &["get", &format!("{origin}/")]);
    assert!(
        other.stderr_text().contains("it is for another host"),
        "{}",
        other.describe()
    );
}

#[test]
fn what_requests_are_given_is_explained() {
    let workspace = workspace();
    workspace.write("ca.pem", Authority::new().certificate());
    let explain = |flags: &[&str]| {
        let run = workspace
            .lighter(["explain"])
            .args(flags)
            .env("TOKEN", "t0ken");
        run.arg(programs::requests()).run()
    };
    let grant = [
        "--allow-net",
        "https://api.example",
        "--credential",
        "api.example=env:TOKEN",
        "--ca",
        "ca.pem",
    ];
    let outcome = explain(&grant);
    let text = outcome.stdout_text();
    for line in [
        "wasi:http/outgoing-handler@0.2.12: provided (wasi http)\n",
        "a credential on its requests to api.example (authorization), which it does not see\n",
        "believes the authorities in ca.pem too\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("t0ken"));
    let outcome = explain(&[
        "--allow-net",
        "https://api.example",
        "--credential",
        "api.example=env:NOT_SET",
    ]);
    assert_eq!(outcome.code, Some(126));
    assert!(
        outcome.stdout_text().contains("NOT_SET is not set"),
        "{}",
        outcome.describe()
    );
    // One that is sent nowhere.
    let outcome = explain(&[
        "--allow-net",
        "https://api.example",
        "--credential",
        "api.exmaple=env:TOKEN",
    ]);
    assert!(
        outcome
            .describe()
            .contains("the credential for api.exmaple is sent nowhere"),
        "{}",
        outcome.describe()
    );
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
