//! Arguments, environment, exit, randomness.

use super::errno::Errno;
use super::memory::Memory;
use super::{Exit, Function, call, call_without_memory};
use crate::core::CoreState;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[
    ("args_get", |linker, module, name, _| {
        linker.func_wrap(module, name, args_get).map(drop)
    }),
    ("args_sizes_get", |linker, module, name, _| {
        linker.func_wrap(module, name, args_sizes_get).map(drop)
    }),
    ("environ_get", |linker, module, name, _| {
        linker.func_wrap(module, name, environ_get).map(drop)
    }),
    ("environ_sizes_get", |linker, module, name, _| {
        linker.func_wrap(module, name, environ_sizes_get).map(drop)
    }),
    ("proc_exit", |linker, module, name, _| {
        linker.func_wrap(module, name, proc_exit).map(drop)
    }),
    ("proc_raise", |linker, module, name, _| {
        linker.func_wrap(module, name, proc_raise).map(drop)
    }),
    ("sched_yield", |linker, module, name, _| {
        linker.func_wrap(module, name, sched_yield).map(drop)
    }),
    ("random_get", |linker, module, name, _| {
        linker.func_wrap(module, name, random_get).map(drop)
    }),
];

type Result<T> = wasmtime::Result<T>;

fn args_get(caller: Caller<'_, CoreState>, pointers: u32, buffer: u32) -> Result<u32> {
    call(caller, |context, memory| {
        write_strings(memory, &context.arguments, pointers, buffer)
    })
}

fn args_sizes_get(caller: Caller<'_, CoreState>, count: u32, size: u32) -> Result<u32> {
    call(caller, |context, memory| {
        write_sizes(memory, &context.arguments, count, size)
    })
}

fn environ_get(caller: Caller<'_, CoreState>, pointers: u32, buffer: u32) -> Result<u32> {
    call(caller, |context, memory| {
        write_strings(memory, &context.environment, pointers, buffer)
    })
}

fn environ_sizes_get(caller: Caller<'_, CoreState>, count: u32, size: u32) -> Result<u32> {
    call(caller, |context, memory| {
        write_sizes(memory, &context.environment, count, size)
    })
}

/// Writes strings one after the other, each ended by a NUL, and a table of where they begin.
fn write_strings(
    memory: &mut Memory<'_>,
    strings: &[String],
    pointers: u32,
    buffer: u32,
) -> std::result::Result<(), Errno> {
    let (mut pointer, mut at) = (pointers, buffer);
    for string in strings {
        memory.write_u32(pointer, at)?;
        memory.write(at, string.as_bytes())?;
        at = advance(at, string.len())?;
        memory.write(at, &[0])?;
        at = advance(at, 1)?;
        pointer = advance(pointer, 4)?;
    }
    Ok(())
}

fn advance(at: u32, bytes: usize) -> std::result::Result<u32, Errno> {
    u32::try_from(bytes)
        .ok()
        .and_then(|bytes| at.checked_add(bytes))
        .ok_or(Errno::FAULT)
}

fn write_sizes(
    memory: &mut Memory<'_>,
    strings: &[String],
    count: u32,
    size: u32,
) -> std::result::Result<(), Errno> {
    let total: usize = strings.iter().map(|string| string.len() + 1).sum();
    let number = |number: usize| u32::try_from(number).map_err(|_| Errno::OVERFLOW);
    memory.write_u32(count, number(strings.len())?)?;
    memory.write_u32(size, number(total)?)
}

fn proc_exit(_caller: Caller<'_, CoreState>, code: u32) -> Result<()> {
    Err(Exit(code).into())
}

fn proc_raise(_caller: Caller<'_, CoreState>, _signal: u32) -> u32 {
    u32::from(Errno::NOSYS.number())
}

fn sched_yield(caller: Caller<'_, CoreState>) -> u32 {
    call_without_memory(caller, |_| {
        rustix::thread::sched_yield();
        Ok(())
    })
}

fn random_get(caller: Caller<'_, CoreState>, buffer: u32, length: u32) -> Result<u32> {
    call(caller, |_, memory| {
        memory.fill(buffer, length, |bytes| {
            getrandom::fill(bytes).map_err(|_| Errno::IO)
        })
    })
}
