//! The `wasi http` API set: outgoing requests of WASI 0.2 and 0.3.
//!
//! The types are there for every program. Requests are sent by a role of their own ([`Outgoing`]), which asks
//! the keeper for each place that they go to.

mod outgoing;

pub(crate) use outgoing::Outgoing;

use super::{ApiSet, Import};
use crate::component::catalog::{self, Interface};
use crate::component::{ComponentLinker, ComponentState as State};
use outgoing::Hooks;
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::IoError;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpView, p2, p3};

/// The set.
pub(crate) struct Http;

impl ApiSet<ComponentLinker> for Http {
    fn name(&self) -> &'static str {
        "wasi http"
    }

    fn provides(&self, import: &Import<'_>) -> bool {
        catalog::provides(INTERFACES, import)
    }

    fn needs_grant(&self, import: &Import<'_>) -> Option<&'static str> {
        let sends = ["wasi:http/outgoing-handler@", "wasi:http/client@"];
        sends
            .iter()
            .any(|name| import.interface.starts_with(name))
            .then_some("--allow-net")
    }

    fn link(&self, linker: &mut ComponentLinker, imports: &[Import<'_>]) -> wasmtime::Result<()> {
        catalog::link(INTERFACES, linker, imports)
    }
}

/// What the set provides.
pub(crate) const INTERFACES: &[Interface] = &[
    Interface {
        name: "wasi:http/types@0.2.12",
        link: |linker| {
            let options = p2::bindings::http::types::LinkOptions::default();
            p2::bindings::http::types::add_to_linker::<_, WasiHttp>(linker, &options, State::http)?;
            link_error_code(linker)
        },
    },
    Interface {
        name: "wasi:http/outgoing-handler@0.2.12",
        link: |linker| {
            p2::bindings::http::outgoing_handler::add_to_linker::<_, WasiHttp>(linker, State::http)
        },
    },
    Interface {
        name: "wasi:http/types@0.3.0",
        link: |linker| p3::bindings::http::types::add_to_linker::<_, WasiHttp>(linker, State::http),
    },
    Interface {
        name: "wasi:http/client@0.3.0",
        link: |linker| {
            p3::bindings::http::client::add_to_linker::<_, WasiHttp>(linker, State::http)
        },
    },
];

/// The function of WASI 0.2 that says why a body broke off. wasmtime's own knows its errors of requests only, and not
/// those of their bodies.
fn link_error_code(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, State>, (error,): (Resource<IoError>,)| {
            let error = store.data_mut().table.get(&error)?;
            let of_body = || error.downcast_ref().and_then(body_error);
            Ok((error.downcast_ref().cloned().or_else(of_body),))
        },
    )
}

/// What a body broke off with.
fn body_error(error: &Error) -> Option<ErrorCode> {
    Some(match error {
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        Error::InternalError(reason) => ErrorCode::InternalError(reason.clone()),
        _ => return None,
    })
}

/// What the set keeps for one instance.
pub(crate) struct HttpState {
    context: WasiHttpCtx,
    hooks: Hooks,
}

impl HttpState {
    /// Makes the state; requests leave as those of all other instances do.
    pub(crate) fn new(outgoing: Arc<Outgoing>) -> Self {
        Self {
            context: WasiHttpCtx::new(),
            hooks: Hooks(outgoing),
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http.hooks,
            table: &mut self.table,
            ctx: &mut self.http.context,
        }
    }
}
