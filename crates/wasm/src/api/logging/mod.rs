//! The `wasi logging` API set: records go to standard error, one line each.

use super::{ApiSet, Import};
use crate::component::catalog::{self, Interface};
use crate::component::{ComponentLinker, ComponentState as State, stdio};
use lighter_types::escape::{escape, escape_lines};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower};

/// The longest message that is shown, in characters.
const MESSAGE_CHARACTERS: usize = 64 << 10;

/// The set.
pub(crate) struct Logging;

impl ApiSet<ComponentLinker> for Logging {
    fn name(&self) -> &'static str {
        "wasi logging"
    }

    fn provides(&self, import: &Import<'_>) -> bool {
        catalog::provides(INTERFACES, import)
    }

    fn link(&self, linker: &mut ComponentLinker, imports: &[Import<'_>]) -> wasmtime::Result<()> {
        catalog::link(INTERFACES, linker, imports)
    }
}

/// What the set provides: the draft with its version, and without one as it was used before.
pub(crate) const INTERFACES: &[Interface] = &[
    Interface {
        name: "wasi:logging/logging@0.1.0-draft",
        link: |linker| link(linker, "wasi:logging/logging@0.1.0-draft"),
    },
    Interface {
        name: "wasi:logging/logging",
        link: |linker| link(linker, "wasi:logging/logging"),
    },
];

/// `wasi:logging/logging`, enum `level`.
#[derive(ComponentType, Lift, Lower, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make the values")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

fn link(linker: &mut ComponentLinker, name: &str) -> wasmtime::Result<()> {
    linker.instance(name)?.func_wrap(
        "log",
        |_: StoreContextMut<'_, State>, (level, context, message): (Level, String, String)| {
            // Like any write to a standard error that nobody reads, it is lost.
            let _ = stdio::print_error(&line(level, &context, &message));
            Ok(())
        },
    )
}

/// One record as one line: a guest cannot forge another.
fn line(level: Level, context: &str, message: &str) -> String {
    let message = escape_lines(message, MESSAGE_CHARACTERS).replace('\n', "\\n");
    let level = level.name();
    match escape(context).as_str() {
        "" => format!("{level}: {message}\n"),
        context => format!("{level} {context}: {message}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_one_line_whatever_it_holds() {
        assert_eq!(
            line(Level::Warn, "db\n", "a\nERROR x: \u{1b}[2J"),
            "WARN db\\n: a\\nERROR x: \\u{1b}[2J\n"
        );
    }

    #[test]
    fn record_without_context_has_no_blank() {
        assert_eq!(line(Level::Critical, "", "m"), "CRITICAL: m\n");
    }
}
