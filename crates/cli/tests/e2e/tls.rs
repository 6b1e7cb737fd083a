//! Servers over TLS: to real clients, with a key that the program's process never has.

use crate::http::Server;
use crate::workspace;
use lighter_testkit::{Authority, Certificate, Validity, Workspace, programs};
use std::process::{Command, Output};
use std::thread;

/// A workspace with a certificate for `a.example`, its key and its authority's certificate.
fn with_certificate(validity: Validity) -> Workspace {
    let (workspace, authority) = (workspace(), Authority::new());
    let Certificate { certificate, key } = authority.sign(&["a.example"], validity);
    workspace.write("c.pem", certificate);
    workspace.write("k.pem", key);
    workspace.write("ca.pem", authority.certificate());
    workspace
}

const FLAGS: &[&str] = &["--tls-cert", "c.pem", "--tls-key", "k.pem"];

/// A server over TLS.
fn server(flags: &[&str]) -> Server {
    let flags: Vec<&str> = FLAGS.iter().chain(flags).copied().collect();
    Server::start_in(with_certificate(Validity::Now), &programs::http(), &flags)
}

fn curl(server: &Server, flags: &[&str], path: &str) -> Output {
    let port = server.port;
    Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--cacert",
            "ca.pem",
        ])
        .args(["--resolve", &format!("a.example:{port}:127.0.0.1")])
        .args(flags)
        .arg(format!("https://a.example:{port}{path}"))
        .current_dir(server.workspace.path(""))
        .output()
        .expect("curl is there")
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn client_has_the_version_and_the_http_that_it_asks_for() {
    let server = server(&[]);
    for (flags, version) in [
        (&["--http1.1", "--tlsv1.3"][..], "1.1"),
        (&["--http2", "--tlsv1.3"], "2"),
        (&["--http1.1", "--tls-max", "1.2"], "1.1"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--no-alpn"], "1.1"),
    ] {
        let mut all = vec!["--write-out", "%{http_version} %{ssl_verify_result}"];
        all.extend(flags);
        let output = curl(&server, &all, "/hello");
        assert_eq!(text(&output), format!("hello\n{version} 0"), "{flags:?}");
    }
    // The program knows.
    assert!(text(&curl(&server, &[], "/head")).contains("Https"));
    // In the clear there is nothing.
    let plain = server.send(b"GET /hello HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(!plain.contains("hello"), "{plain}");
}

#[test]
fn bodies_go_both_ways_over_tls() {
    let server = server(&[]);
    let body = "x".repeat(1 << 20);
    server.workspace.write("body", &body);
    for http in ["--http1.1", "--http2"] {
        let output = curl(&server, &[http, "--data-binary", "@body"], "/echo");
        assert_eq!(
            output.stdout.len(),
            body.len(),
            "{http}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn many_handshakes_at_once_are_signed() {
    let server = server(&[]);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| (0..8).all(|_| text(&curl(&server, &[], "/hello")) == "hello\n"))
            })
            .collect();
        for client in clients {
            assert!(client.join().expect("it does not panic"));
        }
    });
}

#[test]
fn server_over_tls_drains() {
    let mut server = server(&[]);
    assert_eq!(text(&curl(&server, &[], "/hello")), "hello\n");
    server.tell(rustix::process::Signal::TERM);
    assert_eq!(server.code(), Some(0));
}

#[test]
fn key_is_not_in_the_programs_process() {
    let server = server(&[]);
    let key = server.workspace.read("k.pem");
    let line = key.lines().nth(1).expect("a key has lines");
    // What the process that runs the program has in memory, as root sees it.
    let runner = server.runner();
    let maps = std::fs::read_to_string(format!("/proc/{runner}/maps")).expect("it runs");
    let memory = std::fs::File::open(format!("/proc/{runner}/mem")).expect("this is root");
    let decoded = decode(&key);
    let secret = &decoded[decoded.len() / 2..];
    for range in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = range
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'))
            .expect("a range");
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).expect("a number"));
        let mut bytes = vec![0; usize::try_from((to - from).min(64 << 20)).expect("it fits")];
        let read = std::os::unix::fs::FileExt::read_at(&memory, &mut bytes, from).unwrap_or(0);
        let has = |needle: &[u8]| {
            bytes[..read]
                .windows(needle.len())
                .any(|window| window == needle)
        };
        assert!(!has(line.as_bytes()) && !has(&secret[..16]), "{range}");
    }
}

/// The bytes of a PEM's content (RFC 4648, section 4).
fn decode(pem: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    let sixes: Vec<u32> = lines
        .flat_map(str::bytes)
        .filter_map(|byte| alphabet.iter().position(|other| *other == byte))
        .map(|six| u32::try_from(six).expect("it is small"))
        .collect();
    let groups = sixes.chunks_exact(4);
    let numbers = groups.map(|group| group.iter().fold(0, |number, six| number << 6 | six));
    numbers
        .flat_map(|number: u32| number.to_be_bytes()[1..].to_vec())
        .collect()
}

#[test]
fn certificate_or_key_that_is_wrong_is_told_before_anything_runs() {
    let workspace = with_certificate(Validity::Now);
    let other = Authority::new().sign(&["a.example"], Validity::Now);
    workspace.write("other.pem", other.key);
    workspace.write("none.pem", "nothing");
    let told = |certificate: &str, key: &str| {
        let run = workspace.lighter([
            "run",
            "-p",
            "127.0.0.1::80",
            "--tls-cert",
            certificate,
            "--tls-key",
            key,
        ]);
        let outcome = run.arg(programs::http()).run();
        assert_eq!(outcome.code, Some(125), "{}", outcome.describe());
        outcome.stderr_text()
    };
    assert_eq!(
        told("c.pem", "other.pem"),
        "lighter: the certificate in c.pem is not for the key in other.pem\n\
         hint: name the two files that were made together: --tls-cert FILE --tls-key FILE\n"
    );
    assert!(told("missing.pem", "k.pem").contains("cannot read the certificate missing.pem: "));
    assert!(told("c.pem", "missing.pem").contains("cannot read the key missing.pem: "));
    assert!(
        told("none.pem", "k.pem")
            .contains("cannot serve TLS with none.pem: it holds no certificate")
    );
    assert!(told("c.pem", "none.pem").contains("cannot serve TLS with none.pem: it holds no key"));
    let run = workspace
        .lighter(["run", "-p", "80", "--tls-cert", "c.pem"])
        .arg(programs::http())
        .run();
    assert_eq!(run.code, Some(125));
    assert!(
        run.stderr_text().contains("--tls-key"),
        "{}",
        run.describe()
    );
    // A program that serves by itself.
    let run = workspace
        .lighter(["run", "-p", "127.0.0.1::7000"])
        .args(FLAGS);
    let outcome = run
        .arg(programs::sockets_component())
        .args(["serve", "0.0.0.0:7000", "1"])
        .run();
    assert!(
        outcome
            .stderr_text()
            .contains("--tls-cert is for components that answer HTTP requests"),
        "{}",
        outcome.describe()
    );
}

#[test]
fn certificate_that_clients_refuse_is_warned_of() {
    for (validity, words) in [
        (Validity::Past, "has expired"),
        (Validity::Future, "is not valid yet"),
    ] {
        let server = Server::start_in(with_certificate(validity), &programs::http(), FLAGS);
        let line =
            format!("lighter: warning: the certificate in c.pem {words}: clients will refuse it");
        assert!(server.has_line(&line), "{}", server.log());
        let output = curl(&server, &[], "/hello");
        assert_eq!(output.status.code(), Some(60), "{}", text(&output));
    }
}

#[test]
fn keys_of_every_kind_sign() {
    for kind in [
        &["rsa:2048"][..],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["ed25519"],
    ] {
        let workspace = workspace();
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-nodes",
                "-subj",
                "/CN=a.example",
                "-addext",
                "subjectAltName=DNS:a.example",
            ])
            .args(["-days", "2", "-keyout", "k.pem", "-out", "c.pem", "-newkey"])
            .args(kind)
            .current_dir(workspace.path(""))
            .output()
            .expect("openssl is there");
        assert!(made.status.success(), "{kind:?}: {}", text(&made));
        std::fs::copy(workspace.path("c.pem"), workspace.path("ca.pem")).expect("it is there");
        let server = Server::start_in(workspace, &programs::http(), FLAGS);
        for version in [&["--tlsv1.3"][..], &["--tls-max", "1.2"]] {
            assert_eq!(
                text(&curl(&server, version, "/hello")),
                "hello\n",
                "{kind:?} {version:?}"
            );
        }
    }
}

#[test]
fn client_that_never_ends_its_handshake_holds_nobody_up() {
    let server = server(&["--header-timeout", "1s"]);
    let silent: Vec<_> = (0..50).map(|_| server.connect()).collect();
    assert_eq!(text(&curl(&server, &[], "/hello")), "hello\n");
    for mut stream in silent {
        let mut rest = Vec::new();
        // A reset ends it too.
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
    }
}
