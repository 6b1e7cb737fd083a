//! Tells what a program is, what it imports and exports, and whether it can run here.
//!
//! ```text
//!   bytes --text--> binary --read--> Outline --survey--> ProgramFacts
//!                     |                 |                    |
//!                  not valid,        imports,          who meets each import,
//!                  not supported     exports           what is called, what is missing
//! ```

mod entry;
mod fault;
mod names;
mod notes;
mod outline;
mod survey;

use crate::{component, core};
pub(crate) use names::{LISTED_EXPORTS, shown};

use fault::{not_wasm, text_fault};
use lighter_types::program::{FileKind, ProgramKind, detect};
use lighter_types::runner_protocol::{Failure, InspectOrder, ProgramFacts};
use outline::Outline;
use std::borrow::Cow;

/// Inspects a program without compiling it.
///
/// Every byte is checked, function bodies too, so that what is not valid or not supported is
/// known before a compiler works for a minute.
///
/// # Errors
/// [`Failure::Invalid`] if the bytes are no valid program, [`Failure::Unsupported`] if they use
/// a part of WebAssembly that the engine does not have; all else is in the facts.
pub fn inspect(bytes: &[u8], order: &InspectOrder) -> Result<ProgramFacts, Failure> {
    inspect_binary(&binary(bytes, order)?, order)
}

/// The program in the binary format; the text format is translated.
pub(crate) fn binary<'a>(bytes: &'a [u8], order: &InspectOrder) -> Result<Cow<'a, [u8]>, Failure> {
    if order.is_text {
        wat::parse_bytes(bytes).map_err(|error| text_fault(&error))
    } else {
        Ok(Cow::Borrowed(bytes))
    }
}

/// As [`inspect`], of a program in the binary format.
pub(crate) fn inspect_binary(binary: &[u8], order: &InspectOrder) -> Result<ProgramFacts, Failure> {
    let kind = match detect(binary) {
        FileKind::Wasm(kind) => kind,
        other => return Err(not_wasm(other)),
    };
    let outline = outline::read(binary, kind)?;
    Ok(facts(&outline, order))
}

fn facts(outline: &Outline<'_>, order: &InspectOrder) -> ProgramFacts {
    let survey = match outline.kind {
        ProgramKind::Module => survey::survey(outline, core::SETS, order),
        ProgramKind::Component => survey::survey(outline, component::SETS, order),
    };
    let entry = entry::find(outline);
    let exports = outline.exports.iter().map(|export| export.name);
    ProgramFacts {
        kind: outline.kind,
        imports: survey.imports,
        import_count: count(outline.imports.len()),
        exports: names::list(exports, names::EXPORT_BYTES),
        export_count: count(outline.exports.len()),
        entry: entry.as_ref().ok().map(|name| names::shown(name)),
        failure: survey.failure.or(entry.err()),
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
