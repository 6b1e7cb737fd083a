//! Words for a trap: what happened and where, in the guest's own names and source lines.
//!
//! ```text
//!   division by zero
//!      0: app!divide at src/main.rs:12:5
//!      1: app!main at src/main.rs:3:9
//!      2: app!_start
//! ```

use lighter_types::escape::escape;
use std::fmt::Write;
use wasmtime::{FrameInfo, ThrownException, Trap, WasmBacktrace, WasmCoreDump};

/// The most frames that a report shows.
const FRAMES: usize = 30;

/// The longest name of a function or file in a report, in characters.
const NAME_CHARACTERS: usize = 300;

/// Tells in words why a guest stopped, and where it was.
///
/// The text is the guest's in part: it is escaped where it is shown.
pub(crate) fn report(error: &wasmtime::Error) -> String {
    let mut report = cause(error);
    let frames = frames(error);
    for (index, frame) in frames.iter().take(FRAMES).enumerate() {
        write_frame(&mut report, index, frame);
    }
    if frames.len() > FRAMES {
        let _ = write!(report, "\n      ... and {} more", frames.len() - FRAMES);
    }
    report
}

fn frames(error: &wasmtime::Error) -> &[FrameInfo] {
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        return backtrace.frames();
    }
    error
        .downcast_ref::<WasmCoreDump>()
        .map_or(&[], WasmCoreDump::frames)
}

fn cause(error: &wasmtime::Error) -> String {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return words(*trap);
    }
    if error.is::<ThrownException>() {
        return "an exception was thrown that nothing caught".to_owned();
    }
    // The contexts that only repeat the backtrace are left out.
    let mut causes: Vec<String> = error
        .chain()
        .map(|cause| cause.to_string())
        .filter(|text| !text.contains("wasm backtrace:") && !text.contains("wasm coredump"))
        .collect();
    causes.dedup();
    escape(&causes.join(": "))
}

fn words(trap: Trap) -> String {
    let words = match trap {
        Trap::StackOverflow => "stack overflow: the program's calls are nested too deeply",
        Trap::UnreachableCodeReached => {
            "the program aborted: it reached an `unreachable` instruction"
        }
        Trap::MemoryOutOfBounds => "memory access out of bounds",
        Trap::HeapMisaligned => "atomic access to an address that is not aligned",
        Trap::TableOutOfBounds => "table access out of bounds",
        Trap::IndirectCallToNull => "call through a function pointer that is null",
        Trap::BadSignature => "call through a function pointer to a function of another type",
        Trap::IntegerOverflow => "integer overflow in a division",
        Trap::IntegerDivisionByZero => "division by zero",
        Trap::BadConversionToInteger => {
            "conversion to an integer of a number that is none or too large"
        }
        Trap::AtomicWaitNonSharedMemory => "atomic wait on memory that is not shared",
        Trap::NullReference => "use of a null reference",
        Trap::ArrayOutOfBounds => "array access out of bounds",
        Trap::AllocationTooLarge => "allocation too large",
        Trap::CastFailure => "cast of a reference to a type that it does not have",
        other => {
            let text = other.to_string();
            return text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned();
        }
    };
    words.to_owned()
}

fn write_frame(report: &mut String, index: usize, frame: &FrameInfo) {
    let module = frame
        .module()
        .name()
        .map(|name| format!("{}!", cut(name)))
        .unwrap_or_default();
    let own_name = match frame.func_name() {
        Some(name) => demangle(name),
        None => format!("function {}", frame.func_index()),
    };
    // Functions that were inlined into this one are symbols of their own, innermost first.
    if frame.symbols().is_empty() {
        let place = match (frame.func_name(), frame.module_offset()) {
            (None, Some(offset)) => format!(" at {offset:#x}"),
            _ => String::new(),
        };
        let _ = write!(report, "\n{index:>4}: {module}{own_name}{place}");
        return;
    }
    for (depth, symbol) in frame.symbols().iter().enumerate() {
        let name = symbol.name().map_or_else(|| own_name.clone(), demangle);
        match depth {
            0 => {
                let _ = write!(report, "\n{index:>4}: {module}{name}");
            }
            _ => {
                let _ = write!(report, "\n      {module}{name}");
            }
        }
        if let Some(file) = symbol.file() {
            let _ = write!(report, " at {}", cut(shorten(file)));
            if let Some(line) = symbol.line() {
                let _ = write!(report, ":{line}");
            }
            if let Some(column) = symbol.column() {
                let _ = write!(report, ":{column}");
            }
        }
    }
}

/// The name as its language writes it.
fn demangle(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return cut(&format!("{rust:#}"));
    }
    if name.starts_with("_Z")
        && name.len() <= NAME_CHARACTERS
        && let Ok(symbol) = cpp_demangle::Symbol::new(name)
        && let Ok(cpp) = symbol.demangle()
    {
        return cut(&cpp);
    }
    cut(name)
}

/// A source file without the place where somebody else built a language's library.
fn shorten(file: &str) -> &str {
    if let Some((_, rest)) = file
        .strip_prefix("/rustc/")
        .and_then(|rest| rest.split_once('/'))
    {
        return rest.strip_prefix("library/").unwrap_or(rest);
    }
    file.rsplit_once("://").map_or(file, |(_, rest)| rest)
}

/// A name that stays on its line, of a length that can be read.
fn cut(text: &str) -> String {
    match text.char_indices().nth(NAME_CHARACTERS) {
        Some((end, _)) => format!("{}...", escape(text.get(..end).unwrap_or(text))),
        None => escape(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_their_language_writes_them() {
        assert_eq!(
            demangle("_ZN3app6divide17h0123456789abcdefE"),
            "app::divide"
        );
        assert_eq!(demangle("_ZN3Foo3barEi"), "Foo::bar(int)");
        assert_eq!(demangle("main"), "main");
    }

    #[test]
    fn library_files_are_shown_from_the_library_on() {
        assert_eq!(
            shorten("/rustc/59807616e1fa/library/std/src/rt.rs"),
            "std/src/rt.rs"
        );
        assert_eq!(shorten("sdk://a/sdk://v30/abort.c"), "v30/abort.c");
        assert_eq!(shorten("/home/me/src/main.rs"), "/home/me/src/main.rs");
    }

    #[test]
    fn name_cannot_begin_a_line_of_its_own() {
        assert_eq!(
            demangle("f\nlighter: all is well"),
            "f\\nlighter: all is well"
        );
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(cut(&"ä".repeat(400)).chars().count(), NAME_CHARACTERS + 3);
    }
}
