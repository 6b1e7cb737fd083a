//! The `wasi http` API set: outgoing requests of WASI 0.2 and 0.3.
//!
//! The types are there for every program; a request is denied and reported. Sending one comes
//! with the egress role, in place of [`Outgoing`].

use super::{ApiSet, Import};
use crate::component::catalog::{self, Interface};
use crate::component::{ComponentLinker, ComponentState as State};
use crate::host::Host;
use lighter_types::refusal::Refusal;
use std::sync::Arc;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView, p2, p3,
};

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
            p2::bindings::http::types::add_to_linker::<_, WasiHttp>(linker, &options, State::http)
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

/// What the set keeps for one container.
pub(crate) struct HttpState {
    context: WasiHttpCtx,
    outgoing: Outgoing,
}

impl HttpState {
    /// Makes the state; refusals go to the host.
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self {
            context: WasiHttpCtx::new(),
            outgoing: Outgoing { host },
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http.outgoing,
            table: &mut self.table,
            ctx: &mut self.http.context,
        }
    }
}

/// Sends the guest's requests: it denies them.
struct Outgoing {
    host: Arc<dyn Host>,
}

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Transmission), Error>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Transmission,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or("https");
        // Credentials before the host are nobody's business.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit('@').next().unwrap_or(authority);
        self.host.refused(Refusal::Http {
            origin: format!("{scheme}://{host}"),
        });
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
