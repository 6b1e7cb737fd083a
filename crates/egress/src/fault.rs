//! What went wrong with a request, out of the errors of the libraries that sent it.

use h2::Reason;
use lighter_types::egress::RequestError;
use std::error::Error;
use std::fmt;
use std::io;

/// Ends a stream of a link with an error.
pub(crate) fn reset(error: RequestError) -> h2::Error {
    Reason::from(error.code()).into()
}

/// A connection that was not made.
#[derive(Debug)]
pub(crate) struct NotConnected(pub(crate) RequestError);

impl fmt::Display for NotConnected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl Error for NotConnected {}

/// The body of a request that its sender did not end.
#[derive(Debug)]
pub(crate) struct BodyBroken;

impl fmt::Display for BodyBroken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the request's body broke off")
    }
}

impl Error for BodyBroken {}

/// Whether a server has said that it has not looked at a request: it ends the connection, or has no room for it.
pub(crate) fn is_unseen(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // It had no connection any more, before it was sent.
        if error
            .downcast_ref()
            .is_some_and(|error: &hyper::Error| error.is_canceled() || error.is_closed())
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let is_end = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
            return error.is_remote() && (is_end || error.reason() == Some(Reason::REFUSED_STREAM));
        }
        next = error.source();
    }
    false
}

/// What an error of sending or receiving comes to: the deepest cause knows best.
pub(crate) fn of(error: &(dyn Error + 'static)) -> RequestError {
    let mut found = RequestError::ConnectionTerminated;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(NotConnected(error)) = error.downcast_ref() {
            return *error;
        }
        if error.is::<BodyBroken>() {
            return RequestError::BodyBroken;
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            found = of_hyper(error);
        } else if let Some(error) = error.downcast_ref::<h2::Error>() {
            found = of_h2(error);
        } else if let Some(error) = error.downcast_ref::<io::Error>() {
            found = of_io(error);
        }
        next = error.source();
    }
    found
}

fn of_hyper(error: &hyper::Error) -> RequestError {
    if error.is_parse_too_large() {
        RequestError::HeadTooLong
    } else if error.is_parse() {
        RequestError::Protocol
    } else if error.is_incomplete_message() {
        RequestError::Incomplete
    } else {
        RequestError::ConnectionTerminated
    }
}

fn of_h2(error: &h2::Error) -> RequestError {
    match error.reason() {
        _ if error.is_io() => RequestError::ConnectionTerminated,
        Some(
            Reason::NO_ERROR | Reason::CANCEL | Reason::REFUSED_STREAM | Reason::STREAM_CLOSED,
        ) => RequestError::Incomplete,
        Some(_) | None => RequestError::Protocol,
    }
}

/// What an error of a socket comes to.
pub(crate) fn of_io(error: &io::Error) -> RequestError {
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
    {
        return RequestError::TlsProtocol;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => RequestError::ConnectionRefused,
        // The keeper's word.
        io::ErrorKind::PermissionDenied => RequestError::Denied,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => RequestError::Unroutable,
        io::ErrorKind::TimedOut => RequestError::ConnectionTimeout,
        // A body that ends before its length, or between two pieces.
        io::ErrorKind::UnexpectedEof => RequestError::Incomplete,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => RequestError::Protocol,
        _ => match error
            .raw_os_error()
            .map(rustix::io::Errno::from_raw_os_error)
        {
            Some(
                rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOBUFS,
            ) => RequestError::ConnectionLimit,
            _ => RequestError::ConnectionTerminated,
        },
    }
}
