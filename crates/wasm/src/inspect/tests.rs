//! What is said of programs, by kind of program.

use super::*;
use crate::api::{ApiSet, Import};
use lighter_types::cpu::CpuFeatures;
use lighter_types::runner_protocol::{
    End, FROM_RUNNER_BYTES, FromRunner, ImportState, LISTED_NAMES, MissingImport, encode,
};

/// A set for a linker that is nothing.
struct FakeSet(&'static [&'static str]);

impl ApiSet<()> for FakeSet {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn provides(&self, import: &Import<'_>) -> bool {
        self.0.contains(&import.interface)
    }

    fn needs_grant(&self, import: &Import<'_>) -> Option<&'static str> {
        import
            .interface
            .contains("sockets")
            .then_some("--allow-net")
    }

    fn link(&self, (): &mut (), _imports: &[Import<'_>]) -> wasmtime::Result<()> {
        Ok(())
    }
}

const FAKE: FakeSet = FakeSet(&[
    "wasi_snapshot_preview1",
    "wasi:cli/stdout@0.2.12",
    "wasi:cli/stdout@0.3.0",
    "wasi:sockets/tcp@0.2.12",
    "wasi:config/store@0.2.0-rc.1",
]);

fn order(stubs: &[&str], denials: &[&str]) -> InspectOrder {
    let patterns = |list: &[&str]| {
        list.iter()
            .map(|text| text.parse().expect("a pattern"))
            .collect()
    };
    InspectOrder {
        is_text: true,
        stubs: patterns(stubs),
        denials: patterns(denials),
        cpu: CpuFeatures::from_bits(0),
        bounds: lighter_types::runner_protocol::Bounds::for_program(0),
    }
}

fn inspected(text: &str) -> Result<ProgramFacts, Failure> {
    inspect(text.as_bytes(), &order(&[], &[]))
}

fn reason(text: &str) -> String {
    match inspected(text).expect_err("it does not check") {
        Failure::Invalid { reason } => format!("invalid: {reason}"),
        Failure::Unsupported { reason } => format!("unsupported: {reason}"),
        other => format!("{other:?}"),
    }
}

/// What the survey says of a program where only [`FAKE`] provides anything.
fn surveyed(text: &str, order: &InspectOrder) -> survey::Survey {
    let binary = wat::parse_str(text).expect("it is valid");
    let FileKind::Wasm(kind) = detect(&binary) else {
        unreachable!("it was just made")
    };
    let outline = outline::read(&binary, kind).expect("it is valid");
    survey::survey(&outline, &[&FAKE], order)
}

fn missing(text: &str) -> Vec<(String, Option<String>)> {
    match surveyed(text, &order(&[], &[])).failure {
        Some(Failure::MissingImports(list)) => list
            .into_iter()
            .map(|MissingImport { name, note }| (name, note))
            .collect(),
        _ => Vec::new(),
    }
}

fn note(module: &str, item: &str) -> String {
    let text = format!("(module (import \"{module}\" \"{item}\" (func)))");
    let set: [&dyn ApiSet<()>; 0] = [];
    let binary = wat::parse_str(text).expect("it is valid");
    let outline = outline::read(&binary, ProgramKind::Module).expect("it is valid");
    match survey::survey(&outline, &set, &order(&[], &[])).failure {
        Some(Failure::MissingImports(list)) => list
            .first()
            .and_then(|import| import.note.clone())
            .unwrap_or_default(),
        _ => "provided".to_owned(),
    }
}

fn interface_note(import: &str) -> String {
    let text = format!("(component (import \"{import}\" (instance (export \"f\" (func)))))");
    let list = missing(&text);
    list.first()
        .and_then(|(_, note)| note.clone())
        .unwrap_or_default()
}

#[test]
fn command_is_entered_by_start() {
    let facts = inspected("(module (func (export \"_start\")) (memory (export \"memory\") 1))")
        .expect("it is valid");
    assert_eq!(facts.kind, ProgramKind::Module);
    assert_eq!(facts.entry.as_deref(), Some("_start"));
    assert_eq!(facts.exports, ["_start", "memory"]);
    assert_eq!(facts.export_count, 2);
    assert_eq!(facts.failure, None);
}

#[test]
fn library_has_no_entry_and_names_its_functions() {
    let facts = inspected("(module (memory (export \"_start\") 1) (func (export \"fib\")))")
        .expect("it is valid");
    assert_eq!(facts.entry, None);
    assert_eq!(
        facts.failure,
        Some(Failure::NoEntry {
            exports: vec!["fib".to_owned()]
        })
    );
}

/// A component that exports an interface for each name, with a function `f`.
fn exporting(names: &[&str]) -> String {
    let exports: String = names
        .iter()
        .map(|name| format!("(export \"{name}\" (instance $i))"))
        .collect();
    format!(
        "(component
            (core module $m (func (export \"f\")))
            (core instance $c (instantiate $m))
            (func $f (canon lift (core func $c \"f\")))
            (instance $i (export \"f\" (func $f)))
            {exports})"
    )
}

fn entry_of(names: &[&str]) -> Option<String> {
    inspected(&exporting(names)).expect("it is valid").entry
}

#[test]
fn handler_is_preferred_to_run_and_0_3_to_0_2() {
    let all = [
        "wasi:cli/run@0.2.6",
        "wasi:http/incoming-handler@0.2.0",
        "wasi:cli/run@0.3.2",
        "wasi:http/handler@0.3.0",
    ];
    // The last of those that are there.
    for (index, name) in all.iter().enumerate() {
        assert_eq!(entry_of(&all[..=index]).as_deref(), Some(*name));
    }
}

#[test]
fn functions_of_interfaces_are_named_for_invoke() {
    let facts = inspected(&exporting(&[
        "acme:math/ops@1.0.0",
        "wasi:cli/run@0.3.0-rc-1",
    ]))
    .expect("it is valid");
    assert_eq!(
        facts.failure,
        Some(Failure::NoEntry {
            exports: vec![
                "acme:math/ops@1.0.0#f".to_owned(),
                "wasi:cli/run@0.3.0-rc-1#f".to_owned()
            ]
        })
    );
}

#[test]
fn each_import_is_told_with_who_meets_it() {
    let text = "(component
        (import \"wasi:cli/stdout@0.2.12\" (instance (export \"f\" (func))))
        (import \"wasi:sockets/tcp@0.2.12\" (instance (export \"f\" (func))))
        (import \"acme:a/b\" (instance (export \"f\" (func))))
        (import \"acme:c/d\" (instance (export \"f\" (func)))))";
    let survey = surveyed(text, &order(&["acme:a"], &["wasi:sockets"]));
    let states: Vec<ImportState> = survey.imports.into_iter().map(|fact| fact.state).collect();
    assert_eq!(
        states,
        [
            ImportState::Provided("fake".to_owned()),
            ImportState::Denied,
            ImportState::Stubbed,
            ImportState::Missing,
        ]
    );
    let granted = surveyed(text, &order(&[], &[]));
    assert_eq!(
        granted.imports.get(1).map(|fact| fact.state.clone()),
        Some(ImportState::NeedsGrant {
            set: "fake".to_owned(),
            flags: "--allow-net".to_owned()
        })
    );
}

#[test]
fn denied_import_is_missing_and_says_why() {
    let text = "(component (import \"wasi:cli/stdout@0.2.12\" (instance (export \"f\" (func)))))";
    let survey = surveyed(text, &order(&[], &["wasi:cli"]));
    assert_eq!(
        survey.failure,
        Some(Failure::MissingImports(vec![MissingImport {
            name: "wasi:cli/stdout@0.2.12".to_owned(),
            note: Some("withheld by --deny".to_owned()),
        }]))
    );
}

#[test]
fn interface_of_mere_types_needs_no_provider() {
    let text = "(component
        (import \"acme:a/types\" (instance (type $r (record (field \"x\" u32))) (export \"r\" (type (eq $r)))))
        (import \"acme:a/things\" (instance (export \"thing\" (type (sub resource))))))";
    let names: Vec<String> = missing(text).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["acme:a/things"]);
}

#[test]
fn resource_of_an_earlier_import_needs_no_provider_again() {
    let text = "(component
        (import \"acme:a/things\" (instance $a (export \"thing\" (type (sub resource)))))
        (alias export $a \"thing\" (type $thing))
        (import \"acme:b/again\" (instance (export \"thing\" (type (eq $thing))))))";
    let names: Vec<String> = missing(text).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["acme:a/things"]);
}

#[test]
fn imports_of_what_is_nested_are_not_the_programs() {
    let text = "(component
        (core module (import \"env\" \"x\" (func)))
        (component (import \"acme:inner/x\" (instance (export \"f\" (func))))))";
    assert_eq!(missing(text), []);
}

#[test]
fn import_twice_is_told_once() {
    let text = "(module (import \"x\" \"y\" (func)) (import \"x\" \"y\" (func)))";
    assert_eq!(missing(text), [("x.y".to_owned(), None)]);
}

#[test]
fn host_of_a_foreign_import_is_named() {
    assert!(note("gojs", "runtime.wasmExit").contains("GOOS=wasip1"));
    assert!(note("go", "runtime.wasmExit").contains("JavaScript"));
    assert!(note("wasix_32v1", "proc_fork").contains("Wasmer"));
    assert!(note("rb-js-abi-host", "x").contains("ruby.wasm"));
    assert!(note("canonical_abi", "resource_drop_x").contains("wit-bindgen"));
    assert!(note("wbg", "__wbg_log_1").contains("wasm-bindgen"));
    assert!(note("wasi_nn", "load").contains("machine learning"));
    assert!(note("wasi_ephemeral_sock", "x").contains("draft of WASI"));
    assert!(note("env", "emscripten_memcpy_js").contains("Emscripten"));
    assert!(note("env", "invoke_vii").contains("Emscripten"));
    assert!(note("a", "a").contains("Emscripten"));
    assert!(note("wasmedge_process", "x").contains("WasmEdge"));
}

#[test]
fn what_is_not_known_is_not_claimed() {
    assert_eq!(note("env", "log"), "");
    assert_eq!(note("b", "a"), "");
    assert_eq!(note("wasi_snapshot_preview1", "fd_frobnicate"), "");
    assert_eq!(interface_note("acme:a/b@1.0.0"), "");
}

#[test]
fn version_that_is_there_is_named() {
    assert_eq!(
        interface_note("wasi:cli/stdout@0.4.0"),
        "this version provides 0.3.0 and 0.2.12"
    );
    assert_eq!(
        interface_note("wasi:config/store@0.3.0"),
        "this version provides 0.2.0-rc.1"
    );
    assert_eq!(
        interface_note("wasi:keyvalue/store@0.2.0"),
        "not in this version"
    );
    assert_eq!(interface_note("fermyon:spin/llm@2.0.0"), "made for Spin");
    assert_eq!(
        interface_note("wasmcloud:messaging/consumer@0.2.0"),
        "made for wasmCloud"
    );
}

#[test]
fn legacy_exceptions_are_named_with_the_way_out() {
    // try end: 0x06 0x40 0x0b
    let body =
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x07\x01\x05\0\x06\x40\x0b\x0b";
    let order = InspectOrder {
        is_text: false,
        ..order(&[], &[])
    };
    assert_eq!(
        inspect(body, &order),
        Err(Failure::Unsupported {
            reason: "the program uses legacy exceptions, which this version does not support; \
                     translate it with `wasm-opt --translate-to-exnref`, or build it with a newer \
                     toolchain"
                .to_owned()
        })
    );
}

#[test]
fn other_proposals_are_named() {
    assert_eq!(
        reason("(module (type $f (func)) (type $c (cont $f)))"),
        "unsupported: the program uses stack switching, which this version does not support"
    );
    assert_eq!(
        reason("(module (memory 1 (pagesize 1)))"),
        "unsupported: the program uses custom page sizes, which this version does not support"
    );
    assert_eq!(
        reason("(module (type (shared (func))))"),
        "unsupported: the program uses shared-everything threads, which this version does not support"
    );
}

#[test]
fn invalid_text_is_told_with_its_place() {
    assert_eq!(
        reason("(module\n  (fun))"),
        "invalid: expected valid module field (at 2:4)"
    );
    let order = order(&[], &[]);
    assert!(matches!(
        inspect(&[0xff, 0xfe], &order),
        Err(Failure::Invalid { .. })
    ));
}

#[test]
fn invalid_binary_is_told_with_its_place() {
    let order = InspectOrder {
        is_text: false,
        ..order(&[], &[])
    };
    let reason = |bytes: &[u8]| match inspect(bytes, &order) {
        Err(Failure::Invalid { reason }) => reason,
        other => format!("{other:?}"),
    };
    assert_eq!(
        reason(b"\0asm\x01\0\0\0\x01\x7f"),
        "unexpected end-of-file (at offset 0xa)"
    );
    assert_eq!(reason(b""), "empty");
    assert_eq!(reason(b"\x7fELF...."), "not WebAssembly");
    assert_eq!(
        reason(b"\0asm\x0a\0\x01\0"),
        "WebAssembly of an unknown version (version 10, layer 1)"
    );
    let whole = wat::parse_str("(module (func (result i32) unreachable))").expect("valid");
    let cut = whole.get(..whole.len() - 1).unwrap_or_default();
    assert!(reason(cut).contains("offset 0x"));
    let mistyped = wat::parse_str("(module (func (result i32)))").expect("it is well formed");
    assert_eq!(
        reason(&mistyped),
        "type mismatch: expected i32 but nothing on stack (at offset 0x18)"
    );
}

#[test]
fn huge_lists_and_names_make_a_small_frame() {
    let name = "\\u{202e}".repeat(30_000);
    let imports: String = (0..20_000)
        .map(|index| format!("(import \"emscripten{index}\" \"{index}\" (func))"))
        .collect();
    let text = format!(
        "(module (import \"{name}\" \"{name}\" (func)) {imports} (export \"{name}\" (func 0)))"
    );
    let facts = inspected(&text).expect("it is valid");
    assert_eq!(facts.import_count, 20_001);
    assert_eq!(facts.imports.len(), LISTED_NAMES);
    let failure = facts.failure.clone().expect("imports are missing");
    let frame = encode(&FromRunner::Inspected(Box::new(facts)), FROM_RUNNER_BYTES);
    assert!(frame.is_ok_and(|frame| frame.len() < FROM_RUNNER_BYTES));
    let frame = encode(&FromRunner::Ended(End::Failed(failure)), FROM_RUNNER_BYTES);
    assert!(frame.is_ok());
}

#[test]
fn every_cut_and_flip_of_a_program_is_answered() {
    let text = exporting(&["wasi:cli/run@0.3.0"]);
    let binary = wat::parse_str(text).expect("it is valid");
    let order = InspectOrder {
        is_text: false,
        ..order(&[], &[])
    };
    for length in 0..binary.len() {
        let cut = binary.get(..length).unwrap_or_default();
        let _ = inspect(cut, &order);
    }
    for index in 8..binary.len() {
        for bit in 0..8 {
            let mut flipped = binary.clone();
            if let Some(byte) = flipped.get_mut(index) {
                *byte ^= 1 << bit;
            }
            let _ = inspect(&flipped, &order);
        }
    }
}
