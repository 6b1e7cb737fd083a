//! Bodies on their way: a request's from its link, and an answer's to it.

use crate::fault::{self, BodyBroken, reset};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lighter_types::egress::RequestError;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// A request's, as it comes by a link. A copy goes on where another has stopped, which is of use where that took nothing
/// of it.
#[derive(Clone)]
pub(crate) struct RequestBody(Arc<Source>);

struct Source {
    body: Mutex<Incoming>,
    /// What of it was looked at already, and goes first.
    first: Mutex<Option<Frame<Bytes>>>,
    /// Whether something of it was taken.
    is_begun: AtomicBool,
    is_empty: bool,
}

impl RequestBody {
    /// A body, of which the beginning is waited for, but not long: most that have none say so at once.
    pub(crate) async fn new(mut body: Incoming, wait: Duration) -> Self {
        let mut first = None;
        let mut is_empty = body.is_end_stream();
        if !is_empty && !wait.is_zero() {
            match timeout(wait, body.frame()).await {
                // An end that came by itself.
                Ok(Some(Ok(frame))) if is_nothing(&frame) => is_empty = body.is_end_stream(),
                Ok(Some(Ok(frame))) => first = Some(frame),
                Ok(None) => is_empty = true,
                // It is found out again.
                Ok(Some(Err(_))) | Err(_) => {}
            }
        }
        Self(Arc::new(Source {
            body: Mutex::new(body),
            first: Mutex::new(first),
            is_begun: AtomicBool::new(false),
            is_empty,
        }))
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty
    }

    /// Whether something of it was taken.
    pub(crate) fn is_begun(&self) -> bool {
        self.0.is_begun.load(Ordering::Acquire)
    }
}

/// Whether a piece of a body has nothing in it.
fn is_nothing(frame: &Frame<Bytes>) -> bool {
    frame.data_ref().is_some_and(Bytes::is_empty)
}

fn guard<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        let source = &self.0;
        if source.is_empty {
            return Poll::Ready(None);
        }
        let frame = match guard(&source.first).take() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut *guard(&source.body)).poll_frame(context),
        };
        if !matches!(&frame, Poll::Pending | Poll::Ready(None))
            && !matches!(&frame, Poll::Ready(Some(Ok(frame))) if is_nothing(frame))
        {
            source.is_begun.store(true, Ordering::Release);
        }
        frame.map_err(|_| BodyBroken)
    }

    fn is_end_stream(&self) -> bool {
        let is_over = || guard(&self.0.first).is_none() && guard(&self.0.body).is_end_stream();
        self.0.is_empty || is_over()
    }

    fn size_hint(&self) -> SizeHint {
        if self.0.is_empty {
            return SizeHint::with_exact(0);
        }
        let rest = guard(&self.0.body).size_hint();
        let first = guard(&self.0.first);
        let first = first
            .as_ref()
            .and_then(Frame::data_ref)
            .map_or(0, Bytes::len);
        let first = u64::try_from(first).unwrap_or(0);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

/// How much of an answer is put together at most, in bytes, where it comes in smaller pieces.
const PIECE_BYTES: usize = 4096;

/// What is a small piece, in bytes; how many of them go out alone, and how long the later ones wait for others.
const SMALL_BYTES: usize = 256;
const MOST_SMALL: u32 = 64;
const DELAY: Duration = Duration::from_millis(2);

/// An answer's, whose next piece is waited for so long and no longer. Pieces that are there together are sent together:
/// a link ends that has many small ones on it which nobody takes.
pub(crate) struct AnswerBody {
    body: Incoming,
    wait: Duration,
    /// Until when, once it was waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    together: BytesMut,
    /// How many small pieces were sent alone.
    small: u32,
    /// Until when more is waited for, to go with what there is.
    delay: Option<Pin<Box<Sleep>>>,
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
            small: 0,
            delay: None,
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

    /// Whether what there is goes out alone: at first it does, later it waits a moment for more.
    fn goes_out(&mut self, context: &mut Context<'_>) -> bool {
        if self.together.len() >= SMALL_BYTES || self.small < MOST_SMALL {
            return true;
        }
        let delay = self.delay.get_or_insert_with(|| Box::pin(sleep(DELAY)));
        delay.as_mut().poll(context).is_ready()
    }

    fn take(&mut self) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        self.delay = None;
        if self.together.len() < SMALL_BYTES {
            self.small = self.small.saturating_add(1);
        }
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
                    false if self.goes_out(context) => self.take(),
                    false => Poll::Pending,
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
