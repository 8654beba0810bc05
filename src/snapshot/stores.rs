//! The folders of routes.

use std::{path::PathBuf, sync::Arc};

use crate::{
    assets::{Options, Store, environment::Environment, history::Keep},
    config::{diagnostic::Diagnostic, route::Files, site::Site},
};

/// The folder of a route: one of `stores`, also under other options, or a fresh one, which is added to them.
pub(super) fn open(
    files: &Files,
    site: &Site,
    state: Option<PathBuf>,
    stores: &mut Vec<Arc<Store>>,
) -> Result<Arc<Store>, Diagnostic> {
    let root = &files.root;
    let options = options(files, site, state);
    let same_root = stores.iter().filter(|store| store.root() == root.value);
    if let Some(known) = same_root.clone().find(|store| *store.options() == options) {
        return Ok(known.clone());
    }
    let opened = match same_root.clone().next() {
        Some(known) => known.with_options(options),
        None => Store::open(&root.value, options),
    };
    let store = opened.map_err(|error| {
        let cause = std::error::Error::source(&error)
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        Diagnostic::error(format!("{error}{cause}")).at(root.span.clone())
    })?;
    stores.push(store.clone());
    Ok(store)
}

fn options(files: &Files, site: &Site, state: Option<PathBuf>) -> Options {
    let releases = files.releases;
    Options {
        environment: Environment::new(files.env.clone()),
        suffixes: files.suffixes.clone(),
        csp: site.headers.csp.clone(),
        state,
        keep: Keep {
            builds: releases.keep,
            age: releases.age,
        },
        retired: releases.memory,
        dictionaries: files.dictionaries,
        disk: releases.disk,
        ..Options::default()
    }
}
