//! Measures what the network takes a guest, and prints numbers: of COUNT connections that are made and closed
//! the median in nanoseconds, of as many questions of one byte on one connection the median of an answer in
//! nanoseconds, and of connections that 64 MiB are sent on the median of the bytes in a second.
//!
//!     connect COUNT CLOSING ECHOING SWALLOWING        addresses of servers that do that

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

const BLOCK: [u8; 64 << 10] = [b'x'; 64 << 10];

/// How often it is sent: the rate of a connection depends on where the system wakes whom.
const SENDS: usize = 20;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [count, closing, echoing, swallowing] = &words[..] else {
        panic!("COUNT CLOSING ECHOING SWALLOWING");
    };
    let count: usize = count.parse().unwrap();
    let connect = median((0..count).map(|_| {
        let start = Instant::now();
        let stream = TcpStream::connect(closing).unwrap();
        let elapsed = start.elapsed();
        drop(stream);
        elapsed.as_nanos()
    }));
    let mut stream = TcpStream::connect(echoing).unwrap();
    stream.set_nodelay(true).unwrap();
    let answer = median((0..count).map(|_| {
        let start = Instant::now();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        start.elapsed().as_nanos()
    }));
    let rate = median((0..SENDS).map(|_| send(swallowing)));
    println!("{connect} {answer} {rate}");
}

fn send(server: &str) -> u128 {
    let mut stream = TcpStream::connect(server).unwrap();
    let start = Instant::now();
    let blocks = (64 << 20) / BLOCK.len();
    for _ in 0..blocks {
        stream.write_all(&BLOCK).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    (blocks * BLOCK.len()) as u128 * 1_000_000_000 / start.elapsed().as_nanos()
}

fn median(numbers: impl Iterator<Item = u128>) -> u128 {
    let mut numbers: Vec<u128> = numbers.collect();
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}
