//! Keeps what is told of a program's names small: they are a stranger's, and what a role says
//! must fit into one frame of [`FROM_RUNNER_BYTES`].
//!
//! [`FROM_RUNNER_BYTES`]: lighter_types::runner_protocol::FROM_RUNNER_BYTES

use lighter_types::escape::escape;
use lighter_types::runner_protocol::LISTED_NAMES;

/// The most that the list of imports may take of a frame, in bytes.
pub(super) const IMPORT_BYTES: usize = 96 << 10;
/// The most that the list of exports may take.
pub(super) const EXPORT_BYTES: usize = 64 << 10;
/// The most that the imports that nobody provides may take.
pub(super) const MISSING_BYTES: usize = 48 << 10;

/// The most exported functions that an error lists.
pub(crate) const LISTED_EXPORTS: usize = 40;

/// The longest name that is told, in characters before they are escaped.
const NAME_CHARACTERS: usize = 200;
/// What each entry of a list takes besides its text, at most.
const ENTRY_BYTES: usize = 16;

/// A name, escaped and cut.
pub(crate) fn shown(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARACTERS) {
        Some((end, _)) => format!("{}...", escape(name.get(..end).unwrap_or_default())),
        None => escape(name),
    }
}

/// How much a list may still take.
pub(super) struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    /// Room for a list of so many bytes, and of [`LISTED_NAMES`] entries.
    pub(super) fn of(bytes: usize) -> Self {
        Self {
            entries: LISTED_NAMES,
            bytes,
        }
    }

    /// Whether nothing was cut so far.
    pub(super) fn is_open(&self) -> bool {
        self.entries > 0
    }

    /// Takes the room of an entry with so much text; `false` if there is too little.
    pub(super) fn take(&mut self, text_bytes: usize) -> bool {
        let rest = self.bytes.checked_sub(text_bytes + ENTRY_BYTES);
        match (self.entries.checked_sub(1), rest) {
            (Some(entries), Some(bytes)) => {
                (self.entries, self.bytes) = (entries, bytes);
                true
            }
            _ => {
                // A list ends where it is first cut.
                self.entries = 0;
                false
            }
        }
    }
}

/// The first of the names, each escaped and cut, as many as there is room for.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>, bytes: usize) -> Vec<String> {
    let mut room = Room::of(bytes);
    names
        .map(shown)
        .take_while(|name| room.take(name.len()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_name_is_cut_and_escaped() {
        assert_eq!(shown(&"x".repeat(100_000)).len(), NAME_CHARACTERS + 3);
        assert_eq!(shown("a\nb"), "a\\nb");
        let odd = shown(&"\u{e0001}".repeat(1000));
        assert!(odd.len() < 16 * NAME_CHARACTERS);
    }

    #[test]
    fn list_is_cut_by_count_and_by_bytes() {
        let short = std::iter::repeat_n("x", 10_000);
        assert_eq!(list(short, 1 << 20).len(), LISTED_NAMES);
        let long = "x".repeat(200);
        let long = std::iter::repeat_n(long.as_str(), 10_000);
        assert_eq!(list(long, 2160).len(), 10);
    }
}
