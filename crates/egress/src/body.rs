//! Bodies on their way: a request's from its link, and an answer's to it.

use crate::fault::{self, BodyBroken, reset};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lighter_types::egress::RequestError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// A request's.
pub(crate) struct RequestBody(pub(crate) Incoming);

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyBroken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        let frame = Pin::new(&mut self.0).poll_frame(context);
        frame.map_err(|_| BodyBroken)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// An answer's, whose next piece is waited for so long and no longer.
pub(crate) struct AnswerBody {
    body: Incoming,
    wait: Duration,
    /// Until when, once it was waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl AnswerBody {
    pub(crate) fn new(body: Incoming, wait: Duration) -> Self {
        Self {
            body,
            wait,
            timer: None,
            is_waiting: false,
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
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if self.is_late(context) => {
                Poll::Ready(Some(Err(reset(RequestError::ReadTimeout))))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(frame) => {
                self.is_waiting = false;
                Poll::Ready(frame.map(|frame| frame.map_err(|error| reset(fault::of(&error)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
