//! What surprises an engine: things that programs of ordinary toolchains do, and engines get wrong.

use crate::{mount, workspace, workspace_for_large_programs};
use lighter_testkit::{Terminal, programs};

#[test]
fn command_that_imports_http_and_sockets_would_run() {
    let workspace = workspace_for_large_programs();
    let outcome = workspace
        .lighter(["explain"])
        .arg(programs::javascript_command())
        .run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
    let text = outcome.stdout_text();
    assert!(
        text.contains("wasi:http/") && text.contains("wasi:sockets/"),
        "{text}"
    );
}

#[test]
fn interface_whose_resources_others_use_can_be_stubbed() {
    let workspace = workspace_for_large_programs();
    let program = programs::javascript_command();
    let plain = workspace.lighter(["run"]).arg(&program).arg("x").run();
    assert_eq!(plain.code, Some(0), "{}", plain.describe());
    let stubbed = |interfaces: &[&str]| {
        let flags = interfaces.iter().flat_map(|name| ["--stub", name]);
        let run = workspace.lighter(["run"]).args(flags);
        run.arg(&program).arg("x").run()
    };
    let unused = stubbed(&[
        "wasi:sockets/tcp",
        "wasi:http/types",
        "wasi:filesystem/types",
    ]);
    unused.assert(0, &plain.stdout_text());
    let used = stubbed(&["wasi:cli/environment"]);
    used.assert_refused(134, &["wasi:cli/environment@", "--stub replaced by a trap"]);
}

#[test]
fn component_with_several_versions_of_0_2_would_run() {
    let workspace = workspace_for_large_programs();
    let text = workspace
        .lighter(["explain"])
        .arg(programs::javascript_command())
        .run()
        .stdout_text();
    assert!(
        text.contains("@0.2.10") && text.contains("@0.2.12"),
        "{text}"
    );
}

#[test]
fn run_of_0_3_is_preferred_to_run_of_0_2() {
    let workspace = workspace();
    let explained = workspace
        .lighter(["explain"])
        .arg(programs::streams())
        .run()
        .stdout_text();
    assert!(
        explained.contains("wasi:cli/run@0.2") && explained.contains("wasi:cli/run@0.3"),
        "{explained}"
    );
    // The export of 0.2 would print a line.
    workspace
        .lighter(["run"])
        .arg(programs::streams())
        .arg("upper")
        .run()
        .assert(0, "");
}

#[test]
fn module_ends_with_any_code_up_to_255() {
    let workspace = workspace();
    let exit = |code: &str| {
        workspace
            .lighter(["run"])
            .arg(programs::probe())
            .args(["exit", code])
            .run()
    };
    exit("7").assert(7, "");
    exit("126").assert(126, "");
    exit("255").assert(255, "");
}

#[test]
fn component_of_0_2_ends_with_0_or_1() {
    let workspace = workspace();
    let exit = |code: &str| {
        workspace
            .lighter(["run"])
            .arg(programs::probe_component())
            .args(["exit", code])
            .run()
    };
    exit("0").assert(0, "");
    exit("7").assert(1, "");
}

#[test]
fn component_of_0_3_keeps_its_code() {
    let workspace = workspace();
    let exit = |code: &str| {
        workspace
            .lighter(["run"])
            .arg(programs::streams())
            .args(["exit", code])
            .run()
    };
    exit("7").assert(7, "");
    exit("255").assert(255, "");
}

#[test]
fn component_whose_run_fails_ends_with_1() {
    let workspace = workspace();
    workspace
        .lighter(["run"])
        .arg(programs::streams())
        .arg("fail")
        .run()
        .assert(1, "");
}

#[test]
fn program_on_a_pipe_does_not_prompt() {
    let workspace = workspace_for_large_programs();
    let outcome = workspace
        .lighter(["run"])
        .arg(programs::sqlite_shell())
        .stdin("select 6 * 7;\n")
        .run();
    outcome.assert(0, "42\n");
}

#[test]
fn streams_that_are_no_terminals_say_so() {
    let workspace = workspace();
    let ask = |program| {
        workspace
            .lighter(["run"])
            .arg(program)
            .arg("terminals")
            .run()
    };
    ask(programs::probe()).assert(0, "false false false\n");
    ask(programs::probe_component()).assert(0, "false false false\n");
}

#[test]
fn streams_that_are_terminals_say_so() {
    let workspace = workspace();
    let ask = |program| {
        let run = workspace.lighter(["run"]).arg(program).arg("terminals");
        let mut terminal = Terminal::start(run, 80, 24);
        let (status, shown) = terminal.finish();
        assert_eq!(
            (status.code(), terminal.is_raw()),
            (Some(0), false),
            "{shown}"
        );
        shown
    };
    assert!(ask(programs::probe()).contains("true true true"));
    assert!(ask(programs::probe_component()).contains("true true true"));
}

#[test]
fn name_of_the_program_is_its_file_or_what_was_asked_for() {
    let workspace = workspace();
    let program = programs::probe();
    let plain = workspace
        .lighter(["run"])
        .arg(&program)
        .args(["arguments", "-x"])
        .run();
    plain.assert(0, "module.wasm\narguments\n-x\n");
    let named = workspace
        .lighter(["run", "--argv0", "icepack"])
        .arg(&program)
        .args(["arguments", "-x"])
        .run();
    named.assert(0, "icepack\narguments\n-x\n");
}

#[test]
fn mount_may_be_read_only() {
    let workspace = workspace();
    workspace.write("data/x", "kept");
    let source = format!("{}:ro", mount(&workspace.path("data"), "/data"));
    let write = |program| {
        workspace
            .lighter(["run", "-v", &source])
            .arg(program)
            .args(["write", "/data/x", "y"])
            .run()
    };
    for outcome in [write(programs::probe()), write(programs::probe_component())] {
        outcome.assert(1, "");
        assert!(
            outcome.stderr_text().contains("-v"),
            "{}",
            outcome.describe()
        );
    }
    assert_eq!(workspace.read("data/x"), "kept");
}
