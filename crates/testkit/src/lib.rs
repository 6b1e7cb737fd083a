//! What the tests of several crates share: real programs, a place of their own to run in, an ordinary user,
//! a terminal. For tests only.
//!
//! A test begins with a [`Workspace`], which knows the built `lighter`, and runs commands in it:
//!
//! ```no_run
//! use lighter_testkit::{Workspace, programs};
//!
//! # let lighter = "lighter"; // in a test of `cli`: env!("CARGO_BIN_EXE_lighter")
//! let workspace = Workspace::new(lighter);
//! let outcome = workspace.lighter(["run"]).arg(programs::ruby()).args(["-e", "puts 1"]).run();
//! assert_eq!((outcome.code, outcome.stdout_text().as_str()), (Some(0), "1\n"));
//! ```
//!
//! Nothing here returns an error: what can't be had fails the test, and says why.
#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a helper of tests fails the test that uses it"
)]

mod absent;
mod authority;
mod cache;
mod example;
mod execution;
mod fetch;
mod name_server;
mod nginx;
mod policy_table;
pub mod programs;
mod terminal;
mod user;
mod workspace;

pub use absent::{absent, is_ci, require};
pub use authority::{Authority, Certificate, Validity};
pub use example::example;
pub use execution::{Execution, Outcome};
pub use name_server::{NameServer, Reply};
pub use nginx::Nginx;
pub use policy_table::{POLICY_TABLE, PolicyRow, answer_everywhere};
pub use terminal::Terminal;
pub use user::{ORDINARY_ID, is_root};
pub use workspace::Workspace;
