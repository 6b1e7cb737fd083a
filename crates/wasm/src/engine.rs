//! The one configuration of wasmtime.
//!
//! Compiled code is only accepted by an engine that agrees with the one that made it, so both
//! the compile role and the run role take their [`Config`] from here.

use lighter_types::cpu::CpuFeatures;
use std::sync::OnceLock;
use wasmparser::WasmFeatures;
use wasmtime::{Config, Engine, OptLevel, WasmBacktraceDetails};

/// Identifies the engine and its settings: part of the key of everything compiled.
///
/// It changes with the version of wasmtime in the lock file and with any change of this file.
pub const BUILD_ID: &str = env!("LIGHTER_ENGINE_BUILD_ID");

/// The version of wasmtime.
pub const ENGINE_VERSION: &str = env!("LIGHTER_ENGINE_VERSION");

/// The stack that a guest may use, in bytes. A native stack of a few kilobytes more is needed
/// for the host functions it calls.
pub(crate) const WASM_STACK_BYTES: usize = 1 << 20;

/// The stack on which a component runs, in bytes: the guest's and the host functions'.
pub(crate) const ASYNC_STACK_BYTES: usize = 2 << 20;

/// What an engine is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Compiling: the compiler is there.
    Compile {
        /// Whether it may use a thread for each processor.
        is_parallel: bool,
    },
    /// Running what was compiled: the compiler stays cold, which saves a quarter of a
    /// millisecond at each start.
    Run {
        /// Whether a trap collects a core dump.
        has_coredump: bool,
    },
}

/// Makes an engine for a machine with the features given.
///
/// The features are those of the first engine that the process makes; a role makes one.
pub(crate) fn engine(purpose: Purpose, cpu: CpuFeatures) -> wasmtime::Result<Engine> {
    let mut config = config();
    let cpu = *CPU.get_or_init(|| cpu);
    debug_assert_eq!(Some(&cpu), CPU.get());
    #[expect(
        unsafe_code,
        reason = "asking the processor again costs 50 to 90 microseconds"
    )]
    // SAFETY: the features were detected on this machine during this boot, by the keeper that
    // sent them (`lighter_types::cpu`), so code that relies on them can run here.
    unsafe {
        config.detect_host_feature(|name| CPU.get().and_then(|cpu| cpu.has(name)));
    }
    match purpose {
        Purpose::Compile { is_parallel } => {
            config.parallel_compilation(is_parallel);
        }
        Purpose::Run { has_coredump } => {
            config.enable_compiler(false);
            config.coredump_on_trap(has_coredump);
        }
    }
    Engine::new(&config)
}

static CPU: OnceLock<CpuFeatures> = OnceLock::new();

/// What both purposes share: everything that compiled code depends on.
fn config() -> Config {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed);
    // A guest is ended by ending its process: no epochs, no fuel.
    config.epoch_interruption(false);
    config.consume_fuel(false);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.async_stack_size(ASYNC_STACK_BYTES);
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    // For unwinders other than wasmtime's own; each start would register every function with them.
    config.native_unwind_info(false);
    config.wasm_features(features(), true);
    config.wasm_features(features().complement(), false);
    config.shared_memory(true);
    config
}

/// The parts of WebAssembly that programs may use: all that toolchains emit and the engine can
/// do. A program is checked against them before it is compiled.
pub(crate) fn features() -> WasmFeatures {
    WasmFeatures::WASM3
        | WasmFeatures::WIDE_ARITHMETIC
        | WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::CM_ASYNC
}
