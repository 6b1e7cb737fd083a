//! Checks of this repository that no other tool makes: `cargo xtask check`.
//!
//! The rules are ARCHITECTURE.md's and STYLE's; each check reads the tree and names every place that
//! breaks one.

mod files;
mod layers;
mod sizes;
mod source;
#[cfg(test)]
mod tree;
mod unsafe_files;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask layers | unsafe | sizes | check";

/// A place that breaks a rule.
pub(crate) struct Problem {
    place: String,
    text: String,
}

impl Problem {
    pub(crate) fn new(place: &str, text: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

type Check = fn(&Path) -> io::Result<Vec<Problem>>;

const CHECKS: &[(&str, Check)] = &[
    ("layers", layers::check),
    ("unsafe", unsafe_files::check),
    ("sizes", sizes::check),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name] = arguments.as_slice() else {
        return report(USAGE, ExitCode::from(2));
    };
    let chosen: Vec<_> = CHECKS
        .iter()
        .filter(|(known, _)| name == known || name == "check")
        .collect();
    if chosen.is_empty() {
        return report(USAGE, ExitCode::from(2));
    }
    // The manifest of this crate lies one level below the workspace; `cargo run` tells where it is now.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest).join("..");
    let root = root.canonicalize().unwrap_or(root);
    let mut code = ExitCode::SUCCESS;
    for (name, check) in chosen {
        match check(&root) {
            Ok(problems) if problems.is_empty() => {}
            Ok(problems) => {
                for problem in problems {
                    code = report(&format!("{name}: {problem}"), ExitCode::FAILURE);
                }
            }
            Err(error) => {
                code = report(
                    &format!("{name}: could not read the tree: {error}"),
                    ExitCode::FAILURE,
                )
            }
        }
    }
    code
}

fn report(line: &str, code: ExitCode) -> ExitCode {
    // Nothing can be said about a standard error that is gone.
    drop(writeln!(io::stderr(), "{line}"));
    code
}
