//! Fetches and builds every program that the tests use, and says how long each took.
//!
//! The tests do the same when they need one; this is for having them all before the network goes.
#![expect(clippy::print_stdout, reason = "it is a program for people")]

use lighter_testkit::programs::ALL;
use std::time::Instant;

fn main() {
    for (name, ensure) in ALL {
        let start = Instant::now();
        ensure();
        println!("{:6.1} s  {name}", start.elapsed().as_secs_f32());
    }
}
