//! Meets a module's imports: by a set, by a trap, or not at all.

use super::{CoreLinker, CoreState, SETS};
use crate::api::wasi_threads;
use crate::api::{Import, Provider, provider};
use crate::budget::{Budget, OverLimit};
use lighter_types::interface::InterfacePattern;
use lighter_types::runner_protocol::{Failure, MissingImport};
use std::collections::BTreeSet;
use wasmtime::{Extern, ExternType, FuncType, ImportType, InstancePre, Module, Store};

/// Who meets each of a module's imports.
pub(super) struct Plan<'m> {
    /// The imports of each set, in the order of [`SETS`].
    provided: Vec<Vec<Import<'m>>>,
    stubbed: Vec<(&'m str, &'m str, FuncType)>,
    /// Whether it can start threads, or has the memory that they would share.
    pub(super) has_threads: bool,
    /// Whether it takes connections from listeners that it finds open, and makes none itself.
    pub(super) accepts: bool,
    memory: Option<ImportType<'m>>,
}

/// Decides who meets each import.
///
/// # Errors
/// [`Failure::MissingImports`] with all that nobody meets.
pub(super) fn plan<'m>(
    module: &'m Module,
    stubs: &[InterfacePattern],
    denials: &[InterfacePattern],
) -> Result<Plan<'m>, Failure> {
    let mut plan = Plan {
        provided: SETS.iter().map(|_| Vec::new()).collect(),
        stubbed: Vec::new(),
        has_threads: false,
        accepts: false,
        memory: None,
    };
    let mut missing = Vec::new();
    let mut seen = BTreeSet::new();
    for import in module.imports() {
        // A module may import the same thing twice.
        if !seen.insert((import.module(), import.name())) {
            continue;
        }
        let kind = import.ty();
        let parameters = match &kind {
            ExternType::Func(function) => Some(function.params().len()),
            _ => None,
        };
        let wanted = Import {
            parameters,
            ..Import::named(import.module(), Some(import.name()))
        };
        match (provider(&wanted, SETS, stubs, denials), kind) {
            (Provider::Stub, ExternType::Func(function)) => {
                plan.stubbed
                    .push((import.module(), import.name(), function));
            }
            (Provider::Stub, _) => missing.push(lack(
                &import,
                "a stub can stand for a function only, and this is none",
            )),
            (Provider::Denied, _) => missing.push(lack(&import, "withheld by --deny")),
            (Provider::Missing, _) => missing.push(MissingImport {
                name: name(&import),
                note: None,
            }),
            (Provider::Set(_), ExternType::Memory(memory)) if !memory.is_shared() => {
                missing.push(lack(&import, "only a shared memory is provided"));
            }
            (Provider::Set(index), _) => {
                plan.has_threads |= wasi_threads::is_spawn(&wanted);
                if wasi_threads::is_memory(&wanted) {
                    plan.has_threads = true;
                    plan.memory = Some(import);
                } else if let Some(imports) = plan.provided.get_mut(index) {
                    imports.push(wanted);
                }
            }
        }
    }
    let has = |item: &str| seen.iter().any(|(_, name)| *name == item);
    plan.accepts = has("sock_accept") && !has("sock_open") && !has("sock_open_v2");
    if missing.is_empty() {
        Ok(plan)
    } else {
        Err(Failure::MissingImports(missing))
    }
}

fn name(import: &ImportType<'_>) -> String {
    format!("{}.{}", import.module(), import.name())
}

fn lack(import: &ImportType<'_>, note: &str) -> MissingImport {
    MissingImport {
        name: name(import),
        note: Some(note.to_owned()),
    }
}

/// Links what was planned and nothing else: linking is a cost of each start.
///
/// # Errors
/// [`Failure::MissingImports`] where a function is imported with another type than it has.
pub(super) fn link(
    module: &Module,
    store: &Store<CoreState>,
    plan: &Plan<'_>,
    budget: &Budget,
) -> Result<InstancePre<CoreState>, Failure> {
    let mut linker = CoreLinker::new(module.engine());
    for (set, imports) in SETS.iter().zip(&plan.provided) {
        if !imports.is_empty() {
            set.link(&mut linker, imports)
                .map_err(|error| fault(&error))?;
        }
    }
    for (module, item, function) in &plan.stubbed {
        let message =
            format!("the program called {module}.{item}, which --stub replaced by a trap");
        linker
            .func_new(module, item, function.clone(), move |_, _, _| {
                Err(wasmtime::Error::msg(message.clone()))
            })
            .map_err(|error| fault(&error))?;
    }
    if let Some(import) = &plan.memory
        && let ExternType::Memory(memory) = import.ty()
    {
        let memory = budget
            .share(module.engine(), memory)
            .map_err(|error| set_up(&error))?;
        linker
            .define(
                store,
                import.module(),
                import.name(),
                Extern::SharedMemory(memory),
            )
            .map_err(|error| fault(&error))?;
    }
    linker
        .instantiate_pre(module)
        .map_err(|error| mismatch(module, &error))
}

/// Words for what the program starts with and cannot be given.
pub(super) fn set_up(error: &wasmtime::Error) -> Failure {
    if error.is::<OverLimit>() {
        return Failure::OutOfMemory;
    }
    Failure::LimitReached {
        reason: format!("the program could not be set up: {error:#}"),
    }
}

fn fault(error: &wasmtime::Error) -> Failure {
    Failure::Internal {
        reason: format!("could not link the program: {error:#}"),
    }
}

/// Names the functions that are there, but not with the type that the program wants.
fn mismatch(module: &Module, error: &wasmtime::Error) -> Failure {
    let message = format!("{error:#}");
    let reason = error.root_cause().to_string();
    let wrong: Vec<MissingImport> = module
        .imports()
        .filter(|import| message.contains(&format!("`{}::{}`", import.module(), import.name())))
        .map(|import| lack(&import, &format!("imported with another type: {reason}")))
        .collect();
    if wrong.is_empty() {
        return Failure::Unsupported { reason: message };
    }
    Failure::MissingImports(wrong)
}
