//! Makes native code of a program.

use crate::engine::{Purpose, engine};
use crate::inspect::{binary, inspect_binary};
use lighter_types::escape::escape;
use lighter_types::program::ProgramKind;
use lighter_types::runner_protocol::{Failure, InspectOrder};
use std::sync::{Mutex, PoisonError};

/// Compiles a program.
///
/// A program that `run` would refuse is refused before the compiler starts, except one without
/// an entry: its other exports may be called by name.
///
/// # Errors
/// As [`crate::inspect`] returns them or finds them in `ProgramFacts::failure`;
/// [`Failure::LimitReached`] for a function that is too large for the compiler;
/// [`Failure::Internal`] for what the compiler cannot do although it should.
pub fn compile(bytes: &[u8], order: &InspectOrder) -> Result<(ProgramKind, Vec<u8>), Failure> {
    let binary = binary(bytes, order)?;
    let facts = inspect_binary(&binary, order)?;
    match facts.failure {
        None | Some(Failure::NoEntry { .. }) => {}
        Some(failure) => return Err(failure),
    }
    let purpose = Purpose::Compile {
        is_parallel: may_start_threads(),
    };
    let engine = engine(purpose, order.cpu).map_err(|error| Failure::Internal {
        reason: format!("could not make the engine: {error:#}"),
    })?;
    let code = match facts.kind {
        ProgramKind::Module => engine.precompile_module(&binary),
        ProgramKind::Component => engine.precompile_component(&binary),
    };
    Ok((facts.kind, code.map_err(|error| compiler_fault(&error))?))
}

/// Whether the compiler gets its threads, one for each processor, all at once. It panics where it
/// does not, so that is tried first; without them it takes longer.
fn may_start_threads() -> bool {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let gate = Mutex::new(());
    let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        let started = (0..count)
            .map_while(|_| {
                let thread = std::thread::Builder::new();
                thread.spawn_scoped(scope, || drop(gate.lock())).ok()
            })
            .count();
        drop(closed);
        started == count
    })
}

/// The failure for a program that checks and does not compile. The compiler's error types are
/// not public, so they are told apart by their words (wasmtime 48, `WasmError`, `CodegenError`).
fn compiler_fault(error: &wasmtime::Error) -> Failure {
    let text = format!("{error:#}");
    let reason = escape(&text.replace('\n', " "));
    if text.contains("Implementation limit exceeded") || text.contains("too large") {
        Failure::LimitReached { reason }
    } else if text.contains("Unsupported feature") || text.contains("not supported") {
        Failure::Unsupported { reason }
    } else {
        Failure::Internal { reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lighter_types::cpu::CpuFeatures;
    use lighter_types::program::{FileKind, detect};

    fn compile_text(text: &str) -> Result<(ProgramKind, Vec<u8>), Failure> {
        let order = InspectOrder {
            is_text: true,
            stubs: Vec::new(),
            denials: Vec::new(),
            cpu: CpuFeatures::detect(),
            bounds: lighter_types::runner_protocol::Bounds::for_program(text.len() as u64),
        };
        compile(text.as_bytes(), &order)
    }

    #[test]
    fn both_kinds_are_compiled() {
        let (kind, code) =
            compile_text("(module (func (export \"_start\")))").expect("it is valid");
        assert_eq!(kind, ProgramKind::Module);
        assert_eq!(detect(&code), FileKind::Precompiled);
        let (kind, _) = compile_text("(component)").expect("it is valid");
        assert_eq!(kind, ProgramKind::Component);
    }

    #[test]
    fn every_feature_of_the_design_compiles() {
        let features = "(module
            (memory $a i64 1) (memory $b 1 1 shared)
            (type $node (struct (field (ref null $node))))
            (tag $error)
            (func (param v128 v128 v128) (result v128)
                (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))
            (func (param i64 i64) (result i64 i64)
                (i64.mul_wide_s (local.get 0) (local.get 1)))
            (func (result (ref $node)) (struct.new_default $node))
            (func $tail return_call $tail)
            (func (block $out (try_table (catch $error $out) (throw $error))))
            (func (result i32) (i32.atomic.load $b (i32.const 0)))
        )";
        assert!(
            compile_text(features).is_ok(),
            "{:?}",
            compile_text(features).err()
        );
    }

    #[test]
    fn missing_import_is_refused_before_compiling() {
        let failure = compile_text("(module (import \"x\" \"y\" (func)))").expect_err("missing");
        assert!(matches!(failure, Failure::MissingImports(_)));
    }
}
