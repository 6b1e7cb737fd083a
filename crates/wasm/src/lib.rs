//! The only crate that knows wasmtime: it inspects, compiles, links and runs programs.
//!
//! Reading order: [`engine`](crate::engine) holds the one configuration that compiling and
//! running share; [`inspect`] tells what a program is and whether it can run; [`compile`] makes
//! native code of it; [`load`] maps that code and [`Loaded::run`] runs it. What a guest may
//! import lives in `api`, one folder per API set.
//!
//! All of it runs in a locked role: the bytes are a stranger's.

mod api;
mod budget;
mod compile;
mod component;
mod core;
mod coredump;
mod directories;
mod engine;
mod host;
mod http;
mod inspect;
mod listeners;
mod load;
mod names;
mod trap;

pub use crate::compile::compile;
pub use crate::engine::{BUILD_ID, ENGINE_VERSION, has_page_map};
pub use crate::host::{Host, LookupReply};
pub use crate::http::{Body, BodyError, Fault, Handler, Spares};
pub use crate::inspect::inspect;
pub use crate::listeners::listeners;
pub use crate::load::{Loaded, load};
