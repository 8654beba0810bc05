//! Which paths a file answers, as nginx's `try_files` would find it; worked out once for a release,
//! so that a request looks up one name.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use crate::assets::{asset::Shared, release::Entry};

/// The paths of a release.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    suffixes: &'a [String],
    /// With the place of the suffix that led there.
    found: HashMap<Box<str>, (usize, Entry)>,
}

impl<'a> Lookup<'a> {
    /// For paths to which `suffixes` are appended, in this order.
    pub(super) fn new(suffixes: &'a [String], files: usize) -> Self {
        Self {
            suffixes,
            found: HashMap::with_capacity(2 * files),
        }
    }

    /// Adds every path that leads to the file `name`.
    ///
    /// The index of a folder answers for the path with its slash; without, the client is sent
    /// there, so that relative links work.
    pub(super) fn add(&mut self, name: &str, asset: &Shared) {
        for (place, suffix) in self.suffixes.iter().enumerate() {
            let file = || Entry::File(Arc::clone(asset));
            if let Some(index) = suffix.strip_prefix('/') {
                let Some(folder) = name.strip_suffix(index) else {
                    continue;
                };
                if let Some(bare) = folder.strip_suffix('/') {
                    self.put(place, folder, file());
                    self.put(place, bare, Entry::Folder);
                } else if folder.is_empty() {
                    self.put(place, "", file());
                }
            } else if let Some(path) = name.strip_suffix(suffix.as_str())
                && !path.is_empty()
                && !path.ends_with('/')
            {
                self.put(place, path, file());
            }
        }
    }

    /// Paths with what they lead to.
    pub(super) fn entries(self) -> HashMap<Box<str>, Entry> {
        let entries = self.found.into_iter();
        entries.map(|(path, (_, entry))| (path, entry)).collect()
    }

    /// The earlier suffix wins.
    fn put(&mut self, place: usize, path: &str, entry: Entry) {
        match self.found.entry(path.into()) {
            hash_map::Entry::Occupied(known) if known.get().0 <= place => {}
            hash_map::Entry::Occupied(mut known) => {
                known.insert((place, entry));
            }
            hash_map::Entry::Vacant(free) => {
                free.insert((place, entry));
            }
        }
    }
}
