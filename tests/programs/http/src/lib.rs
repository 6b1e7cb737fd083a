//! Answers HTTP requests by WASI 0.2, each path in its own way.
//!
//!     /hello           a greeting, of a known length
//!     /echo            the request's body and trailers, piece by piece
//!     /head            method, scheme, authority, path and fields of the request
//!     /count           how often this instance has answered
//!     /body?N          N bytes
//!     /trap, /exit     ends by a trap, or by exit(3)
//!     /nothing         returns without an answer
//!     /denied          answers with an error
//!     /half            begins an answer of 100 bytes, and traps a moment after 5
//!     /begun           begins an answer, and traps at once
//!     /spin            never ends, and calls nothing
//!     /spin-calls      never ends, and asks the time over and over
//!     /work?N          computes for about N milliseconds
//!     /sleep?N         waits for N milliseconds
//!     /memory?N        takes N MiB
//!     /environment?N   the value of a variable

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

wasip2::http::proxy::export!(Server);

struct Server;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

impl wasip2::exports::http::incoming_handler::Guest for Server {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        COUNT.set(COUNT.get() + 1);
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let number: u64 = query.parse().unwrap_or(0);
        match path {
            "/hello" => text(answer, "hello\n"),
            "/echo" => echo(request, answer),
            "/head" => text(answer, &head(&request)),
            "/count" => text(answer, &format!("{}\n", COUNT.get())),
            "/body" => bytes(answer, number),
            "/trap" => panic!("as it was told"),
            "/exit" => std::process::exit(3),
            "/nothing" => {}
            "/denied" => ResponseOutparam::set(answer, Err(ErrorCode::HttpRequestDenied)),
            "/half" => half(answer),
            "/begun" => respond(answer, 200, &[], |_| panic!("before anything of it was sent")),
            "/spin" => loop {
                black_box(0);
            },
            "/spin-calls" => loop {
                black_box(Instant::now());
            },
            "/work" => {
                work(Duration::from_millis(number));
                text(answer, "done\n");
            }
            "/sleep" => {
                std::thread::sleep(Duration::from_millis(number));
                text(answer, "slept\n");
            }
            "/memory" => {
                let taken = vec![1_u8; usize::try_from(number << 20).unwrap()];
                text(answer, &format!("{}\n", black_box(taken).len()));
            }
            "/environment" => text(answer, &std::env::var(query).unwrap_or_default()),
            _ => respond(answer, 404, &[], |_| {}),
        }
    }
}

/// Begins an answer, and hands what writes its body over.
fn respond(answer: ResponseOutparam, status: u16, fields: &[(&str, &str)], write: impl FnOnce(&OutgoingBody)) {
    let head = Fields::new();
    for (name, value) in fields {
        head.append(name, value.as_bytes()).unwrap();
    }
    let response = OutgoingResponse::new(head);
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    ResponseOutparam::set(answer, Ok(response));
    write(&body);
    OutgoingBody::finish(body, None).unwrap();
}

fn text(answer: ResponseOutparam, text: &str) {
    let length = text.len().to_string();
    respond(answer, 200, &[("content-length", &length)], |body| {
        let stream = body.write().unwrap();
        stream.blocking_write_and_flush(text.as_bytes()).unwrap();
    });
}

fn bytes(answer: ResponseOutparam, count: u64) {
    respond(answer, 200, &[], |body| {
        let stream = body.write().unwrap();
        let mut left = count;
        while left > 0 {
            let piece = left.min(4096);
            stream
                .blocking_write_and_flush(&[b'x'; 4096][..usize::try_from(piece).unwrap()])
                .unwrap();
            left -= piece;
        }
    });
}

fn half(answer: ResponseOutparam) {
    respond(answer, 200, &[("content-length", "100")], |body| {
        let stream = body.write().unwrap();
        stream.blocking_write_and_flush(b"first").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        panic!("in the middle of it");
    });
}

fn head(request: &IncomingRequest) -> String {
    let mut text = format!(
        "{:?} {:?} {} {}\n",
        request.method(),
        request.scheme(),
        request.authority().unwrap_or_default(),
        request.path_with_query().unwrap_or_default()
    );
    for (name, value) in request.headers().entries() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    }
    text
}

fn echo(request: IncomingRequest, answer: ResponseOutparam) {
    let incoming = request.consume().unwrap();
    let response = OutgoingResponse::new(Fields::new());
    let outgoing = response.body().unwrap();
    ResponseOutparam::set(answer, Ok(response));
    let (from, to) = (incoming.stream().unwrap(), outgoing.write().unwrap());
    loop {
        match from.blocking_read(4096) {
            Ok(piece) => to.blocking_write_and_flush(&piece).unwrap(),
            Err(StreamError::Closed) => break,
            Err(error) => panic!("the request broke off: {error:?}"),
        }
    }
    drop((from, to));
    let trailers = IncomingBody::finish(incoming);
    trailers.subscribe().block();
    let trailers = trailers.get().unwrap().unwrap().unwrap();
    // What came is immutable, so what goes is a copy.
    let trailers = trailers.map(|fields| Fields::from_list(&fields.entries()).unwrap());
    OutgoingBody::finish(outgoing, trailers).unwrap();
}

fn work(time: Duration) {
    let start = Instant::now();
    let mut state = 1_u64;
    while start.elapsed() < time {
        for _ in 0..10_000 {
            state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}
