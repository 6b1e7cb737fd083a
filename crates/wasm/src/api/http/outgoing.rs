//! Sends a guest's requests: by a link to the role that alone may, as HTTP/2.

use crate::host::Host;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lighter_types::egress::{RequestError, Waits};
use lighter_types::network::Reason;
use lighter_types::refusal::Refusal;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// What of one body is kept for who is slow to take it, in bytes.
const STREAM_BYTES: u32 = 256 << 10;
/// The same for all bodies together.
const LINK_BYTES: u32 = 64 << 20;
/// How much later than a request itself it is known here that nothing came of it.
const SLACK: Duration = Duration::from_millis(500);
/// The longest frame, in bytes.
const FRAME_BYTES: u32 = 64 << 10;
/// The longest head of an answer, in bytes: more than is taken from outside.
const HEAD_BYTES: u32 = 256 << 10;

/// By which all instances of a component send their requests.
pub(crate) struct Outgoing {
    host: Arc<dyn Host>,
    /// Whether some request may be sent at all.
    is_granted: bool,
    link: Mutex<Option<SendRequest<WasiBody>>>,
}

impl Outgoing {
    pub(crate) fn new(host: Arc<dyn Host>, is_granted: bool) -> Self {
        Self {
            host,
            is_granted,
            link: Mutex::new(None),
        }
    }

    /// Denies a request to which no grant can be.
    fn deny<B>(&self, request: &Request<B>) -> Error {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or("https");
        // Credentials before the host are nobody's business.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit('@').next().unwrap_or(authority);
        self.host.refused(Refusal::Request {
            origin: format!("{scheme}://{host}"),
            address: None,
            reason: Reason::NotGranted { name: None },
        });
        Error::HttpRequestDenied
    }

    /// The link: the one that is there, or the next one if that has ended.
    async fn link(&self) -> Result<SendRequest<WasiBody>, Error> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| !link.is_closed()) {
            return Ok(link.clone());
        }
        let next = self.host.next_link().ok_or_else(no_link)?;
        // The keeper made it non-blocking.
        let stream = UnixStream::from_std(next.into()).map_err(|error| internal(&error))?;
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_BYTES)
            .initial_connection_window_size(LINK_BYTES)
            .max_frame_size(FRAME_BYTES)
            .max_header_list_size(HEAD_BYTES)
            .max_send_buf_size(STREAM_BYTES as usize)
            .handshake(TokioIo::new(stream))
            .await?;
        // How it ends is seen by those who use it.
        tokio::spawn(async move { drop(connection.await) });
        *link = Some(sender.clone());
        Ok(sender)
    }

    async fn send(
        &self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, Error> {
        let options = options.unwrap_or_default();
        let waits = Waits::default();
        let waits = Waits {
            connect: options.connect_timeout.unwrap_or(waits.connect),
            first_byte: options.first_byte_timeout.unwrap_or(waits.first_byte),
            between_bytes: options.between_bytes_timeout.unwrap_or(waits.between_bytes),
        };
        let longest = waits.connect.saturating_add(waits.first_byte);
        let waits = HeaderValue::try_from(waits.to_text()).map_err(|error| internal(&error))?;
        request.headers_mut().insert(Waits::FIELD, waits);
        // The authority says it, and that is what counts.
        request.headers_mut().remove(http::header::HOST);
        *request.version_mut() = http::Version::HTTP_2;
        let mut link = self.link().await?;
        // Also for a place among those that are sent.
        let longest = longest.saturating_add(SLACK);
        let answer = timeout(longest, link.send_request(request)).await;
        let answer = answer
            .map_err(|_| Error::ConnectionTimeout)?
            .map_err(fault)?;
        Ok(answer.map(|body| AnswerBody(body).boxed_unsync()))
    }
}

fn no_link() -> Error {
    Error::InternalError(Some("who sends requests has ended, and often".to_owned()))
}

fn internal(error: &dyn std::error::Error) -> Error {
    Error::InternalError(Some(error.to_string()))
}

/// The body of an answer.
struct AnswerBody(Incoming);

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(fault)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// What became of a request, out of how its stream ended.
fn fault(error: hyper::Error) -> Error {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref::<h2::Error>() {
            let told = cause
                .reason()
                .map(u32::from)
                .and_then(RequestError::of_code);
            return match told {
                Some(told) => of(told),
                None if cause.is_io() => Error::ConnectionTerminated,
                None => Error::HttpProtocolError,
            };
        }
        // What a guest's own body fails with.
        if cause.is::<Error>() {
            return Error::HttpRequestBodySize(None);
        }
        next = cause.source();
    }
    Error::ConnectionTerminated
}

/// The error of `wasi:http` (`wasi:http/types`, `error-code`).
fn of(error: RequestError) -> Error {
    match error {
        RequestError::Denied => Error::HttpRequestDenied,
        RequestError::DnsTimeout => Error::DnsTimeout,
        RequestError::DnsError => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        RequestError::UriInvalid => Error::HttpRequestUriInvalid,
        RequestError::MethodInvalid => Error::HttpRequestMethodInvalid,
        RequestError::ConnectionRefused => Error::ConnectionRefused,
        RequestError::Unroutable => Error::DestinationIpUnroutable,
        RequestError::ConnectionLimit => Error::ConnectionLimitReached,
        RequestError::ConnectionTimeout => Error::ConnectionTimeout,
        RequestError::ConnectionTerminated => Error::ConnectionTerminated,
        RequestError::ReadTimeout => Error::ConnectionReadTimeout,
        RequestError::TlsProtocol => Error::TlsProtocolError,
        RequestError::TlsCertificate => Error::TlsCertificateError,
        RequestError::TlsAlert(alert) => Error::TlsAlertReceived {
            alert_id: Some(alert),
            alert_message: None,
        },
        RequestError::Protocol => Error::HttpProtocolError,
        RequestError::HeadTooLong => Error::HttpResponseHeaderSectionSize(None),
        RequestError::Incomplete => Error::HttpResponseIncomplete,
        RequestError::BodyBroken => Error::HttpRequestBodySize(None),
        RequestError::Internal => Error::InternalError(None),
    }
}

/// What the interfaces ask.
pub(crate) struct Hooks(pub(crate) Arc<Outgoing>);

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(Response<WasiBody>, Transmission), Error>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Transmission,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let outgoing = Arc::clone(&self.0);
        Box::new(async move {
            if !outgoing.is_granted {
                return Err(outgoing.deny(&request));
            }
            let answer = outgoing.send(request, options).await?;
            // What is left to be sent is the link's to do.
            Ok((answer, Box::new(async { Ok(()) }) as Transmission))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Host for Nobody {
        fn refused(&self, _refusal: Refusal) {}
    }

    #[test]
    fn where_no_link_is_left_a_request_says_so() {
        let outgoing = Outgoing::new(Arc::new(Nobody), true);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let error = runtime.expect("a runtime").block_on(outgoing.link());
        let error = error.expect_err("no link").to_string();
        assert_eq!(
            error,
            "internal error: who sends requests has ended, and often"
        );
    }
}
