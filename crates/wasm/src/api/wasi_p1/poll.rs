//! Waiting for clocks and descriptors.

use super::context::WasiContext;
use super::descriptor::{Descriptor, Kind};
use super::errno::Errno;
use super::memory::Memory;
use super::types::{Dialect, Record, number, rights};
use super::{Function, call, clocks};
use crate::core::CoreState;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::ClockId;
use std::sync::Arc;
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[("poll_oneoff", |linker, module, name, dialect| {
    let wait = move |caller: Caller<'_, CoreState>, from: u32, to: u32, count: u32, result: u32| {
        poll_oneoff(caller, dialect, (from, to), count, result)
    };
    linker.func_wrap(module, name, wait).map(drop)
})];

/// The most subscriptions of one call.
const SUBSCRIPTIONS: u32 = 4096;

/// The bytes of one event.
const EVENT_BYTES: u32 = 32;

/// The longest time that is slept at once, in nanoseconds: what is longer is slept in parts.
const PART_NS: u64 = 3_600_000_000_000;

/// What a guest waits for.
enum Wait {
    /// The time on a clock, in nanoseconds.
    Until(ClockId, u64),
    /// A descriptor that can be read or written.
    Ready(Arc<Descriptor>, PollFlags),
    /// Nothing: the subscription itself was wrong.
    Failed(Errno),
}

struct Subscription {
    user_data: [u8; 8],
    event_type: u8,
    wait: Wait,
}

mod event_type {
    pub(super) const CLOCK: u8 = 0;
    pub(super) const FD_READ: u8 = 1;
    pub(super) const FD_WRITE: u8 = 2;
}

const FLAG_ABSOLUTE: u64 = 1;

fn poll_oneoff(
    caller: Caller<'_, CoreState>,
    dialect: Dialect,
    (from, to): (u32, u32),
    count: u32,
    result: u32,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        if count == 0 || count > SUBSCRIPTIONS {
            return Err(Errno::INVAL);
        }
        memory.check(to, count * EVENT_BYTES)?;
        memory.check(result, 4)?;
        let mut subscriptions = Vec::new();
        for index in 0..count {
            subscriptions.push(read_subscription(context, memory, dialect, from, index)?);
        }
        let mut written = 0;
        for event in wait(&subscriptions)? {
            let at = to.checked_add(written * EVENT_BYTES).ok_or(Errno::FAULT)?;
            memory.write(at, &event.bytes)?;
            written += 1;
        }
        memory.write_u32(result, written)
    })
}

/// Reads one subscription, 48 bytes of WASI 0.1 or 56 of `wasi_unstable`, whose clock begins
/// with an identifier of its own.
fn read_subscription(
    context: &WasiContext,
    memory: &Memory<'_>,
    dialect: Dialect,
    from: u32,
    index: u32,
) -> Result<Subscription, Errno> {
    let (size, clock_at) = match dialect {
        Dialect::Preview1 => (48, 16),
        Dialect::Unstable => (56, 24),
    };
    let at = index
        .checked_mul(size)
        .and_then(|offset| from.checked_add(offset))
        .ok_or(Errno::FAULT)?;
    let bytes: [u8; 56] = match dialect {
        Dialect::Unstable => memory.read(at)?,
        Dialect::Preview1 => {
            let short: [u8; 48] = memory.read(at)?;
            let mut record = Record::<56>::new();
            record.put(0, &short);
            record.bytes
        }
    };
    let half = |at| u32::try_from(number(&bytes, at, 4)).unwrap_or(u32::MAX);
    let [event_type] = number(&bytes, 8, 1).to_le_bytes()[..1] else {
        return Err(Errno::INVAL);
    };
    let wait = match event_type {
        event_type::CLOCK => clock_wait(
            half(clock_at),
            number(&bytes, clock_at + 8, 8),
            number(&bytes, clock_at + 24, 2),
        ),
        event_type::FD_READ => descriptor_wait(context, half(16), PollFlags::IN),
        event_type::FD_WRITE => descriptor_wait(context, half(16), PollFlags::OUT),
        _ => return Err(Errno::INVAL),
    };
    let mut user_data = [0; 8];
    user_data.copy_from_slice(&bytes[..8]);
    Ok(Subscription {
        user_data,
        event_type,
        wait: wait.unwrap_or_else(Wait::Failed),
    })
}

fn clock_wait(id: u32, timeout_ns: u64, flags: u64) -> Result<Wait, Errno> {
    let clock = clocks::clock(id)?;
    if !matches!(clock, ClockId::Realtime | ClockId::Monotonic) {
        return Err(Errno::NOTSUP);
    }
    if flags & FLAG_ABSOLUTE != 0 {
        return Ok(Wait::Until(clock, timeout_ns));
    }
    // A span of time passes whether or not somebody sets the clock.
    let clock = ClockId::Monotonic;
    let end = clocks::now_ns(clock).saturating_add(timeout_ns);
    Ok(Wait::Until(clock, end))
}

fn descriptor_wait(context: &WasiContext, fd: u32, events: PollFlags) -> Result<Wait, Errno> {
    let descriptor = context.descriptors.get(fd)?;
    let right = match events {
        PollFlags::IN => rights::FD_READ,
        _ => rights::FD_WRITE,
    };
    descriptor.file(right)?;
    descriptor.check(rights::POLL_FD_READWRITE)?;
    match &descriptor.kind {
        Kind::Stream(stream) if events == PollFlags::IN => stream.expect_input(),
        Kind::Socket(socket) => socket.looked_after(),
        Kind::Stream(_) | Kind::File(_) | Kind::Directory(_) => {}
    }
    Ok(Wait::Ready(descriptor, events))
}

/// Waits until at least one subscription has something to say.
fn wait(subscriptions: &[Subscription]) -> Result<Vec<Record<32>>, Errno> {
    loop {
        let remaining = remaining_ns(subscriptions);
        let has_failed = subscriptions
            .iter()
            .any(|subscription| matches!(subscription.wait, Wait::Failed(_)));
        let timeout = match (has_failed, remaining) {
            (true, _) => Some(0),
            (false, remaining) => remaining.map(|remaining| remaining.min(PART_NS)),
        };
        let mut fds: Vec<PollFd<'_>> = subscriptions
            .iter()
            .filter_map(|subscription| match &subscription.wait {
                Wait::Ready(descriptor, events) => {
                    Some(PollFd::from_borrowed_fd(descriptor.fd(), *events))
                }
                _ => None,
            })
            .collect();
        if timeout != Some(0) {
            lighter_memory::before_wait();
        }
        match poll(&mut fds, timeout.map(clocks::timespec).as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let events = events(subscriptions, &fds);
        if !events.is_empty() {
            return Ok(events);
        }
    }
}

/// The time until the first clock is due, `None` if there is none.
fn remaining_ns(subscriptions: &[Subscription]) -> Option<u64> {
    subscriptions
        .iter()
        .filter_map(|subscription| match subscription.wait {
            Wait::Until(clock, end) => Some(end.saturating_sub(clocks::now_ns(clock))),
            _ => None,
        })
        .min()
}

fn events(subscriptions: &[Subscription], fds: &[PollFd<'_>]) -> Vec<Record<32>> {
    let mut polled = fds.iter();
    subscriptions
        .iter()
        .filter_map(|subscription| match &subscription.wait {
            Wait::Failed(errno) => Some(event(subscription, Some(*errno), 0, false)),
            Wait::Until(clock, end) => {
                (clocks::now_ns(*clock) >= *end).then(|| event(subscription, None, 0, false))
            }
            Wait::Ready(descriptor, _) => {
                let seen = polled.next()?.revents();
                (!seen.is_empty()).then(|| ready_event(subscription, descriptor, seen))
            }
        })
        .collect()
}

fn ready_event(
    subscription: &Subscription,
    descriptor: &Descriptor,
    seen: PollFlags,
) -> Record<32> {
    if seen.contains(PollFlags::NVAL) {
        return event(subscription, Some(Errno::BADF), 0, false);
    }
    let available = match subscription.event_type {
        event_type::FD_READ => available_bytes(descriptor),
        // How much can be written is not known; more than nothing is.
        _ => 1,
    };
    let is_over = seen.contains(PollFlags::HUP) || available == 0;
    event(subscription, None, available, is_over)
}

/// How much can be read at once: 0 at the end of a file.
fn available_bytes(descriptor: &Descriptor) -> u64 {
    let is_regular = match &descriptor.kind {
        Kind::Stream(stream) => stream.is_regular(),
        Kind::File(_) => true,
        Kind::Directory(_) | Kind::Socket(_) => false,
    };
    if is_regular
        && let Ok(stat) = rustix::fs::fstat(descriptor.fd())
        && let Ok(position) = rustix::fs::tell(descriptor.fd())
    {
        return u64::try_from(stat.st_size)
            .unwrap_or(0)
            .saturating_sub(position);
    }
    1
}

fn event(
    subscription: &Subscription,
    error: Option<Errno>,
    available: u64,
    is_over: bool,
) -> Record<32> {
    let mut record = Record::<32>::new();
    record.put(0, &subscription.user_data);
    let error = error.map_or(0, Errno::number);
    record.put(8, &error.to_le_bytes());
    record.put(10, &[subscription.event_type]);
    record.put(16, &available.to_le_bytes());
    record.put(24, &u16::from(is_over).to_le_bytes());
    record
}
