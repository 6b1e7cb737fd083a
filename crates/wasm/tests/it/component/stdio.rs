//! Standard streams.

use super::guests::{wasi2, wasi3};
use crate::core::guest::{command, feed, finish, start};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

/// More than any pipe holds.
const MANY_BYTES: usize = 3_000_000;

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index % 1000 % 251) as u8)
        .collect()
}

#[test]
fn large_data_passes_through_pipes_unharmed() {
    assert!(copied(&wasi2()) == pattern(MANY_BYTES));
    assert!(copied(&wasi3()) == pattern(MANY_BYTES));
}

fn copied(program: &Path) -> Vec<u8> {
    let mut command = command(&[], program, &["copy"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut stdin, &pattern(MANY_BYTES)).unwrap();
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn large_output_to_a_file_is_complete() {
    assert_eq!(filled(&wasi2()), pattern(MANY_BYTES));
    assert_eq!(filled(&wasi3()), pattern(MANY_BYTES));
}

fn filled(program: &Path) -> Vec<u8> {
    let scratch = crate::core::guest::Scratch::new("component-fill");
    let path = scratch.path().join("out");
    let mut command = command(&[], program, &["fill", &MANY_BYTES.to_string()]);
    command.stdout(File::create(&path).unwrap());
    assert_eq!(finish(start(command)).code, Some(0));
    std::fs::read(path).unwrap()
}

#[test]
fn what_a_guest_does_not_read_stays_in_the_stream() {
    let scratch = crate::core::guest::Scratch::new("component-take");
    let file = File::open(scratch.file("in", "abcdef")).unwrap();
    let mut command = command(&[], &wasi2(), &["take", "3"]);
    command.stdin(file.try_clone().unwrap());
    assert_eq!(finish(start(command)).stdout, "abc");
    let mut rest = String::new();
    (&file).read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "def");
}

#[test]
fn end_of_input_is_seen() {
    let mut run = command(&[], &wasi2(), &["count"]);
    let mut child = start({
        run.stdin(Stdio::piped());
        run
    });
    feed(&mut child, b"12345");
    assert_eq!(finish(child).stdout, "5\n");
}

#[test]
fn clock_and_input_are_awaited_at_once_in_0_2() {
    let (outcome, rest) = after_three_ticks(&wasi2(), "poll");
    assert_eq!(outcome, "true \"late\"\n", "{rest}");
}

#[test]
fn clock_runs_on_while_input_is_awaited_in_0_3() {
    let (outcome, rest) = after_three_ticks(&wasi3(), "tick");
    assert_eq!(outcome, "4\n", "{rest}");
}

/// Gives input after the guest has said `tick` three times.
fn after_three_ticks(program: &Path, word: &str) -> (String, String) {
    let mut run = command(&[], program, &[word]);
    run.stdin(Stdio::piped());
    let mut child = start(run);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ticks: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(ticks, ["tick", "tick", "tick"]);
    feed(&mut child, b"late");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    (finish(child).stdout, rest.join("\n"))
}

#[test]
fn output_that_nobody_reads_is_closed() {
    assert!(closed(&wasi2()).contains("StreamError::Closed"));
    assert!(closed(&wasi3()).contains("Err(ErrorCode::Pipe)"));
}

fn closed(program: &Path) -> String {
    let mut child = start(command(&[], program, &["closed"]));
    drop(child.stdout.take());
    let outcome = finish(child);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    outcome.stderr
}
