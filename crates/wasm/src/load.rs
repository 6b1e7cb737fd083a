//! Maps compiled code and runs it.

use crate::engine::{Purpose, engine};
use crate::host::Host;
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
    let engine = engine(purpose, bundle.cpu).map_err(|error| Failure::Internal {
        reason: format!("could not make the engine: {error:#}"),
    })?;
    let program = map(&engine, bundle).map_err(|_| Failure::StaleArtifact)?;
    Ok(Loaded { program })
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
    /// Runs the program to its end, on this thread.
    #[must_use]
    pub fn run(self, bundle: Bundle, host: Arc<dyn Host>) -> End {
        let end = match &self.program {
            Program::Module(module) => crate::core::run(module, bundle, host),
            Program::Component(component) => crate::component::run(component, bundle, host),
        };
        // The process ends with it, at once and for less.
        std::mem::forget(self);
        end
    }
}
