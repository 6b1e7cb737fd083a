//! The same small jobs in many languages: read, compute, write, end with a code.

use crate::{mount, workspace, workspace_for_large_programs};
use lighter_testkit::programs;

#[test]
fn c_reads_and_writes_files() {
    let workspace = workspace();
    workspace.write("data/in", "30 1\n200\n-4 5\n");
    let run = workspace
        .lighter([
            "run",
            "-v",
            &mount(&workspace.path("data"), "/data"),
            "-e",
            "HOME=/home/guest",
        ])
        .arg(programs::c())
        .args(["/data/in", "/data/out"]);
    run.run()
        .assert(0, "5 numbers, 14 bytes, home /home/guest\n");
    assert_eq!(workspace.read("data/out"), "-4\n1\n5\n30\n200\n");
}

#[test]
fn c_without_arguments_ends_with_its_own_code() {
    let workspace = workspace();
    let outcome = workspace.lighter(["run"]).arg(programs::c()).run();
    outcome.assert(200, "");
    assert_eq!(outcome.stderr_text(), "usage: c.wasm INPUT OUTPUT\n");
}

#[test]
fn cpp_counts_words_and_destroys() {
    let workspace = workspace();
    let outcome = workspace
        .lighter(["run"])
        .arg(programs::cpp())
        .stdin("b a b\n")
        .run();
    outcome.assert(0, "b 2\na 1\ntotal 3\nfarewell\n");
}

#[test]
fn go_schedules_collects_and_waits() {
    let workspace = workspace_for_large_programs();
    workspace.write("data/b", "");
    workspace.write("data/a", "");
    let run = workspace
        .lighter(["run", "-v", &mount(&workspace.path("data"), "/data")])
        .arg(programs::go())
        .arg("/data");
    run.run()
        .assert(42, "sum 333833500\ncollected true\nwaited true\n");
    assert_eq!(workspace.read("data/names"), "a b");
}

#[test]
fn zig_copies_lines() {
    let workspace = workspace();
    let outcome = workspace
        .lighter(["run"])
        .arg(programs::zig())
        .stdin("x\ny\n")
        .run();
    outcome.assert(0, "1: x\n2: y\n");
}

#[test]
fn zig_sees_the_end_of_its_input() {
    let workspace = workspace();
    workspace
        .lighter(["run"])
        .arg(programs::zig())
        .run()
        .assert(5, "");
}

#[test]
fn assemblyscript_adds_up() {
    let workspace = workspace();
    let run = workspace
        .lighter(["run"])
        .arg(programs::assemblyscript())
        .args(["a", "b"]);
    run.stdin("40\n2\n")
        .run()
        .assert(0, "sum 42\narguments a,b\n");
}

#[test]
fn python_reads_files() {
    let workspace = workspace_for_large_programs();
    workspace.write("data/a.txt", "hello\n");
    workspace.write("data/empty", "");
    let run = workspace
        .lighter([
            "run",
            "-e",
            "GREETING=hi",
            "-v",
            &format!("{}:ro", mount(&workspace.path("data"), "/data")),
        ])
        .arg(programs::python_command())
        .arg("/data");
    let expected = "{\"platform\": \"wasi\", \"greeting\": \"hi\", \
        \"files\": {\"a.txt\": [6, \"5891b5b5\"], \"empty\": [0, \"e3b0c442\"]}}\n";
    run.run().assert(0, expected);
}

#[test]
fn javascript_sorts_its_input() {
    let workspace = workspace_for_large_programs();
    let run = workspace
        .lighter(["run", "-e", "K=V"])
        .arg(programs::javascript_command())
        .args(["x", "y"]);
    let expected =
        "{\"arguments\":[\"x\",\"y\"],\"environment\":[[\"K\",\"V\"]],\"sorted\":[\"A\",\"B\"]}\n";
    run.stdin("b\na\n").run().assert(0, expected);
}

#[test]
fn ripgrep_searches_as_a_module() {
    ripgrep_searches(&programs::ripgrep());
}

#[test]
fn ripgrep_searches_as_a_component() {
    ripgrep_searches(&programs::ripgrep_component());
}

fn ripgrep_searches(ripgrep: &std::path::Path) {
    let workspace = workspace_for_large_programs();
    workspace.write("data/one.txt", "a ship\nno\n");
    workspace.write("data/deep/two.txt", "no\nthe Ship\n");
    let source = format!("{}:ro", mount(&workspace.path("data"), "/data"));
    let search = |pattern: &str| {
        let run = workspace.lighter(["run", "-v", &source]).arg(ripgrep);
        run.args(["--sort", "path", "-i", "-n", pattern, "/data"])
            .run()
    };
    search("ship").assert(0, "/data/deep/two.txt:2:the Ship\n/data/one.txt:1:a ship\n");
    search("nothing of the kind").assert(1, "");
}

#[test]
fn sqlite_keeps_a_database() {
    let workspace = workspace_for_large_programs();
    workspace.directory("data");
    let source = mount(&workspace.path("data"), "/data");
    let sqlite = programs::sqlite_shell();
    let say = |sql: &str| {
        let run = workspace
            .lighter(["run", "-v", &source])
            .arg(&sqlite)
            .args(["-batch", "/data/x.db"]);
        run.stdin(sql).run()
    };
    say("create table t(a, b); insert into t values (1, 'one'), (2, 'two');\n").assert(0, "");
    say("select sum(a), group_concat(b) from t;\n").assert(0, "3|one,two\n");
}

#[test]
fn lua_runs_a_script() {
    let workspace = workspace();
    workspace.write(
        "data/x.lua",
        "local t = {} for i = 1, 3 do t[i] = i * i end print(_VERSION, table.concat(t, ' '))",
    );
    let run = workspace
        .lighter([
            "run",
            "-v",
            &format!("{}:ro", mount(&workspace.path("data"), "/data")),
        ])
        .arg(programs::lua())
        .arg("/data/x.lua");
    run.run().assert(0, "Lua 5.4\t1 4 9\n");
}

#[test]
fn threads_share_memory() {
    let workspace = workspace();
    let outcome = workspace.lighter(["run"]).arg(programs::threads()).run();
    outcome.assert(0, "sum 19999800000\nthreads [0, 1, 2, 3] 4\n");
}

#[test]
fn thread_that_exits_ends_the_program() {
    let workspace = workspace();
    workspace
        .lighter(["run"])
        .arg(programs::threads())
        .arg("exit")
        .run()
        .assert(9, "");
}

#[test]
fn streams_move_bytes_both_ways() {
    let workspace = workspace();
    let input = "the quick brown fox\n".repeat(100_000);
    let outcome = workspace
        .lighter(["run"])
        .arg(programs::streams())
        .arg("upper")
        .stdin(input.as_str())
        .run();
    assert_eq!(
        (outcome.code, outcome.stderr_text().as_str()),
        (Some(0), "2000000 bytes\n")
    );
    assert!(outcome.stdout_text() == input.to_uppercase());
}

#[test]
fn timers_run_at_once() {
    let workspace = workspace();
    let outcome = workspace
        .lighter(["run"])
        .arg(programs::streams())
        .arg("timers")
        .run();
    outcome.assert(0, "[10, 20, 30]\n");
}

#[test]
fn wasi_0_2_and_0_3_share_files_and_output() {
    let workspace = workspace();
    workspace.write("data/x", "0123456789");
    let run = workspace
        .lighter([
            "run",
            "-v",
            &format!("{}:ro", mount(&workspace.path("data"), "/data")),
        ])
        .arg(programs::streams())
        .args(["mixed", "/data/x"]);
    run.run()
        .assert(0, "std read 10 bytes\n0.3 read 10 bytes, the same: true\n");
}
