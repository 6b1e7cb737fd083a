//! `unsafe` stands in listed files only, and each crate takes the lints that make it so.

use crate::Problem;
use crate::files::{FileList, relative};
use crate::source::{blank_non_code, has_word, list_rust_files};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const LIST: &str = "xtask/unsafe-files.txt";

/// Checks the sources and manifests of the workspace at `root`.
pub(crate) fn check(root: &Path) -> io::Result<Vec<Problem>> {
    let list = FileList::read(root, LIST)?;
    let mut problems = Vec::new();
    let mut needed = Vec::new();
    for member in list_members(root)? {
        problems.extend(check_lints(root, &member)?);
        for file in list_rust_files(&member)? {
            let name = relative(root, &file);
            // Both words: the lint is what lets `unsafe` through, `unsafe` is what it is for.
            let code = blank_non_code(&fs::read_to_string(&file)?);
            if !has_word(&code, "unsafe_code") && !has_word(&code, "unsafe") {
                continue;
            }
            if !list.contains(&name) {
                problems.push(Problem::new(
                    &name,
                    format!("holds unsafe code and is not in {LIST}"),
                ));
            }
            needed.push(name);
        }
    }
    problems.extend(list.check_entries(&needed));
    Ok(problems)
}

/// The directories of all crates of the workspace.
fn list_members(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut members = vec![root.join("xtask")];
    for entry in fs::read_dir(root.join("crates"))? {
        members.push(entry?.path());
    }
    members.sort();
    Ok(members)
}

fn check_lints(root: &Path, member: &Path) -> io::Result<Vec<Problem>> {
    let path = member.join("Cargo.toml");
    let manifest = fs::read_to_string(&path)?
        .parse::<Table>()
        .unwrap_or_default();
    let inherits = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(Value::as_bool);
    if inherits == Some(true) {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        &relative(root, &path),
        "does not take the workspace's lints",
    )])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    const MANIFEST: &str = "[package]\nname = \"x\"\n[lints]\nworkspace = true\n";

    fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
        let mut tree = Tree::new();
        tree.write("xtask/Cargo.toml", MANIFEST);
        tree.write("crates/a/Cargo.toml", MANIFEST);
        for (path, text) in files {
            tree.write(path, text);
        }
        check(tree.path())
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn listed_file_with_unsafe_is_ok() {
        let found = problems_of(&[
            (
                "crates/a/src/sys.rs",
                "#[expect(\n    unsafe_code,\n    reason = \"x\"\n)]\nfn f() {}",
            ),
            (LIST, "# why\ncrates/a/src/sys.rs  system calls\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn unlisted_file_with_unsafe_is_refused() {
        let found = problems_of(&[
            ("crates/a/src/lib.rs", "#![allow(unsafe_code)]"),
            (LIST, ""),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn unsafe_in_text_and_comments_is_no_code() {
        let found = problems_of(&[
            (
                "crates/a/src/lib.rs",
                "// unsafe_code\nconst A: &str = \"unsafe\";",
            ),
            (LIST, ""),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn entry_without_unsafe_or_reason_is_refused() {
        let found = problems_of(&[
            ("crates/a/src/lib.rs", "fn f() {}"),
            (LIST, "crates/a/src/lib.rs\n"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn crate_without_the_workspace_lints_is_refused() {
        let found = problems_of(&[
            ("crates/b/Cargo.toml", "[package]\nname = \"b\"\n"),
            (LIST, ""),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
