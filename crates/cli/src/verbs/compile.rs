//! `lighter compile`.

use crate::flags::{EngineFlags, source};
use crate::printer::{self, Reporter};
use crate::settings;
use lighter_engine::{Engine, Error};
use lighter_types::grant::Grants;
use lighter_types::interface::InterfacePattern;
use std::path::PathBuf;

pub(crate) fn compile(flags: &EngineFlags, program: PathBuf, stubs: &[String]) -> u8 {
    match try_compile(flags, program, stubs) {
        Ok(()) => 0,
        Err(error) => printer::failure(&error),
    }
}

fn try_compile(flags: &EngineFlags, program: PathBuf, stubs: &[String]) -> Result<(), Error> {
    let stubs = stubs
        .iter()
        .map(|stub| stub.parse::<InterfacePattern>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Refused {
            reason: error.to_string(),
            hint: None,
        })?;
    let engine = Engine::open(settings::read(flags)?.engine)?;
    engine.compile(
        &source(program.into_os_string())?,
        &stubs,
        &mut Reporter::new(Grants::default()),
    )
}
