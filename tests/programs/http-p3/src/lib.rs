//! Answers HTTP requests by WASI 0.3, each path in its own way.
//!
//!     /hello       a greeting
//!     /echo        the request's body and trailers, piece by piece
//!     /count       how often this instance has answered
//!     /trap        ends by a trap
//!     /denied      answers with an error
//!     /spin        never ends, and calls nothing
//!     /sleep?N     waits for N milliseconds
//!     /after       answers at once, and says on standard error later that it has gone on

use std::cell::Cell;
use std::hint::black_box;
use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

wasip3::http::service::export!(Server);

struct Server;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

impl wasip3::exports::http::handler::Guest for Server {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        COUNT.set(COUNT.get() + 1);
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let number: u64 = query.parse().unwrap_or(0);
        match path {
            "/hello" => Ok(text("hello\n".to_owned())),
            "/echo" => Ok(echo(request)),
            "/count" => Ok(text(format!("{}\n", COUNT.get()))),
            "/trap" => panic!("as it was told"),
            "/denied" => Err(ErrorCode::HttpRequestDenied),
            "/spin" => loop {
                black_box(0);
            },
            "/sleep" => {
                monotonic_clock::wait_for(number * 1_000_000).await;
                Ok(text("slept\n".to_owned()))
            }
            "/after" => {
                spawn_local(async {
                    monotonic_clock::wait_for(50_000_000).await;
                    eprintln!("it has gone on");
                });
                Ok(text("answered\n".to_owned()))
            }
            _ => {
                let response = text(String::new());
                response.set_status_code(404).unwrap();
                Ok(response)
            }
        }
    }
}

fn text(text: String) -> Response {
    let (mut writer, reader) = wit_stream::new();
    let (trailers, end) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (response, _) = Response::new(Fields::new(), Some(reader), end);
    spawn_local(async move {
        writer.write_all(text.into_bytes()).await;
    });
    response
}

fn echo(request: Request) -> Response {
    let (done, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, result);
    drop(done);
    Response::new(Fields::new(), Some(body), trailers).0
}
