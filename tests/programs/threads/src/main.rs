//! Adds numbers up in four threads, with an atomic, a mutex, a channel and a barrier between them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

const THREADS: u64 = 4;
const NUMBERS: u64 = 100_000;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("exit") {
        return exit_from_a_thread();
    }
    let (sum, finished, barrier) =
        (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())), Arc::new(Barrier::new(THREADS as usize)));
    let (sender, receiver) = channel();
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (sum, finished, barrier) = (sum.clone(), finished.clone(), barrier.clone());
            let sender = sender.clone();
            thread::spawn(move || {
                barrier.wait();
                for value in 0..NUMBERS {
                    sum.fetch_add(value, Ordering::Relaxed);
                }
                finished.lock().expect("no thread panics").push(number);
                sender.send(number).expect("the main thread listens");
            })
        })
        .collect();
    drop(sender);
    let mut received: Vec<u64> = receiver.iter().collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    received.sort_unstable();
    println!("sum {}", sum.load(Ordering::Relaxed));
    println!("threads {received:?} {}", finished.lock().expect("no thread panics").len());
}

/// A thread ends the whole program while the main thread waits.
fn exit_from_a_thread() {
    thread::spawn(|| std::process::exit(9));
    loop {
        thread::park();
    }
}
