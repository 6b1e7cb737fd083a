//! Sends HTTP requests by WASI 0.3 as its arguments say, and prints what came of each: the status and the body, or
//! the error.
//!
//!     get URL                      GET
//!     send METHOD URL BODY FIELD:VALUE ...
//!     trailers URL BODY            POST as gRPC does, with a trailer; prints that of the answer
//!     follow URL                   GET, and what each answer's location says
//!     waits CONNECT FIRST BETWEEN URL   GET, with these times, in milliseconds
//!     stream COUNT URL             POST of so many bytes; prints how many came back

use wasip3::cli::environment;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

wasip3::cli::command::export!(Requests);

struct Requests;

fn main() {
    println!("the export of 0.2 was called");
}

impl wasip3::exports::cli::run::Guest for Requests {
    async fn run() -> Result<(), ()> {
        let words: Vec<String> = environment::get_arguments().into_iter().skip(1).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = match words[..] {
            ["get", url] => print(begin("GET", url, Vec::new(), &[], None)).await,
            ["send", method, url, body, ref fields @ ..] => {
                print(begin(method, url, body.as_bytes().to_vec(), fields, None)).await
            }
            ["trailers", url, body] => {
                let fields = ["te:trailers", "content-type:application/grpc"];
                let trailers = Fields::new();
                trailers.append("x-end", b"of it").unwrap();
                let sent = Sent {
                    trailers: Some(trailers),
                    waits: None,
                };
                print(begin("POST", url, body.as_bytes().to_vec(), &fields, Some(sent))).await
            }
            ["follow", url] => follow(url).await,
            ["waits", connect, first, between, url] => {
                let sent = Sent {
                    trailers: None,
                    waits: Some([connect, first, between].map(|wait| wait.parse().unwrap())),
                };
                print(begin("GET", url, Vec::new(), &[], Some(sent))).await
            }
            ["stream", count, url] => {
                let body = vec![b'x'; count.parse().unwrap()];
                stream(begin("POST", url, body, &[], None)).await
            }
            _ => panic!("unknown words: {words:?}"),
        };
        outcome.map_err(|error| println!("{error:?}"))
    }
}

/// What is sent besides.
struct Sent {
    trailers: Option<Fields>,
    waits: Option<[u64; 3]>,
}

fn begin(method: &str, url: &str, bytes: Vec<u8>, fields: &[&str], sent: Option<Sent>) -> Request {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let head = Fields::new();
    for (name, value) in fields.iter().filter_map(|field| field.split_once(':')) {
        head.append(name, value.as_bytes()).unwrap();
    }
    let (mut writer, reader) = wit_stream::new();
    let (trailers, end) = wit_future::new(|| Ok(None));
    let sent = sent.unwrap_or(Sent {
        trailers: None,
        waits: None,
    });
    let options = sent.waits.map(|[connect, first, between]| {
        let options = RequestOptions::new();
        options.set_connect_timeout(Some(connect * 1_000_000)).unwrap();
        options.set_first_byte_timeout(Some(first * 1_000_000)).unwrap();
        options.set_between_bytes_timeout(Some(between * 1_000_000)).unwrap();
        options
    });
    let (request, _) = Request::new(head, Some(reader), end, options);
    spawn_local(async move {
        writer.write_all(bytes).await;
        drop(writer);
        // Nobody may want them any more.
        let _ = trailers.write(Ok(sent.trailers)).await;
    });
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    request.set_method(&method).unwrap();
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_scheme(Some(&scheme)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some(path)).unwrap();
    request
}

async fn read(answer: Response) -> Result<(Vec<u8>, Option<Fields>), ErrorCode> {
    let (done, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(answer, result);
    let bytes = body.collect().await;
    let trailers = trailers.await?;
    drop(done);
    Ok((bytes, trailers))
}

async fn print(request: Request) -> Result<(), ErrorCode> {
    let answer = client::send(request).await?;
    println!("{}", answer.get_status_code());
    let (body, trailers) = read(answer).await?;
    print!("{}", String::from_utf8_lossy(&body));
    for (name, value) in trailers.map(|fields| fields.copy_all()).unwrap_or_default() {
        println!("{name}: {}", String::from_utf8_lossy(&value));
    }
    Ok(())
}

async fn follow(url: &str) -> Result<(), ErrorCode> {
    let mut url = url.to_owned();
    for _ in 0..5 {
        println!("{url}");
        let answer = client::send(begin("GET", &url, Vec::new(), &[], None)).await?;
        match answer.get_headers().get("location").into_iter().next() {
            Some(location) => url = String::from_utf8(location).unwrap(),
            None => {
                println!("{}", answer.get_status_code());
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn stream(request: Request) -> Result<(), ErrorCode> {
    let answer = client::send(request).await?;
    let (body, _) = read(answer).await?;
    println!("{}", body.len());
    Ok(())
}
