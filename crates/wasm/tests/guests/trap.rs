//! Panics in a function that is not inlined.

use std::hint::black_box;

#[inline(never)]
fn deepest(numbers: &[u8], index: usize) -> u8 {
    numbers[index]
}

fn main() {
    let numbers = vec![1, 2, 3];
    black_box(deepest(black_box(&numbers), black_box(9)));
}
