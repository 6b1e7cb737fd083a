//! What is wrong with what a user gives: the exit code, the words, and that nothing is left behind.

use crate::{leb, module, mount, workspace, workspace_of_ordinary_user};
use lighter_testkit::{Outcome, Workspace, is_ci, is_root, require};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"#;

/// Bytes of the user's own that are no text.
fn no_text() -> &'static OsStr {
    OsStr::from_bytes(b"\xff")
}

/// Checks a refusal: its code, its first line, the words of its hint, and that no line more is
/// told but those that list what is missing.
#[track_caller]
fn assert_told(workspace: &Workspace, outcome: &Outcome, code: i32, first: &str, hint: &str) {
    outcome.assert_refused(code, &[]);
    let told = outcome.stderr_text();
    let mut lines = told.lines().filter(|line| !line.starts_with("  "));
    assert_eq!(lines.next(), Some(first), "{told}");
    let advice = lines.next().unwrap_or_default();
    assert!(
        advice.starts_with("hint: ") && advice.contains(hint),
        "{told}"
    );
    assert_eq!(lines.next(), None, "{told}");
    assert_nothing_left(workspace);
}

/// No half-written code, no scratch directory but the empty one that stays.
#[track_caller]
fn assert_nothing_left(workspace: &Workspace) {
    assert_eq!(names(workspace.run_root()), ["empty"].as_slice(), "run");
    let code = names(workspace.data().join("compiled/code"));
    assert!(code.iter().all(|name| !name.starts_with('.')), "{code:?}");
}

/// The names in a directory; `empty` is made when it is first needed.
fn names(directory: impl AsRef<std::path::Path>) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory.as_ref())
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    if directory.as_ref().ends_with("run") && names.is_empty() {
        names.push("empty".to_owned());
    }
    names
}

/// Runs a file with this content.
fn run_file(workspace: &Workspace, name: &str, content: impl AsRef<[u8]>) -> Outcome {
    workspace.write(name, content);
    workspace.lighter(["run", &format!("./{name}")]).run()
}

/// Runs a sound program with these flags.
fn run_with<A: AsRef<OsStr>>(workspace: &Workspace, flags: impl IntoIterator<Item = A>) -> Outcome {
    workspace.write("hello.wat", HELLO);
    workspace
        .lighter(["run"])
        .args(flags)
        .arg("./hello.wat")
        .run()
}

#[test]
fn program_for_this_machine_is_refused() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", b"\x7fELF\x02\x01\x01\0 and more");
    let first = "lighter: ./x.wasm is an ELF program, not WebAssembly";
    assert_told(&workspace, &outcome, 126, first, "wasm32-wasip1");
}

#[test]
fn native_code_from_outside_is_refused() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", b"\x7fELF\x02\x01\x01\xc8 and more");
    let first = "lighter: ./x.wasm is native code that was compiled ahead of time, which is never \
                 taken from outside";
    assert_told(&workspace, &outcome, 126, first, "the .wasm file");
}

#[test]
fn script_is_refused() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", "#!/bin/sh\necho hello\n");
    let first = "lighter: ./x.wasm is a script, not WebAssembly";
    assert_told(&workspace, &outcome, 126, first, "its interpreter");
}

#[test]
fn empty_file_is_refused() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", "");
    let first = "lighter: ./x.wasm is empty";
    assert_told(&workspace, &outcome, 126, first, "build it again");
}

#[test]
fn file_of_one_byte_is_refused() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", "\0");
    let first = "lighter: ./x.wasm is not WebAssembly";
    assert_told(&workspace, &outcome, 126, first, "00 61 73 6d");
}

#[test]
fn program_of_an_unknown_version_is_refused() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", b"\0asm\x0a\0\x01\0");
    let first = "lighter: ./x.wasm is WebAssembly of an unknown kind (version 10, layer 1)";
    assert_told(&workspace, &outcome, 126, first, "version 13 and layer 1");
}

#[test]
fn truncated_program_is_refused() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", b"\0asm\x01\0\0\0\x01\x04\x01\x60\0");
    let first = "lighter: ./x.wasm is not valid: unexpected end-of-file (at offset 0xa)";
    assert_told(&workspace, &outcome, 126, first, "cut short");
}

#[test]
fn invalid_program_is_refused_with_the_place() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", b"\0asm\x01\0\0\0\xff\x01\0");
    let first = "lighter: ./x.wasm is not valid: malformed section id (at offset 0x8)";
    assert_told(&workspace, &outcome, 126, first, "build it again");
}

#[test]
fn invalid_text_is_refused_with_the_line() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wat", "(module\n  (func (resul i32)))");
    outcome.assert_refused(126, &["./x.wat is not valid: ", "(at 2:10)", "hint: "]);
    assert_nothing_left(&workspace);
}

/// A vector as WebAssembly writes it: `count` times the same bytes.
fn repeated(count: usize, bytes: &[u8]) -> Vec<u8> {
    [leb(count), bytes.repeat(count)].concat()
}

/// A module of so many types and functions, the first of which is its entry.
fn many(types: usize, functions: usize, body: &[u8]) -> Vec<u8> {
    let body = [leb(body.len()), body.to_vec()].concat();
    module([
        (1, repeated(types, b"\x60\0\0")),
        (3, repeated(functions, &[0])),
        (7, b"\x01\x06_start\0\0".to_vec()),
        (10, repeated(functions, &body)),
    ])
}

const MILLION: usize = 1_000_000;

/// A sound function of four megabytes that holds a million values at once.
fn greedy_program() -> Vec<u8> {
    // No locals; `i32.const 0, i32.eqz` for each value, then `i32.add` and at last `drop, end`.
    let mut body = vec![0];
    body.extend(b"\x41\0\x45".repeat(MILLION));
    body.extend(b"\x6a".repeat(MILLION - 1));
    body.extend(b"\x1a\x0b");
    many(1, 1, &body)
}

#[test]
fn program_that_takes_too_much_memory_to_compile_is_refused() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", greedy_program());
    outcome.assert_refused(
        126,
        &[
            "x.wasm takes more than ",
            " MiB of memory to read and compile",
        ],
    );
    assert_eq!(outcome.stderr_text().lines().count(), 2);
    assert_nothing_left(&workspace);
}

#[test]
fn million_types_are_taken() {
    let workspace = workspace();
    run_file(&workspace, "x.wasm", many(MILLION, 1, b"\0\x0b")).assert(0, "");
}

#[test]
fn million_functions_end_with_a_word() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wasm", many(1, MILLION, b"\0\x0b"));
    let words = "x.wasm takes more than ";
    outcome.assert_refused(
        126,
        &[words, " MiB of memory to read and compile", "hint: "],
    );
    assert_nothing_left(&workspace);
}

#[test]
fn more_than_a_million_of_anything_is_refused() {
    let workspace = workspace();
    for (types, functions, what) in [(MILLION + 1, 1, "types"), (1, MILLION + 1, "functions")] {
        let outcome = run_file(&workspace, "x.wasm", many(types, functions, b"\0\x0b"));
        let words =
            format!("x.wasm is not valid: {what} count exceeds limit of 1000000 (at offset");
        outcome.assert_refused(126, &[&words, "hint: "]);
    }
    assert_nothing_left(&workspace);
}

#[test]
fn million_blocks_in_each_other_end_with_a_word() {
    let workspace = workspace();
    let blocks = [b"\x02\x40".repeat(MILLION), b"\x0b".repeat(MILLION)].concat();
    let body = [&[0], blocks.as_slice(), b"\x0b"].concat();
    let outcome = run_file(&workspace, "x.wasm", many(1, 1, &body));
    outcome.assert_refused(126, &["x.wasm takes more than ", "hint: "]);
    assert_nothing_left(&workspace);
}

#[test]
fn named_pipe_is_refused_without_waiting() {
    let workspace = workspace();
    let pipe = workspace.path("pipe.wasm");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    let outcome = workspace.lighter(["run", "./pipe.wasm"]).run();
    let first = "lighter: ./pipe.wasm is a named pipe, not a file";
    assert_told(&workspace, &outcome, 126, first, "lighter run - < FILE");
}

#[test]
fn device_is_refused() {
    let workspace = workspace();
    let outcome = workspace.lighter(["run", "/dev/zero"]).run();
    let first = "lighter: /dev/zero is a device, not a file";
    assert_told(&workspace, &outcome, 126, first, "lighter run - < FILE");
}

#[test]
fn directory_without_a_program_is_refused() {
    let workspace = workspace();
    workspace.write("project/src/main.rs", "fn main() {}");
    let outcome = workspace.lighter(["run", "./project"]).run();
    let first = "lighter: ./project is a directory that holds no built program (.wasm or .wat)";
    assert_told(&workspace, &outcome, 126, first, "build the project first");
}

#[test]
fn directory_with_two_programs_is_refused_with_their_names() {
    let workspace = workspace();
    workspace.write("project/a.wat", HELLO);
    workspace.write("project/b.wat", HELLO);
    let outcome = workspace.lighter(["run", "./project"]).run();
    let first = "lighter: ./project holds 2 programs: ./project/a.wat, ./project/b.wat";
    assert_told(
        &workspace,
        &outcome,
        126,
        first,
        "lighter run ./project/a.wat",
    );
}

#[test]
fn directory_with_one_built_program_is_run() {
    let workspace = workspace();
    workspace.write("project/src/main.rs", "fn main() {}");
    let built = "project/target/wasm32-wasip1/release/project.wat";
    workspace.write(built, HELLO);
    let outcome = workspace.lighter(["run", "./project/"]).run();
    outcome.assert(0, "hello\n");
}

#[test]
fn missing_program_is_not_found() {
    let workspace = workspace();
    let outcome = workspace.lighter(["run", "./none.wasm"]).run();
    let first = "lighter: no such program: ./none.wasm";
    assert_told(&workspace, &outcome, 127, first, "the path of a .wasm");
}

#[test]
fn unreadable_program_is_refused() {
    if !require(
        "an ordinary user",
        is_root() || !is_ci(),
        "it takes root to become one",
    ) {
        return;
    }
    let workspace = workspace_of_ordinary_user();
    let program = workspace.write("hello.wat", HELLO);
    fs::set_permissions(program, fs::Permissions::from_mode(0o000)).unwrap();
    let outcome = workspace.lighter(["run", "./hello.wat"]).run();
    let first = "lighter: ./hello.wat cannot be opened: Permission denied (os error 13)";
    assert_told(&workspace, &outcome, 126, first, "chmod +r ./hello.wat");
}

#[test]
fn component_with_an_unknown_import_is_refused_by_its_name() {
    let workspace = workspace();
    let program = "(component (import \"acme:db/query@1.0.0\" (instance (export \"get\" (func)))))";
    let outcome = run_file(&workspace, "x.wat", program);
    let first = "lighter: ./x.wat imports what nobody here provides:";
    assert_told(
        &workspace,
        &outcome,
        126,
        first,
        "--stub acme:db/query@1.0.0",
    );
    outcome.assert_refused(126, &["\n  acme:db/query@1.0.0\n"]);
}

#[test]
fn component_with_an_import_of_another_version_is_told_those_that_are_there() {
    let workspace = workspace();
    let program = "(component (import \"wasi:cli/environment@0.4.0\"
        (instance (export \"get-environment\" (func)))))";
    let outcome = run_file(&workspace, "x.wat", program);
    let first = "lighter: ./x.wat imports what nobody here provides:";
    assert_told(
        &workspace,
        &outcome,
        126,
        first,
        "--stub wasi:cli/environment@0.4.0",
    );
    let detail = "\n  wasi:cli/environment@0.4.0 (this version provides 0.3.0 and 0.2.12)\n";
    outcome.assert_refused(126, &[detail]);
}

#[test]
fn component_with_an_import_of_another_type_is_told_the_difference() {
    let workspace = workspace();
    let program = "(component (import \"wasi:cli/environment@0.2.0\"
        (instance (export \"get-environment\" (func (param \"x\" u32))))))";
    let outcome = run_file(&workspace, "x.wat", program);
    let first = "lighter: ./x.wat imports what nobody here provides:";
    assert_told(
        &workspace,
        &outcome,
        126,
        first,
        "--stub wasi:cli/environment@0.2.0",
    );
    outcome.assert_refused(126, &["`get-environment` has the wrong type"]);
}

#[test]
fn module_with_unknown_imports_is_refused_with_all_of_them() {
    let workspace = workspace();
    let program = "(module (import \"env\" \"log\" (func))
        (import \"wasi_snapshot_preview1\" \"fd_teleport\" (func)) (func (export \"_start\")))";
    let outcome = run_file(&workspace, "x.wat", program);
    let first = "lighter: ./x.wat imports what nobody here provides:";
    assert_told(&workspace, &outcome, 126, first, "--stub env");
    let details = "\n  env.log\n  wasi_snapshot_preview1.fd_teleport\n";
    outcome.assert_refused(126, &[details]);
}

#[test]
fn stubbed_import_is_a_trap_on_use_and_none_before() {
    let workspace = workspace();
    let program = |calls: &str| {
        format!("(module (import \"env\" \"log\" (func $log)) (func (export \"_start\") {calls}))")
    };
    workspace.write("unused.wat", program(""));
    workspace.write("used.wat", program("call $log"));
    let run = |name: &str| workspace.lighter(["run", "--stub", "env", name]).run();
    run("./unused.wat").assert(0, "");
    run("./used.wat").assert_refused(134, &["env.log", "--stub"]);
}

#[test]
fn denied_import_is_missing() {
    let workspace = workspace();
    let outcome = run_with(&workspace, ["--deny", "wasi_snapshot_preview1.fd_write"]);
    let first = "lighter: ./hello.wat imports what nobody here provides:";
    assert_told(&workspace, &outcome, 126, first, "--stub");
    outcome.assert_refused(126, &["fd_write", "--deny"]);
}

#[test]
fn module_without_an_entry_is_told_its_functions() {
    let workspace = workspace();
    let outcome = run_file(&workspace, "x.wat", "(module (func (export \"add\")))");
    let first = "lighter: ./x.wat has nothing to run: it exports add";
    assert_told(&workspace, &outcome, 126, first, "--invoke add");
}

#[test]
fn mount_source_that_is_missing_is_refused() {
    let workspace = workspace();
    let outcome = run_with(&workspace, ["-v", "./none:/data"]);
    let first = "lighter: cannot mount ./none on /data: it does not exist";
    assert_told(&workspace, &outcome, 125, first, "mkdir -p ./none");
}

#[test]
fn target_given_twice_is_refused() {
    let workspace = workspace();
    workspace.directory("a");
    let outcome = run_with(&workspace, ["-v", "./a:/data", "--tmpfs", "/data/"]);
    let first = "lighter: Duplicate mount point: /data";
    assert_told(&workspace, &outcome, 125, first, "its own target");
}

#[test]
fn unknown_grant_is_refused_with_the_one_that_is_close() {
    let workspace = workspace();
    let outcome = run_with(&workspace, ["--allow-nett", "example.com"]);
    let first = "lighter: unknown flag: --allow-nett";
    assert_told(&workspace, &outcome, 125, first, "--allow-net");
}

#[test]
fn unknown_key_of_a_configuration_file_is_refused() {
    let workspace = workspace();
    workspace.write("config.toml", "alow-net = \"example.com\"\n");
    workspace.write("hello.wat", HELLO);
    let run = workspace.lighter(["--config", "config.toml", "run", "./hello.wat"]);
    let words = ["config.toml: unknown key alow-net", "allow-net"];
    run.run().assert_refused(125, &words);
    assert_nothing_left(&workspace);
}

#[test]
fn grant_without_a_provider_is_refused_and_not_ignored() {
    let workspace = workspace();
    let outcome = run_with(&workspace, ["--link", "wasi:keyvalue=redis://cache:6379"]);
    let first = "lighter: cannot grant link=wasi:keyvalue=redis://cache:6379: this version does not support links \
                 to providers";
    assert_told(&workspace, &outcome, 125, first, "leave it out");
}

#[test]
fn malformed_value_is_refused_with_its_form() {
    let workspace = workspace();
    let outcome = run_with(&workspace, ["-v", "./a:data"]);
    let words = [
        "invalid grant volume \"./a:data\"",
        "mount path must be absolute",
        "expected [SOURCE:]TARGET[:ro|rw]",
    ];
    outcome.assert_refused(125, &words);
    assert_eq!(outcome.stderr_text().lines().count(), 1);
    assert_nothing_left(&workspace);
}

#[test]
fn flag_without_its_value_is_refused() {
    let workspace = workspace();
    let outcome = workspace.lighter(["run", "-v"]).run();
    let first = "lighter: a value is required for '--volume <SOURCE:TARGET>' but none was \
                 supplied";
    assert_told(&workspace, &outcome, 125, first, "lighter run --help");
}

#[test]
fn argument_that_is_not_utf_8_is_refused() {
    let workspace = workspace();
    workspace.write("hello.wat", HELLO);
    let run = workspace
        .lighter(["run", "./hello.wat", "a"])
        .arg(no_text());
    let first = "lighter: argument 2 is not UTF-8: \u{fffd}";
    assert_told(&workspace, &run.run(), 125, first, "Unicode text");
}

#[test]
fn flag_that_is_not_utf_8_is_refused_by_its_value() {
    let workspace = workspace();
    let outcome = run_with(&workspace, [OsStr::new("-e"), OsStr::from_bytes(b"A=\xff")]);
    let first = "lighter: not UTF-8: A=\u{fffd}";
    assert_told(&workspace, &outcome, 125, first, "Unicode text");
}

#[test]
fn environment_value_that_is_not_utf_8_is_refused_by_its_name() {
    let workspace = workspace();
    workspace.write("hello.wat", HELLO);
    let run = workspace.lighter(["run", "-e", "A", "./hello.wat"]);
    let first = "lighter: the value of the variable A is not UTF-8";
    let outcome = run.env("A", no_text()).run();
    assert_told(&workspace, &outcome, 125, first, "-e NAME=VALUE");
}

#[test]
fn working_directory_that_is_not_there_is_refused() {
    let workspace = workspace();
    workspace.directory("a");
    let outcome = run_with(&workspace, ["-v", "./a:/data", "-w", "/data/none"]);
    let first = "lighter: the working directory /data/none: No such file or directory (os error 2)";
    assert_told(&workspace, &outcome, 125, first, "-w");
}

#[test]
fn secret_that_cannot_be_read_is_refused() {
    let workspace = workspace();
    let outcome = run_with(&workspace, ["--secret", "key=./none"]);
    let first = "lighter: cannot give the secret key: ./none cannot be read: No such file or \
                 directory (os error 2)";
    assert_told(&workspace, &outcome, 125, first, "--secret key=FILE");
}

/// Runs the program while the data directory is a file system of its own: what `mount` makes of
/// these options. Prints the exit code and what is left of half-written code.
fn run_on_file_system(workspace: &Workspace, options: &str) -> Outcome {
    workspace.write("hello.wat", HELLO);
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs \"$LIGHTER_DATA_ROOT\" || exit 99
         \"$0\" run ./hello.wat
         echo \"code $?\"
         ls -A \"$LIGHTER_DATA_ROOT/compiled/code\" 2>/dev/null
         exit 0"
    );
    let run = workspace.command("unshare").args(["--mount", "sh", "-c"]);
    run.arg(script).arg(env!("CARGO_BIN_EXE_lighter")).run()
}

#[test]
fn full_disk_while_caching_costs_only_the_cache() {
    if !require("a small file system", is_root(), "mounting takes root") {
        return;
    }
    let workspace = workspace();
    let outcome = run_on_file_system(&workspace, "size=8k,mode=700");
    outcome.assert(0, "hello\ncode 0\n");
    let told = outcome.stderr_text();
    assert!(
        told.starts_with("lighter: warning: compiled code is not kept: could not write to ")
            && told.ends_with("No space left on device (os error 28)\n"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_nothing_left(&workspace);
}

#[test]
fn read_only_data_directory_costs_only_the_cache() {
    if !require("a read-only file system", is_root(), "mounting takes root") {
        return;
    }
    let workspace = workspace();
    let outcome = run_on_file_system(&workspace, "ro,mode=700");
    outcome.assert(0, "hello\ncode 0\n");
    let told = outcome.stderr_text();
    assert!(
        told.starts_with("lighter: warning: compiled code is not kept: could not use ")
            && told.ends_with("Read-only file system (os error 30)\n"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_nothing_left(&workspace);
}

#[test]
fn data_directory_that_no_code_runs_from_costs_only_the_cache() {
    if !require(
        "a file system without execution",
        is_root(),
        "mounting takes root",
    ) {
        return;
    }
    let workspace = workspace();
    let outcome = run_on_file_system(&workspace, "noexec,mode=700");
    outcome.assert(0, "hello\ncode 0\n");
    let told = outcome.stderr_text();
    assert!(told.ends_with("it is mounted noexec\n"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_nothing_left(&workspace);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let workspace = workspace();
    let script = "for verb in version info 'completion bash' 'system df' --help; do
          \"$0\" $verb >/dev/full; echo $?
          \"$0\" $verb | true
          (ulimit -f 0; \"$0\" $verb >file); echo $?
        done";
    let run = workspace.command("sh").args(["-c", script]);
    let outcome = run.arg(env!("CARGO_BIN_EXE_lighter")).run();
    assert_eq!(outcome.stdout_text(), "125\n".repeat(10));
    let words = "lighter: could not write to standard output: No space left on device (os error 28)\n\
                 lighter: could not write to standard output: File too large (os error 27)\n";
    assert_eq!(outcome.stderr_text(), words.repeat(5));
}

#[test]
fn volume_is_refused_with_the_directory_that_was_meant() {
    let workspace = workspace();
    let outcome = run_with(&workspace, ["-v", "data:/data"]);
    let first = "lighter: cannot mount a volume on /data: this version has no volumes";
    assert_told(&workspace, &outcome, 125, first, "-v ./data:/data");
}

#[test]
fn explain_knows_what_run_would_call_and_give() {
    let workspace = workspace();
    workspace.write("lib.wat", "(module (func (export \"add\")))");
    workspace.write("token", "s3cret");
    let explain = |words: &[&str]| {
        let run = workspace.lighter(["explain", "--secret", "key=token", "--set", "mode=x"]);
        run.args(words).run()
    };
    let there = explain(&["--invoke", "add", "./lib.wat"]);
    assert_eq!(there.code, Some(0), "{}", there.describe());
    let told = there.stdout_text();
    assert!(told.contains("wasi:config: mode\n"), "{told}");
    assert!(
        told.contains("secrets, in /run/secrets and wasi:config: key\n"),
        "{told}"
    );
    assert!(!told.contains("s3cret"), "{told}");
    let missing = explain(&["--invoke", "sub", "./lib.wat"]);
    assert_eq!(missing.code, Some(126), "{}", missing.describe());
    assert!(
        missing
            .stdout_text()
            .contains("no function sub is exported")
    );
    assert_eq!(explain(&["./lib.wat"]).code, Some(126));
}

#[test]
fn mount_of_lighters_own_directories_is_refused() {
    let workspace = workspace();
    let own = mount(workspace.data(), "/data");
    let outcome = run_with(&workspace, ["-v", &own]);
    outcome.assert_refused(125, &["which no program sees"]);
    assert_nothing_left(&workspace);
}
