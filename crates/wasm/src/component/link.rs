//! Links a component: each import to a set, a trap, or the list of what is missing.

use super::{ComponentLinker, SETS, catalog};
use crate::api::{Import, Provider, provider};
use lighter_types::bundle::Bundle;
use lighter_types::runner_protocol::{Failure, MissingImport};
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, InstancePre, LinkerInstance, ResourceType};
use wasmtime::{Engine, bail};

use super::ComponentState;

/// Links what the component imports, and nothing else.
///
/// # Errors
/// [`Failure::MissingImports`] if nobody provides an import, if `--deny` withholds it, or if what
/// is provided has another type than what is imported.
pub(crate) fn link(
    component: &Component,
    bundle: &Bundle,
) -> Result<InstancePre<ComponentState>, Failure> {
    let engine = component.engine();
    let types = component.component_type();
    let imports: Vec<(&str, ComponentItem)> = types
        .imports(engine)
        .map(|(name, import)| (name, import.ty))
        .filter(|(_, item)| needs_definition(engine, item))
        .collect();
    let providers: Vec<Provider> = imports
        .iter()
        .map(|(name, _)| provider(&import_of(name), SETS, &bundle.stubs, &bundle.denials))
        .collect();
    let missing: Vec<MissingImport> = std::iter::zip(&imports, &providers)
        .filter_map(|((name, _), provider)| missing(name, *provider))
        .collect();
    if !missing.is_empty() {
        return Err(Failure::MissingImports(missing));
    }

    let mut linker = ComponentLinker::new(engine);
    // A set may replace single functions of an interface that comes from a library.
    linker.allow_shadowing(true);
    for (index, set) in SETS.iter().enumerate() {
        // What is stubbed keeps the set's resources: other interfaces of the set speak of them.
        let own: Vec<Import<'_>> = std::iter::zip(&imports, &providers)
            .map(|((name, _), provider)| (import_of(name), *provider))
            .filter(|(import, provider)| match provider {
                Provider::Set(found) => *found == index,
                Provider::Stub => set.provides(import),
                Provider::Denied | Provider::Missing => false,
            })
            .map(|(import, _)| import)
            .collect();
        if !own.is_empty() {
            set.link(&mut linker, &own).map_err(fault)?;
        }
    }
    if providers.contains(&Provider::Stub) {
        stub(&mut linker, &imports, &providers).map_err(fault)?;
    }
    linker
        .instantiate_pre(component)
        .map_err(|error| mismatch(&error))
}

fn import_of(name: &str) -> Import<'_> {
    Import::named(name, None)
}

/// Types need no definition, nor do interfaces that hold types only.
fn needs_definition(engine: &Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::Type(_) => false,
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .any(|(_, export)| needs_definition(engine, &export.ty)),
        _ => true,
    }
}

fn missing(name: &str, provider: Provider) -> Option<MissingImport> {
    let note = match provider {
        Provider::Set(_) | Provider::Stub => return None,
        Provider::Denied => Some(format!(
            "withheld by --deny; a component cannot start without it, --stub {name} makes it a trap on use"
        )),
        Provider::Missing => other_version(name),
    };
    Some(MissingImport {
        name: name.to_owned(),
        note,
    })
}

/// What is said of an interface that is there in other versions only.
fn other_version(name: &str) -> Option<String> {
    let (bare, _) = lighter_types::interface::split_version(name);
    let known: Vec<&str> = provided_names()
        .filter(|provided| lighter_types::interface::split_version(provided).0 == bare)
        .collect();
    (!known.is_empty()).then(|| format!("this version provides {}", known.join(", ")))
}

fn provided_names() -> impl Iterator<Item = &'static str> {
    [
        crate::api::wasi_p2::INTERFACES,
        crate::api::wasi_p3::INTERFACES,
        crate::api::http::INTERFACES,
        crate::api::config::INTERFACES,
        crate::api::logging::INTERFACES,
    ]
    .into_iter()
    .flatten()
    .map(|interface| interface.name)
}

/// Defines the stubbed imports as functions that trap; of interfaces that no set has, also as
/// resources that cannot be made.
fn stub(
    linker: &mut ComponentLinker,
    imports: &[(&str, ComponentItem)],
    providers: &[Provider],
) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    // A resource belongs to the first interface that names it; others only use it.
    let mut seen: Vec<ResourceType> = Vec::new();
    for ((name, item), provider) in std::iter::zip(imports, providers) {
        let is_stub = *provider == Provider::Stub;
        match provided_names().find(|provided| catalog::is_met_by(name, provided)) {
            Some(provided) if is_stub => {
                stub_functions(&engine, linker, (name, provided), item)?;
            }
            None if is_stub => stub_item(&engine, &mut linker.root(), "", name, item, &seen)?,
            _ => {}
        }
        remember_resources(&engine, item, &mut seen);
    }
    Ok(())
}

/// Replaces the functions of an interface that a set has linked, under the name it has there.
fn stub_functions(
    engine: &Engine,
    linker: &mut ComponentLinker,
    (name, provided): (&str, &str),
    item: &ComponentItem,
) -> wasmtime::Result<()> {
    let ComponentItem::ComponentInstance(instance) = item else {
        bail!("import {name} is no interface and cannot be replaced by a trap");
    };
    let mut linked = linker.instance(provided)?;
    for (export, item) in instance.exports(engine) {
        if let ComponentItem::ComponentFunc(function) = &item.ty {
            stub_function(&mut linked, name, export, function)?;
        }
    }
    Ok(())
}

fn stub_item(
    engine: &Engine,
    linker: &mut LinkerInstance<'_, ComponentState>,
    interface: &str,
    name: &str,
    item: &ComponentItem,
    seen: &[ResourceType],
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::ComponentFunc(function) => stub_function(linker, interface, name, function),
        ComponentItem::ComponentInstance(instance) => {
            let mut inner = linker.instance(name)?;
            for (export, item) in instance.exports(engine) {
                stub_item(engine, &mut inner, name, export, &item.ty, seen)?;
            }
            Ok(())
        }
        ComponentItem::Resource(resource) if !seen.contains(resource) => {
            linker.resource(name, ResourceType::host::<Stub>(), |_, _| Ok(()))
        }
        ComponentItem::Module(_) | ComponentItem::Component(_) => {
            bail!("import {name} is no interface and cannot be replaced by a trap")
        }
        _ => Ok(()),
    }
}

/// A resource of a stubbed interface.
struct Stub;

fn stub_function(
    linker: &mut LinkerInstance<'_, ComponentState>,
    interface: &str,
    name: &str,
    function: &ComponentFunc,
) -> wasmtime::Result<()> {
    let full = if interface.is_empty() {
        name.to_owned()
    } else {
        format!("{interface}#{name}")
    };
    if function.async_() {
        return linker.func_new_concurrent(name, move |_, _, _, _| {
            let full = full.clone();
            Box::pin(async move { bail!("called {full}, which --stub replaced by a trap") })
        });
    }
    linker.func_new(name, move |_, _, _, _| {
        bail!("called {full}, which --stub replaced by a trap")
    })
}

fn remember_resources(engine: &Engine, item: &ComponentItem, seen: &mut Vec<ResourceType>) {
    match item {
        ComponentItem::Resource(resource) => seen.push(*resource),
        ComponentItem::ComponentInstance(instance) => {
            for (_, export) in instance.exports(engine) {
                remember_resources(engine, &export.ty, seen);
            }
        }
        _ => {}
    }
}

/// Words for an import whose type is not the one provided. wasmtime names it in its first line:
/// "component imports instance `NAME`, but ...".
fn mismatch(error: &wasmtime::Error) -> Failure {
    let first = error.to_string();
    let name = first.split('`').nth(1).unwrap_or("an import").to_owned();
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    let provided = provided_names().find(|provided| catalog::is_met_by(&name, provided));
    let note = match provided {
        Some(provided) => format!("{provided} differs: {}", causes.join(": ")),
        None => causes.join(": "),
    };
    Failure::MissingImports(vec![MissingImport {
        name,
        note: Some(note),
    }])
}

fn fault(error: wasmtime::Error) -> Failure {
    Failure::Internal {
        reason: format!("could not link the component: {error:#}"),
    }
}
