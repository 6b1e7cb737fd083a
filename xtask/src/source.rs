//! Rust source with everything blanked that is not code, line by line as it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Lists every Rust file below `directory`, sorted, build output left out.
pub(crate) fn list_rust_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "target" {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Replaces comments and the insides of literals by spaces. Line breaks stay where they were.
pub(crate) fn blank_non_code(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = end_of_non_code(&characters, at);
        if end > at {
            out.extend(
                characters[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        } else {
            out.push(characters[at]);
            at += 1;
        }
    }
    out
}

/// Blanks every item that stands under `#[cfg(test)]`, in text that [`blank_non_code`] made.
pub(crate) fn blank_test_items(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let end = end_of_item(&out, start);
        let blank: String = out[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// Counts the lines that hold anything at all.
pub(crate) fn count_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Says whether `word` stands in `code` as a whole identifier.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|found| found == word)
}

/// Where the item ends that begins at `start`: after its closing brace, or after its semicolon.
fn end_of_item(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, character) in code[start..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return start + offset + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// Where the comment or literal ends that begins at `at`; `at` itself if none begins there.
fn end_of_non_code(text: &[char], at: usize) -> usize {
    let next = text.get(at + 1).copied();
    match text[at] {
        '/' if next == Some('/') => find(text, at, |c| c == '\n'),
        '/' if next == Some('*') => end_of_block_comment(text, at),
        '"' => end_of_quoted(text, at + 1, '"'),
        '\'' => end_of_character(text, at),
        'r' if !follows_word(text, at) => end_of_raw_string(text, at),
        _ => at,
    }
}

fn find(text: &[char], from: usize, is_end: impl Fn(char) -> bool) -> usize {
    text[from..]
        .iter()
        .position(|&c| is_end(c))
        .map_or(text.len(), |offset| from + offset)
}

fn follows_word(text: &[char], at: usize) -> bool {
    // `br"..."` is a raw string too, so a lone `b` before the `r` does not count.
    let before = |distance: usize| at.checked_sub(distance).and_then(|index| text.get(index));
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    match before(1) {
        Some('b' | 'c') => before(2).is_some_and(is_word),
        Some(other) => is_word(other),
        None => false,
    }
}

fn end_of_block_comment(text: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut index = at;
    while index < text.len() {
        match (text[index], text.get(index + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                index += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                index += 2;
                if depth == 0 {
                    return index;
                }
            }
            _ => index += 1,
        }
    }
    text.len()
}

/// Where the quoted text ends whose first character is at `from`, its closing quote included.
fn end_of_quoted(text: &[char], from: usize, quote: char) -> usize {
    let mut index = from;
    while index < text.len() {
        match text[index] {
            '\\' => index += 2,
            c if c == quote => return index + 1,
            _ => index += 1,
        }
    }
    text.len()
}

/// A character literal, unless the quote begins a lifetime.
fn end_of_character(text: &[char], at: usize) -> usize {
    match (text.get(at + 1), text.get(at + 2)) {
        (Some('\\'), _) | (Some(_), Some('\'')) => end_of_quoted(text, at + 1, '\''),
        _ => at,
    }
}

fn end_of_raw_string(text: &[char], at: usize) -> usize {
    let quote = find(text, at + 1, |c| c != '#');
    if text.get(quote) != Some(&'"') {
        return at;
    }
    let hashes = quote - at - 1;
    let mut index = quote + 1;
    while index < text.len() {
        let after = &text[index + 1..];
        if text[index] == '"' && after.len() >= hashes && after[..hashes].iter().all(|&c| c == '#')
        {
            return index + 1 + hashes;
        }
        index += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_blanked_and_lines_stay() {
        let blank = blank_non_code("a // x\n/* y\n/* z */ */ b\n");
        assert_eq!(count_lines(&blank), 2);
        assert_eq!(blank.lines().count(), 3);
        assert!(!blank.contains('y'));
    }

    #[test]
    fn literals_are_blanked() {
        let blank =
            blank_non_code("f(\"unsafe_code \\\" //\", 'x', '\\'', r#\"a\"b\"#, br\"c\") + d");
        assert!(!has_word(&blank, "unsafe_code"));
        assert!(blank.ends_with("+ d"));
        assert!(!blank.contains('a') && !blank.contains('x'));
    }

    #[test]
    fn lifetimes_are_code() {
        let text = "fn f<'a>(x: &'a str) -> &'a str { x }";
        assert_eq!(blank_non_code(text), text);
    }

    #[test]
    fn identifier_that_ends_in_r_is_code() {
        let blank = blank_non_code("writer(\"x\"); bar");
        assert!(has_word(&blank, "writer") && has_word(&blank, "bar"));
    }

    #[test]
    fn test_items_are_blanked() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\n#[cfg(test)]\nuse x;\nfn c() {}\n";
        assert_eq!(count_lines(&blank_test_items(code)), 2);
    }

    #[test]
    fn word_is_whole() {
        assert!(has_word("#[expect(unsafe_code)]", "unsafe_code"));
        assert!(!has_word("my_unsafe_code_x", "unsafe_code"));
    }
}
