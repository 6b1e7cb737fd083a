//! Makes connections: the keeper says where to, TLS says to whom.

use crate::Keeper;
use crate::fault::{NotConnected, of_io};
use crate::stream::Stream;
use crate::tls::{Fault, Tls};
use http::Uri;
use hyper_util::rt::TokioIo;
use lighter_types::egress::{Origin, Reached, RequestError};
use lighter_types::network::Transport;
use lighter_types::refusal::Refusal;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long one address is tried alone (RFC 8305, section 5).
const ALONE: Duration = Duration::from_millis(250);
/// How long a connection may take that nobody waits for any more.
const LONGEST: Duration = Duration::from_secs(600);
/// The most questions that the keeper is asked at once: what its answers to them take has room in the socket.
const MOST_ASKED: usize = 64;

/// Makes connections to origins.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Shared>);

struct Shared {
    keeper: Arc<dyn Keeper>,
    questions: Semaphore,
    tls: Tls,
}

impl Connector {
    pub(crate) fn new(authorities: Vec<u8>, keeper: Arc<dyn Keeper>) -> Self {
        Self(Arc::new(Shared {
            keeper,
            questions: Semaphore::new(MOST_ASKED),
            tls: Tls::new(authorities),
        }))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = NotConnected;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, NotConnected>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), NotConnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let origin = origin(&uri).ok_or(NotConnected(RequestError::UriInvalid))?;
            let connected = timeout(LONGEST, shared.connect(origin)).await;
            let connected = connected.unwrap_or(Err(RequestError::ConnectionTimeout));
            connected.map(TokioIo::new).map_err(NotConnected)
        })
    }
}

/// The origin of a request that was admitted.
fn origin(uri: &Uri) -> Option<Origin> {
    let (transport, implied) = match uri.scheme_str()? {
        "https" => (Transport::Https, 443),
        _ => (Transport::Http, 80),
    };
    Some(Origin {
        transport,
        host: uri.host()?.to_owned(),
        port: uri.port_u16().unwrap_or(implied),
    })
}

impl Shared {
    async fn connect(&self, origin: Origin) -> Result<Stream, RequestError> {
        let addresses = self.ask(origin.clone()).await?;
        let stream = first(addresses).await?;
        // What is written goes out at once; without it, it goes out later.
        let _ = stream.set_nodelay(true);
        if origin.transport != Transport::Https {
            return Ok(Stream::Plain(stream));
        }
        match self.tls.connect(&origin.host, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(Fault::Other(error)) => Err(error),
            Err(Fault::Certificate(fault)) => {
                let origin = origin.to_text();
                self.keeper.refused(Refusal::Certificate { origin, fault });
                Err(RequestError::TlsCertificate)
            }
        }
    }

    /// Asks the keeper where an origin is, and whether it may be reached.
    async fn ask(&self, origin: Origin) -> Reached {
        let turn = self.questions.acquire().await;
        let (reply, answer) = oneshot::channel();
        let reply = Box::new(move |reached| drop(reply.send(reached)));
        self.keeper.reach(origin, reply);
        let answer = answer.await.unwrap_or(Err(RequestError::Internal));
        drop(turn);
        answer
    }
}

/// Connects to whichever address answers first; each gets a start before the next one.
async fn first(addresses: Vec<SocketAddr>) -> Result<TcpStream, RequestError> {
    let mut attempts = JoinSet::new();
    let mut fault = RequestError::Unroutable;
    let mut left = addresses.into_iter();
    loop {
        let next = left.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(address));
        }
        loop {
            let attempt = match is_last {
                true => attempts.join_next().await,
                false => match timeout(ALONE, attempts.join_next()).await {
                    Ok(attempt) => attempt,
                    // The next one is tried beside it.
                    Err(_) => break,
                },
            };
            match attempt {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => fault = of_io(&error),
                Some(Err(_)) => fault = RequestError::Internal,
                None if is_last => return Err(fault),
                None => break,
            }
        }
    }
}
