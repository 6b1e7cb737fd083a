//! The one configuration of wasmtime.
//!
//! Compiled code is only accepted by an engine that agrees with the one that made it, so both
//! the compile role and the run role take their [`Config`] from here.

use lighter_types::cpu::CpuFeatures;
use std::sync::OnceLock;
use wasmparser::WasmFeatures;
use wasmtime::{
    Config, Enabled, Engine, OptLevel, PoolingAllocationConfig, ResourcesRequired,
    WasmBacktraceDetails,
};

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
    /// Running instances of one component, many at once and each for a moment.
    Serve {
        /// How many at once.
        most_instances: u32,
        /// What each takes, if that is known.
        needs: Option<ResourcesRequired>,
    },
}

/// How much of a memory and a table is written over where an instance ends, in bytes, instead of given back to
/// the kernel, which costs more for what is small.
const KEPT_MEMORY_BYTES: usize = 128 << 10;
const KEPT_TABLE_BYTES: usize = 16 << 10;
/// The same where the kernel says which pages were written to, so that only those are.
const SCANNED_MEMORY_BYTES: usize = 1 << 20;
const SCANNED_TABLE_BYTES: usize = 64 << 10;
/// The same for the stack it ran on.
const KEPT_STACK_BYTES: usize = 64 << 10;
/// The tables and memories of a component that does not say how many it takes.
const GUESSED_PARTS: u32 = 4;
/// What the engine keeps of one instance at most, in bytes: it is made when it is needed.
const INSTANCE_BYTES: usize = 64 << 20;
/// What a table may grow to, in elements, if it is not larger from the start.
const TABLE_ELEMENTS: usize = 20_000;

/// Room for so many instances.
fn pool(most_instances: u32, needs: Option<&ResourcesRequired>) -> PoolingAllocationConfig {
    let of_each =
        |count: Option<u32>| most_instances.saturating_mul(count.unwrap_or(GUESSED_PARTS));
    let largest_table = needs
        .and_then(|needs| needs.max_initial_table_size)
        .unwrap_or(0);
    let largest_table = usize::try_from(largest_table).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(most_instances)
        .total_core_instances(u32::MAX)
        .total_stacks(most_instances)
        .total_gc_heaps(most_instances)
        .total_memories(of_each(needs.map(|needs| needs.num_memories)))
        .total_tables(of_each(needs.map(|needs| needs.num_tables)))
        .table_elements(largest_table.max(TABLE_ELEMENTS))
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .async_stack_keep_resident(KEPT_STACK_BYTES);
    if has_page_map() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(SCANNED_MEMORY_BYTES)
            .table_keep_resident(SCANNED_TABLE_BYTES);
    } else {
        pool.linear_memory_keep_resident(KEPT_MEMORY_BYTES)
            .table_keep_resident(KEPT_TABLE_BYTES);
    }
    pool
}

/// Whether the kernel says what of its memory this process has written to. wasmtime opens what it asks by with the first
/// of these questions, which comes before the lock.
pub fn has_page_map() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
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
        Purpose::Serve {
            most_instances,
            needs,
        } => {
            config.enable_compiler(false);
            config.allocation_strategy(pool(most_instances, needs.as_ref()));
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
