//! One request: what a guest is not asked, and what is answered in its place.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lighter_types::escape::escape;
use lighter_types::http::HttpSettings;
use lighter_wasm::{BodyError, Fault, Handler};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Answers requests.
pub(super) struct Server {
    handler: Handler,
    settings: HttpSettings,
}

impl Server {
    pub(super) fn new(handler: Handler, settings: HttpSettings) -> Self {
        Self { handler, settings }
    }

    pub(super) fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    /// Waits until the guest has nothing more to do.
    pub(super) async fn drain(&self) {
        self.handler.drain().await;
    }

    /// Answers a request, by a guest or in its place.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        _peer: SocketAddr,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let line = Line::of(&request);
        let request = match self.admit(request) {
            Ok(request) => request,
            Err((status, reason)) => return Ok(refusal(status, reason)),
        };
        let late = line.clone();
        let failed = move |fault: Fault| late.tell(None, &fault);
        Ok(match self.handler.handle(request, failed).await {
            Ok(response) => response.map(AnswerBody::Guest),
            Err(fault) => {
                let (status, reason) = words(&fault);
                line.tell(Some(status), &fault);
                refusal(status, reason)
            }
        })
    }

    /// What a guest is handed of a request.
    ///
    /// # Errors
    /// What is answered in its place.
    fn admit(
        &self,
        request: Request<Incoming>,
    ) -> Result<Request<RequestBody>, (StatusCode, &'static str)> {
        let (mut head, body) = request.into_parts();
        if head.method == Method::CONNECT {
            return Err((StatusCode::NOT_IMPLEMENTED, "tunnels are not made here\n"));
        }
        let mut hosts = head.headers.get_all(HOST).iter();
        let (host, another) = (hosts.next(), hosts.next());
        if another.is_some() {
            return Err((StatusCode::BAD_REQUEST, "more than one Host was named\n"));
        }
        let authority = match (head.uri.authority(), host) {
            (Some(authority), _) => authority.clone(),
            (None, Some(host)) => Authority::try_from(host.as_bytes())
                .map_err(|_| (StatusCode::BAD_REQUEST, "the Host is none\n"))?,
            (None, None) => return Err((StatusCode::BAD_REQUEST, "no Host was named\n")),
        };
        let path = head.uri.path_and_query().cloned();
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(authority);
        uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        head.uri = Uri::from_parts(uri)
            .map_err(|_| (StatusCode::BAD_REQUEST, "the request's target is none\n"))?;
        let most = self.settings.body_bytes;
        if most.is_some_and(|most| body.size_hint().lower() > most) {
            return Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request's body is too long\n",
            ));
        }
        let body = RequestBody {
            body,
            left_bytes: most,
        };
        Ok(Request::from_parts(head, body))
    }
}

/// The status and the words that a client gets in place of a guest's answer.
fn words(fault: &Fault) -> (StatusCode, &'static str) {
    match fault {
        Fault::Trapped { .. }
        | Fault::Exited { .. }
        | Fault::OutOfMemory
        | Fault::OutOfTime { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "the program failed\n"),
        Fault::NoAnswer { .. } => (StatusCode::BAD_GATEWAY, "the program gave no answer\n"),
        Fault::Late { .. } => (StatusCode::GATEWAY_TIMEOUT, "the program took too long\n"),
        Fault::NoInstance { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no room for the request\n",
        ),
    }
}

/// What happened, for who reads the log.
fn reason(fault: &Fault) -> String {
    match fault {
        Fault::Trapped { report } => report.clone(),
        Fault::Exited { code } => format!("the program exited with {code} and gave no answer"),
        Fault::OutOfMemory => "it needs more memory than --memory allows".to_owned(),
        Fault::OutOfTime { limit } => {
            format!("it used a processor for more than {limit:?} (--request-cpu-time)")
        }
        Fault::NoAnswer { error: None } => "the program returned without an answer".to_owned(),
        Fault::NoAnswer { error: Some(error) } => {
            format!("the program answered with the error {error}")
        }
        Fault::Late { limit } => format!("the program took more than {limit:?}"),
        Fault::NoInstance { reason } => format!("no instance could be made: {reason}"),
    }
}

fn refusal(status: StatusCode, reason: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Own(Some(Bytes::from_static(reason.as_bytes()))));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, reason.len().into());
    response
}

/// A request as the log names it.
#[derive(Clone)]
struct Line {
    method: Method,
    target: String,
}

impl Line {
    fn of(request: &Request<Incoming>) -> Self {
        Self {
            method: request.method().clone(),
            target: request.uri().path().to_owned(),
        }
    }

    /// One line for a fault; without a status the answer had begun.
    fn tell(&self, status: Option<StatusCode>, fault: &Fault) {
        let status = status.map_or("cut short".to_owned(), |status| status.as_u16().to_string());
        let reason = reason(fault);
        let reason = reason.lines().next().unwrap_or_default();
        let text = format!(
            "lighter: {} {}: {status}: {}\n",
            escape(self.method.as_str()),
            escape(&self.target),
            escape(reason)
        );
        // Nobody may read it.
        let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    }
}

/// A request's body, and how much of it may come yet.
pub(super) struct RequestBody {
    body: Incoming,
    left_bytes: Option<u64>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map(|frame| {
            Some(match frame? {
                Ok(frame) => self.count(frame),
                Err(error) => Err(BodyError::Broken(error.to_string())),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl RequestBody {
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let (Some(left), Some(data)) = (&mut self.left_bytes, frame.data_ref()) {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            *left = left.checked_sub(length).ok_or(BodyError::TooLong)?;
        }
        Ok(frame)
    }
}

/// What a client gets.
pub(super) enum AnswerBody {
    /// A guest's.
    Guest(lighter_wasm::Body),
    /// Words of our own.
    Own(Option<Bytes>),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Guest(body) => Pin::new(body).poll_frame(context),
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Guest(body) => body.is_end_stream(),
            Self::Own(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Guest(body) => body.size_hint(),
            Self::Own(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}
