//! Lists of files that a check lets pass, one line each: the path, then why.

use crate::Problem;
use std::fs;
use std::io;
use std::path::Path;

/// A list of exceptions: every entry must be needed and say why.
pub(crate) struct FileList {
    /// The list's own path, as it is shown.
    name: String,
    entries: Vec<(String, String)>,
}

impl FileList {
    /// Reads a list below the workspace at `root`. Lines that begin with `#` and empty ones say nothing.
    pub(crate) fn read(root: &Path, name: &str) -> io::Result<Self> {
        let text = fs::read_to_string(root.join(name))?;
        let entries = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_once(char::is_whitespace).unwrap_or((line, "")))
            .map(|(path, reason)| (path.to_owned(), reason.trim().to_owned()))
            .collect();
        Ok(Self {
            name: name.to_owned(),
            entries,
        })
    }

    /// Says whether `path` is on the list.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.entries.iter().any(|(entry, _)| entry == path)
    }

    /// Reports entries without a reason, and entries that none of `needed` asks for.
    pub(crate) fn check_entries(&self, needed: &[String]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (path, reason) in &self.entries {
            if reason.is_empty() {
                problems.push(Problem::new(
                    &self.name,
                    format!("{path} is there without a reason"),
                ));
            }
            if !needed.contains(path) {
                problems.push(Problem::new(
                    &self.name,
                    format!("{path} need not be there"),
                ));
            }
        }
        problems
    }
}

/// The path of `file` below `root`, with forward slashes.
pub(crate) fn relative(root: &Path, file: &Path) -> String {
    file.strip_prefix(root)
        .unwrap_or(file)
        .to_string_lossy()
        .replace('\\', "/")
}
