//! Bodies on their way: a request's from its link, and an answer's to it.

use crate::fault::{self, BodyBroken, reset};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lighter_types::egress::RequestError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// A request's.
pub(crate) enum RequestBody {
    /// What comes by a link.
    Incoming(Incoming),
    /// Nothing.
    Empty,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        match self.get_mut() {
            Self::Incoming(body) => Pin::new(body).poll_frame(context).map_err(|_| BodyBroken),
            Self::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) => body.is_end_stream(),
            Self::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body) => body.size_hint(),
            Self::Empty => SizeHint::with_exact(0),
        }
    }
}

/// How much of an answer is put together at most, in bytes, where it comes in smaller pieces.
const PIECE_BYTES: usize = 4096;

/// An answer's, whose next piece is waited for so long and no longer. Pieces that are there together are sent together:
/// a link ends that has many small ones on it which nobody takes.
pub(crate) struct AnswerBody {
    body: Incoming,
    wait: Duration,
    /// Until when, once it was waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    together: BytesMut,
    /// What comes behind that.
    next: Option<Option<Result<Frame<Bytes>, h2::Error>>>,
}

impl AnswerBody {
    pub(crate) fn new(body: Incoming, wait: Duration) -> Self {
        Self {
            body,
            wait,
            timer: None,
            is_waiting: false,
            together: BytesMut::new(),
            next: None,
        }
    }

    /// Whether it was waited for too long.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let wait = self.wait;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(wait)));
        if !self.is_waiting {
            self.is_waiting = true;
            timer.as_mut().reset(Instant::now() + wait);
        }
        timer.as_mut().poll(context).is_ready()
    }

    fn take(&mut self) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(self.together.split().freeze()))))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        loop {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            let Poll::Ready(frame) = polled else {
                return match self.together.is_empty() {
                    false => self.take(),
                    true if self.is_late(context) => {
                        Poll::Ready(Some(Err(reset(RequestError::ReadTimeout))))
                    }
                    true => Poll::Pending,
                };
            };
            self.is_waiting = false;
            let next = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if self.together.is_empty() && data.len() >= PIECE_BYTES => {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(data) => {
                        self.together.extend_from_slice(&data);
                        if self.together.len() >= PIECE_BYTES {
                            return self.take();
                        }
                        continue;
                    }
                    Err(trailers) => Some(Ok(trailers)),
                },
                Some(Err(error)) => Some(Err(reset(fault::of(&error)))),
                None => None,
            };
            if self.together.is_empty() {
                return Poll::Ready(next);
            }
            self.next = Some(next);
            return self.take();
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.together.is_empty() && self.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
