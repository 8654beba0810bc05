//! `server.state`: the folder of what outlives a restart.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::config::{
    defaults,
    reader::{
        file::{WritableFolder, is_writable},
        table::Table,
    },
};

/// `server.state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Systemd's `STATE_DIRECTORY`, or the usual folder, if there is one that can be written to.
    Default,
    /// This folder, which can be written to.
    Folder(PathBuf),
    /// Nothing is kept.
    Off,
}

impl State {
    /// The folder, if there is one.
    pub fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Folder(path) => Some(path.clone()),
            Self::Off => None,
            Self::Default => {
                let given = env::var("STATE_DIRECTORY").unwrap_or_default();
                // Systemd separates several by colons; the first is that of the unit itself.
                let given = given.split(':').next().filter(|given| !given.is_empty());
                let path = Path::new(given.unwrap_or(defaults::STATE));
                is_writable(path).then(|| path.to_owned())
            }
        }
    }
}

pub(super) fn read(table: &Table<'_>) -> State {
    match table.value("state") {
        None => State::Default,
        Some(value) if value.is_off() => State::Off,
        Some(value) if value.node.get_ref().as_str().is_none() => {
            value.wrong_type::<()>("a path or `false`", "\"/var/lib/portcullis\"");
            State::Default
        }
        Some(_) => table
            .take::<WritableFolder>("state")
            .map_or(State::Default, |folder| State::Folder(folder.0)),
    }
}
