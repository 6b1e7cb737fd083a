//! Derives the build id of the engine: what compiled code depends on besides the processor.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

fn main() {
    let root = Path::new("../..");
    let mut hasher = DefaultHasher::new();
    let settings = "src/engine.rs";
    println!("cargo::rerun-if-changed={settings}");
    std::fs::read(settings)
        .unwrap_or_default()
        .hash(&mut hasher);
    let lock = root.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let lock = std::fs::read_to_string(lock).unwrap_or_default();
    engine_versions(&lock).hash(&mut hasher);
    println!(
        "cargo::rustc-env=LIGHTER_ENGINE_VERSION={}",
        engine_version(&lock)
    );
    std::env::var("TARGET")
        .unwrap_or_default()
        .hash(&mut hasher);
    println!(
        "cargo::rustc-env=LIGHTER_ENGINE_BUILD_ID={:016x}",
        hasher.finish()
    );
}

/// The names and versions of the locked packages that make or read compiled code.
fn engine_versions(lock: &str) -> Vec<String> {
    lock.split("[[package]]")
        .filter(|package| package.contains("\"wasmtime") || package.contains("\"cranelift"))
        .map(|package| package.lines().take(3).collect())
        .collect()
}

/// The version of wasmtime itself.
fn engine_version(lock: &str) -> &str {
    lock.split("name = \"wasmtime\"\nversion = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("unknown")
}
