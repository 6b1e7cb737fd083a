//! Floods of HTTP/2: what costs a client nothing costs the server little, and its other clients nothing.

use crate::http::Server;
use lighter_testkit::programs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Types and flags of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of `GET PATH` (RFC 7541, appendix A and section 6.2).
fn head(path: &str) -> Vec<u8> {
    let mut head = vec![
        0x82,
        0x86,
        0x04,
        u8::try_from(path.len()).expect("it is short"),
    ];
    head.extend(path.bytes());
    head.extend(b"\x41\x01a");
    head
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head(path))
}

fn reset(stream: u32) -> Vec<u8> {
    // CANCEL.
    frame(RESET, 0, stream, &8_u32.to_be_bytes())
}

/// A connection that has begun to speak HTTP/2.
fn connect(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("it listens");
    stream
        .write_all(&frame(SETTINGS, 0, 0, &[]))
        .expect("it listens");
    stream
}

/// Sends frames until the server has had enough; how many it took, if it ended the connection.
fn flood(server: &Server, most: u32, frames: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    let mut stream = connect(server);
    let mut answers = stream.try_clone().expect("a copy");
    let reader = thread::spawn(move || {
        let mut bytes = [0; 65536];
        // A reset ends it too.
        while answers.read(&mut bytes).is_ok_and(|length| length > 0) {}
    });
    for number in 0..most {
        if stream.write_all(&frames(number)).is_err() || reader.is_finished() {
            return Some(number);
        }
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while !reader.is_finished() {
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
    Some(most)
}

/// Time that the runner has used, in hundredths of a second (`proc_pid_stat(5)`, fields 14 and 15).
fn used(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.runner())).expect("it runs");
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
    fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum()
}

fn stream_of(number: u32) -> u32 {
    2 * number + 1
}

#[test]
fn streams_that_are_reset_at_once_end_their_connection() {
    let server = Server::start(&programs::http(), &[]);
    let taken = flood(&server, 50_000, |number| {
        [get(stream_of(number), "/hello"), reset(stream_of(number))].concat()
    });
    assert!(taken.is_some(), "it goes on");
    assert!(
        used(&server) < 100,
        "it took {} hundredths of a second",
        used(&server)
    );
    assert_eq!(server.get("/hello").0, 200);
}

#[test]
fn streams_that_are_reset_a_moment_later_end_their_connection() {
    let server = Server::start(&programs::http(), &[]);
    let taken = flood(&server, 1000, |number| {
        thread::sleep(Duration::from_millis(2));
        let before = number.checked_sub(1).map(|before| reset(stream_of(before)));
        [
            before.unwrap_or_default(),
            get(stream_of(number), "/sleep?60000"),
        ]
        .concat()
    });
    assert!(taken.is_some_and(|taken| taken < 400), "{taken:?}");
    assert_eq!(server.get("/hello").0, 200);
}

#[test]
fn who_gives_few_requests_up_is_served_on() {
    let server = Server::start(&programs::http(), &[]);
    let mut stream = connect(&server);
    // Fewer than the library lets come and go unseen (20), should the server be slow to look.
    for number in 0..15 {
        stream
            .write_all(&get(stream_of(number), "/sleep?60000"))
            .expect("it listens");
        thread::sleep(Duration::from_millis(2));
        stream
            .write_all(&reset(stream_of(number)))
            .expect("it listens");
    }
    stream
        .write_all(&get(stream_of(15), "/hello"))
        .expect("it listens");
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut all, mut bytes) = (Vec::<u8>::new(), [0; 4096]);
    while !all.windows(6).any(|window| window == b"hello\n") {
        assert!(Instant::now() < deadline);
        let length = stream.read(&mut bytes).expect("it answers");
        assert!(length > 0, "it hung up");
        all.extend(&bytes[..length]);
    }
}

#[test]
fn head_that_does_not_end_ends_its_connection() {
    let server = Server::start(&programs::http(), &[]);
    // A field of 16 KiB over and over: "x: aaa...".
    let mut field = vec![0x00, 0x01, b'x', 0x7f, 0x81, 0x7e];
    field.extend(vec![b'a'; 0x7f + 0x3f01]);
    let taken = flood(&server, 4096, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &head("/hello")),
        _ => frame(CONTINUATION, 0, 1, &field[..field.len().min(16_000)]),
    });
    assert!(taken.is_some_and(|taken| taken < 1000), "{taken:?}");
    // Empty pieces cost nothing to send.
    let taken = flood(&server, 200_000, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &head("/hello")),
        _ => frame(CONTINUATION, 0, 1, &[]),
    });
    assert!(taken.is_some(), "it goes on");
    assert!(
        used(&server) < 100,
        "it took {} hundredths of a second",
        used(&server)
    );
    assert_eq!(server.get("/hello").0, 200);
}

#[test]
fn streams_that_the_server_is_made_to_reset_end_their_connection() {
    let server = Server::start(&programs::http(), &[]);
    // A window that is widened by nothing is a fault of the stream's (RFC 9113, section 6.9).
    let taken = flood(&server, 20_000, |number| {
        let stream = stream_of(number);
        [
            get(stream, "/sleep?60000"),
            frame(WINDOW_UPDATE, 0, stream, &[0; 4]),
        ]
        .concat()
    });
    assert!(taken.is_some(), "it goes on");
    assert!(
        used(&server) < 200,
        "it took {} hundredths of a second",
        used(&server)
    );
    assert_eq!(server.get("/hello").0, 200);
}

#[test]
fn frames_that_ask_for_answers_are_not_kept_for_who_takes_none() {
    let server = Server::start(&programs::http(), &[]);
    let runner = server.runner();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{runner}/status")).expect("it runs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a line");
        let number = line
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse::<u64>().ok());
        number.expect("a number")
    };
    let before = resident();
    let mut stream = connect(&server);
    stream
        .set_write_timeout(Some(Duration::from_secs(2)))
        .expect("it is a socket");
    let pings: Vec<u8> = (0..1000).flat_map(|_| frame(PING, 0, 0, &[0; 8])).collect();
    // It takes no more once its own answers are not taken.
    while stream.write_all(&pings).is_ok() {}
    let after = resident();
    assert!(
        after < before + 8192,
        "{before} KiB before, {after} KiB after"
    );
    let _ = frame(DATA, 0, 1, &[]);
    assert_eq!(server.get("/hello").0, 200);
}
