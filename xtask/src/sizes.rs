//! A file holds one idea: at most 600 lines of code, tests and comments not counted.
//!
//! Functions are held to their size by clippy (`clippy.toml`).

use crate::Problem;
use crate::files::{FileList, relative};
use crate::source::{blank_non_code, blank_test_items, count_lines, list_rust_files};
use std::fs;
use std::io;
use std::path::Path;

const LIST: &str = "xtask/long-files.txt";
const MOST_LINES: usize = 600;

/// Checks the sources of the workspace at `root`.
pub(crate) fn check(root: &Path) -> io::Result<Vec<Problem>> {
    let list = FileList::read(root, LIST)?;
    let mut problems = Vec::new();
    let mut needed = Vec::new();
    for directory in ["crates", "xtask"] {
        for file in list_rust_files(&root.join(directory))? {
            let name = relative(root, &file);
            let code = blank_test_items(&blank_non_code(&fs::read_to_string(&file)?));
            let lines = count_lines(&code);
            if name.contains("/tests/") || lines <= MOST_LINES {
                continue;
            }
            if !list.contains(&name) {
                let text = format!(
                    "has {lines} lines of code, more than {MOST_LINES}: split it, or say why not in {LIST}"
                );
                problems.push(Problem::new(&name, text));
            }
            needed.push(name);
        }
    }
    problems.extend(list.check_entries(&needed));
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    fn problems_of(path: &str, text: &str, list: &str) -> Vec<String> {
        let mut tree = Tree::new();
        tree.write("xtask/src/main.rs", "fn main() {}\n");
        tree.write(path, text);
        tree.write(LIST, list);
        check(tree.path())
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn long_file_is_refused() {
        let found = problems_of("crates/a/src/lib.rs", &"fn f() {}\n".repeat(601), "");
        assert!(found[0].contains("601"), "{found:?}");
    }

    #[test]
    fn comments_and_tests_do_not_count() {
        let text = format!(
            "{}{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "fn f() {}\n".repeat(600),
            "// why\n\n".repeat(300),
            "fn t() {}\n".repeat(300)
        );
        let found = problems_of("crates/a/src/lib.rs", &text, "");
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn test_binaries_are_not_held_to_it() {
        let found = problems_of("crates/a/tests/it/main.rs", &"fn f() {}\n".repeat(601), "");
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn listed_file_is_ok_while_it_is_long() {
        let list = "crates/a/src/lib.rs one table\n";
        assert!(problems_of("crates/a/src/lib.rs", &"fn f() {}\n".repeat(601), list).is_empty());
        assert_eq!(
            problems_of("crates/a/src/lib.rs", "fn f() {}\n", list).len(),
            1
        );
    }
}
