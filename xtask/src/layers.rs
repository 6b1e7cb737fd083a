//! A crate uses strictly lower layers, and some lower ones not either.

use crate::Problem;
use std::fs;
use std::io;
use std::path::Path;
use toml::{Table, Value};

/// Every crate and its layer, as ARCHITECTURE.md draws them.
const LAYERS: &[(&str, u8)] = &[
    ("types", 0),
    ("copy", 0),
    ("memory", 1),
    ("lock", 1),
    ("testkit", 1),
    ("image", 2),
    ("wasm", 2),
    ("boundary", 2),
    ("egress", 2),
    ("container", 3),
    ("runner", 3),
    ("engine", 4),
    ("shim", 4),
    ("api", 5),
    ("compose", 5),
    ("cli", 6),
];

/// Edges that the layers would allow, and why they are not there.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("container", "image", "the keeper never reads images"),
    (
        "container",
        "wasm",
        "the keeper never maps, compiles or runs guest code",
    ),
    ("shim", "image", "containerd unpacks images"),
    (
        "shim",
        "engine",
        "a shim owns one pod, not this host's containers",
    ),
    ("runner", "boundary", "a locked process spawns nothing"),
];

/// Only tests use it.
const DEV_ONLY: &str = "testkit";

/// Checks every manifest below `crates/` of the workspace at `root`.
pub(crate) fn check(root: &Path) -> io::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let mut directories: Vec<_> = fs::read_dir(root.join("crates"))?.collect::<Result<_, _>>()?;
    directories.sort_by_key(fs::DirEntry::file_name);
    for directory in directories {
        let name = directory.file_name().to_string_lossy().into_owned();
        let path = directory.path().join("Cargo.toml");
        let text = fs::read_to_string(&path)?;
        match text.parse::<Table>() {
            Ok(manifest) => problems.extend(check_manifest(&name, &manifest)),
            Err(error) => problems.push(Problem::new(
                &name,
                format!("could not parse its manifest: {error}"),
            )),
        }
    }
    Ok(problems)
}

fn check_manifest(name: &str, manifest: &Table) -> Vec<Problem> {
    let Some(layer) = layer_of(name) else {
        return vec![Problem::new(
            name,
            "is in no layer: add it to xtask/src/layers.rs and ARCHITECTURE.md",
        )];
    };
    let mut problems = Vec::new();
    let package = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(Value::as_str);
    if package != Some(&format!("lighter-{name}")) {
        problems.push(Problem::new(
            name,
            format!("its package must be named lighter-{name}"),
        ));
    }
    for dependency in list_dependencies(manifest) {
        let reason = match layer_of(&dependency.name) {
            None => Some("is in no layer".to_owned()),
            Some(_) if dependency.name == DEV_ONLY && dependency.is_dev => None,
            Some(_) if dependency.name == DEV_ONLY => Some("is for tests only".to_owned()),
            Some(lower) if lower >= layer => {
                Some(format!("is in layer {lower}, not below layer {layer}"))
            }
            Some(_) => {
                find_forbidden(name, &dependency.name).map(|why| format!("is forbidden: {why}"))
            }
        };
        if let Some(reason) = reason {
            problems.push(Problem::new(
                name,
                format!("uses {}, which {reason}", dependency.name),
            ));
        }
    }
    problems
}

struct Dependency {
    name: String,
    is_dev: bool,
}

/// Our own crates among all dependencies of a manifest, those of single targets included.
fn list_dependencies(manifest: &Table) -> Vec<Dependency> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let per_target = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(per_target)
        .flat_map(list_own_dependencies)
        .collect()
}

fn list_own_dependencies(table: &Table) -> Vec<Dependency> {
    let mut dependencies = Vec::new();
    for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
        let entries = table.get(section).and_then(Value::as_table);
        for (key, value) in entries.into_iter().flatten() {
            let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
            if let Some(name) = package.strip_prefix("lighter-") {
                dependencies.push(Dependency {
                    name: name.to_owned(),
                    is_dev: section == "dev-dependencies",
                });
            }
        }
    }
    dependencies
}

fn layer_of(name: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, layer)| layer)
}

fn find_forbidden(from: &str, to: &str) -> Option<&'static str> {
    FORBIDDEN
        .iter()
        .find(|edge| edge.0 == from && edge.1 == to)
        .map(|edge| edge.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(name: &str, dependencies: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"lighter-{name}\"\n{dependencies}");
        check_manifest(name, &manifest.parse().unwrap())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn lower_layer_is_ok() {
        let found = problems_of(
            "runner",
            "[dependencies]\nlighter-wasm.workspace = true\nserde = \"1\"",
        );
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn same_and_higher_layers_are_refused() {
        let found = problems_of(
            "wasm",
            "[dependencies]\nlighter-image = \"1\"\nlighter-cli = \"1\"",
        );
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn forbidden_edge_says_why() {
        let found = problems_of("container", "[dependencies]\nlighter-wasm.workspace = true");
        assert!(
            found[0].contains("never maps, compiles or runs"),
            "{found:?}"
        );
    }

    #[test]
    fn forbidden_edge_is_seen_behind_a_target_and_a_new_name() {
        let text =
            "[target.'cfg(unix)'.dependencies]\nw = { package = \"lighter-wasm\", path = \"x\" }";
        assert_eq!(problems_of("container", text).len(), 1);
    }

    #[test]
    fn testkit_is_for_tests_only() {
        assert!(
            problems_of(
                "types",
                "[dev-dependencies]\nlighter-testkit.workspace = true"
            )
            .is_empty()
        );
        assert_eq!(
            problems_of("cli", "[dependencies]\nlighter-testkit.workspace = true").len(),
            1
        );
        assert_eq!(
            problems_of(
                "cli",
                "[build-dependencies]\nlighter-testkit.workspace = true"
            )
            .len(),
            1
        );
    }

    #[test]
    fn unknown_crate_is_refused() {
        assert_eq!(problems_of("helpers", "").len(), 1);
        assert_eq!(
            problems_of("cli", "[dependencies]\nlighter-helpers = \"1\"").len(),
            1
        );
    }

    #[test]
    fn package_has_the_name_of_its_directory() {
        let manifest = "[package]\nname = \"wasm\"".parse().unwrap();
        assert_eq!(check_manifest("wasm", &manifest).len(), 1);
    }
}
