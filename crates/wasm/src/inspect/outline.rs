//! Reads and checks a program in one pass over its bytes.

use super::fault::binary_fault;
use crate::api::Import;
use crate::engine::features;
use lighter_types::program::ProgramKind;
use lighter_types::runner_protocol::Failure;
use std::collections::HashSet;
use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType, ResourceId};
use wasmparser::types::Types;
use wasmparser::{
    ExternalKind, FuncValidatorAllocations, Parser, Payload, ValidPayload, Validator, WasmFeatures,
};

/// What is known of a valid program: its imports and exports, without what is nested in it.
pub(super) struct Outline<'a> {
    pub(super) kind: ProgramKind,
    /// The imports in the program's order, without those that a host has nothing to give for.
    pub(super) imports: Vec<Import<'a>>,
    /// The exports in the program's order.
    pub(super) exports: Vec<Export<'a>>,
    types: Option<Types>,
}

/// An export.
pub(super) struct Export<'a> {
    pub(super) name: &'a str,
    pub(super) is_function: bool,
}

/// Reads and checks a program.
///
/// # Errors
/// [`Failure::Invalid`] and [`Failure::Unsupported`].
pub(super) fn read(bytes: &[u8], kind: ProgramKind) -> Result<Outline<'_>, Failure> {
    read_with(bytes, kind, features()).map_err(|error| {
        let is_valid_with = |features: WasmFeatures| read_with(bytes, kind, features).is_ok();
        binary_fault(&error, is_valid_with)
    })
}

fn read_with(
    bytes: &[u8],
    kind: ProgramKind,
    features: WasmFeatures,
) -> Result<Outline<'_>, wasmparser::Error> {
    let mut outline = Outline {
        kind,
        imports: Vec::new(),
        exports: Vec::new(),
        types: None,
    };
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut validator = Validator::new_with_features(features);
    let mut allocations = FuncValidatorAllocations::default();
    // How many modules and components are open around the payload.
    let mut depth = 0_usize;
    for payload in parser.parse_all(bytes) {
        let payload = payload?;
        match validator.payload(&payload)? {
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(allocations);
                function.validate(&body)?;
                allocations = function.into_allocations();
            }
            // The last to end is the outermost.
            ValidPayload::End(types) => outline.types = Some(types),
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            payload if depth == 0 => outline.take(payload)?,
            _ => {}
        }
    }
    outline.leave_out_types();
    Ok(outline)
}

impl<'a> Outline<'a> {
    /// Takes the imports and exports of one section in.
    fn take(&mut self, payload: Payload<'a>) -> Result<(), wasmparser::Error> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let import = Import::named(import.module, Some(import.name));
                    self.imports.push(import);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.exports.push(Export {
                        name: export.name,
                        is_function: matches!(
                            export.kind,
                            ExternalKind::Func | ExternalKind::FuncExact
                        ),
                    });
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    self.imports.push(Import::named(import.name.name, None));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.exports.push(Export {
                        name: export.name.name,
                        is_function: export.kind == wasmparser::ComponentExternalKind::Func,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Drops the imports of a component that a host has nothing to give for: interfaces of mere
    /// descriptions of types, and of resources that an earlier import gave.
    fn leave_out_types(&mut self) {
        let Some(types) = &self.types else { return };
        let mut known = HashSet::new();
        self.imports.retain(|import| {
            let item = types.component_item_for_import(import.interface);
            match item.map(|item| item.ty) {
                Some(ComponentEntityType::Instance(id)) => {
                    let given = types[id].exports.values();
                    // Each is looked at, so that all resources become known.
                    given.filter(|item| is_given(&item.ty, &mut known)).count() > 0
                }
                Some(item) => is_given(&item, &mut known),
                None => true,
            }
        });
    }

    /// The functions that `--invoke` could call: exported ones, and in a component those of
    /// exported interfaces as `INTERFACE#FUNCTION`.
    pub(super) fn functions(&self) -> impl Iterator<Item = String> {
        self.exports.iter().flat_map(|export| {
            let plain = export.is_function.then(|| export.name.to_owned());
            plain.into_iter().chain(self.functions_of(export.name))
        })
    }

    fn functions_of(&self, interface: &str) -> impl Iterator<Item = String> {
        let types = self.types.as_ref();
        let item = types.and_then(|types| types.component_item_for_export(interface));
        let exports = match (types, item.map(|item| item.ty)) {
            (Some(types), Some(ComponentEntityType::Instance(id))) => Some(&types[id].exports),
            _ => None,
        };
        exports
            .into_iter()
            .flatten()
            .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
            .map(move |(name, _)| format!("{interface}#{name}"))
    }
}

/// Whether a host has to give something for an imported item.
fn is_given(item: &ComponentEntityType, known: &mut HashSet<ResourceId>) -> bool {
    match item {
        ComponentEntityType::Type {
            created: ComponentAnyTypeId::Resource(id),
            ..
        } => known.insert(id.resource()),
        ComponentEntityType::Type { .. } => false,
        _ => true,
    }
}
