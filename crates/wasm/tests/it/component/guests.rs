//! Builds the components of `tests/guests/components`.

use crate::core::guest;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The command of WASI 0.2.
pub(crate) fn wasi2() -> PathBuf {
    built("wasi2")
}

/// The command of WASI 0.3.
pub(crate) fn wasi3() -> PathBuf {
    built("wasi3")
}

/// Functions of many types.
pub(crate) fn typed() -> PathBuf {
    built("typed")
}

fn built(name: &str) -> PathBuf {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let target = guest::cache().join("guests/components");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--locked"])
            .args(["--target", "wasm32-wasip2", "--target-dir"])
            .arg(&target)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/components"))
            .status();
        let is_built = status.is_ok_and(|status| status.success());
        assert!(is_built, "the components of the tests do not build");
        target
    });
    target.join(format!("wasm32-wasip2/release/{name}.wasm"))
}
