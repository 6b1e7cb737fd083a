//! One request: what a guest is not asked, and what is answered in its place.

use super::body::{AnswerBody, RequestBody};
use super::log::{Line, Visit};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use hyper::body::Incoming;
use lighter_types::http::HttpSettings;
use lighter_wasm::{Fault, Handler};
use std::convert::Infallible;
use std::net::SocketAddr;

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
        scheme: Scheme,
        peer: SocketAddr,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let log = self.settings.access_log;
        let visit = log.map(|format| Visit::begin(format, &request, peer));
        let mut response = self.respond(request, scheme).await;
        if let Some(mut visit) = visit {
            visit.answered(response.status());
            response.body_mut().note(visit);
        }
        Ok(response)
    }

    async fn respond(&self, request: Request<Incoming>, scheme: Scheme) -> Response<AnswerBody> {
        let line = Line::of(&request);
        let request = match self.admit(request, scheme) {
            Ok(request) => request,
            Err((status, reason)) => return refusal(status, reason),
        };
        let late = line.clone();
        let failed = move |fault: Fault| late.tell(None, &fault);
        match self.handler.handle(request, failed).await {
            Ok(response) => response.map(AnswerBody::of_guest),
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
