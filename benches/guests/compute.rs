//! Work without any host call: `compute WORK`.

use std::collections::HashMap;
use std::hint::black_box;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("bodies") => println!("{:.9}", bodies(10_000_000)),
        Some("hash") => println!("{:016x}", hash(120 << 20)),
        Some("sieve") => println!("{}", sieve(70_000_000)),
        Some("matrix") => println!("{:.6}", matrix(1000)),
        Some("map") => println!("{}", map(8_000_000)),
        _ => std::process::exit(2),
    }
}

/// The energy of five bodies after some steps.
fn bodies(steps: usize) -> f64 {
    let mut bodies: Vec<([f64; 3], [f64; 3], f64)> = (0..5)
        .map(|index| {
            let at = f64::from(index);
            let mass = if index == 0 { 39.47 } else { 0.04 / (at + 1.0) };
            ([at * 5.2, at * 1.3 - 0.4, at * 0.1], [0.6 - at * 0.2, at * 0.3, 0.02 * at], mass)
        })
        .collect();
    for _ in 0..steps {
        for one in 0..5 {
            for other in one + 1..5 {
                let apart: [f64; 3] = std::array::from_fn(|axis| bodies[one].0[axis] - bodies[other].0[axis]);
                let square = apart.iter().map(|part| part * part).sum::<f64>() + 0.01;
                let pull = 0.001 / (square * square.sqrt());
                let (mass, other_mass) = (bodies[one].2, bodies[other].2);
                for axis in 0..3 {
                    bodies[one].1[axis] -= apart[axis] * other_mass * pull;
                    bodies[other].1[axis] += apart[axis] * mass * pull;
                }
            }
        }
        for body in &mut bodies {
            for axis in 0..3 {
                body.0[axis] += 0.001 * body.1[axis];
            }
        }
    }
    bodies.iter().map(|(_, speed, mass)| mass * speed.iter().map(|part| part * part).sum::<f64>() / 2.0).sum()
}

/// The rounds of SHA-256, with constants made up.
fn hash(bytes: usize) -> u64 {
    let constants: [u32; 64] = std::array::from_fn(|index| 0x9e37_79b9_u32.wrapping_mul(index as u32 + 1));
    let mut state: [u32; 8] = std::array::from_fn(|index| 0x6a09_e667_u32.rotate_left(index as u32 * 3));
    let mut block: [u8; 64] = std::array::from_fn(|index| index as u8);
    for number in 0..bytes / 64 {
        block[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let mut words = [0_u32; 64];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes(bytes.try_into().unwrap());
        }
        for index in 16..64 {
            let (early, late) = (words[index - 15], words[index - 2]);
            let low = early.rotate_right(7) ^ early.rotate_right(18) ^ early >> 3;
            let high = late.rotate_right(17) ^ late.rotate_right(19) ^ late >> 10;
            words[index] = words[index - 16].wrapping_add(low).wrapping_add(words[index - 7]).wrapping_add(high);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for index in 0..64 {
            let high = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let first = h
                .wrapping_add(high)
                .wrapping_add(e & f ^ !e & g)
                .wrapping_add(constants[index])
                .wrapping_add(words[index]);
            let low = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let second = low.wrapping_add(a & b ^ a & c ^ b & c);
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(first), c, b, a, first.wrapping_add(second));
        }
        for (old, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *old = old.wrapping_add(new);
        }
    }
    u64::from(state[0]) << 32 | u64::from(state[7])
}

/// How many primes there are below a number.
fn sieve(limit: usize) -> usize {
    let mut is_composite = vec![false; limit];
    let mut found = 0;
    for number in 2..limit {
        if !is_composite[number] {
            found += 1;
            for multiple in (number * number..limit).step_by(number) {
                is_composite[multiple] = true;
            }
        }
    }
    found
}

/// The trace of a product of two square matrices.
fn matrix(size: usize) -> f64 {
    let left: Vec<f64> = (0..size * size).map(|index| (index % 17) as f64 / 3.0).collect();
    let right: Vec<f64> = (0..size * size).map(|index| (index % 23) as f64 / 7.0).collect();
    let mut product = vec![0.0; size * size];
    for row in 0..size {
        for inner in 0..size {
            let factor = left[row * size + inner];
            for column in 0..size {
                product[row * size + column] += factor * right[inner * size + column];
            }
        }
    }
    black_box(&product);
    (0..size).map(|index| product[index * size + index]).sum()
}

/// Counts numbers, as a program counts words.
fn map(count: u64) -> u64 {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    let mut number = 1_u64;
    for _ in 0..count {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *counts.entry(number >> 44).or_default() += 1;
    }
    counts.values().max().copied().unwrap_or(0) + counts.len() as u64
}
