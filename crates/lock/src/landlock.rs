//! Landlock: what of the file system may be opened, and no TCP at all.

use crate::{Grants, LockError};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    Scope,
};
use std::io;

/// The newest set of rights that is asked for; an older kernel handles those it knows.
const NEWEST: ABI = ABI::V6;

pub(crate) fn restrict(grants: &Grants<'_>) -> Result<(), LockError> {
    let failed = |error: RulesetError| LockError::new("Landlock", io::Error::other(error));
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    if let Some(artifact) = grants.artifact {
        ruleset = allow(ruleset, artifact, AccessFs::ReadFile.into())?;
    }
    for right in grants.files {
        let access = if right.is_writable {
            AccessFs::from_all(NEWEST) & !(device_rights() | AccessFs::Execute)
        } else {
            AccessFs::ReadFile | AccessFs::ReadDir
        };
        ruleset = allow(ruleset, &right.runner_path, access)?;
    }
    let status = ruleset.restrict_self().map_err(failed)?;
    match status.landlock {
        LandlockStatus::Available { .. } if status.no_new_privs => Ok(()),
        _ => Err(LockError::missing(
            "Landlock",
            "this kernel has no Landlock, or it is turned off",
        )),
    }
}

/// What no guest needs in any directory: to make or to steer devices.
fn device_rights() -> BitFlags<AccessFs> {
    AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev
}

fn allow(
    ruleset: RulesetCreated,
    path: &str,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, LockError> {
    let failed = |error: io::Error| LockError::new("a Landlock rule", error);
    let tree = PathFd::new(path).map_err(|error| failed(io::Error::other(error)))?;
    ruleset
        .add_rule(PathBeneath::new(tree, access))
        .map_err(|error| failed(io::Error::other(error)))
}
