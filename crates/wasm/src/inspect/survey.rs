//! Decides who meets each import.

use super::names::{IMPORT_BYTES, MISSING_BYTES, Room, shown};
use super::notes::Notes;
use super::outline::Outline;
use crate::api::{ApiSet, Import, Provider, provider};
use lighter_types::runner_protocol::{
    Failure, ImportFact, ImportState, InspectOrder, MissingImport,
};
use std::collections::HashSet;

/// What is known of a program's imports.
pub(super) struct Survey {
    /// The first of them.
    pub(super) imports: Vec<ImportFact>,
    /// The first of those that nobody provides.
    pub(super) failure: Option<Failure>,
}

/// Asks the sets about every import.
pub(super) fn survey<L>(
    outline: &Outline<'_>,
    sets: &[&dyn ApiSet<L>],
    order: &InspectOrder,
) -> Survey {
    let is_provided = |import: &Import<'_>| sets.iter().any(|set| set.provides(import));
    let notes = Notes::of(&outline.imports);
    let (mut listed, mut listed_room) = (Vec::new(), Room::of(IMPORT_BYTES));
    let (mut missing, mut missing_room) = (Vec::new(), Room::of(MISSING_BYTES));
    // A module may import one name several times.
    let mut told = HashSet::new();
    for import in &outline.imports {
        let provider = provider(import, sets, &order.stubs, &order.denials);
        let is_missing = matches!(provider, Provider::Missing | Provider::Denied);
        let fact = fact(import, provider, sets);
        let length = fact.interface.len() + fact.item.as_ref().map_or(0, String::len);
        if listed_room.take(length + state_length(&fact.state)) {
            listed.push(fact);
        }
        if is_missing && missing_room.is_open() && told.insert((import.interface, import.item)) {
            let import = MissingImport {
                name: shown_name(import),
                note: match provider {
                    Provider::Denied => Some("withheld by --deny".to_owned()),
                    _ => notes.note(import, is_provided),
                },
            };
            let length = import.name.len() + import.note.as_ref().map_or(0, String::len);
            if missing_room.take(length) {
                missing.push(import);
            }
        }
    }
    Survey {
        imports: listed,
        failure: (!missing.is_empty()).then_some(Failure::MissingImports(missing)),
    }
}

fn fact<L>(import: &Import<'_>, provider: Provider, sets: &[&dyn ApiSet<L>]) -> ImportFact {
    let state = match provider {
        Provider::Set(index) => match sets.get(index) {
            Some(set) => match set.needs_grant(import) {
                Some(flags) => ImportState::NeedsGrant {
                    set: set.name().to_owned(),
                    flags: flags.to_owned(),
                },
                None => ImportState::Provided(set.name().to_owned()),
            },
            None => ImportState::Missing,
        },
        Provider::Stub => ImportState::Stubbed,
        Provider::Denied => ImportState::Denied,
        Provider::Missing => ImportState::Missing,
    };
    ImportFact {
        interface: shown(import.interface),
        item: import.item.map(shown),
        state,
    }
}

fn state_length(state: &ImportState) -> usize {
    match state {
        ImportState::Provided(set) => set.len(),
        ImportState::NeedsGrant { set, flags } => set.len() + flags.len(),
        ImportState::Stubbed | ImportState::Denied | ImportState::Missing => 0,
    }
}

fn shown_name(import: &Import<'_>) -> String {
    match import.item {
        Some(item) => format!("{}.{}", shown(import.interface), shown(item)),
        None => shown(import.interface),
    }
}
