//! What a guest answers, and what it does besides.

use super::Fault;
use super::watch::{Account, Watch};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::oneshot::{Receiver, error::TryRecvError};
use wasmtime_wasi_http::WasiBody;

/// The body of a request, as a guest reads it.
pub(super) type GuestBody = WasiBody;

/// A response, or the error that the guest answers with.
pub(super) type Answer = Result<http::Response<WasiBody>, String>;

/// The body of a response, and whether its guest has failed: what ends then is not whole, although it looks so.
pub struct Body {
    content: WasiBody,
    cut: Arc<AtomicBool>,
}

/// Notes that a guest has failed, unless it is told that it has not. It goes before the guest's store does, with which
/// the body ends.
pub(super) struct Unfinished(Option<Arc<AtomicBool>>);

impl Unfinished {
    pub(super) fn new(cut: Arc<AtomicBool>) -> Self {
        Self(Some(cut))
    }

    /// The guest has done all that it had to.
    pub(super) fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(cut) = &self.0 {
            cut.store(true, Ordering::Release);
        }
    }
}

/// Why a body is not whole.
#[derive(Debug)]
pub enum BodyError {
    /// It is longer than it may be.
    TooLong,
    /// It did not come in time.
    Late,
    /// Whoever sent it is gone, or said something that is none.
    Broken(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => formatter.write_str("the body is longer than it may be"),
            Self::Late => formatter.write_str("the body did not come in time"),
            Self::Broken(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for BodyError {}

/// A body as guests read it.
pub(super) fn guest_body<B>(body: B) -> GuestBody
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    use wasmtime_wasi_http::Error;
    body.map_err(|error| match error.into() {
        BodyError::TooLong => Error::HttpRequestBodySize(None),
        BodyError::Late => Error::ConnectionReadTimeout,
        BodyError::Broken(_) => Error::ConnectionTerminated,
    })
    .boxed_unsync()
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.content).poll_frame(context) {
            Poll::Ready(None) if self.cut.load(Ordering::Acquire) => {
                let reason = "the program failed before its end".to_owned();
                Poll::Ready(Some(Err(BodyError::Broken(reason))))
            }
            frame => frame.map_err(|error| BodyError::Broken(error.to_string())),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

/// What a guest does for one request.
pub(super) struct Work {
    future: Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>,
    watch: Arc<Watch>,
    account: Account,
}

impl Work {
    pub(super) fn new(
        future: impl Future<Output = Result<(), Fault>> + Send + 'static,
        watch: &Arc<Watch>,
    ) -> Self {
        Self {
            future: Box::pin(future),
            watch: Arc::clone(watch),
            account: Account::default(),
        }
    }
}

impl Future for Work {
    type Output = Result<(), Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            future,
            watch,
            account,
        } = &mut *self;
        if watch.is_over(account) {
            return Poll::Ready(Err(watch.out_of_time()));
        }
        let polled = watch.attend(account, || future.as_mut().poll(context));
        match polled {
            // It was ended by us, whatever that looks like.
            Poll::Ready(Err(_)) if watch.is_over(account) => Poll::Ready(Err(watch.out_of_time())),
            polled => polled,
        }
    }
}

/// Works until there is an answer. What is left to do then is done by a task of its own; should that fail,
/// `failed` is told.
pub(super) async fn first(
    mut work: Work,
    mut answer: Receiver<Answer>,
    cut: Arc<AtomicBool>,
    failed: impl FnOnce(Fault) + Send + 'static,
) -> Result<http::Response<Body>, Fault> {
    let (answer, end) = poll_fn(|context| {
        // The answer is given by the work, so that is all there is to wait for.
        let end = match Pin::new(&mut work).poll(context) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        };
        match (answer.try_recv(), end) {
            (Ok(answer), end) => Poll::Ready((Some(answer), end)),
            (Err(_), Some(end)) => Poll::Ready((None, Some(end))),
            (Err(TryRecvError::Empty | TryRecvError::Closed), None) => Poll::Pending,
        }
    })
    .await;
    match (answer, end) {
        (Some(answer), end) => {
            match end {
                Some(Ok(())) => {}
                // Nothing of it was sent yet.
                Some(Err(fault)) => return Err(fault),
                None => drop(tokio::spawn(async move {
                    if let Err(fault) = work.await {
                        failed(fault);
                    }
                })),
            }
            match answer {
                Ok(response) => Ok(response.map(|content| Body { content, cut })),
                Err(error) => Err(Fault::NoAnswer { error: Some(error) }),
            }
        }
        (None, Some(Err(fault))) => Err(fault),
        (None, _) => Err(Fault::NoAnswer { error: None }),
    }
}
