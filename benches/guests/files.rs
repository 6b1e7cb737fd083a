//! Work on files, as common programs do it: `files WORK PATH...`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["wc", text] => wc(text),
        ["sort", text, sorted] => sort(text, sorted),
        ["insert", store] => insert(store, 4_000),
        ["tar", tree, archive] => tar(tree, archive),
        _ => std::process::exit(2),
    }
}

/// Counts lines, words and bytes.
fn wc(text: &str) -> Result<()> {
    let mut reader = BufReader::new(File::open(text)?);
    let (mut lines, mut words, mut bytes, mut is_in_word) = (0_u64, 0_u64, 0, false);
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        for &byte in piece {
            lines += u64::from(byte == b'\n');
            let is_word = !byte.is_ascii_whitespace();
            words += u64::from(is_word && !is_in_word);
            is_in_word = is_word;
        }
        let length = piece.len();
        bytes += length;
        reader.consume(length);
    }
    println!("{lines} {words} {bytes}");
    Ok(())
}

/// Sorts the lines of one file into another.
fn sort(text: &str, sorted: &str) -> Result<()> {
    let mut lines = Vec::new();
    for line in BufReader::new(File::open(text)?).split(b'\n') {
        lines.push(line?);
    }
    lines.sort_unstable();
    let mut output = BufWriter::new(File::create(sorted)?);
    for line in &lines {
        output.write_all(line)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    println!("{}", lines.len());
    Ok(())
}

/// Changes a page of a file in each of many transactions, with the page as it was in a journal beside it.
fn insert(store: &str, transactions: u64) -> Result<()> {
    const PAGE: usize = 4096;
    const PAGES: u64 = 256;
    let journal = format!("{store}-journal");
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(store)?;
    file.set_len(PAGES * PAGE as u64)?;
    let mut page = [0; PAGE];
    for number in 0..transactions {
        let at = number * 7 % PAGES * PAGE as u64;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut page)?;
        let mut undo = File::create(&journal)?;
        undo.write_all(&at.to_le_bytes())?;
        undo.write_all(&page)?;
        let sum: u32 = page.iter().map(|&byte| u32::from(byte)).sum();
        undo.write_all(&sum.to_le_bytes())?;
        let row = number as usize * 16 % PAGE;
        page[row..row + 8].copy_from_slice(&number.to_le_bytes());
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&page)?;
        drop(undo);
        fs::remove_file(&journal)?;
    }
    println!("{}", file.metadata()?.len());
    Ok(())
}

/// Puts the files of a tree into one, each after a header.
fn tar(tree: &str, archive: &str) -> Result<()> {
    let mut output = BufWriter::new(File::create(archive)?);
    let (mut files, mut bytes) = (0, 0);
    append(Path::new(tree), &mut output, &mut files, &mut bytes)?;
    output.write_all(&[0; 1024])?;
    output.flush()?;
    println!("{files} {bytes}");
    Ok(())
}

fn append(directory: &Path, output: &mut impl Write, files: &mut u64, bytes: &mut u64) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let status = fs::metadata(&path)?;
        if status.is_dir() {
            append(&path, output, files, bytes)?;
            continue;
        }
        let mut header = [0; 512];
        let name = path.as_os_str().as_encoded_bytes();
        header[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
        header[124..136].copy_from_slice(format!("{:011o} ", status.len()).as_bytes());
        output.write_all(&header)?;
        let mut content = Vec::new();
        File::open(&path)?.read_to_end(&mut content)?;
        output.write_all(&content)?;
        output.write_all(&[0; 512][..content.len().next_multiple_of(512) - content.len()])?;
        *files += 1;
        *bytes += content.len() as u64;
    }
    Ok(())
}
