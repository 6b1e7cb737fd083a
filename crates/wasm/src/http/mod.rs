//! Answers HTTP requests: an instance of the component for each, or for a few.
//!
//! ```text
//!   Handler::handle(request) ── a place among those that are answered at once
//!        │
//!   instances.rs   an instance: a fresh one, or one that has answered before
//!        │
//!   answer.rs      calls it, as WASI 0.2 or 0.3 has it; the answer as soon as there is one, and with its body
//!        │         goes the rest of the guest's work
//!   watch.rs       sees who uses a processor for long: lends other threads meanwhile (spares.rs), and ends what
//!                  does so for too long (cut.rs)
//! ```

mod answer;
mod cut;
mod instances;
mod spares;
mod watch;

pub use answer::{Body, BodyError};
pub use spares::Spares;

use crate::component::entry::Version;
use crate::component::template::Template;
use crate::component::{ComponentState, link};
use crate::host::Host;
use answer::Work;
use instances::Instances;
use lighter_types::bundle::Bundle;
use lighter_types::http::HttpSettings;
use lighter_types::runner_protocol::{End, Failure};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use wasmtime::component::Component;
use watch::Watch;

/// A component that answers requests.
pub struct Handler {
    instances: Arc<Instances>,
    watch: Arc<Watch>,
    /// A place for each request that is answered at once.
    places: Arc<Semaphore>,
    settings: HttpSettings,
}

/// Why a request has no answer of the guest's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The guest trapped.
    Trapped {
        /// What happened and where.
        report: String,
    },
    /// The guest ended the program.
    Exited {
        /// With this code.
        code: u8,
    },
    /// The guest returned without an answer, or answered with an error.
    NoAnswer {
        /// Which error, if it said.
        error: Option<String>,
    },
    /// The guest needs more memory than there is.
    OutOfMemory,
    /// It used a processor for too long.
    OutOfTime {
        /// For longer than this.
        limit: Duration,
    },
    /// It did not answer in time.
    Late {
        /// In this time.
        limit: Duration,
    },
    /// No instance could be made.
    NoInstance {
        /// Why not.
        reason: String,
    },
}

impl Handler {
    /// Links the component, and keeps what each of its instances is given.
    ///
    /// # Errors
    /// As [`crate::Loaded::run`] before anything runs.
    pub(crate) fn new(
        component: &Component,
        version: Version,
        bundle: Bundle,
        host: Arc<dyn Host>,
    ) -> Result<Self, Failure> {
        let settings = bundle.http;
        let program = link::link(component, &bundle)?;
        let template = Template::new(bundle, host);
        let instances = Instances::new(program, version, template, settings.reuse)?;
        let places = usize::try_from(settings.most_concurrent).unwrap_or(usize::MAX);
        Ok(Self {
            instances: Arc::new(instances),
            watch: Watch::new(component, settings.cpu_time),
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            settings,
        })
    }

    /// Makes the instance that answers the first request, so that one which cannot be made is known before.
    ///
    /// # Errors
    /// The component's handler is none, its own code has stopped, or there is no room for it.
    pub async fn prepare(&self) -> Result<(), End> {
        self.instances.prepare().await.map_err(|fault| match fault {
            Fault::Trapped { report } => End::Trapped { report },
            Fault::Exited { code } => End::Exited(code),
            Fault::OutOfMemory => End::Failed(Failure::OutOfMemory),
            Fault::NoInstance { reason } => End::Failed(Failure::Unsupported {
                reason: format!("no instance of it can be made: {reason}"),
            }),
            fault => End::Failed(Failure::Internal {
                reason: format!("{fault:?}"),
            }),
        })
    }

    /// Waits until no request is answered, and answers none from now on.
    pub async fn drain(&self) {
        let all = self.settings.most_concurrent;
        // Nobody closes it but this.
        if let Ok(places) = self.places.acquire_many(all).await {
            places.forget();
        }
        self.places.close();
    }

    /// Threads that take over where others are used for long.
    #[must_use]
    pub fn spares(&self) -> Arc<Spares> {
        self.watch.spares()
    }

    /// Answers one request, whose URI says scheme and authority. What is left of the guest's work goes on while
    /// the answer's body is read; should it fail, `failed` is told.
    ///
    /// # Errors
    /// The guest has not answered.
    pub async fn handle<B>(
        &self,
        request: http::Request<B>,
        failed: impl FnOnce(Fault) + Send + 'static,
    ) -> Result<http::Response<Body>, Fault>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Err(Fault::NoInstance {
                reason: "the server ends".to_owned(),
            });
        };
        let (sender, answer) = oneshot::channel();
        let cut = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&cut);
        let instances = Arc::clone(&self.instances);
        let request = request.map(answer::guest_body);
        let limit = self.settings.total_time;
        let work = async move {
            let worked = tokio::time::timeout(limit, instances.work(request, sender, noted)).await;
            drop(place);
            worked.unwrap_or(Err(Fault::Late { limit }))
        };
        let work = Work::new(work, &self.watch);
        let limit = self.settings.first_byte_time;
        match tokio::time::timeout(limit, answer::first(work, answer, cut, failed)).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::Late { limit }),
        }
    }
}

/// What the store of an instance holds.
pub(crate) type State = ComponentState;
