//! `lighter system df|prune|info`, and `lighter info`.

use crate::flags::EngineFlags;
use crate::printer::{self, Format, size};
use crate::settings;
use lighter_engine::{DiskUsage, Engine, Error, SystemInfo};
use serde_json::json;
use std::io::{BufRead, IsTerminal};

pub(crate) fn df(flags: &EngineFlags, format: Format) -> u8 {
    with_engine(flags, |engine| {
        let DiskUsage { count, size_bytes } = engine.compiled_code();
        Ok(match format {
            Format::Json => printer::json(&json!([
                { "Type": "Compiled code", "TotalCount": count, "Size": size_bytes, "Reclaimable": size_bytes }
            ])),
            Format::Text => {
                let shown = size(size_bytes);
                printer::out(&format!(
                    "TYPE            TOTAL     SIZE      RECLAIMABLE\n{:<16}{count:<10}{shown:<10}{shown}\n",
                    "Compiled code"
                ))
            }
        })
    })
}

pub(crate) fn prune(flags: &EngineFlags, is_forced: bool) -> u8 {
    with_engine(flags, |engine| {
        if !is_forced && !is_confirmed() {
            return Ok(0);
        }
        let removed = engine.prune_compiled_code();
        Ok(printer::out(&format!(
            "Total reclaimed space: {}\n",
            size(removed.size_bytes)
        )))
    })
}

/// Asks as Docker does; without a terminal the answer is read all the same.
fn is_confirmed() -> bool {
    printer::err(
        "WARNING! This will remove all compiled code; programs are compiled again when they next run.\n\
         Are you sure you want to continue? [y/N] ",
    );
    let mut answer = String::new();
    let is_read = std::io::stdin().lock().read_line(&mut answer).is_ok();
    if !std::io::stdin().is_terminal() {
        printer::err("\n");
    }
    is_read && matches!(answer.trim(), "y" | "Y" | "yes")
}

pub(crate) fn info(flags: &EngineFlags, format: Format) -> u8 {
    with_engine(flags, |engine| {
        let info = engine.info();
        Ok(match format {
            Format::Json => printer::json(&info_json(&info)),
            Format::Text => printer::out(&info_text(&info)),
        })
    })
}

/// Prints the system calls that a locked process may make.
pub(crate) fn policy(format: Format) -> u8 {
    let calls = lighter_engine::policy();
    match format {
        Format::Json => {
            let calls: Vec<_> = calls
                .iter()
                .map(|call| {
                    json!({
                        "Name": call.name,
                        "Number": call.number,
                        "For": call.holder,
                        "If": call.condition,
                        "Reason": call.reason,
                    })
                })
                .collect();
            printer::json(&json!(calls))
        }
        Format::Text => {
            let longest = calls.iter().map(|call| call.holder.len()).max();
            let width = longest.unwrap_or_default();
            let line = |name: &str, holder: &str, condition: &str, reason: &str| {
                format!("{name:<16}  {holder:<width$}  {condition:<56}  {reason}\n")
            };
            let mut text = line("CALL", "FOR", "IF", "REASON");
            for call in &calls {
                text.push_str(&line(call.name, call.holder, &call.condition, call.reason));
            }
            text.push_str("\nAll other calls are refused with EPERM; another architecture's end the process.\n");
            printer::out(&text)
        }
    }
}

fn info_json(info: &SystemInfo) -> serde_json::Value {
    let boundary: Vec<_> = info
        .boundary
        .iter()
        .map(|part| json!({ "Name": part.name, "Present": part.is_present, "State": part.state, "Cost": part.cost }))
        .collect();
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Wasmtime": lighter_engine::ENGINE_VERSION,
        "EngineBuild": info.build_id,
        "DataRoot": info.data_root,
        "RunRoot": info.run_root,
        "Boundary": boundary,
    })
}

fn info_text(info: &SystemInfo) -> String {
    let mut text = format!(
        "Version:    {}\nWasmtime:   {}\nData root:  {}\nRun root:   {}\nBoundary:\n",
        env!("CARGO_PKG_VERSION"),
        lighter_engine::ENGINE_VERSION,
        info.data_root.display(),
        info.run_root.display()
    );
    for part in &info.boundary {
        if part.is_present {
            text.push_str(&format!("  {}: {}\n", part.name, part.state));
        } else {
            text.push_str(&format!("  {}: missing ({})", part.name, part.state));
            text.push_str(
                &part
                    .cost
                    .map(|cost| format!(": {cost}\n"))
                    .unwrap_or_else(|| "\n".to_owned()),
            );
        }
    }
    text
}

fn with_engine(flags: &EngineFlags, verb: impl FnOnce(&Engine) -> Result<u8, Error>) -> u8 {
    let done = settings::read(flags)
        .and_then(|configuration| Engine::open(configuration.engine))
        .and_then(|engine| verb(&engine));
    match done {
        Ok(code) => code,
        Err(error) => printer::failure(&error),
    }
}
