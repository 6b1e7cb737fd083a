//! Sends HTTP requests by WASI 0.2 as its arguments say, and prints what came of each: the status and the body, or
//! the error.
//!
//!     get URL                      GET
//!     head URL                     HEAD, with the answer's fields
//!     send METHOD URL BODY FIELD:VALUE ...
//!     trailers URL BODY            POST as gRPC does, with a trailer; prints that of the answer
//!     follow URL                   GET, and what each answer's location says
//!     times COUNT URL              GET, over and over; prints how often each came of it
//!     at-once COUNT URL            the same, all at once
//!     waits CONNECT FIRST BETWEEN URL   GET, with these times, in milliseconds
//!     stream COUNT URL             POST of so many bytes; prints how many came back
//!     beside OTHER COUNT URL       GET, while so many are open of which nothing is read
//!     drop COUNT URL               begins so many, and reads no answer of them

use std::collections::BTreeMap;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

/// What is sent.
struct Wish<'a> {
    method: &'a str,
    url: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    body: Option<&'a [u8]>,
    trailer: Option<(&'a str, &'a str)>,
    waits: Option<[u64; 3]>,
}

impl<'a> Wish<'a> {
    fn new(method: &'a str, url: &'a str) -> Self {
        Self {
            method,
            url,
            fields: Vec::new(),
            body: None,
            trailer: None,
            waits: None,
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["get", url] => print(&Wish::new("GET", url), false),
        ["head", url] => print(&Wish::new("HEAD", url), true),
        ["send", method, url, body, ref fields @ ..] => {
            let mut wish = Wish::new(method, url);
            wish.body = Some(body.as_bytes());
            wish.fields = fields.iter().filter_map(|field| field.split_once(':')).collect();
            print(&wish, false);
        }
        ["trailers", url, body] => {
            let mut wish = Wish::new("POST", url);
            wish.body = Some(body.as_bytes());
            wish.fields = vec![("te", "trailers"), ("content-type", "application/grpc")];
            wish.trailer = Some(("x-end", "of it"));
            print(&wish, false);
        }
        ["follow", url] => follow(url),
        ["times", count, url] => {
            let mut outcomes = BTreeMap::new();
            for _ in 0..count.parse().unwrap() {
                *outcomes.entry(outcome(&Wish::new("GET", url))).or_insert(0) += 1;
            }
            println!("{outcomes:?}");
        }
        ["at-once", count, url] => {
            let begun: Vec<_> = (0..count.parse().unwrap())
                .map(|_| begin(&Wish::new("GET", url)).unwrap())
                .collect();
            let mut outcomes = BTreeMap::new();
            for (future, _) in begun {
                let text = answer(future).map(|answer| answer.status().to_string());
                let text = text.unwrap_or_else(|error| format!("{error:?}"));
                *outcomes.entry(text).or_insert(0) += 1;
            }
            println!("{outcomes:?}");
        }
        ["waits", connect, first, between, url] => {
            let mut wish = Wish::new("GET", url);
            wish.waits = Some([connect, first, between].map(|wait| wait.parse().unwrap()));
            print(&wish, false);
        }
        ["stream", count, url] => stream(count.parse().unwrap(), url),
        ["drop", count, url] => {
            for _ in 0..count.parse().unwrap() {
                drop(begin(&Wish::new("GET", url)).unwrap());
            }
            println!("dropped");
        }
        ["beside", other, count, url] => {
            let others: Vec<_> = (0..count.parse().unwrap())
                .map(|_| begin(&Wish::new("GET", other)).unwrap())
                .collect();
            print(&Wish::new("GET", url), false);
            drop(others);
        }
        _ => panic!("unknown words: {words:?}"),
    }
}

/// Begins a request; its body is written, and ended.
fn begin(wish: &Wish<'_>) -> Result<(FutureIncomingResponse, ()), ErrorCode> {
    let (future, body) = open(wish)?;
    if let Some(bytes) = wish.body {
        let stream = body.write().unwrap();
        for piece in bytes.chunks(4096) {
            stream.blocking_write_and_flush(piece).unwrap();
        }
    }
    let trailers = wish.trailer.map(|(name, value)| {
        let fields = Fields::new();
        fields.append(name, value.as_bytes()).unwrap();
        fields
    });
    OutgoingBody::finish(body, trailers)?;
    Ok((future, ()))
}

fn open(wish: &Wish<'_>) -> Result<(FutureIncomingResponse, OutgoingBody), ErrorCode> {
    let (scheme, rest) = wish.url.split_once("://").unwrap();
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let fields = Fields::new();
    for (name, value) in &wish.fields {
        fields.append(name, value.as_bytes()).unwrap();
    }
    let request = OutgoingRequest::new(fields);
    request.set_method(&method(wish.method)).unwrap();
    request
        .set_scheme(Some(&match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        }))
        .unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some(path)).unwrap();
    let body = request.body().unwrap();
    let options = wish.waits.map(|[connect, first, between]| {
        let options = RequestOptions::new();
        options.set_connect_timeout(Some(connect * 1_000_000)).unwrap();
        options.set_first_byte_timeout(Some(first * 1_000_000)).unwrap();
        options.set_between_bytes_timeout(Some(between * 1_000_000)).unwrap();
        options
    });
    Ok((handle(request, options)?, body))
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.to_owned()),
    }
}

fn answer(future: FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    future.subscribe().block();
    future.get().unwrap().unwrap()
}

/// The body and the trailers of an answer.
fn read(answer: &IncomingResponse) -> Result<(Vec<u8>, Vec<(String, Vec<u8>)>), String> {
    let body = answer.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(65536) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                return Err(format!("the body broke off: {code:?}"));
            }
        }
    }
    drop(stream);
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    let trailers = trailers.get().unwrap().unwrap();
    let trailers = trailers.map_err(|error| format!("the body broke off: {error:?}"))?;
    Ok((bytes, trailers.map(|fields| fields.entries()).unwrap_or_default()))
}

fn outcome(wish: &Wish<'_>) -> String {
    let answered = begin(wish).and_then(|(future, ())| answer(future));
    match answered {
        Err(error) => format!("{error:?}"),
        Ok(answer) => match read(&answer) {
            Ok((body, _)) => format!("{} {}", answer.status(), String::from_utf8_lossy(&body).trim_end()),
            Err(error) => format!("{} {error}", answer.status()),
        },
    }
}

fn print(wish: &Wish<'_>, with_fields: bool) {
    let answered = begin(wish).and_then(|(future, ())| answer(future));
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            println!("{error:?}");
            std::process::exit(1);
        }
    };
    println!("{}", answer.status());
    if with_fields {
        for (name, value) in answer.headers().entries() {
            println!("{name}: {}", String::from_utf8_lossy(&value));
        }
    }
    match read(&answer) {
        Ok((body, trailers)) => {
            print!("{}", String::from_utf8_lossy(&body));
            for (name, value) in trailers {
                println!("{name}: {}", String::from_utf8_lossy(&value));
            }
        }
        Err(error) => {
            println!("{error}");
            std::process::exit(1);
        }
    }
}

fn follow(url: &str) {
    let mut url = url.to_owned();
    for _ in 0..5 {
        println!("{url}");
        let answered = begin(&Wish::new("GET", &url)).and_then(|(future, ())| answer(future));
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) => {
                println!("{error:?}");
                std::process::exit(1);
            }
        };
        let location = answer.headers().get("location").into_iter().next();
        match location {
            Some(location) => url = String::from_utf8(location).unwrap(),
            None => {
                println!("{}", answer.status());
                return;
            }
        }
    }
}

fn stream(count: u64, url: &str) {
    let (future, body) = open(&Wish::new("POST", url)).unwrap();
    let to = body.write().unwrap();
    let mut left = count;
    // What comes back is taken meanwhile, as soon as there is an answer.
    let mut incoming = None;
    let mut answered = None;
    let mut received = 0;
    while left > 0 {
        let room = to.check_write().unwrap().min(left).min(65536);
        if room > 0 {
            to.write(&vec![b'x'; usize::try_from(room).unwrap()]).unwrap();
            left -= room;
            continue;
        }
        to.flush().unwrap();
        if answered.is_none()
            && let Some(answer) = future.get()
        {
            let answer = answer.unwrap().unwrap();
            let body = answer.consume().unwrap();
            incoming = Some(body.stream().unwrap());
            answered = Some((answer, body));
        }
        match &incoming {
            Some(from) => {
                let (writable, readable) = (to.subscribe(), from.subscribe());
                wasip2::io::poll::poll(&[&writable, &readable]);
                received += from.read(65536).map_or(0, |piece| piece.len());
            }
            None => {
                let (writable, answered) = (to.subscribe(), future.subscribe());
                wasip2::io::poll::poll(&[&writable, &answered]);
            }
        }
    }
    to.blocking_flush().unwrap();
    drop(to);
    OutgoingBody::finish(body, None).unwrap();
    let from = match incoming {
        Some(from) => from,
        None => {
            let answer = answer(future).unwrap();
            let body = answer.consume().unwrap();
            let from = body.stream().unwrap();
            answered = Some((answer, body));
            from
        }
    };
    while let Ok(piece) = from.blocking_read(65536) {
        received += piece.len();
    }
    drop(from);
    drop(answered);
    println!("{received}");
}
