//! What threads do, one behaviour per name given as argument.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("sum") => {
            let sum = Arc::new(Mutex::new(0_u64));
            let threads: Vec<_> = (0..10_u64)
                .map(|part| {
                    let sum = Arc::clone(&sum);
                    thread::spawn(move || {
                        for number in part * 100..(part + 1) * 100 {
                            *sum.lock().expect("nobody panics") += number;
                            thread::yield_now();
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().expect("it ends");
            }
            println!("{}", *sum.lock().expect("nobody panics"));
        }
        Some("files") => {
            let mut file = std::fs::File::create("/x").expect("it can be made");
            thread::spawn(move || {
                file.write_all(b"written by another").expect("it is open here too");
            })
            .join()
            .expect("it ends");
            println!("{}", std::fs::read_to_string("/x").expect("it is there"));
        }
        Some("exit") => {
            thread::spawn(|| {
                thread::sleep(Duration::from_millis(20));
                std::process::exit(7)
            });
            // Waits for what never comes.
            let (_sender, receiver) = mpsc::channel::<()>();
            let _ = receiver.recv();
        }
        Some("panic") => {
            thread::spawn(|| panic!("on purpose"));
            let (_sender, receiver) = mpsc::channel::<()>();
            let _ = receiver.recv();
        }
        Some("leave") => {
            thread::spawn(|| {
                loop {
                    thread::sleep(Duration::from_secs(100));
                }
            });
        }
        Some("many") => {
            let count = Arc::new(AtomicUsize::new(0));
            for _ in 0..25 {
                let threads: Vec<_> = (0..20)
                    .map(|_| {
                        let count = Arc::clone(&count);
                        thread::spawn(move || count.fetch_add(1, Ordering::Relaxed))
                    })
                    .collect();
                for thread in threads {
                    thread.join().expect("it ends");
                }
            }
            println!("{}", count.load(Ordering::Relaxed));
        }
        other => panic!("no behaviour {other:?}"),
    }
}
