//! Finds what of a component is called.

use super::catalog::track;
use crate::inspect::{LISTED_EXPORTS, shown};
use lighter_types::bundle;
use lighter_types::interface::split_version;
use lighter_types::runner_protocol::Failure;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex};

/// What is called.
pub(crate) enum Entry {
    /// `run` of an exported `wasi:cli/run`, 0.3 or 0.2.
    Run(ComponentExportIndex),
    /// One function, with arguments as text.
    Invoke {
        /// The function.
        function: ComponentExportIndex,
        /// Its name as the user gave it.
        name: String,
        /// The arguments, each a WAVE value.
        arguments: Vec<String>,
    },
}

/// A version of WASI whose HTTP handler a component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 0.2: `wasi:http/incoming-handler`.
    P2,
    /// 0.3: `wasi:http/handler`.
    P3,
}

/// Finds the entry in the component's exports.
///
/// # Errors
/// [`Failure::NoEntry`] if there is no command, [`Failure::InvalidInvoke`] if there is no function of the name
/// asked for.
pub(crate) fn choose(component: &Component, asked: &bundle::Entry) -> Result<Entry, Failure> {
    match asked {
        bundle::Entry::Command => command(component),
        bundle::Entry::Invoke { export, arguments } => Ok(Entry::Invoke {
            function: function(component, export)?,
            name: export.clone(),
            arguments: arguments.clone(),
        }),
    }
}

/// The HTTP handler that is called for each request, if that is what the component is there for: it goes before
/// a command of the same version, and one of 0.3 before all of 0.2, which toolchains leave in beside it.
pub(crate) fn handler(component: &Component, asked: &bundle::Entry) -> Option<Version> {
    let exports = |name, track| interface(component, name, track).is_some();
    match asked {
        bundle::Entry::Invoke { .. } => None,
        bundle::Entry::Command if exports("wasi:http/handler", "0.3") => Some(Version::P3),
        bundle::Entry::Command if exports("wasi:cli/run", "0.3") => None,
        bundle::Entry::Command => {
            exports("wasi:http/incoming-handler", "0.2").then_some(Version::P2)
        }
    }
}

fn command(component: &Component) -> Result<Entry, Failure> {
    let runs = ["0.3", "0.2"];
    let found = runs
        .iter()
        .find_map(|version| interface(component, "wasi:cli/run", version))
        .and_then(|interface| component.get_export_index(Some(&interface), "run"));
    found.map(Entry::Run).ok_or_else(|| Failure::NoEntry {
        exports: listed(component),
    })
}

fn interface(component: &Component, name: &str, version: &str) -> Option<ComponentExportIndex> {
    let types = component.component_type();
    let (export, _) = types.exports(component.engine()).find(|(export, _)| {
        let (export_name, export_version) = split_version(export);
        export_name == name && export_version.and_then(track) == Some(version)
    })?;
    component.get_export_index(None, export)
}

fn function(component: &Component, export: &str) -> Result<ComponentExportIndex, Failure> {
    let found = match export.split_once('#') {
        None => component.get_export_index(None, export),
        Some((interface, function)) => component
            .get_export_index(None, interface)
            .and_then(|interface| component.get_export_index(Some(&interface), function)),
    };
    let is_function = functions(component).iter().any(|name| name == export);
    found.filter(|_| is_function).ok_or_else(|| {
        let known = match listed(component).as_slice() {
            [] => "it exports no function".to_owned(),
            known => format!("it exports {}", known.join(", ")),
        };
        Failure::InvalidInvoke {
            reason: format!("no exported function {}: {known}", shown(export)),
        }
    })
}

/// The names of the exported functions, as `--invoke` takes them.
fn functions(component: &Component) -> Vec<String> {
    let engine = component.engine();
    let mut names = Vec::new();
    for (name, export) in component.component_type().exports(engine) {
        match export.ty {
            ComponentItem::ComponentFunc(_) => names.push(name.to_owned()),
            ComponentItem::ComponentInstance(instance) => {
                let inner = instance.exports(engine);
                names.extend(
                    inner
                        .filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_)))
                        .map(|(function, _)| format!("{name}#{function}")),
                );
            }
            _ => {}
        }
    }
    names
}

/// The first of them, as they are shown.
fn listed(component: &Component) -> Vec<String> {
    let names = functions(component);
    names
        .iter()
        .take(LISTED_EXPORTS)
        .map(|name| shown(name))
        .collect()
}
