//! The interfaces of one API set for components, and how imports find them.

use super::ComponentLinker;
use crate::api::Import;
use lighter_types::interface::split_version;

/// One interface that the host provides.
pub(crate) struct Interface {
    /// Its name with the version provided, as `wasi:cli/stdout@0.2.12`.
    pub(crate) name: &'static str,
    /// Adds it to a linker.
    pub(crate) link: fn(&mut ComponentLinker) -> wasmtime::Result<()>,
}

/// Links an interface that consists of types only: there is nothing to add.
pub(crate) fn types_only(_linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    Ok(())
}

/// Whether one of the interfaces meets the import.
pub(crate) fn provides(interfaces: &[Interface], import: &Import<'_>) -> bool {
    interfaces
        .iter()
        .any(|interface| is_met_by(import.interface, interface.name))
}

/// Adds each interface that one of the imports asks for, once.
///
/// # Errors
/// A name that is defined already.
pub(crate) fn link(
    interfaces: &[Interface],
    linker: &mut ComponentLinker,
    imports: &[Import<'_>],
) -> wasmtime::Result<()> {
    for interface in interfaces {
        if imports
            .iter()
            .any(|import| is_met_by(import.interface, interface.name))
        {
            (interface.link)(linker)?;
        }
    }
    Ok(())
}

/// Whether an interface provided under one name meets an import of another.
///
/// This is what wasmtime's linker does: the same name, or a version of the same track. Whether
/// the types agree shows when the component is linked, so an import of a version above the one
/// provided is met as long as it asks for nothing new.
pub(crate) fn is_met_by(import: &str, provided: &str) -> bool {
    if import == provided {
        return true;
    }
    let (import_name, import_version) = split_version(import);
    let (provided_name, provided_version) = split_version(provided);
    import_name == provided_name
        && match (
            import_version.and_then(track),
            provided_version.and_then(track),
        ) {
            (Some(import), Some(provided)) => import == provided,
            _ => false,
        }
}

/// The part of a version that compatible versions share: `0.2` of `0.2.6`, `1` of `1.4.0`.
///
/// A version before a release, or of the form `0.0.x`, is compatible with itself only.
pub(crate) fn track(version: &str) -> Option<&str> {
    let release = version.split('+').next()?;
    let mut parts = release.split('.');
    let numbers = [parts.next()?, parts.next()?, parts.next()?];
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || !numbers.into_iter().all(is_number) {
        return None;
    }
    let [major, minor, _] = numbers;
    match (major, minor) {
        ("0", "0") => None,
        ("0", _) => release.get(..major.len() + 1 + minor.len()),
        _ => release.get(..major.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_track_meet_each_other() {
        assert!(is_met_by("wasi:cli/stdout@0.2.0", "wasi:cli/stdout@0.2.12"));
        assert!(is_met_by(
            "wasi:cli/stdout@0.2.99",
            "wasi:cli/stdout@0.2.12"
        ));
        assert!(is_met_by("wasi:cli/run@0.3.2", "wasi:cli/run@0.3.0"));
        assert!(is_met_by("a:b/c@1.2.0", "a:b/c@1.0.0+build"));
    }

    #[test]
    fn other_tracks_and_versions_before_a_release_do_not() {
        assert!(!is_met_by(
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@0.2.12"
        ));
        assert!(!is_met_by(
            "wasi:cli/stdout@0.2.0-rc-2023-11-10",
            "wasi:cli/stdout@0.2.12"
        ));
        assert!(!is_met_by("a:b/c@0.0.2", "a:b/c@0.0.1"));
        assert!(!is_met_by("wasi:cli/stdout", "wasi:cli/stdout@0.2.12"));
        assert!(!is_met_by("wasi:cli/stdin@0.2.0", "wasi:cli/stdout@0.2.12"));
    }

    #[test]
    fn version_before_a_release_is_met_by_itself() {
        let name = "wasi:config/store@0.2.0-rc.1";
        assert!(is_met_by(name, name));
    }
}
