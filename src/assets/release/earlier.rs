//! What a release has of those before it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::AtomicBool},
    time::SystemTime,
};

use super::{Entry, MAX_HELD, Release, entries, folder};
use crate::assets::{
    Options,
    archive::Archive,
    asset::{Asset, Shared},
    content::{Content, Place},
    disk,
    hashed::{is_hashed, pattern},
    history::{History, Kept},
    mime,
    walk::Skipped,
};

/// Files of which one is coded as the difference. Each is time and memory for those who have it.
const MAX_DICTIONARIES: usize = 4;
/// Files of earlier builds that are kept.
const MAX_RETIRED: usize = 20_000;

impl Release {
    /// The same build under other options. Reads nothing of the folder.
    pub(in crate::assets) fn again(&self, options: &Options, archive: Option<&Archive>) -> Self {
        let mut history = self.history.clone();
        history.expire(options.keep, now());
        let mut next = Self {
            entries: entries(&self.files, options, Some(self)),
            environment: options.environment.clone(),
            ..self.bare(history)
        };
        next.retire(Some(self), archive, options);
        next
    }

    /// The same build without files of earlier ones.
    fn bare(&self, history: History) -> Self {
        Self {
            entries: self.entries.clone(),
            retired: HashMap::new(),
            files: Arc::clone(&self.files),
            history,
            environment: self.environment.clone(),
            folders: self.folders.clone(),
            missing: self.missing.clone(),
            missing_chunks: self.missing_chunks.clone(),
            fingerprint: self.fingerprint,
            skipped: Skipped::default(),
            since: self.since,
            coded: AtomicBool::new(false),
        }
    }

    /// The same build without what has been replaced for too long; `None` when there is no such.
    pub(in crate::assets) fn without_expired(
        &self,
        options: &Options,
        archive: Option<&Archive>,
    ) -> Option<Self> {
        if !self.history.is_due(options.keep, now()) {
            return None;
        }
        let mut history = self.history.clone();
        history.expire(options.keep, now());
        let mut next = self.bare(history);
        next.retire(Some(self), archive, options);
        Some(next)
    }

    /// Keeps its hashed files, and the list of earlier builds, on disk. Blocks.
    pub(in crate::assets) fn save(&self, archive: &Archive, bound: u64) {
        archive.save(&self.history, &self.files, bound);
    }

    /// Earlier builds of which something is still there.
    pub(in crate::assets) fn earlier_builds(&self) -> usize {
        self.history.builds()
    }

    /// Files in memory that earlier builds had under the name that this one has but for its hash, the newest first.
    pub(in crate::assets) fn earlier_than(&self, name: &str) -> Vec<&Shared> {
        let Some(pattern) = pattern(name) else {
            return Vec::new();
        };
        let is_alike = |other: &str| {
            folder(other) == folder(name) && self::pattern(other).is_some_and(|it| it == pattern)
        };
        let gone = self.history.gone().filter(|(other, _)| is_alike(other));
        let assets = gone.filter_map(|(other, _)| match self.retired.get(other.as_str())? {
            Entry::File(asset) => asset.identity().bytes().map(|_| asset),
            Entry::Folder => None,
        });
        assets.take(MAX_DICTIONARIES).collect()
    }

    /// Keeps the hashed files that went with earlier builds reachable, the newest first: in memory
    /// while they fit, then on disk.
    pub(super) fn retire(
        &mut self,
        before: Option<&Self>,
        archive: Option<&Archive>,
        options: &Options,
    ) {
        let mut left = options.retired;
        let mut held = MAX_HELD;
        for (name, kept) in self.history.gone() {
            let is_there = self.entries.contains_key(&**name) || self.retired.contains_key(&**name);
            if is_there || self.retired.len() >= MAX_RETIRED {
                continue;
            }
            let known = before.and_then(|before| before.known(name, kept, options));
            let weight = known.map_or(kept.size, |asset| asset.weight());
            let fits = weight <= left && kept.size <= options.in_memory;
            let place = if fits { Place::Memory } else { Place::Disk };
            let known_here = known.filter(|asset| fits && asset.identity().place() == place);
            let archived = || {
                let content = match told(archive?, name, kept, options) {
                    // Told, it can only be in memory.
                    Some(told) => Some(told).filter(|_| fits)?,
                    None => archive?.open(name, kept, place)?,
                };
                Some(Arc::new(Asset::new(name, content, Vec::new(), options)))
            };
            let open = known.filter(|asset| asset.identity().place() == Place::Held);
            let mut asset = known_here.cloned().or_else(archived);
            if asset.is_none() && held > 0 {
                asset = open.cloned();
                held -= usize::from(asset.is_some());
            }
            if let Some(asset) = asset {
                left = left.saturating_sub(asset.weight());
                self.retired
                    .insert(name.as_str().into(), Entry::File(asset));
            }
        }
    }

    /// A file that it has with this content, as `options` have it.
    fn known(&self, name: &str, kept: &Kept, options: &Options) -> Option<&Shared> {
        let Entry::File(asset) = self.find(name)? else {
            return None;
        };
        let content = asset.identity();
        let is_told = self.environment == options.environment || !mime::is_told(name);
        let is_it = is_told && disk::hex(content.origin()) == kept.hash;
        is_it.then_some(asset)
    }
}

/// A file that was kept, with the values of the environment; `None` where it has no place for any.
fn told(archive: &Archive, name: &str, kept: &Kept, options: &Options) -> Option<Content> {
    if options.environment.is_empty() || !mime::is_told(name) || kept.size > options.in_memory {
        return None;
    }
    let content = archive.open(name, kept, Place::Memory)?;
    options.environment.fill(name, &content)
}

/// What outlives a build: files whose names never come again with other content. No source map, which no page that is
/// open needs, and which may have been taken out on purpose.
pub(super) fn hashed(files: &HashMap<String, Content>) -> BTreeMap<String, Kept> {
    let hashed = files
        .iter()
        .filter(|(name, _)| is_hashed(name) && !mime::is_source_map(name));
    hashed
        .map(|(name, content)| {
            let kept = Kept {
                hash: disk::hex(content.digest()),
                size: content.size(),
            };
            (name.clone(), kept)
        })
        .collect()
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
