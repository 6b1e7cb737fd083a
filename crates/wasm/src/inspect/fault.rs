//! Words for bytes that are no program, or none that the engine can run.

use lighter_types::escape::escape;
use lighter_types::program::FileKind;
use lighter_types::runner_protocol::Failure;
use wasmparser::WasmFeatures;

/// A part of WebAssembly that the engine does not have.
struct Proposal {
    feature: WasmFeatures,
    name: &'static str,
    advice: Option<&'static str>,
}

const fn proposal(feature: WasmFeatures, name: &'static str) -> Proposal {
    Proposal {
        feature,
        name,
        advice: None,
    }
}

const PROPOSALS: &[Proposal] = &[
    Proposal {
        feature: WasmFeatures::LEGACY_EXCEPTIONS,
        name: "legacy exceptions",
        advice: Some(
            "translate it with `wasm-opt --translate-to-exnref`, or build it with a newer toolchain",
        ),
    },
    proposal(WasmFeatures::STACK_SWITCHING, "stack switching"),
    proposal(
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared-everything threads",
    ),
    proposal(WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    proposal(WasmFeatures::MEMORY_CONTROL, "memory control"),
    proposal(WasmFeatures::CUSTOM_DESCRIPTORS, "custom descriptors"),
    proposal(WasmFeatures::COMPACT_IMPORTS, "compact imports"),
    proposal(WasmFeatures::CM_VALUES, "values of components"),
    proposal(WasmFeatures::CM_NESTED_NAMES, "nested names of components"),
    proposal(
        WasmFeatures::CM_ASYNC_STACKFUL,
        "the stackful form of asynchronous components",
    ),
    proposal(
        WasmFeatures::CM_MORE_ASYNC_BUILTINS,
        "the optional built-ins of asynchronous components",
    ),
    proposal(WasmFeatures::CM_THREADING, "threads of components"),
    proposal(
        WasmFeatures::CM_ERROR_CONTEXT,
        "error contexts of components",
    ),
    proposal(
        WasmFeatures::CM_FIXED_LENGTH_LISTS,
        "fixed-length lists of components",
    ),
    proposal(
        WasmFeatures::CM_GC,
        "garbage-collected values of components",
    ),
    proposal(WasmFeatures::CM_MAP, "maps of components"),
    proposal(WasmFeatures::CM64, "64-bit memories of components"),
    proposal(
        WasmFeatures::CM_IMPLEMENTS,
        "\"implements\" names of components",
    ),
    proposal(
        WasmFeatures::CM_CANON_NAMES,
        "version suffixes of components",
    ),
];

/// The failure for a program that does not check. `is_valid_with` tells whether it would with
/// other features than the engine's.
pub(super) fn binary_fault(
    error: &wasmparser::Error,
    is_valid_with: impl Fn(WasmFeatures) -> bool,
) -> Failure {
    let named = error
        .missing_wasm_feature()
        .and_then(|feature| PROPOSALS.iter().find(|known| known.feature == feature));
    if let Some(proposal) = named {
        return unsupported(proposal);
    }
    // Not every error tells the feature. A program that is broken anyway costs no more than this
    // second look, since it fails at the same place again.
    if is_valid_with(WasmFeatures::all()) {
        let needed = PROPOSALS
            .iter()
            .find(|known| is_valid_with(crate::engine::features() | known.feature));
        return match needed {
            Some(proposal) => unsupported(proposal),
            None => Failure::Unsupported {
                reason: format!(
                    "the program uses proposals that this version does not support: {}",
                    one_line(&error.to_string())
                ),
            },
        };
    }
    Failure::Invalid {
        reason: one_line(&error.to_string()),
    }
}

fn unsupported(proposal: &Proposal) -> Failure {
    let name = proposal.name;
    let mut reason = format!("the program uses {name}, which this version does not support");
    if let Some(advice) = proposal.advice {
        reason.push_str("; ");
        reason.push_str(advice);
    }
    Failure::Unsupported { reason }
}

/// The failure for text that is no program in the text format, with its place as LINE:COLUMN.
pub(super) fn text_fault(error: &wat::Error) -> Failure {
    // The text is `MESSAGE`, a line `--> FILE:LINE:COLUMN`, and a drawing of the place.
    let text = error.to_string();
    let (message, rest) = text.split_once("\n").unwrap_or((&text, ""));
    let place = rest
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("--> "))
        .and_then(|place| {
            let mut parts = place.rsplit(':');
            let column: u32 = parts.next()?.parse().ok()?;
            let line: u32 = parts.next()?.parse().ok()?;
            Some(format!(" (at {line}:{column})"))
        });
    Failure::Invalid {
        reason: format!("{}{}", one_line(message), place.unwrap_or_default()),
    }
}

/// The failure for a file of another kind.
pub(super) fn not_wasm(kind: FileKind) -> Failure {
    let reason = match kind {
        FileKind::UnknownWasm { version, layer } => {
            format!("WebAssembly of an unknown version (version {version}, layer {layer})")
        }
        FileKind::Empty => "empty".to_owned(),
        _ => "not WebAssembly".to_owned(),
    };
    Failure::Invalid { reason }
}

/// Makes one line of a message that may have several.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    escape(&lines.join(": "))
}
