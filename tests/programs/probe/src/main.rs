//! Does one small thing that its arguments name, so that a test can see what a guest sees.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::process::exit;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["arguments", ..] => arguments.iter().for_each(|argument| println!("{argument}")),
        ["environment"] => env::vars().for_each(|(name, value)| println!("{name}={value}")),
        ["directory"] => println!("{}", env::current_dir()?.display()),
        ["echo"] => {
            io::copy(&mut io::stdin(), &mut io::stdout())?;
        }
        ["both", out, err] => {
            println!("{out}");
            eprintln!("{err}");
        }
        ["terminals"] => println!(
            "{} {} {}",
            io::stdin().is_terminal(),
            io::stdout().is_terminal(),
            io::stderr().is_terminal()
        ),
        ["read", path] => io::stdout().write_all(&fs::read(path)?)?,
        ["write", path, text] => fs::write(path, text)?,
        ["append", path, text] => fs::OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes())?,
        ["remove", path] => fs::remove_file(path)?,
        ["rename", from, to] => fs::rename(from, to)?,
        ["make-directory", path] => fs::create_dir(path)?,
        ["list", path] => list(path)?,
        ["size", path] => println!("{}", fs::metadata(path)?.len()),
        ["exit", code] => exit(number(code) as i32),
        ["panic"] => panic!("as asked"),
        ["trap"] => trap_in_a_named_function(&words),
        ["overflow"] => println!("{}", recurse(0)),
        ["spin"] => loop {
            std::hint::spin_loop();
        },
        ["sleep", milliseconds] => sleep(number(milliseconds)),
        ["allocate", megabytes] => allocate(number(megabytes)),
        ["clock"] => clock(),
        ["random"] => random()?,
        ["first-byte"] => {
            let mut byte = [0];
            io::stdin().read_exact(&mut byte)?;
            println!("{}", byte[0]);
        }
        _ => {
            eprintln!("probe: {words:?} is nothing it can do");
            exit(2);
        }
    }
    Ok(())
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn list(path: &str) -> io::Result<()> {
    let mut names = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    names.iter().for_each(|name| println!("{name}"));
    Ok(())
}

#[inline(never)]
fn trap_in_a_named_function(words: &[&str]) {
    if !words.is_empty() {
        #[cfg(target_arch = "wasm32")]
        core::arch::wasm32::unreachable();
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 64]);
    if here[1] == u64::MAX {
        return 0;
    }
    recurse(depth + 1).wrapping_add(here[0])
}

fn sleep(milliseconds: u64) {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(milliseconds));
    println!("{}", start.elapsed() >= Duration::from_millis(milliseconds));
}

fn allocate(megabytes: u64) {
    let mut blocks = Vec::new();
    for _ in 0..megabytes {
        blocks.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
    println!("{}", blocks.len());
}

fn clock() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    println!("{}", now.as_secs());
}

/// Hash maps are seeded with the host's random bytes: two maps differ.
fn random() -> io::Result<()> {
    use std::hash::{BuildHasher, RandomState};
    let seed = || RandomState::new().hash_one(0);
    writeln!(io::stdout(), "{}", seed() != seed())
}
