//! Serves HTTP: connections to the published ports, each request to an instance of the program.
//!
//! ```text
//!   listeners ──▶ a task for each connection: HTTP/1.1 or HTTP/2 (connection.rs), over TLS or not (tls.rs)
//!                   │ request
//!                   ▼
//!                 request.rs: what is no request of a guest's is answered here; a fault is too, and noted
//!                   │
//!                 wasm: an instance answers
//! ```
//!
//! A runtime with a thread for each processor, and spare ones for when guests keep these.

mod body;
mod connection;
mod log;
mod request;
mod tls;

use crate::control::Control;
use connection::Connections;
use lighter_types::bundle::Bundle;
use lighter_types::http::ServerTls;
use lighter_types::runner_protocol::{End, Failure, FromRunner};
use lighter_wasm::Handler;
use log::AccessLog;
use request::Server;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The stack of a thread of the runtime, in bytes: guests have stacks of their own.
const STACK_BYTES: usize = 512 << 10;
/// Threads that take over where guests keep others.
const SPARES: usize = 8;
/// How long nobody is accepted after a refusal of the system, such as no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until the keeper says to end, and the requests that go on then are answered.
///
/// # Errors
/// A port could not be listened on.
pub(crate) fn serve(
    handler: Handler,
    bundle: &Bundle,
    tls: Option<(&ServerTls, File)>,
    control: &Arc<Control>,
) -> Result<End, Failure> {
    let published = bundle
        .network
        .as_ref()
        .map(|network| network.published.as_slice());
    let sockets = lighter_wasm::listeners(published.unwrap_or_default());
    let sockets = sockets.map_err(|(port, error)| Failure::Listen {
        port,
        reason: error.to_string(),
    })?;
    if sockets.is_empty() {
        return Err(Failure::NoPort);
    }
    lighter_memory::keep_per_thread();
    let workers = usize::try_from(bundle.http.workers).unwrap_or(1).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers + SPARES)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .on_thread_park(lighter_memory::before_wait)
        .build()
        .map_err(|error| failed("make the runtime", &error))?;
    let spares = handler.spares();
    for _ in 0..SPARES {
        let spares = Arc::clone(&spares);
        runtime.spawn(async move { spares.keep_a_thread().await });
    }
    if let Err(end) = runtime.block_on(handler.prepare()) {
        spares.end();
        return Ok(end);
    }
    let is_draining = Arc::new(Notify::new());
    let drains = Arc::clone(&is_draining);
    let heard = control.hear_drain(move || drains.notify_one());
    heard.map_err(|error| failed("hear the keeper", &error))?;
    let log = bundle.http.access_log.map(AccessLog::start).transpose();
    let log = log.map_err(|error| failed("write the access log", &error))?;
    let writer = log.as_ref().map(|(log, _)| Arc::clone(log));
    let server = Arc::new(Server::new(handler, bundle.http, writer));
    let acceptor = tls
        .map(|(tls, keeper)| tls::acceptor(tls, keeper))
        .transpose();
    let acceptor = acceptor.map_err(|error| Failure::Internal {
        reason: format!("could not serve TLS: {error}"),
    })?;
    let connections = Connections::new(Arc::clone(&server), acceptor);
    let served = runtime.block_on(async {
        let mut listeners = Vec::new();
        for socket in sockets {
            let listener = TcpListener::from_std(socket.into())?;
            let connections = connections.clone();
            listeners.push(tokio::spawn(accept(listener, connections)));
        }
        control.send(&FromRunner::Serving);
        is_draining.notified().await;
        listeners.iter().for_each(|listener| listener.abort());
        // The keeper says for how long.
        connections.drain().await;
        server.drain().await;
        io::Result::Ok(())
    });
    served.map_err(|error| failed("serve", &error))?;
    if let Some((log, end)) = log {
        log.end(&end);
    }
    spares.end();
    Ok(End::Exited(0))
}

fn failed(action: &str, error: &io::Error) -> Failure {
    Failure::Internal {
        reason: format!("could not {action}: {error}"),
    }
}

async fn accept(listener: TcpListener, connections: Connections) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => connections.serve(stream, peer),
            // The connection is gone already, or there is no room for one.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
