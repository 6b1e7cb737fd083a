//! Ends a guest in the middle of its code, which has nothing in it that asks.
//!
//! ```text
//!   watch    tgkill(the guest's thread) ──▶ handler, on that thread: is it in a function of the guest's?
//!                                             │ no: it is in the host, which comes back; the next tick tries again
//!                                             ▼ yes
//!                                           goes on at an instruction that traps, of the same code
//!                                             │ SIGILL
//!   wasmtime                                  ▼ unwinds the guest as from any trap
//! ```
//!
//! A trap may stand anywhere in a guest's code, so wasmtime is ready for one anywhere. Its store is not used
//! again.

use super::watch::Slot;
use lighter_types::exit;
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Once, OnceLock};
use wasmtime::component::Component;

/// By which a thread is told; everybody else ignores it.
const SIGNAL: libc::c_int = libc::SIGURG;

/// `ud2`, which cranelift emits where a guest traps by itself.
const TRAP: [u8; 2] = [0x0f, 0x0b];

/// For how many bytes of a function its frame is not there yet.
const PROLOGUE_BYTES: usize = 16;
/// `pop rbp` and `ret`: its frame is gone, or about to be.
const EPILOGUE: [u8; 2] = [0x5d, 0xc3];

/// The code of the component that is served.
pub(super) struct Cut {
    /// This process's number.
    process: i32,
    component: Component,
    code: OnceLock<Option<Box<Code>>>,
}

/// Where a guest may be ended, by address.
struct Code {
    /// First and last address of each function, in order.
    functions: Vec<(usize, usize)>,
    /// An instruction that traps.
    trap: usize,
}

/// What the handler looks at; it lives as long as the process.
static CODE: AtomicPtr<Code> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// This thread's, for the handler.
    static SLOT: Cell<*const Slot> = const { Cell::new(ptr::null()) };
}

impl Cut {
    /// Is called on the first thread, whose number is its process's.
    pub(super) fn new(component: &Component) -> Self {
        Self {
            process: rustix::thread::gettid().as_raw_nonzero().get(),
            component: component.clone(),
            code: OnceLock::new(),
        }
    }

    /// Makes a thread ready.
    pub(super) fn enter(&self, slot: &Arc<Slot>) {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(install);
        // A thread has one for as long as it lives.
        SLOT.set(Arc::as_ptr(slot));
    }

    /// Ends what a thread does in this turn, if it is in the guest's code now.
    pub(super) fn end(&self, slot: &Slot, turn: u64) {
        let code = self
            .code
            .get_or_init(|| find(&self.component).map(Box::new));
        let Some(code) = code else {
            // There is not one trap in all of it.
            std::process::exit(exit::KILLED.into());
        };
        CODE.store(ptr::from_ref(&**code).cast_mut(), Ordering::Release);
        slot.last_turn.store(turn, Ordering::SeqCst);
        #[expect(unsafe_code, reason = "no crate sends a signal to a thread")]
        // SAFETY: the call takes numbers only. A thread of that number is this process's, or there is none.
        unsafe {
            libc::syscall(libc::SYS_tgkill, self.process, slot.thread, SIGNAL);
        }
    }
}

/// Finds the guest's functions, and a trap among them.
fn find(component: &Component) -> Option<Code> {
    let text = component.text();
    let base = text.as_ptr().addr();
    let mut functions: Vec<(usize, usize)> = component
        .functions()
        .map(|function| {
            (
                base + function.offset,
                base + function.offset + function.len,
            )
        })
        .collect();
    functions.sort_unstable();
    let image = component.image_range();
    let length = image.end.addr() - image.start.addr();
    #[expect(unsafe_code, reason = "wasmtime shows the image as a range only")]
    // SAFETY: the image is mapped for as long as the component lives, and nobody writes to it.
    let image = unsafe { std::slice::from_raw_parts(image.start, length) };
    let elf = ElfFile64::<Endianness>::parse(image).ok()?;
    let traps = elf.section_by_name(wasmtime_environ::obj::ELF_WASMTIME_TRAPS)?;
    let mut traps = wasmtime_environ::iterate_traps(traps.data().ok()?)?;
    let trap = traps.find_map(|(offset, _)| {
        let offset = usize::try_from(offset).ok()?;
        let is_trap = text.get(offset..)?.starts_with(&TRAP);
        is_trap.then_some(base + offset)
    })?;
    Some(Code { functions, trap })
}

impl Code {
    /// Whether a guest may be ended at an instruction: in a function whose frame is there.
    fn is_inside(&self, address: usize) -> bool {
        let next = self
            .functions
            .partition_point(|(first, _)| *first <= address);
        let function = next
            .checked_sub(1)
            .and_then(|index| self.functions.get(index));
        function.is_some_and(|(first, end)| (first + PROLOGUE_BYTES..*end).contains(&address))
    }
}

fn install() {
    #[expect(unsafe_code, reason = "rustix does not install handlers")]
    // SAFETY: it is made of numbers and pointers, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    action.sa_sigaction = handler as *const () as usize;
    // A guest's stack has no room for a handler.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    #[expect(unsafe_code, reason = "rustix does not install handlers")]
    // SAFETY: the action is whole, and the handler only does what a handler may.
    unsafe {
        libc::sigaction(SIGNAL, &raw const action, ptr::null_mut());
    }
}

/// Sends a guest that is to end to a trap. It reads, and writes into the context only.
extern "C" fn handle(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let slot = SLOT.get();
    let code = CODE.load(Ordering::Acquire);
    if slot.is_null() || code.is_null() {
        return;
    }
    #[expect(unsafe_code, reason = "a handler gets pointers")]
    // SAFETY: the slot is this thread's, which keeps it until its end.
    let slot = unsafe { &*slot };
    #[expect(unsafe_code, reason = "a handler gets pointers")]
    // SAFETY: the code was made before it was told, and is never dropped.
    let code = unsafe { &*code };
    let turn = slot.turn.load(Ordering::Relaxed);
    if turn % 2 == 0 || slot.last_turn.load(Ordering::Relaxed) != turn {
        return;
    }
    #[expect(unsafe_code, reason = "a handler gets pointers")]
    // SAFETY: with SA_SIGINFO the kernel gives the interrupted thread's context, which is ours to change.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    redirect(context, code);
}

#[cfg(target_arch = "x86_64")]
fn redirect(context: &mut libc::ucontext_t, code: &Code) {
    const INSTRUCTION_POINTER: usize = libc::REG_RIP as usize;
    let Some(register) = context.uc_mcontext.gregs.get_mut(INSTRUCTION_POINTER) else {
        return;
    };
    let address = usize::try_from(*register).unwrap_or(0);
    if !code.is_inside(address) {
        return;
    }
    #[expect(unsafe_code, reason = "an instruction is read where it lies")]
    // SAFETY: the address lies in a function of the guest's, whose code is mapped and readable.
    let instruction = unsafe { *ptr::with_exposed_provenance::<u8>(address) };
    if !EPILOGUE.contains(&instruction) {
        *register = i64::try_from(code.trap).unwrap_or(*register);
    }
}
