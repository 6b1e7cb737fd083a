//! Instances of the component: each answers so many requests, one after the other.

use super::answer::{Answer, GuestBody, Unfinished};
use super::{Fault, State};
use crate::component::entry::Version;
use crate::component::template::Template;
use lighter_types::runner_protocol::Failure;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot::Sender;
use wasmtime::component::InstancePre;
use wasmtime::{Store, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

/// What instances are made of, and those that wait for a request.
pub(super) struct Instances {
    program: Program,
    template: Template,
    /// How many requests one answers.
    reuse: u32,
    idle: Mutex<Vec<Live>>,
}

/// The linked component, by the interface that is called.
enum Program {
    P2(ProxyPre<State>),
    P3(ServicePre<State>),
}

/// An instance.
struct Live {
    store: Store<State>,
    exports: Exports,
    /// How many requests it may answer yet.
    left: u32,
}

enum Exports {
    P2(Proxy),
    P3(Service),
}

impl Instances {
    pub(super) fn new(
        program: InstancePre<State>,
        version: Version,
        template: Template,
        reuse: u32,
    ) -> Result<Self, Failure> {
        let program = match version {
            Version::P2 => ProxyPre::new(program).map(Program::P2),
            Version::P3 => ServicePre::new(program).map(Program::P3),
        };
        let program = program.map_err(|error| Failure::Unsupported {
            reason: format!("its HTTP handler is of another type than WASI's: {error:#}"),
        })?;
        Ok(Self {
            program,
            template,
            reuse: reuse.max(1),
            idle: Mutex::default(),
        })
    }

    /// Makes an instance, for the first request.
    pub(super) async fn prepare(&self) -> Result<(), Fault> {
        let live = self.make().await?;
        self.idle().push(live);
        Ok(())
    }

    /// Answers a request, and goes on until the guest has nothing more to do for it.
    pub(super) async fn work(
        &self,
        request: http::Request<GuestBody>,
        answer: Sender<Answer>,
        cut: Arc<AtomicBool>,
    ) -> Result<(), Fault> {
        let idle = self.idle().pop();
        let mut live = match idle {
            Some(live) => live,
            None => self.make().await?,
        };
        live.left -= 1;
        let unfinished = Unfinished::new(cut);
        let worked = match &live.exports {
            Exports::P2(proxy) => by_p2(&mut live.store, proxy, request, answer).await,
            Exports::P3(service) => by_p3(&mut live.store, service, request, answer).await,
        };
        if let Err(error) = worked {
            return Err(fault(&live.store, &error));
        }
        unfinished.finish();
        if live.left > 0 {
            self.idle().push(live);
        }
        Ok(())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Live>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(&self) -> Result<Live, Fault> {
        let no_instance = |reason: String| Fault::NoInstance { reason };
        let state = self
            .template
            .state()
            .map_err(|failure| no_instance(format!("{failure:?}")))?;
        let engine = match &self.program {
            Program::P2(program) => program.engine(),
            Program::P3(program) => program.engine(),
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        let exports = match &self.program {
            Program::P2(program) => program.instantiate_async(&mut store).await.map(Exports::P2),
            Program::P3(program) => program.instantiate_async(&mut store).await.map(Exports::P3),
        };
        match exports {
            Ok(exports) => Ok(Live {
                store,
                exports,
                left: self.reuse,
            }),
            // A component may run code of its own already here.
            Err(error) if error.is::<Trap>() || error.is::<WasmBacktrace>() => {
                Err(fault(&store, &error))
            }
            Err(error) if store.data().limiter.ended(&error) => Err(Fault::OutOfMemory),
            Err(error) => Err(no_instance(format!("{error:#}"))),
        }
    }
}

/// Why a guest has stopped that did not return.
fn fault(store: &Store<State>, error: &wasmtime::Error) -> Fault {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        let code = u8::try_from(*code).unwrap_or(u8::MAX);
        return Fault::Exited { code };
    }
    if store.data().limiter.ended(error) {
        return Fault::OutOfMemory;
    }
    Fault::Trapped {
        report: crate::trap::report(error),
    }
}

/// `wasi:http/incoming-handler`: it returns when all is done.
async fn by_p2(
    store: &mut Store<State>,
    proxy: &Proxy,
    request: http::Request<GuestBody>,
    answer: Sender<Answer>,
) -> wasmtime::Result<()> {
    let scheme = match request.uri().scheme_str() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let answer = http.new_response_outparam_from_callback(move |response| {
        let response = response.map_err(|error| format!("{error:?}"));
        // Whoever asked may be gone.
        let _ = answer.send(response);
    })?;
    let handler = proxy.wasi_http_incoming_handler();
    handler.call_handle(store, request, answer).await
}

/// `wasi:http/handler`: it returns the answer, and works on.
async fn by_p3(
    store: &mut Store<State>,
    service: &Service,
    request: http::Request<GuestBody>,
    answer: Sender<Answer>,
) -> wasmtime::Result<()> {
    store
        .run_concurrent(async |accessor| {
            let (request, sent) = accessor.with(|mut access| {
                let http = access.get().http();
                let (request, sent) = p3::Request::from_http(http.hooks, request);
                let sent: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> = Box::pin(sent);
                wasmtime::error::Ok((http.table.push(request)?, sent))
            })?;
            let response = service
                .wasi_http_handler()
                .call_handle(accessor, request)
                .await?;
            let response: Answer = match response {
                Ok(response) => accessor.with(|mut access| {
                    let response = access.get().http().table.delete(response)?;
                    let response: http::Response<WasiBody> =
                        response.into_http(&mut access, sent)?;
                    wasmtime::error::Ok(Ok(response))
                })?,
                Err(error) => Err(format!("{error:?}")),
            };
            let _ = answer.send(response);
            std::future::poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
            Ok(())
        })
        .await?
}
