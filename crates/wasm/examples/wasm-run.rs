//! Compiles and runs one program in this process, without lock or keeper: for work on this crate.
//!
//! `wasm-run [--dir GUEST=HOST]... [--env K=V]... [--cwd DIR] [--config K=V]... [--stub I]...
//! [--deny I]... [--tty] [--coredump] [--argv0 NAME] [--invoke NAME] FILE [ARGUMENT]...`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    clippy::too_many_lines
)]

use lighter_types::bundle::{Bundle, Entry, Preopen, Terminals};
use lighter_types::cpu::CpuFeatures;
use lighter_types::program::{FileKind, detect};
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{Bounds, End, InspectOrder};
use lighter_types::secret::SecretBytes;
use std::sync::Arc;

struct Printer;
impl lighter_wasm::Host for Printer {
    fn refused(&self, refusal: Refusal) {
        eprintln!("refused: {refusal:?}");
    }
}

fn main() {
    let pair = |text: String| {
        let (key, value) = text.split_once('=').expect("KEY=VALUE");
        (key.to_owned(), value.to_owned())
    };
    let (mut preopens, mut environment, mut config) = (vec![], vec![], vec![]);
    let (mut stubs, mut denials) = (vec![], vec![]);
    let (mut cwd, mut tty, mut has_coredump, mut invoke, mut argv0) =
        (None, false, false, None, None);
    let mut arguments = std::env::args().skip(1);
    let file = loop {
        let argument = arguments.next().expect("a file");
        let mut value = || arguments.next().expect("a value");
        match argument.as_str() {
            "--dir" => {
                let (guest_path, runner_path) = pair(value());
                preopens.push(Preopen {
                    guest_path,
                    runner_path,
                });
            }
            "--env" => environment.push(pair(value())),
            "--config" => {
                let (key, value) = pair(value());
                config.push((key, SecretBytes::new(value.into_bytes())));
            }
            "--stub" => stubs.push(value().parse().unwrap()),
            "--deny" => denials.push(value().parse().unwrap()),
            "--cwd" => cwd = Some(value()),
            "--tty" => tty = true,
            "--coredump" => has_coredump = true,
            "--invoke" => invoke = Some(value()),
            "--argv0" => argv0 = Some(value()),
            _ => break argument,
        }
    };
    let bytes = std::fs::read(&file).unwrap();
    let rest: Vec<String> = arguments.collect();
    let cpu = CpuFeatures::detect();
    let order = InspectOrder {
        is_text: detect(&bytes) == FileKind::Text,
        stubs: stubs.clone(),
        denials: denials.clone(),
        cpu,
        bounds: Bounds::for_program(bytes.len() as u64),
    };
    let artifact = std::env::temp_dir().join(format!("wasm-run-{}.code", std::process::id()));
    if std::env::var_os("WASM_RUN_INSPECT").is_some() {
        eprintln!("{:#?}", lighter_wasm::inspect(&bytes, &order));
        return;
    }
    let (kind, code) = match lighter_wasm::compile(&bytes, &order) {
        Ok(done) => done,
        Err(failure) => {
            eprintln!("failed: {failure:?}");
            std::process::exit(126);
        }
    };
    std::fs::write(&artifact, code).unwrap();
    let mut all = vec![argv0.unwrap_or(file)];
    let entry = match invoke {
        Some(export) => Entry::Invoke {
            export,
            arguments: rest,
        },
        None => {
            all.extend(rest);
            Entry::Command
        }
    };
    let bundle = Bundle {
        kind,
        artifact: artifact.to_str().unwrap().to_owned(),
        arguments: all,
        environment,
        preopens,
        file_rights: Vec::new(),
        initial_directory: cwd,
        terminals: Terminals {
            stdin: tty,
            stdout: tty,
            stderr: tty,
        },
        config,
        stubs,
        denials,
        entry,
        cpu,
        limits: lighter_types::limits::Limits::default(),
        network: None,
        http: Default::default(),
        tls: None,
        has_coredump,
    };
    let end = match lighter_wasm::load(&bundle) {
        Ok(loaded) => {
            let _ = std::fs::remove_file(&artifact);
            loaded.run(bundle, Arc::new(Printer))
        }
        Err(failure) => End::Failed(failure),
    };
    match end {
        End::Exited(code) => std::process::exit(i32::from(code)),
        End::Trapped { report } => {
            eprintln!("{report}");
            std::process::exit(134);
        }
        End::Failed(failure) => {
            eprintln!("failed: {failure:?}");
            std::process::exit(126);
        }
    }
}
