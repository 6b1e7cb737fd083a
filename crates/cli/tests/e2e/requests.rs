//! HTTP out: requests leave by the role that sends them, to where they may go, over TLS to whom it says it is, with
//! what the program does not see.

use crate::network::LOOPBACK;
use crate::workspace;
use lighter_testkit::{
    Authority, NameServer, Nginx, Outcome, Reply, Validity, Workspace, programs,
};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;

/// Both versions of the program that sends requests.
pub(crate) fn both() -> [PathBuf; 2] {
    [programs::requests(), programs::requests_p3()]
}

/// Runs the program of WASI 0.2.
pub(crate) fn run(workspace: &Workspace, flags: &[&str], words: &[&str]) -> Outcome {
    let run = workspace.lighter(["run", "--timeout", "30s"]).args(flags);
    run.arg(programs::requests()).args(words).run()
}

/// What it printed, with all that it was granted.
pub(crate) fn granted(workspace: &Workspace, url: &str, words: &[&str]) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let authority = rest.split('/').next().expect("an authority");
    let grant = format!("{scheme}://{authority}");
    run(workspace, &["--allow-net", &grant], words).stdout_text()
}

/// A server that answers each connection's beginning with the same bytes, and then does something.
pub(crate) fn raw(answer: &'static [u8], then: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
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
pub(crate) struct Site {
    pub(crate) workspace: Workspace,
    pub(crate) nginx: Nginx,
    authority: String,
}

impl Site {
    pub(crate) fn start() -> Self {
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
    pub(crate) fn run(&self, program: PathBuf, flags: &[&str], words: &[&str]) -> Outcome {
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
