//! The ways of WASI 0.2 to a socket: without a network all are denied and reported.
//!
//! The methods of sockets are reached through these functions only. What they do is wasmtime-wasi's; where
//! to is the keeper's to decide, which the kernel asks.

use crate::component::{ComponentLinker, ComponentState as State};
use lighter_types::refusal::Refusal;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::bindings::sockets::{tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::{SocketError, TcpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;

/// The interfaces and the versions provided.
pub(super) const TCP: &str = "wasi:sockets/tcp-create-socket@0.2.12";
pub(super) const UDP: &str = "wasi:sockets/udp-create-socket@0.2.12";

type Made<T> = wasmtime::Result<(Result<Resource<T>, ErrorCode>,)>;

/// Adds the interface that makes TCP sockets.
pub(super) fn link_tcp(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    linker.instance(TCP)?.func_wrap(
        "create-tcp-socket",
        |mut store: StoreContextMut<'_, State>, (family,)| -> Made<TcpSocket> {
            if !store.data().has_network {
                let action = "create a TCP socket".to_owned();
                return Ok((deny(&store, Refusal::Socket { action }),));
            }
            let mut sockets = store.data_mut().sockets();
            made(tcp_create_socket::Host::create_tcp_socket(
                &mut sockets,
                family,
            ))
        },
    )
}

/// Adds the interface that makes UDP sockets.
pub(super) fn link_udp(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    linker.instance(UDP)?.func_wrap_async(
        "create-udp-socket",
        |mut store: StoreContextMut<'_, State>, (family,)| {
            Box::new(async move {
                if !store.data().has_network {
                    let action = "create a UDP socket".to_owned();
                    return Ok((deny(&store, Refusal::Socket { action }),));
                }
                let mut sockets = store.data_mut().sockets();
                made(udp_create_socket::Host::create_udp_socket(&mut sockets, family).await)
            })
        },
    )
}

/// What a function gives, as the guest gets it.
fn made<T>(made: Result<Resource<T>, SocketError>) -> Made<T> {
    match made {
        Ok(socket) => Ok((Ok(socket),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn deny<T>(store: &StoreContextMut<'_, State>, refusal: Refusal) -> Result<T, ErrorCode> {
    store.data().host.refused(refusal);
    Err(ErrorCode::AccessDenied)
}
