//! What is known about imports that nobody provides: which host they belong to, which version
//! is there.

use crate::api::Import;
use lighter_types::interface::split_version;

/// The versions that the sets are asked about: the newest of each track that there is.
const VERSIONS: [&str; 4] = ["0.3.0", "0.2.12", "0.2.0-rc.1", "0.1.0-draft"];

/// How the names of functions begin that only Emscripten's JavaScript defines
/// (Emscripten, `src/lib/`).
const EMSCRIPTEN_PREFIXES: &[&str] = &[
    "emscripten_",
    "_emscripten_",
    "__syscall_",
    "invoke_",
    "_embind_",
    "_emval_",
    "_tzset_js",
    "_mmap_js",
    "_munmap_js",
    "_localtime_js",
    "_abort_js",
];

const EMSCRIPTEN: &str = "made by Emscripten for a JavaScript host; build it with wasi-sdk instead";
const GO_FOR_JAVASCRIPT: &str =
    "a Go program for JavaScript hosts; build it with GOOS=wasip1 GOARCH=wasm instead";
const WASM_BINDGEN: &str = "made by wasm-bindgen for a JavaScript host";

/// Import modules of core modules, and the host that they were made for.
const MODULES: &[(&str, &str)] = &[
    ("gojs", GO_FOR_JAVASCRIPT),
    ("go", GO_FOR_JAVASCRIPT),
    ("wbg", WASM_BINDGEN),
    ("__wbindgen_placeholder__", WASM_BINDGEN),
    ("__wbindgen_externref_xform__", WASM_BINDGEN),
    (
        "rb-js-abi-host",
        "made for the JavaScript host of ruby.wasm",
    ),
    (
        "canonical_abi",
        "made by an early wit-bindgen for a JavaScript host",
    ),
    ("wasm:js-string", "made for a JavaScript host"),
    ("extism:host/env", "a plug-in, made for Extism"),
    ("wapc", "made for waPC, as in early wasmCloud"),
    (
        "wasi_nn",
        "wasi-nn (machine learning) is not in this version",
    ),
    (
        "wasi_ephemeral_nn",
        "wasi-nn (machine learning) is not in this version",
    ),
];

/// How the names of modules and packages begin, and the host that they were made for.
const PREFIXES: &[(&str, &str)] = &[
    ("wasix_", "WASIX, made for Wasmer"),
    ("wasmedge_", "an extension, made for WasmEdge"),
    ("wasi_ephemeral_", "an early draft of WASI"),
    ("fastly_", "made for Fastly Compute"),
    ("fermyon:", "made for Spin"),
    ("spin:", "made for Spin"),
    ("wasmcloud:", "made for wasmCloud"),
    ("fastly:", "made for Fastly Compute"),
    ("golem:", "made for Golem"),
];

/// What is known of a whole program's imports.
pub(super) struct Notes {
    is_emscripten: bool,
    is_minified: bool,
}

impl Notes {
    /// Looks over all imports of a program.
    pub(super) fn of(imports: &[Import<'_>]) -> Self {
        let mut notes = Self {
            is_emscripten: false,
            is_minified: false,
        };
        for import in imports {
            let item = import.item.unwrap_or_default();
            match import.interface {
                "env" => {
                    notes.is_emscripten |= EMSCRIPTEN_PREFIXES
                        .iter()
                        .any(|prefix| item.starts_with(prefix));
                }
                // Emscripten's optimised builds shorten all names from the first letter on.
                "a" => notes.is_minified |= item == "a",
                _ => {}
            }
        }
        notes
    }

    /// What is known of one import that nobody provides. `is_provided` tells whether a set has
    /// another.
    pub(super) fn note(
        &self,
        import: &Import<'_>,
        is_provided: impl Fn(&Import<'_>) -> bool,
    ) -> Option<String> {
        match import.item {
            Some(_) => self.core_note(import.interface).map(str::to_owned),
            None => component_note(import.interface, is_provided),
        }
    }

    fn core_note(&self, module: &str) -> Option<&'static str> {
        match module {
            "env" if self.is_emscripten => Some(EMSCRIPTEN),
            "a" if self.is_minified => {
                Some("short names as Emscripten's optimised builds for a JavaScript host have them")
            }
            _ => {
                let exact = MODULES.iter().find(|(name, _)| *name == module);
                exact.map(|(_, note)| *note).or_else(|| by_prefix(module))
            }
        }
    }
}

fn component_note(import: &str, is_provided: impl Fn(&Import<'_>) -> bool) -> Option<String> {
    let (name, version) = split_version(import);
    let interface = |version: &str| {
        let name = format!("{name}@{version}");
        is_provided(&Import::named(&name, None))
    };
    let there: Vec<&str> = VERSIONS
        .into_iter()
        .filter(|version| interface(version))
        .collect();
    if !there.is_empty() {
        return Some(format!("this version provides {}", there.join(" and ")));
    }
    if let Some(note) = by_prefix(import) {
        return Some(note.to_owned());
    }
    let is_wasi = name.starts_with("wasi:") && version.is_some();
    is_wasi.then(|| "not in this version".to_owned())
}

fn by_prefix(name: &str) -> Option<&'static str> {
    let found = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix));
    found.map(|(_, note)| *note)
}
