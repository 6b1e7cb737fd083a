//! Counts lines, words and bytes of files and directories, and the words that come most often.
//!
//! Nothing here knows of Wasm: it is `std` alone.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: wordcount [--top COUNT] [--output FILE] PATH...";

struct Options {
    top: usize,
    output: Option<PathBuf>,
    paths: Vec<PathBuf>,
}

#[derive(Default)]
struct Totals {
    lines: usize,
    words: usize,
    bytes: usize,
    counts: HashMap<String, usize>,
}

fn main() -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, error)) => {
            eprintln!("wordcount: {what}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { top: 0, output: None, paths: Vec::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--top" => options.top = arguments.next()?.parse().ok()?,
            "--output" => options.output = Some(arguments.next()?.into()),
            path => options.paths.push(path.into()),
        }
    }
    (!options.paths.is_empty()).then_some(options)
}

fn run(options: &Options) -> Result<(), (String, io::Error)> {
    let mut totals = Totals::default();
    let mut report = format!("{:>7} {:>7} {:>8}\n", "lines", "words", "bytes");
    for path in &options.paths {
        for file in list_files(path).map_err(|error| (path.display().to_string(), error))? {
            let name = file.display().to_string();
            let text = fs::read_to_string(&file).map_err(|error| (name.clone(), error))?;
            let (lines, words) = count(&text, &mut totals);
            let _ = writeln!(report, "{lines:>7} {words:>7} {:>8}  {name}", text.len());
        }
    }
    let Totals { lines, words, bytes, counts } = totals;
    let _ = writeln!(report, "{lines:>7} {words:>7} {bytes:>8}  in all");
    for (word, number) in most_frequent(counts, options.top) {
        let _ = writeln!(report, "{number:>7} x {word}");
    }
    match &options.output {
        Some(path) => fs::write(path, report).map_err(|error| (path.display().to_string(), error)),
        None => {
            print!("{report}");
            Ok(())
        }
    }
}

/// The file itself, or every file in a directory, in order.
fn list_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        files.extend(list_files(&entry?.path())?);
    }
    files.sort();
    Ok(files)
}

fn count(text: &str, totals: &mut Totals) -> (usize, usize) {
    let lines = text.lines().count();
    let mut words = 0;
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()) {
        words += 1;
        *totals.counts.entry(word.to_lowercase()).or_default() += 1;
    }
    totals.lines += lines;
    totals.words += words;
    totals.bytes += text.len();
    (lines, words)
}

fn most_frequent(counts: HashMap<String, usize>, top: usize) -> Vec<(String, usize)> {
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sorted.truncate(top);
    sorted
}
