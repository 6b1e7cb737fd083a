//! Makes text that came from outside safe to show to a person.

/// The longest piece of foreign text that is shown, in characters.
pub const SHOWN_CHARACTERS: usize = 1024;

/// Escapes control characters, bidirectional overrides and line separators, and cuts the text at
/// [`SHOWN_CHARACTERS`] characters with `...`.
///
/// Every string from a guest, an image, a registry or a peer passes through here (or
/// [`escape_lines`]) before it reaches a terminal or a log.
#[must_use]
pub fn escape(text: &str) -> String {
    escape_up_to(text, SHOWN_CHARACTERS, |_| false)
}

/// Like [`escape`], but keeps line feeds and cuts at `limit` characters: for text of many lines,
/// such as a backtrace.
#[must_use]
pub fn escape_lines(text: &str, limit: usize) -> String {
    escape_up_to(text, limit, |character| character == '\n')
}

fn escape_up_to(text: &str, limit: usize, is_kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    for (count, character) in text.chars().enumerate() {
        if count == limit {
            shown.push_str("...");
            break;
        }
        if is_kept(character) || !is_dangerous(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{2060}'..='\u{2064}'
        )
        || matches!(character, '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
        || matches!(character, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_new_lines_cannot_forge_a_line() {
        assert_eq!(escape("a\nlighter: ok\x1b[2J"), "a\\nlighter: ok\\u{1b}[2J");
    }

    #[test]
    fn direction_overrides_are_shown_as_what_they_are() {
        assert_eq!(escape("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn ordinary_text_of_any_language_is_kept() {
        assert_eq!(escape("naïve 日本語 – ok"), "naïve 日本語 – ok");
    }

    #[test]
    fn long_text_is_cut() {
        let shown = escape(&"x".repeat(5000));
        assert_eq!(shown.len(), SHOWN_CHARACTERS + 3);
    }

    #[test]
    fn lines_are_kept_where_asked() {
        assert_eq!(escape_lines("a\nb\rc", 100), "a\nb\\rc");
    }
}
