//! Whether a build is whole, or a copy of it is on its way.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use super::{INDEX, Release, folder};
use crate::assets::{chunk, hashed::is_hashed};

impl Release {
    /// What shows that `self`, which should replace `before`, is not whole yet.
    pub(in crate::assets) fn lacks(&self, before: &Self) -> Option<String> {
        if before.files.contains_key(INDEX) && !self.files.contains_key(INDEX) {
            return Some(INDEX.to_owned());
        }
        let mut ours = self
            .news(before)
            .filter(|reference| self.is_home(reference) || before.is_home(reference));
        ours.next().cloned()
    }

    /// The same of a folder where no page has found a file so far: of the first build that uses it, or of somebody else.
    pub(in crate::assets) fn lacks_elsewhere(&self, before: &Self) -> Option<String> {
        let is_foreign = |reference: &str| {
            let mut known = before.missing.iter();
            known.any(|known| folder(known) == folder(reference))
        };
        let mut others = self.news(before).filter(|reference| !is_foreign(reference));
        others.next().cloned()
    }

    /// What its pages name and nobody has; what was missing before is none.
    fn news<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a String> {
        self.missing.difference(&before.missing)
    }

    /// Whether a page found a file in the folder of a reference.
    fn is_home(&self, reference: &str) -> bool {
        self.folders.contains(folder(reference))
    }

    /// Whether something was written into the folder in the `time` before now.
    pub(in crate::assets) fn is_young(&self, time: Duration) -> bool {
        let newest = self
            .files
            .values()
            .map(|content| content.stamp().changed_at())
            .max();
        newest.is_some_and(|newest| {
            let age = SystemTime::now().duration_since(newest);
            age.is_ok_and(|age| age < time)
        })
    }

    /// Begins anew with what is known to be missing: it was read while somebody wrote, so that more may come.
    pub(in crate::assets) fn forget_missing(&mut self) {
        self.missing.clear();
        self.missing_chunks.clear();
    }

    /// A file that its scripts may want later, that is not there, and that those of `before` did
    /// not name. A script may also name what nobody has, so this is no proof.
    pub(in crate::assets) fn lacks_chunk(&self, before: &Self) -> Option<String> {
        let mut news = self.missing_chunks.difference(&before.missing_chunks);
        news.next().cloned()
    }

    /// Notes which files the pages name, and which of those are here.
    pub(super) fn resolve_pages(&mut self) {
        let (mut folders, mut missing) = (HashSet::new(), HashSet::new());
        for (reference, is_here) in self.references() {
            if is_here {
                folders.insert(folder(reference).to_owned());
            } else if is_hashed(reference) {
                missing.insert(reference.clone());
            }
        }
        (self.folders, self.missing) = (folders, missing);
    }

    /// What its pages name, and whether that is here.
    fn references(&self) -> impl Iterator<Item = (&String, bool)> {
        self.pages().flat_map(move |(page, asset)| {
            let references = asset.page().into_iter().flat_map(|page| &page.references);
            references.map(move |reference| {
                (
                    reference,
                    self.has(reference) || self.has_beside(page, reference),
                )
            })
        })
    }

    /// Whether a reference leads to a file from the folder of its page on.
    fn has_beside(&self, page: &str, reference: &str) -> bool {
        !reference.starts_with('/')
            && self.has(&format!(
                "{}/{}",
                folder(page),
                reference.trim_start_matches("./")
            ))
    }

    /// Follows scripts and styles from those that the pages name, and notes which files they name
    /// that are not here.
    pub(super) fn resolve_chunks(&mut self) {
        let known = self.files.iter();
        let known: HashMap<_, _> = known.map(|file| (chunk::base(file.0), file)).collect();
        let here = self.references().filter(|(_, is_here)| *is_here);
        let mut queue: Vec<_> = here.map(|(reference, _)| chunk::base(reference)).collect();
        let mut seen: HashSet<_> = queue.iter().copied().collect();
        let mut missing = HashSet::new();
        while let Some(name) = queue.pop() {
            let Some((path, content)) = known.get(name) else {
                missing.insert(name.to_owned());
                continue;
            };
            let code = content.bytes().filter(|_| chunk::names_others(path));
            let named = code.into_iter().flat_map(|code| chunk::hashed_names(code));
            queue.extend(named.filter(|name| seen.insert(name)));
        }
        self.missing_chunks = missing;
    }

    /// Whether a reference leads to a file. The route's prefix is not known here, so the path may
    /// start at any segment.
    fn has(&self, reference: &str) -> bool {
        let decoded = percent_encoding::percent_decode_str(reference).decode_utf8_lossy();
        let mut path = decoded.trim_start_matches(['.', '/']);
        loop {
            if self.files.contains_key(path) {
                return true;
            }
            match path.split_once('/') {
                Some((_, rest)) => path = rest,
                None => return false,
            }
        }
    }
}
