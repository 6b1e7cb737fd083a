//! What a request is, whoever sends it: its origin, its waits, and the fields that are for the server.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use lighter_types::egress::{Origin, RequestError, Waits};
use lighter_types::network::Transport;

/// Fields that are between two neighbours (RFC 9110, section 7.6.1), and those of a proxy, which none is here.
const NEIGHBOURS: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request's head, made fit to be sent.
pub(crate) struct Admitted {
    pub(crate) origin: Origin,
    pub(crate) waits: Waits,
    pub(crate) head: Parts,
}

/// Takes a head in.
///
/// # Errors
/// It is none that can be sent.
pub(crate) fn admit(mut head: Parts) -> Result<Admitted, RequestError> {
    // TRACE has its server say what it was sent, credentials too.
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Err(RequestError::MethodInvalid);
    }
    let origin = origin(&head.uri)?;
    let path = head.uri.path_and_query().cloned();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(match origin.transport {
        Transport::Https => Scheme::HTTPS,
        _ => Scheme::HTTP,
    });
    uri.authority = Some(authority(&origin)?);
    uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    head.uri = Uri::from_parts(uri).map_err(|_| RequestError::UriInvalid)?;
    let waits = head
        .headers
        .remove(Waits::FIELD)
        .and_then(|waits| Waits::parse(waits.to_str().ok()?))
        .unwrap_or_default();
    // Whom it is for the authority says.
    head.headers.remove(HOST);
    if head.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(RequestError::Protocol);
    }
    let has_trailers = head.headers.get_all(TE).iter().any(is_trailers);
    between_neighbours(&mut head.headers);
    if has_trailers {
        head.headers
            .insert(TE, HeaderValue::from_static("trailers"));
    }
    head.version = http::Version::default();
    head.extensions = http::Extensions::default();
    Ok(Admitted {
        origin,
        waits,
        head,
    })
}

fn is_trailers(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"trailers")
}

/// Takes away what is not for whom a message is passed on to.
pub(crate) fn between_neighbours(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&NEIGHBOURS).chain([&TE]) {
        fields.remove(name);
    }
}

fn origin(uri: &Uri) -> Result<Origin, RequestError> {
    let (transport, implied) = match uri.scheme_str() {
        Some("http") => (Transport::Http, 80),
        Some("https") => (Transport::Https, 443),
        _ => return Err(RequestError::UriInvalid),
    };
    let authority = uri.authority().ok_or(RequestError::UriInvalid)?;
    if authority.as_str().contains('@') {
        return Err(RequestError::UriInvalid);
    }
    let host = authority.host().to_ascii_lowercase();
    let port = match authority.as_str().get(host.len()..) {
        None | Some("") => implied,
        Some(rest) => port(rest).ok_or(RequestError::UriInvalid)?,
    };
    if host.is_empty() {
        return Err(RequestError::UriInvalid);
    }
    Ok(Origin {
        transport,
        host,
        port,
    })
}

/// What stands behind a host: a colon and a number.
fn port(text: &str) -> Option<u16> {
    let port: u16 = text.strip_prefix(':')?.parse().ok()?;
    (port != 0).then_some(port)
}

fn authority(origin: &Origin) -> Result<Authority, RequestError> {
    let text = origin.to_text();
    let (_, authority) = text.split_once("://").unwrap_or_default();
    authority.parse().map_err(|_| RequestError::UriInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use std::time::Duration;

    fn head(uri: &str, fields: &[(&str, &str)]) -> Result<Admitted, RequestError> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        admit(head)
    }

    fn origin_of(uri: &str) -> Result<String, RequestError> {
        head(uri, &[]).map(|admitted| admitted.origin.to_text())
    }

    #[test]
    fn origin_has_one_spelling() {
        for (uri, origin) in [
            ("http://Example.COM/a?b", "http://example.com"),
            ("https://example.com:443/", "https://example.com"),
            ("https://example.com:80", "https://example.com:80"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://127.0.0.1", "http://127.0.0.1"),
        ] {
            assert_eq!(origin_of(uri).as_deref(), Ok(origin), "{uri}");
        }
    }

    #[test]
    fn what_has_no_origin_is_refused() {
        for uri in [
            "ftp://example.com/",
            "/only/a/path",
            "http://user:pass@example.com/",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:/",
        ] {
            assert_eq!(origin_of(uri), Err(RequestError::UriInvalid), "{uri}");
        }
        let request = Request::builder().method(Method::CONNECT).uri("a.b:443");
        let (connect, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(admit(connect).err(), Some(RequestError::MethodInvalid));
    }

    #[test]
    fn fields_between_neighbours_stay_there() {
        let admitted = head(
            "http://a.example/",
            &[
                ("host", "b.example"),
                ("connection", "x-mine, close"),
                ("x-mine", "1"),
                ("transfer-encoding", "chunked"),
                ("proxy-authorization", "Basic x"),
                ("te", "trailers"),
                ("accept", "*/*"),
                (Waits::FIELD, "1 2 3"),
            ],
        )
        .expect("a request");
        let mut names: Vec<&str> = admitted
            .head
            .headers
            .keys()
            .map(HeaderName::as_str)
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "te"]);
        assert_eq!(admitted.waits.first_byte, Duration::from_millis(2));
    }

    #[test]
    fn two_lengths_are_none() {
        let fields = [("content-length", "1"), ("content-length", "2")];
        let refused = head("http://a.example/", &fields).err();
        assert_eq!(refused, Some(RequestError::Protocol));
    }
}
