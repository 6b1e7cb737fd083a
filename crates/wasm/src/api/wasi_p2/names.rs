//! `wasi:sockets/ip-name-lookup` 0.2: the keeper looks names up, and says which.

use crate::component::{ComponentLinker, ComponentState as State};
use crate::names;
use lighter_types::network::{Lookup, LookupError};
use lighter_types::refusal::Refusal;
use std::net::IpAddr;
use std::vec;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceType};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

/// The interface and the version provided.
pub(super) const NAMES: &str = "wasi:sockets/ip-name-lookup@0.2.12";

/// The addresses of one lookup, one after the other.
pub(super) enum AddressStream {
    Pending(names::Pending),
    Answered(Result<vec::IntoIter<IpAddr>, ErrorCode>),
}

type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

/// Adds the interface.
pub(super) fn link(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut instance = linker.instance(NAMES)?;
    instance.resource(
        "resolve-address-stream",
        ResourceType::host::<AddressStream>(),
        |mut store, handle| {
            let stream = Resource::<AddressStream>::new_own(handle);
            store.data_mut().table.delete(stream)?;
            Ok(())
        },
    )?;
    instance.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, State>,
         (network, name): (Resource<Network>, String)|
         -> Answer<Resource<AddressStream>> {
            let state = store.data_mut();
            state.table.get(&network)?;
            if !state.has_network {
                state.host.refused(Refusal::lookup(name));
                return Ok((Err(ErrorCode::AccessDenied),));
            }
            let mut stream = AddressStream::Pending(names::look_up(state.host.as_ref(), &name));
            stream.look();
            // What is known at once is told at once.
            if let AddressStream::Answered(Err(error)) = stream {
                return Ok((Err(error),));
            }
            Ok((Ok(state.table.push(stream)?),))
        },
    )?;
    instance.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: StoreContextMut<'_, State>,
         (stream,): (Resource<AddressStream>,)|
         -> Answer<Option<IpAddress>> {
            let stream = store.data_mut().table.get_mut(&stream)?;
            stream.look();
            Ok((match stream {
                AddressStream::Pending(_) => Err(ErrorCode::WouldBlock),
                AddressStream::Answered(Ok(addresses)) => Ok(addresses.next().map(Into::into)),
                AddressStream::Answered(Err(error)) => Err(*error),
            },))
        },
    )?;
    instance.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, State>,
         (stream,): (Resource<AddressStream>,)|
         -> wasmtime::Result<(Resource<DynPollable>,)> {
            Ok((subscribe(&mut store.data_mut().table, stream)?,))
        },
    )
}

impl AddressStream {
    /// Looks whether the answer is there.
    fn look(&mut self) {
        if let Self::Pending(pending) = self {
            match pending.try_recv() {
                Err(tokio::sync::oneshot::error::TryRecvError::Empty) => {}
                told => *self = Self::answered(told.unwrap_or(Err(LookupError::Temporary))),
            }
        }
    }

    fn answered(lookup: Lookup) -> Self {
        Self::Answered(lookup.map(Vec::into_iter).map_err(code))
    }
}

/// The code that WASI 0.2 has for it.
fn code(error: LookupError) -> ErrorCode {
    match error {
        LookupError::Refused => ErrorCode::AccessDenied,
        LookupError::Invalid => ErrorCode::InvalidArgument,
        LookupError::Unresolvable => ErrorCode::NameUnresolvable,
        LookupError::Temporary => ErrorCode::TemporaryResolverFailure,
        LookupError::Permanent => ErrorCode::PermanentResolverFailure,
    }
}

#[async_trait]
impl Pollable for AddressStream {
    async fn ready(&mut self) {
        if let Self::Pending(pending) = self {
            let lookup = names::answer(pending.await);
            *self = Self::answered(lookup);
        }
    }
}
