//! One request: what a guest is not asked, and what is answered in its place.

use super::body::{AnswerBody, RequestBody};
use super::log::{AccessLog, Line, Visit};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lighter_types::http::HttpSettings;
use lighter_wasm::{Fault, Handler};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers requests.
pub(super) struct Server {
    handler: Handler,
    settings: HttpSettings,
    log: Option<Arc<AccessLog>>,
}

impl Server {
    pub(super) fn new(
        handler: Handler,
        settings: HttpSettings,
        log: Option<Arc<AccessLog>>,
    ) -> Self {
        Self {
            handler,
            settings,
            log,
        }
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
        scheme: Scheme,
        peer: SocketAddr,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let log = self.log.as_ref();
        let visit = log.map(|log| Visit::begin(log, &request, peer));
        let mut response = self.respond(request, scheme).await;
        if let Some(mut visit) = visit {
            visit.answered(response.status());
            response.body_mut().note(visit);
        }
        Ok(response)
    }

    async fn respond(&self, request: Request<Incoming>, scheme: Scheme) -> Response<AnswerBody> {
        let line = Line::of(&request);
        let is_head = request.method() == Method::HEAD;
        let request = match self.admit(request, scheme) {
            Ok(request) => request,
            Err((status, reason)) => return refusal(status, reason),
        };
        let too_long = request.body().too_long();
        let (late, is_long) = (line.clone(), too_long.clone());
        let failed = move |fault: Fault| {
            if is_set(is_long.as_deref()) {
                late.tell_too_long(None);
            } else {
                late.tell(None, &fault);
            }
        };
        match self.handler.handle(request, failed).await {
            // Who asks for a head gets no body, and the guest does not know.
            Ok(response) if is_head => response.map(|body| {
                tokio::spawn(drain(body));
                AnswerBody::none()
            }),
            Ok(response) => response.map(AnswerBody::of_guest),
            Err(_) if is_set(too_long.as_deref()) => {
                line.tell_too_long(Some(StatusCode::PAYLOAD_TOO_LARGE));
                refusal(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG)
            }
            Err(fault) => {
                let (status, reason) = words(&fault);
                line.tell(Some(status), &fault);
                refusal(status, reason)
            }
        }
    }

    /// What a guest is handed of a request.
    ///
    /// # Errors
    /// What is answered in its place.
    fn admit(
        &self,
        request: Request<Incoming>,
        scheme: Scheme,
    ) -> Result<Request<RequestBody>, (StatusCode, &'static str)> {
        let (mut head, body) = request.into_parts();
        if head.method == Method::CONNECT {
            return Err((StatusCode::NOT_IMPLEMENTED, "tunnels are not made here\n"));
        }
        if head_bytes(&head) > usize::try_from(self.settings.head_bytes).unwrap_or(usize::MAX) {
            return Err((
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request's head is too long\n",
            ));
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
        uri.scheme = Some(scheme);
        uri.authority = Some(authority);
        uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        head.uri = Uri::from_parts(uri)
            .map_err(|_| (StatusCode::BAD_REQUEST, "the request's target is none\n"))?;
        let most = self.settings.body_bytes;
        if most.is_some_and(|most| body.size_hint().lower() > most) {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG));
        }
        let body = RequestBody::new(body, most);
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

const TOO_LONG: &str = "the request's body is too long\n";

fn is_set(flag: Option<&AtomicBool>) -> bool {
    flag.is_some_and(|flag| flag.load(Ordering::Acquire))
}

/// How long a head is, in bytes, as HTTP/1.1 writes it.
fn head_bytes(head: &Parts) -> usize {
    let target = head
        .uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let fields = head.headers.iter();
    let fields: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    head.method.as_str().len() + target + fields + 14
}

/// Takes what a guest writes for nobody.
async fn drain(mut body: lighter_wasm::Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn refusal(status: StatusCode, reason: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::own(reason));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, reason.len().into());
    response
}
