//! The role that sends HTTP requests for others, and alone speaks HTTP and TLS to the outside.
//!
//! ```text
//!   links ──▶ HTTP/2 in the clear, a task for each request
//!               │
//!             admit.rs     what a request is: its origin, and nothing that is not for a server
//!               │
//!             send.rs      adds credentials, sends it on a pooled connection, keeps to the sender's waits
//!               │             └─ connect.rs  a new one: the keeper says where to, TLS (tls.rs) says to whom
//!             body.rs      the answer, piece by piece
//! ```
//!
//! Who asks is a runner, which may be anybody: what it says is checked here, and where it may go is decided by
//! the keeper, for this process as for any other. Connections are kept for origins, each of which was allowed:
//! what is granted does not change while a container runs.

mod admit;
mod body;
mod connect;
mod fault;
mod send;
mod stream;
mod tls;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lighter_types::egress::{EgressOrder, Origin, Reached};
use lighter_types::refusal::Refusal;
use send::Sender;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use tokio::net::UnixStream;

/// What is called once, with what the keeper decided.
pub type Reply = Box<dyn FnOnce(Reached) + Send>;

/// The keeper, as this role sees it.
pub trait Keeper: Send + Sync {
    /// Asks where requests for an origin may go; the answer comes to `reply`, from whichever thread.
    fn reach(&self, origin: Origin, reply: Reply);

    /// Tells of a server that is not believed.
    fn refused(&self, refusal: Refusal);
}

/// The most threads that work at once.
const MOST_WORKERS: usize = 4;
/// The stack of each, in bytes.
const STACK_BYTES: usize = 512 << 10;
/// The most requests of one link that are sent at once; the next ones wait.
const MOST_REQUESTS: u32 = 256;
/// What of one body is kept for who is slow to take it, in bytes.
const STREAM_BYTES: u32 = 256 << 10;
/// The longest frame, in bytes.
const FRAME_BYTES: u32 = 64 << 10;
/// The longest head of a request, in bytes: more than a guest's fields may take.
const HEAD_BYTES: u32 = 256 << 10;
/// How many requests may be given up before they were looked at.
const MOST_GIVEN_UP: usize = 4096;

/// Sends what comes by the links, until all have ended.
///
/// # Errors
/// A link is none, or there are no threads to be had.
pub fn serve(order: EgressOrder, links: Vec<OwnedFd>, keeper: Arc<dyn Keeper>) -> io::Result<()> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.min(MOST_WORKERS))
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .on_thread_park(lighter_memory::before_wait)
        .build()?;
    let sender = Arc::new(Sender::new(order, keeper));
    runtime.block_on(async {
        let mut served = Vec::new();
        for link in links {
            // The keeper made it non-blocking.
            let link = UnixStream::from_std(link.into())?;
            served.push(tokio::spawn(attend(link, Arc::clone(&sender))));
        }
        for link in served {
            // How it ended is its runner's affair.
            let _ = link.await;
        }
        Ok(())
    })
}

async fn attend(link: UnixStream, sender: Arc<Sender>) {
    let service = service_fn(move |request| {
        let sender = Arc::clone(&sender);
        async move { sender.answer(request).await }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_REQUESTS)
        .initial_stream_window_size(STREAM_BYTES)
        // So that those who are slow take nobody else's room.
        .initial_connection_window_size(MOST_REQUESTS * STREAM_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(HEAD_BYTES)
        .max_send_buf_size(STREAM_BYTES as usize)
        // Guests end when they like, and with them their requests.
        .max_pending_accept_reset_streams(MOST_GIVEN_UP)
        .max_local_error_reset_streams(None);
    let _ = builder.serve_connection(TokioIo::new(link), service).await;
}
