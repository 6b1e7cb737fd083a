//! Finds what `run` calls.

use super::names;
use super::outline::Outline;
use lighter_types::interface::split_version;
use lighter_types::program::ProgramKind;
use lighter_types::runner_protocol::Failure;

/// The most functions that a failure names.
const NAMED_FUNCTIONS: usize = 32;
/// The most that their names may take of a frame, in bytes.
const FUNCTION_BYTES: usize = 8 << 10;

/// The interfaces that a component is entered by, first choice first: those that answer HTTP requests and
/// those that run once.
const ENTRIES: [(&str, &str); 4] = [
    ("wasi:http/handler", "0.3."),
    ("wasi:cli/run", "0.3."),
    ("wasi:http/incoming-handler", "0.2."),
    ("wasi:cli/run", "0.2."),
];

/// The name of the export that `run` calls.
///
/// # Errors
/// [`Failure::NoEntry`].
pub(super) fn find<'a>(outline: &Outline<'a>) -> Result<&'a str, Failure> {
    let found = match outline.kind {
        ProgramKind::Module => outline
            .exports
            .iter()
            .find(|export| export.is_function && export.name == "_start")
            .map(|export| export.name),
        ProgramKind::Component => ENTRIES.iter().find_map(|wanted| exported(outline, wanted)),
    };
    if let Some(name) = found {
        return Ok(name);
    }
    let functions: Vec<String> = outline.functions().take(NAMED_FUNCTIONS).collect();
    Err(Failure::NoEntry {
        exports: names::list(functions.iter().map(String::as_str), FUNCTION_BYTES),
    })
}

/// The export of an interface at a version that starts so, if there is one.
fn exported<'a>(outline: &Outline<'a>, (interface, track): &(&str, &str)) -> Option<&'a str> {
    let is_wanted = |name: &str| {
        let (name, version) = split_version(name);
        // A release candidate is on no track.
        let is_release = |version: &str| version.starts_with(track) && !version.contains('-');
        name == *interface && version.is_some_and(is_release)
    };
    let exports = || outline.exports.iter().map(|export| export.name);
    exports().find(|name| outline.kind == ProgramKind::Component && is_wanted(name))
}
