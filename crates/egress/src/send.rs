//! Sends a request, and has its answer.

use crate::Keeper;
use crate::admit::{Admitted, admit, between_neighbours};
use crate::body::{AnswerBody, RequestBody};
use crate::connect::Connector;
use crate::fault::{self, reset};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lighter_types::egress::{Credential, EgressOrder, RequestError, Waits};
use lighter_types::network::Transport;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The most connections to one origin that are kept for later,
const MOST_IDLE: usize = 64;
/// and for how long: servers mostly let go after a minute, and proxies sooner.
const IDLE_TIME: Duration = Duration::from_secs(20);
/// The longest head of an answer, in bytes, and the most fields in it.
const HEAD_BYTES: u32 = 128 << 10;
const MOST_FIELDS: usize = 256;
/// What of an answer's body is kept for who is slow to take it, in bytes.
const STREAM_BYTES: u32 = 256 << 10;
/// The same for all answers on one connection.
const CONNECTION_BYTES: u32 = 4 << 20;

/// What sends requests.
pub(crate) struct Sender {
    /// By HTTP/1.1, or HTTP/2 where a server of TLS speaks it.
    any: Client<Connector, RequestBody>,
    /// By HTTP/2 without TLS, where it is known that the server speaks it.
    http2: Client<Connector, RequestBody>,
    credentials: Vec<(Credential, HeaderName, HeaderValue)>,
}

impl Sender {
    pub(crate) fn new(order: EgressOrder, keeper: Arc<dyn Keeper>) -> Self {
        let EgressOrder {
            authorities,
            credentials,
            ..
        } = order;
        let connector = Connector::new(authorities, keeper);
        Self {
            any: builder().build(connector.clone()),
            http2: builder().http2_only(true).build(connector),
            credentials: credentials.into_iter().filter_map(field).collect(),
        }
    }

    /// Sends a request of a link, and has the answer.
    ///
    /// # Errors
    /// There is none: the stream is to be reset.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, h2::Error> {
        self.send(request).await.map_err(reset)
    }

    async fn send(&self, request: Request<Incoming>) -> Result<Response<AnswerBody>, RequestError> {
        let (head, body) = request.into_parts();
        let Admitted {
            origin,
            waits,
            mut head,
        } = admit(head)?;
        // Nothing but TLS says that it is that host.
        if origin.transport == Transport::Https {
            let credentials = self.credentials.iter();
            for (_, field, value) in credentials.filter(|(of, ..)| of.host == origin.host) {
                head.headers.insert(field, value.clone());
            }
        }
        let client = match origin.transport {
            Transport::Http if is_grpc(&head) => &self.http2,
            _ => &self.any,
        };
        // What mostly has no body, and may have one.
        let wait = match head.method {
            Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS => BEGINNING_TIME,
            _ => Duration::ZERO,
        };
        let body = RequestBody::new(body, wait).await;
        if !body.is_empty() && !head.headers.contains_key(CONTENT_LENGTH) {
            // Who sends a body says so, by whatever method; HTTP/2 has no such field, and leaves it out.
            let chunked = HeaderValue::from_static("chunked");
            head.headers.insert(TRANSFER_ENCODING, chunked);
        }
        let answer = persist(client, head, body, waits).await?;
        let (mut head, body) = answer.into_parts();
        if head.headers.contains_key(TRANSFER_ENCODING) {
            // It says nothing then (RFC 9112, section 6.3).
            head.headers.remove(CONTENT_LENGTH);
        }
        between_neighbours(&mut head.headers);
        head.version = http::Version::HTTP_2;
        head.extensions = http::Extensions::default();
        let body = AnswerBody::new(body, waits.between_bytes);
        Ok(Response::from_parts(head, body))
    }
}

/// Sends a request, again where its server has not looked at it, which ends connections as it likes (RFC 9113, sections
/// 6.8 and 8.7), and nothing of its body was taken.
async fn persist(
    client: &Client<Connector, RequestBody>,
    head: http::request::Parts,
    body: RequestBody,
    waits: Waits,
) -> Result<Response<Incoming>, RequestError> {
    let mut broken = 0;
    for attempt in 0..MOST_AGAIN {
        if attempt > 0 {
            // The connection that is about to end may still be handed out.
            sleep(Duration::from_millis(1 << attempt.min(6))).await;
        }
        let request = Request::from_parts(head.clone(), body.clone());
        match wait(client, request, waits).await {
            Err(Unanswered::Unseen) if !body.is_begun() => {}
            // What is only asked for may be asked for again (RFC 9110, section 9.2.2).
            Err(Unanswered::Failed(
                RequestError::ConnectionTerminated | RequestError::Incomplete,
            )) if head.method.is_safe() && !body.is_begun() && broken < MOST_BROKEN => broken += 1,
            answer => return answer.map_err(Unanswered::error),
        }
    }
    Err(RequestError::ConnectionTerminated)
}

/// How often it is sent again because its connection broke.
const MOST_BROKEN: u32 = 4;

/// How long the beginning of a body is waited for that is mostly none.
const BEGINNING_TIME: Duration = Duration::from_millis(20);
/// How often a request is sent, at most.
const MOST_AGAIN: u32 = 24;

/// Why there is no answer.
enum Unanswered {
    /// The server has not looked at the request.
    Unseen,
    Failed(RequestError),
}

impl Unanswered {
    fn error(self) -> RequestError {
        match self {
            Self::Unseen => RequestError::ConnectionTerminated,
            Self::Failed(error) => error,
        }
    }
}

/// Waits for a connection, then for an answer.
async fn wait(
    client: &Client<Connector, RequestBody>,
    mut request: Request<RequestBody>,
    waits: Waits,
) -> Result<Response<Incoming>, Unanswered> {
    let mut connected = capture_connection(&mut request);
    let mut answer = pin!(client.request(request));
    let answered = tokio::select! {
        biased;
        answer = &mut answer => Some(answer),
        _ = connected.wait_for_connection_metadata() => None,
        () = sleep(waits.connect) => return Err(Unanswered::Failed(RequestError::ConnectionTimeout)),
    };
    let answered = match answered {
        Some(answered) => answered,
        None => timeout(waits.first_byte, answer)
            .await
            .map_err(|_| Unanswered::Failed(RequestError::ReadTimeout))?,
    };
    answered.map_err(|error| match fault::is_unseen(&error) {
        true => Unanswered::Unseen,
        false => Unanswered::Failed(fault::of(&error)),
    })
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(MOST_IDLE)
        .http1_max_buf_size(HEAD_BYTES as usize)
        .http1_max_headers(MOST_FIELDS)
        .http2_max_header_list_size(HEAD_BYTES)
        .http2_initial_stream_window_size(STREAM_BYTES)
        .http2_initial_connection_window_size(CONNECTION_BYTES);
    builder
}

/// What a credential sets. One that no field can hold was refused before.
fn field(credential: Credential) -> Option<(Credential, HeaderName, HeaderValue)> {
    let name = credential.field.parse().ok()?;
    let mut value = HeaderValue::from_bytes(credential.value.expose()).ok()?;
    value.set_sensitive(true);
    Some((credential, name, value))
}

/// Whether a request is one of gRPC, which knows HTTP/2 only.
fn is_grpc(head: &http::request::Parts) -> bool {
    let kind = head.headers.get(CONTENT_TYPE);
    let rest = kind.and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"));
    // Not that of browsers, `application/grpc-web`.
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}
