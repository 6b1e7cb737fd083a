//! One connection: which HTTP it speaks, and how long it may be silent.

use super::request::Server;
use http::uri::Scheme;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;

/// The most fields of a request's head.
const MOST_FIELDS: usize = 256;
/// The most streams that one connection of HTTP/2 has open.
const MOST_STREAMS: u32 = 128;
/// What of its answers a connection of HTTP/2 keeps for a slow client, in bytes.
const SEND_BYTES: usize = 64 << 10;
/// What a client begins with that speaks HTTP/2 without having asked (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How soon the rest of a beginning is looked for.
const PAUSE: Duration = Duration::from_millis(10);

/// Which HTTP a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Http {
    One,
    Two,
}

/// A connection of which that is known.
enum Begun {
    Plain(TcpStream, Http),
    Tls(Box<TlsStream<TcpStream>>, Http),
}

/// What a client of HTTP/2 does with its requests: to give them up costs it nothing, and others an instance each.
#[derive(Default)]
struct Conduct {
    given_up: AtomicU32,
    met: AtomicU32,
    bad: Notify,
}

impl Conduct {
    async fn is_bad(&self) {
        self.bad.notified().await;
    }
}

/// The most requests that a client gives up beyond those that it took the answer of.
const MOST_GIVEN_UP: u32 = 100;

/// A request that is not answered yet.
struct Wish {
    conduct: Arc<Conduct>,
    is_met: bool,
}

impl Wish {
    fn new(conduct: &Arc<Conduct>) -> Self {
        Self {
            conduct: Arc::clone(conduct),
            is_met: false,
        }
    }

    fn met(mut self) {
        self.is_met = true;
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        let conduct = &self.conduct;
        if self.is_met {
            conduct.met.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let given_up = conduct.given_up.fetch_add(1, Ordering::Relaxed) + 1;
        let bound = conduct
            .met
            .load(Ordering::Relaxed)
            .saturating_add(MOST_GIVEN_UP);
        if given_up > bound {
            conduct.bad.notify_one();
        }
    }
}

/// The connections there are.
#[derive(Clone)]
pub(super) struct Connections {
    server: Arc<Server>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    /// By what they are accepted over TLS, if they come so.
    acceptor: Option<Arc<ServerConfig>>,
    /// A turn for each handshake.
    handshakes: Arc<Semaphore>,
    /// Who tells them to end; none once they were told.
    open: Arc<Mutex<Option<GracefulShutdown>>>,
    /// The same for those that have said nothing yet.
    is_draining: watch::Sender<bool>,
}

impl Connections {
    pub(super) fn new(server: Arc<Server>, acceptor: Option<Arc<ServerConfig>>) -> Self {
        let settings = server.settings();
        let head_bytes = usize::try_from(settings.head_bytes).unwrap_or(usize::MAX);
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // Who has said all still wants its answer.
            .half_close(true)
            .header_read_timeout(settings.head_time)
            .max_buf_size(head_bytes.max(8192))
            .max_headers(MOST_FIELDS);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(settings.head_bytes)
            .max_concurrent_streams(MOST_STREAMS)
            .max_send_buf_size(SEND_BYTES)
            .keep_alive_interval(settings.head_time)
            .keep_alive_timeout(settings.head_time);
        Self {
            server,
            http1,
            http2,
            acceptor,
            handshakes: Arc::new(Semaphore::new(1)),
            open: Arc::new(Mutex::new(Some(GracefulShutdown::new()))),
            is_draining: watch::Sender::new(false),
        }
    }

    /// Serves a connection in a task of its own.
    pub(super) fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let watcher = open.as_ref().map(GracefulShutdown::watcher);
        drop(open);
        if let Some(watcher) = watcher {
            let connections = self.clone();
            tokio::spawn(async move { connections.attend(stream, peer, watcher).await });
        }
    }

    async fn attend(self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // An answer goes out at once; without it, it goes out later.
        let _ = stream.set_nodelay(true);
        let mut is_draining = self.is_draining.subscribe();
        let beginning = timeout(self.server.settings().head_time, self.begin(stream));
        let begun = tokio::select! {
            begun = beginning => begun,
            _ = is_draining.wait_for(|is_draining| *is_draining) => return,
        };
        match begun {
            Ok(Ok(Begun::Plain(stream, http))) => {
                self.speak(http, Scheme::HTTP, stream, peer, watcher).await;
            }
            Ok(Ok(Begun::Tls(stream, http))) => {
                self.speak(http, Scheme::HTTPS, stream, peer, watcher).await;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// Finds out what a client speaks.
    async fn begin(&self, stream: TcpStream) -> io::Result<Begun> {
        let Some(acceptor) = &self.acceptor else {
            let http = if begins_with_preface(&stream).await? {
                Http::Two
            } else {
                Http::One
            };
            return Ok(Begun::Plain(stream, http));
        };
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let mut handshake = pin!(hello.into_stream(Arc::clone(acceptor)));
        // The first step waits for the keeper's signature, and holds a thread: one at a time, so that others are there
        // for requests.
        let turn = self.handshakes.acquire().await;
        let first = poll_fn(|context| Poll::Ready(handshake.as_mut().poll(context))).await;
        drop(turn);
        let stream = match first {
            Poll::Ready(stream) => stream?,
            Poll::Pending => handshake.await?,
        };
        let http = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Http::Two,
            _ => Http::One,
        };
        Ok(Begun::Tls(Box::new(stream), http))
    }

    async fn speak<S>(
        self,
        http: Http,
        scheme: Scheme,
        stream: S,
        peer: SocketAddr,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let server = Arc::clone(&self.server);
        let conduct = Arc::new(Conduct::default());
        let noted = Arc::clone(&conduct);
        let service = service_fn(move |request| {
            let (server, scheme) = (Arc::clone(&server), scheme.clone());
            let wish = Wish::new(&noted);
            async move {
                let answer = server.answer(request, scheme, peer).await;
                wish.met();
                answer
            }
        });
        let stream = TokioIo::new(stream);
        // What ends a connection is the client's affair.
        match http {
            Http::One => {
                let connection = self.http1.serve_connection(stream, service);
                let _ = watcher.watch(connection).await;
            }
            Http::Two => {
                let connection = self.http2.serve_connection(stream, service);
                tokio::select! {
                    _ = watcher.watch(connection) => {}
                    () = conduct.is_bad() => {}
                }
            }
        }
    }

    /// Takes no further requests, and waits until those that are there are answered.
    pub(super) async fn drain(&self) {
        self.is_draining.send_replace(true);
        let open = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.take()
        };
        if let Some(open) = open {
            open.shutdown().await;
        }
    }
}

/// Waits until it is known whether a client speaks HTTP/2, and leaves what it sent.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut beginning = [0; PREFACE.len()];
    let mut seen = 0;
    loop {
        let length = stream.peek(&mut beginning).await?;
        let begun = beginning.get(..length).unwrap_or_default();
        if !PREFACE.starts_with(begun) || length == 0 {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        // What is there keeps it readable, so that the rest is not waited for. Nor may it be the end.
        if length == seen {
            sleep(PAUSE).await;
        }
        seen = length;
    }
}
