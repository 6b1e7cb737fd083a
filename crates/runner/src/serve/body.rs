//! Bodies on their way: a request's to a guest, and an answer's to a client.

use super::log::Visit;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lighter_wasm::BodyError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// A request's body, and how much of it may come yet.
pub(super) struct RequestBody {
    body: Incoming,
    left_bytes: Option<u64>,
    /// Whether more came; kept where that may be.
    too_long: Option<Arc<AtomicBool>>,
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
    /// A body of which so many bytes may come.
    pub(super) fn new(body: Incoming, most: Option<u64>) -> Self {
        let too_long = most.map(|_| Arc::default());
        Self {
            body,
            left_bytes: most,
            too_long,
        }
    }

    /// Whether more has come than may, from now on.
    pub(super) fn too_long(&self) -> Option<Arc<AtomicBool>> {
        self.too_long.clone()
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let (Some(left), Some(data)) = (&mut self.left_bytes, frame.data_ref()) {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            match left.checked_sub(length) {
                Some(rest) => *left = rest,
                None => {
                    if let Some(too_long) = &self.too_long {
                        too_long.store(true, Ordering::Release);
                    }
                    return Err(BodyError::TooLong);
                }
            }
        }
        Ok(frame)
    }
}

/// What a client gets, and what is noted of it once it has it.
pub(super) struct AnswerBody {
    content: Content,
    visit: Option<Visit>,
}

enum Content {
    /// A guest's.
    Guest(lighter_wasm::Body),
    /// Words of our own.
    Own(Option<Bytes>),
    /// Nothing, as who asked for a head wants none, though there is one.
    Withheld,
}

impl AnswerBody {
    /// A guest's.
    pub(super) fn of_guest(body: lighter_wasm::Body) -> Self {
        Self {
            content: Content::Guest(body),
            visit: None,
        }
    }

    /// Words of our own.
    pub(super) fn own(words: &'static str) -> Self {
        Self {
            content: Content::Own(Some(Bytes::from_static(words.as_bytes()))),
            visit: None,
        }
    }

    /// That of an answer to HEAD.
    pub(super) fn none() -> Self {
        Self {
            content: Content::Withheld,
            visit: None,
        }
    }

    /// Has its end noted.
    pub(super) fn note(&mut self, visit: Visit) {
        self.visit = Some(visit);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { content, visit } = self.get_mut();
        let polled = match content {
            Content::Guest(body) => Pin::new(body).poll_frame(context),
            Content::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Withheld => Poll::Ready(None),
        };
        if let (Some(visit), Poll::Ready(Some(Ok(frame)))) = (visit, &polled) {
            visit.count(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Guest(body) => body.is_end_stream(),
            Content::Own(bytes) => bytes.is_none(),
            Content::Withheld => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Guest(body) => body.size_hint(),
            Content::Own(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Content::Withheld => SizeHint::default(),
        }
    }
}
