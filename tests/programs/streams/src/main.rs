//! A command of WASI 0.3 that moves bytes through asynchronous streams, and uses `std`, which is WASI 0.2.
//!
//! `main` is exported as a command of 0.2 as well, so an engine has a choice: 0.3 is the right one.

use std::cell::RefCell;
use std::rc::Rc;
use wasip3::cli::{environment, exit, stdin, stdout};
use wasip3::clocks::monotonic_clock;
use wasip3::filesystem::preopens;
use wasip3::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{spawn_local, wit_stream};

wasip3::cli::command::export!(Streams);

struct Streams;

fn main() {
    println!("the export of 0.2 was called");
}

impl wasip3::exports::cli::run::Guest for Streams {
    async fn run() -> Result<(), ()> {
        let arguments = environment::get_arguments();
        let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
        match words.as_slice() {
            ["upper"] => upper().await,
            ["mixed", path] => mixed(path).await,
            ["timers"] => timers().await,
            ["exit", code] => exit::exit_with_code(code.parse().map_err(drop)?),
            ["fail"] => return Err(()),
            _ => return Err(()),
        }
        Ok(())
    }
}

/// Reads standard input and writes it in capitals, both at once, through a stream of its own between them.
async fn upper() {
    let (mut input, input_end) = stdin::read_via_stream();
    let (mut sender, receiver) = wit_stream::new();
    let output_end = stdout::write_via_stream(receiver);
    let mut moved = 0;
    loop {
        let (result, mut bytes) = input.read(Vec::with_capacity(4096)).await;
        moved += bytes.len();
        bytes.make_ascii_uppercase();
        let rest = sender.write_all(bytes).await;
        if !rest.is_empty() || matches!(result, StreamResult::Dropped) {
            break;
        }
    }
    drop(sender);
    output_end.await.expect("standard output takes it all");
    drop(input);
    input_end.await.expect("standard input ends well");
    eprintln!("{moved} bytes");
}

/// Reads one file through 0.2 (by `std`) and through 0.3, and says whether they are the same.
async fn mixed(path: &str) {
    let by_std = std::fs::read(path).expect("std reads the file");
    let (directory, name) = path.rsplit_once('/').expect("a path below a directory");
    let directories = preopens::get_directories();
    let (directory, _) = directories.iter().find(|(_, found)| found == directory).expect("it is open");
    let file = directory
        .open_at(PathFlags::empty(), name.to_owned(), OpenFlags::empty(), DescriptorFlags::READ)
        .await
        .expect("0.3 opens the file");
    let (stream, end) = file.read_via_stream(0);
    let by_stream = stream.collect().await;
    end.await.expect("it is read to its end");
    // Standard output of 0.2 first, then that of 0.3.
    println!("std read {} bytes", by_std.len());
    write(format!("0.3 read {} bytes, the same: {}\n", by_stream.len(), by_std == by_stream)).await;
}

/// Three timers at once, which end in the order of their times.
async fn timers() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let tasks = [30, 10, 20].map(|milliseconds: u64| {
        let order = order.clone();
        spawn_local(async move {
            monotonic_clock::wait_for(milliseconds * 1_000_000).await;
            order.borrow_mut().push(milliseconds);
        })
    });
    for task in tasks {
        task.await.expect("nobody cancels it");
    }
    write(format!("{:?}\n", order.borrow())).await;
}

async fn write(text: String) {
    let (mut sender, receiver) = wit_stream::new();
    let end = stdout::write_via_stream(receiver);
    sender.write_all(text.into_bytes()).await;
    drop(sender);
    end.await.expect("standard output takes it");
}
