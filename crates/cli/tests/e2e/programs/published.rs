//! Programs as others published them.

use crate::{mount, workspace_for_large_programs};
use lighter_testkit::programs;
use std::time::Duration;

/// The first run compiles, on a machine that may be busy with other tests.
const TIME_TO_COMPILE: Duration = Duration::from_secs(900);

#[test]
fn ruby_counts() {
    let workspace = workspace_for_large_programs();
    let script = "puts RUBY_VERSION, (1..20).reduce(:*)";
    let run = workspace
        .lighter(["run"])
        .arg(programs::ruby())
        .args(["-e", script])
        .timeout(TIME_TO_COMPILE);
    run.run().assert(0, "3.2.0\n2432902008176640000\n");
}

#[test]
fn ruby_ends_with_its_own_exit_code() {
    let workspace = workspace_for_large_programs();
    let run = workspace
        .lighter(["run"])
        .arg(programs::ruby())
        .args(["-e", "exit 211"])
        .timeout(TIME_TO_COMPILE);
    run.run().assert(211, "");
}

#[test]
fn sqlite_of_2019_speaks_wasi_unstable() {
    let workspace = workspace_for_large_programs();
    let run = workspace
        .lighter(["run"])
        .arg(programs::sqlite_of_2019())
        .arg("-batch");
    let outcome = run
        .stdin("select sqlite_version(), 6 * 7;\n")
        .timeout(TIME_TO_COMPILE)
        .run();
    outcome.assert(0, "3.26.0|42\n");
}

#[test]
fn yosys_synthesises_a_counter() {
    let workspace = workspace_for_large_programs();
    let yosys = programs::yosys();
    let verilog =
        "module top(input clk, output reg [7:0] q); always @(posedge clk) q <= q + 1; endmodule\n";
    workspace.write("data/counter.v", verilog);
    let script = "read_verilog /data/counter.v; synth_ice40 -top top -json /data/counter.json";
    let run = workspace
        .lighter([
            "run",
            "-v",
            &format!("{}:ro", mount(&yosys.share, "/share")),
        ])
        .args([
            "-v",
            &mount(&workspace.path("data"), "/data"),
            "--tmpfs",
            "/tmp",
        ])
        .arg(yosys.program)
        .args(["-q", "-p", script]);
    run.timeout(TIME_TO_COMPILE).run().assert(0, "");
    let netlist = workspace.read("data/counter.json");
    assert!(
        netlist.contains("Yosys 0.70")
            && netlist.contains("SB_DFF")
            && netlist.contains("SB_CARRY")
    );
}
