//! `lighter version`.

use crate::printer::{self, Format};
use serde_json::json;

pub(crate) fn version(format: Format) -> u8 {
    let version = env!("CARGO_PKG_VERSION");
    let engine = lighter_engine::ENGINE_VERSION;
    match format {
        Format::Text => printer::out(&format!("lighter {version} (wasmtime {engine})\n")),
        Format::Json => printer::json(&json!({ "Version": version, "Wasmtime": engine })),
    }
}
