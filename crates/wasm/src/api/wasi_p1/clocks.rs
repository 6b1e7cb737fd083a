//! Clocks, and times as WASI counts them.

use super::errno::Errno;
use super::{Function, call};
use crate::core::CoreState;
use rustix::time::{ClockId, Timespec};
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("clock_res_get", |linker, module, name, _| {
        linker.func_wrap(module, name, clock_res_get).map(drop)
    }),
    ("clock_time_get", |linker, module, name, _| {
        linker.func_wrap(module, name, clock_time_get).map(drop)
    }),
];

/// The system's clock for WASI's.
pub(super) fn clock(id: u32) -> Result<ClockId, Errno> {
    match id {
        0 => Ok(ClockId::Realtime),
        1 => Ok(ClockId::Monotonic),
        2 => Ok(ClockId::ProcessCPUTime),
        3 => Ok(ClockId::ThreadCPUTime),
        _ => Err(Errno::INVAL),
    }
}

/// What a clock says, in nanoseconds.
pub(super) fn now_ns(clock: ClockId) -> u64 {
    nanoseconds(rustix::time::clock_gettime(clock))
}

fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_fallible_conversions,
        reason = "the field's width differs between architectures"
    )]
    let part = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(part)
}

/// A span or a time of nanoseconds as the system counts it.
pub(super) fn timespec(nanoseconds: u64) -> Timespec {
    let part = u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
    Timespec {
        tv_sec: i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: part.into(),
    }
}

fn clock_res_get(caller: Caller<'_, CoreState>, id: u32, result: u32) -> wasmtime::Result<u32> {
    call(caller, |_, memory| {
        let resolution = rustix::time::clock_getres(clock(id)?);
        memory.write_u64(result, nanoseconds(resolution))
    })
}

fn clock_time_get(
    caller: Caller<'_, CoreState>,
    id: u32,
    _precision_ns: u64,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |_, memory| {
        memory.write_u64(result, now_ns(clock(id)?))
    })
}
