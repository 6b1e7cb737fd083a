//! `compile`, and `system`: what is kept, and what this machine's boundary is made of.

use crate::Error;
use crate::cache::{prune, usage};
use crate::engine::{Engine, Observer};
use crate::program::{self, ProgramSource};
use lighter_types::interface::InterfacePattern;
use std::path::PathBuf;

/// What something takes up on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// How many there are.
    pub count: u64,
    /// Their size, in bytes.
    pub size_bytes: u64,
}

/// A part of the boundary, and whether this machine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// What was found, or what is missing.
    pub state: String,
    /// Whether it is there.
    pub is_present: bool,
    /// What it costs that it is missing.
    pub cost: Option<&'static str>,
    /// Whether programs, or those with mounts, are refused without it.
    pub is_needed: bool,
}

/// What an engine is and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemInfo {
    /// Where data is kept.
    pub data_root: PathBuf,
    /// Where locks and scratch directories are.
    pub run_root: PathBuf,
    /// The engine's build id, part of the key of everything compiled.
    pub build_id: &'static str,
    /// The parts of the boundary.
    pub boundary: Vec<Feature>,
}

impl Engine {
    /// Compiles a program into the cache, or finds it there.
    ///
    /// # Errors
    /// As `run`, before the guest starts.
    pub fn compile(
        &self,
        source: &ProgramSource,
        stubs: &[InterfacePattern],
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let program = program::open(source)?;
        let cache = self.cache(observer);
        self.code(&cache, &program, (stubs, &[]), observer)
            .map(drop)
    }

    /// What compiled code takes up.
    #[must_use]
    pub fn compiled_code(&self) -> DiskUsage {
        let usage = usage(&self.compiled());
        DiskUsage {
            count: usage.entries,
            size_bytes: usage.bytes,
        }
    }

    /// Removes all compiled code and tells what it took up.
    pub fn prune_compiled_code(&self) -> DiskUsage {
        let removed = prune(&self.compiled());
        DiskUsage {
            count: removed.entries,
            size_bytes: removed.bytes,
        }
    }

    /// Tells what the boundary lacks, where the user has let go of it.
    pub(crate) fn warn_of_what_is_missing(&self, observer: &mut dyn Observer) {
        if !self.settings.is_insecure {
            return;
        }
        for part in self.info().boundary {
            if !part.is_present && part.is_needed {
                let cost = part.cost.unwrap_or_default();
                observer.warn(&format!("the boundary lacks {}: {cost}", part.name));
            }
        }
    }

    /// What the engine is and what this machine's boundary is made of.
    #[must_use]
    pub fn info(&self) -> SystemInfo {
        SystemInfo {
            data_root: self.settings.data_root.clone(),
            run_root: self.settings.run_root.clone(),
            build_id: lighter_wasm::BUILD_ID,
            boundary: lighter_boundary::process::features::detect()
                .into_iter()
                .map(|feature| Feature {
                    name: feature.name,
                    is_present: feature.state.is_ok(),
                    state: match feature.state {
                        Ok(found) => found,
                        Err(missing) => missing,
                    },
                    cost: feature.cost,
                    is_needed: feature.is_needed,
                })
                .collect(),
        }
    }
}
