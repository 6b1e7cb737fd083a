//! The roles that touch a guest's bytes: run, compile, inspect.
//!
//! A role is this program file started by a keeper, with nothing but inherited descriptors. It
//! reads its order, locks itself, and only then opens the guest's bytes, compiled or not. What
//! it has to say goes to the keeper as frames (`lighter_types::runner_protocol`).

mod control;
mod resolve;
mod roles;
mod serve;

use crate::control::Control;
use lighter_types::exit;
use lighter_types::runner_protocol::{End, Failure, FromRunner};
use std::sync::Arc;

/// Plays the role that the keeper orders, and ends the process.
pub fn main() -> ! {
    let Ok(control) = Control::open() else {
        // Somebody typed it: there is no keeper at the other end.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"lighter: runner is a role that lighter starts by itself\nhint: use lighter run\n",
        );
        end(exit::USAGE);
    };
    let control = Arc::new(control);
    tell_panics(&control);
    lighter_memory::end_when_exhausted();
    let last = match control.order() {
        Ok(order) => roles::play(order, &control),
        // The keeper is gone, or never was one.
        Err(_) => end(exit::OUR_BUG),
    };
    control.send(&last);
    end(0)
}

/// Ends the process without running what is registered for exit: nothing of it is needed, and
/// freeing memory piece by piece takes time. What was printed has to be flushed before.
pub fn end(code: u8) -> ! {
    // SAFETY: the call takes a number and does not return.
    #[expect(unsafe_code, reason = "std offers no exit without its clean-up")]
    unsafe {
        libc::_exit(i32::from(code))
    }
}

/// A panic becomes a frame: a locked role has nowhere to print a backtrace from.
fn tell_panics(control: &Arc<Control>) {
    let control = Arc::clone(control);
    std::panic::set_hook(Box::new(move |panic| {
        let reason = format!("the runner failed: {panic}");
        control.send(&FromRunner::Ended(End::Failed(Failure::Internal {
            reason,
        })));
        end(exit::OUR_BUG);
    }));
}
