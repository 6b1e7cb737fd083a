//! Bodies on their way: a request's to a guest, and an answer's to a client.

use super::log::Visit;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lighter_wasm::BodyError;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A request's body, and how much of it may come yet.
pub(super) struct RequestBody {
    pub(super) body: Incoming,
    pub(super) left_bytes: Option<u64>,
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
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Guest(body) => body.size_hint(),
            Content::Own(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}
