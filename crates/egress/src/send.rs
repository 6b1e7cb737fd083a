//! Sends a request, and has its answer.

use crate::Keeper;
use crate::admit::{Admitted, admit, between_neighbours};
use crate::body::{AnswerBody, RequestBody};
use crate::connect::Connector;
use crate::fault::{self, reset};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, Response};
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
        let request = Request::from_parts(head, RequestBody(body));
        let answer = wait(client, request, waits).await?;
        let (mut head, body) = answer.into_parts();
        between_neighbours(&mut head.headers);
        head.version = http::Version::HTTP_2;
        head.extensions = http::Extensions::default();
        let body = AnswerBody::new(body, waits.between_bytes);
        Ok(Response::from_parts(head, body))
    }
}

/// Waits for a connection, then for an answer.
async fn wait(
    client: &Client<Connector, RequestBody>,
    mut request: Request<RequestBody>,
    waits: Waits,
) -> Result<Response<Incoming>, RequestError> {
    let mut connected = capture_connection(&mut request);
    let mut answer = pin!(client.request(request));
    let answered = tokio::select! {
        biased;
        answer = &mut answer => Some(answer),
        _ = connected.wait_for_connection_metadata() => None,
        () = sleep(waits.connect) => return Err(RequestError::ConnectionTimeout),
    };
    let answered = match answered {
        Some(answered) => answered,
        None => timeout(waits.first_byte, answer)
            .await
            .map_err(|_| RequestError::ReadTimeout)?,
    };
    answered.map_err(|error| fault::of(&error))
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
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
