//! Maps compiled code and runs it.

use crate::component::entry::{self, Version};
use crate::engine::{Purpose, engine};
use crate::host::Host;
use crate::http::Handler;
use lighter_types::bundle::Bundle;
use lighter_types::program::ProgramKind;
use lighter_types::runner_protocol::{End, Failure};
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// A program whose code is mapped into this process and of which nothing has run yet.
///
/// Between [`load`] and [`Loaded::run`] the role forbids itself all new executable memory.
pub struct Loaded {
    program: Program,
}

enum Program {
    Module(Module),
    Component(Component),
    /// A component whose HTTP handler is called, in places that are made beforehand.
    Handler(Component, Version),
}

/// Maps the compiled code that the bundle names.
///
/// # Errors
/// [`Failure::StaleArtifact`] if the file was not made by this very engine, is cut short, or is
/// no compiled code at all: the keeper makes it again.
pub fn load(bundle: &Bundle) -> Result<Loaded, Failure> {
    let purpose = Purpose::Run {
        has_coredump: bundle.has_coredump,
    };
    let make = |purpose| {
        engine(purpose, bundle.cpu).map_err(|error| Failure::Internal {
            reason: format!("could not make the engine: {error:#}"),
        })
    };
    let engine = make(purpose)?;
    let program = map(&engine, bundle).map_err(|_| Failure::StaleArtifact)?;
    let Program::Component(component) = &program else {
        return Ok(Loaded { program });
    };
    let Some(version) = entry::handler(component, &bundle.entry) else {
        return Ok(Loaded { program });
    };
    // What its instances take is known now; the engine has to know it before.
    let purpose = Purpose::Serve {
        most_instances: bundle.http.most_concurrent,
        needs: component.resources_required(),
    };
    drop(program);
    drop(engine);
    let engine = make(purpose)?;
    match map(&engine, bundle) {
        Ok(Program::Component(component)) => Ok(Loaded {
            program: Program::Handler(component, version),
        }),
        _ => Err(Failure::StaleArtifact),
    }
}

/// Maps the file; where it lies on a file system that is mounted `noexec`, its content is copied
/// into memory of our own.
fn map(engine: &Engine, bundle: &Bundle) -> wasmtime::Result<Program> {
    let file = &bundle.artifact;
    // Why the four calls are sound: the file lies in the runner's own root, put there by the
    // keeper out of its authenticated cache, which only holds what this engine's compile role
    // made; whatever the code does is confined by the lock that is already on.
    Ok(match bundle.kind {
        ProgramKind::Module => {
            // SAFETY: see above.
            #[expect(unsafe_code, reason = "compiled code is mapped on trust")]
            let mapped = unsafe { Module::deserialize_file(engine, file) };
            Program::Module(mapped.or_else(|_| {
                let bytes = std::fs::read(file)?;
                // SAFETY: see above.
                #[expect(unsafe_code, reason = "compiled code is loaded on trust")]
                unsafe {
                    Module::deserialize(engine, &bytes)
                }
            })?)
        }
        ProgramKind::Component => {
            // SAFETY: see above.
            #[expect(unsafe_code, reason = "compiled code is mapped on trust")]
            let mapped = unsafe { Component::deserialize_file(engine, file) };
            Program::Component(mapped.or_else(|_| {
                let bytes = std::fs::read(file)?;
                // SAFETY: see above.
                #[expect(unsafe_code, reason = "compiled code is loaded on trust")]
                unsafe {
                    Component::deserialize(engine, &bytes)
                }
            })?)
        }
    })
}

impl Loaded {
    /// What answers requests, if that is what the program does.
    ///
    /// # Errors
    /// As `run`, before anything runs.
    pub fn handler(
        &self,
        bundle: &Bundle,
        host: Arc<dyn Host>,
    ) -> Option<Result<Handler, Failure>> {
        match &self.program {
            Program::Handler(component, version) => {
                Some(Handler::new(component, *version, bundle.clone(), host))
            }
            Program::Module(_) | Program::Component(_) => None,
        }
    }

    /// Runs the program to its end, on this thread.
    #[must_use]
    pub fn run(self, bundle: Bundle, host: Arc<dyn Host>) -> End {
        let end = match &self.program {
            Program::Module(module) => crate::core::run(module, bundle, host),
            Program::Component(component) | Program::Handler(component, _) => {
                crate::component::run(component, bundle, host)
            }
        };
        // The process ends with it, at once and for less.
        std::mem::forget(self);
        end
    }
}
