//! The ways of WASI 0.2 to a socket or a name: all are denied and reported.
//!
//! What is replaced here is all that has to change when a container can be granted the network;
//! the methods of sockets are reached through these functions only.

use crate::component::{ComponentLinker, ComponentState as State};
use lighter_types::refusal::Refusal;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{self, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::{TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};

/// The interfaces and the versions provided.
pub(super) const TCP: &str = "wasi:sockets/tcp-create-socket@0.2.12";
pub(super) const UDP: &str = "wasi:sockets/udp-create-socket@0.2.12";
pub(super) const NAMES: &str = "wasi:sockets/ip-name-lookup@0.2.12";

type Made<T> = wasmtime::Result<(Result<Resource<T>, ErrorCode>,)>;

/// Adds the interface that makes TCP sockets.
pub(super) fn link_tcp(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    linker.instance(TCP)?.func_wrap(
        "create-tcp-socket",
        |store: StoreContextMut<'_, State>, _: (IpAddressFamily,)| -> Made<TcpSocket> {
            let action = "create a TCP socket".to_owned();
            Ok((deny(&store, Refusal::Socket { action }),))
        },
    )
}

/// Adds the interface that makes UDP sockets.
pub(super) fn link_udp(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    linker.instance(UDP)?.func_wrap(
        "create-udp-socket",
        |store: StoreContextMut<'_, State>, _: (IpAddressFamily,)| -> Made<UdpSocket> {
            let action = "create a UDP socket".to_owned();
            Ok((deny(&store, Refusal::Socket { action }),))
        },
    )
}

/// Adds the interface that looks names up.
pub(super) fn link_names(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    ip_name_lookup::add_to_linker::<_, WasiSockets>(linker, State::sockets)?;
    linker.instance(NAMES)?.func_wrap(
        "resolve-addresses",
        |store: StoreContextMut<'_, State>,
         (_, name): (Resource<Network>, String)|
         -> Made<ResolveAddressStream> { Ok((deny(&store, Refusal::Lookup { name }),)) },
    )
}

fn deny<T>(store: &StoreContextMut<'_, State>, refusal: Refusal) -> Result<T, ErrorCode> {
    store.data().host.refused(refusal);
    Err(ErrorCode::AccessDenied)
}
