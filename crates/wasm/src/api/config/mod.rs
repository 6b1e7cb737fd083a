//! The `wasi config` API set: the settings and secrets of one container.

use super::{ApiSet, Import};
use crate::component::catalog::{self, Interface};
use crate::component::{ComponentLinker, ComponentState as State};
use lighter_types::secret::SecretBytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower};

/// The set.
pub(crate) struct Config;

impl ApiSet<ComponentLinker> for Config {
    fn name(&self) -> &'static str {
        "wasi config"
    }

    fn provides(&self, import: &Import<'_>) -> bool {
        catalog::provides(INTERFACES, import)
    }

    fn link(&self, linker: &mut ComponentLinker, imports: &[Import<'_>]) -> wasmtime::Result<()> {
        catalog::link(INTERFACES, linker, imports)
    }
}

/// What the set provides: the published version and the drafts before it, which differ in their
/// names only.
pub(crate) const INTERFACES: &[Interface] = &[
    Interface {
        name: "wasi:config/store@0.2.0-rc.1",
        link: |linker| link(linker, "wasi:config/store@0.2.0-rc.1"),
    },
    Interface {
        name: "wasi:config/store@0.2.0-draft",
        link: |linker| link(linker, "wasi:config/store@0.2.0-draft"),
    },
    Interface {
        name: "wasi:config/runtime@0.2.0-draft",
        link: |linker| link(linker, "wasi:config/runtime@0.2.0-draft"),
    },
];

/// `wasi:config/store`, variant `error`.
#[derive(ComponentType, Lift, Lower, Clone, Debug, PartialEq, Eq)]
#[component(variant)]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

fn link(linker: &mut ComponentLinker, name: &str) -> wasmtime::Result<()> {
    let mut store = linker.instance(name)?;
    store.func_wrap(
        "get",
        |store: StoreContextMut<'_, State>, (key,): (String,)| {
            Ok((get(&store.data().config, &key),))
        },
    )?;
    store.func_wrap("get-all", |store: StoreContextMut<'_, State>, (): ()| {
        Ok((get_all(&store.data().config),))
    })
}

fn get(values: &[(String, SecretBytes)], key: &str) -> Result<Option<String>, Error> {
    let found = values.iter().find(|(name, _)| name == key);
    found.map(|(name, value)| text(name, value)).transpose()
}

fn get_all(values: &[(String, SecretBytes)]) -> Result<Vec<(String, String)>, Error> {
    let pair = |(name, value): &(String, SecretBytes)| Ok((name.clone(), text(name, value)?));
    values.iter().map(pair).collect()
}

fn text(name: &str, value: &SecretBytes) -> Result<String, Error> {
    match std::str::from_utf8(value.expose()) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Error::Upstream(format!("value of {name} is not UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<(String, SecretBytes)> {
        vec![
            ("a".to_owned(), SecretBytes::new(b"1".to_vec())),
            ("b".to_owned(), SecretBytes::new(vec![0xff])),
        ]
    }

    #[test]
    fn known_value_is_answered_and_unknown_is_none() {
        assert_eq!(get(&values(), "a"), Ok(Some("1".to_owned())));
        assert_eq!(get(&values(), "c"), Ok(None));
    }

    #[test]
    fn value_that_is_not_text_is_an_error_without_the_value() {
        let error = Error::Upstream("value of b is not UTF-8".to_owned());
        assert_eq!(get(&values(), "b"), Err(error.clone()));
        assert_eq!(get_all(&values()), Err(error));
    }
}
