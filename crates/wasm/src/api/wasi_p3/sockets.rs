//! The ways of WASI 0.3 to a socket or a name: without a network all are denied and reported.
//!
//! As in `wasi_p2/sockets.rs`.

use crate::component::{ComponentLinker, ComponentState as State};
use crate::names;
use lighter_types::network::LookupError;
use lighter_types::refusal::Refusal;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, HasData, Resource};
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup;
use wasmtime_wasi::p3::bindings::sockets::types::{
    self, ErrorCode, HostTcpSocket, HostUdpSocket, IpAddress, TcpSocket,
};
use wasmtime_wasi::p3::sockets::SocketResult;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};

/// The interface of sockets and the version provided.
pub(super) const TYPES: &str = "wasi:sockets/types@0.3.0";

type Created<Socket> = wasmtime::Result<(Result<Resource<Socket>, ErrorCode>,)>;

/// Adds `wasi:sockets/types`.
pub(super) fn link_types(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    types::add_to_linker::<_, WasiSockets>(linker, State::sockets)?;
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[static]tcp-socket.create",
        |mut store: StoreContextMut<'_, State>, (family,)| -> Created<TcpSocket> {
            if !store.data().has_network {
                return Ok((deny(store.data(), "create a TCP socket"),));
            }
            created(HostTcpSocket::create(
                &mut store.data_mut().sockets(),
                family,
            ))
        },
    )?;
    types.func_wrap_async(
        "[static]udp-socket.create",
        |mut store: StoreContextMut<'_, State>, (family,)| {
            Box::new(async move {
                if !store.data().has_network {
                    return Ok((deny(store.data(), "create a UDP socket"),));
                }
                created(HostUdpSocket::create(&mut store.data_mut().sockets(), family).await)
            })
        },
    )
}

/// Adds `wasi:sockets/ip-name-lookup`.
pub(super) fn link_ip_name_lookup(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    ip_name_lookup::add_to_linker::<_, Names>(linker, |state| View(state))
}

/// What a function gives, as the guest gets it.
fn created<T>(created: SocketResult<Resource<T>>) -> Created<T> {
    match created {
        Ok(socket) => Ok((Ok(socket),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn deny<T>(state: &State, action: &str) -> Result<T, ErrorCode> {
    let action = action.to_owned();
    state.host.refused(Refusal::Socket { action });
    Err(ErrorCode::AccessDenied)
}

struct Names;

impl HasData for Names {
    type Data<'a> = View<'a>;
}

struct View<'a>(&'a mut State);

impl ip_name_lookup::Host for View<'_> {}

impl<T> ip_name_lookup::HostWithStore<T> for Names {
    async fn resolve_addresses(
        store: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<IpAddress>, ip_name_lookup::ErrorCode>> {
        let pending = store.with(|mut access| {
            let state = access.get().0;
            if !state.has_network {
                state.host.refused(Refusal::lookup(name));
                return Err(LookupError::Refused);
            }
            Ok(names::look_up(state.host.as_ref(), &name))
        });
        let lookup = match pending {
            Ok(pending) => names::answer(pending.await),
            Err(error) => Err(error),
        };
        Ok(match lookup {
            Ok(addresses) => Ok(addresses.into_iter().map(Into::into).collect()),
            Err(error) => Err(lookup_code(error)),
        })
    }
}

/// The code that WASI 0.3 has for it.
fn lookup_code(error: LookupError) -> ip_name_lookup::ErrorCode {
    use ip_name_lookup::ErrorCode;
    match error {
        LookupError::Refused => ErrorCode::AccessDenied,
        LookupError::Invalid => ErrorCode::InvalidArgument,
        LookupError::Unresolvable => ErrorCode::NameUnresolvable,
        LookupError::Temporary => ErrorCode::TemporaryResolverFailure,
        LookupError::Permanent => ErrorCode::PermanentResolverFailure,
    }
}
