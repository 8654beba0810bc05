//! One build, read whole: never changed, replaced by the next.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::time::Instant;

use crate::{
    assets::{
        AssetError, Options,
        archive::Archive,
        asset::{Asset, Shared, Variant},
        content::{Content, Place},
        environment::Environment,
        history::History,
        lookup::Lookup,
        walk::{Found, Skipped, Walk},
    },
    message::coding::Coding,
};

mod complete;
mod earlier;

use self::earlier::{hashed, now};

/// File that answers for its folder.
const INDEX: &str = "index.html";
/// Files that are kept open, so that they outlive their removal. Descriptors are scarce where the
/// limit is 1024.
const MAX_HELD: usize = 64;

/// A build.
#[derive(Debug)]
pub struct Release {
    entries: HashMap<Box<str>, Entry>,
    /// Hashed files of earlier builds: open pages still ask for them.
    retired: HashMap<Box<str>, Entry>,
    files: Arc<HashMap<String, Content>>,
    /// Which builds were before.
    pub(super) history: History,
    /// What its pages and scripts were told.
    environment: Environment,
    /// Where its pages find their scripts, as they write it.
    folders: HashSet<String>,
    /// Hashed files that its pages name and that are not there.
    missing: HashSet<String>,
    /// Hashed files that its scripts and styles name and that are not there, without folders.
    missing_chunks: HashSet<String>,
    pub(super) fingerprint: u64,
    pub(super) skipped: Skipped,
    /// When it was read.
    pub(super) since: Instant,
    /// Every variant that can be had is there.
    coded: AtomicBool,
}

/// What a release has from those before it.
#[derive(Debug)]
pub(super) struct Earlier<'a> {
    /// The one that it replaces.
    pub(super) release: Option<&'a Release>,
    pub(super) history: History,
    pub(super) archive: Option<&'a Archive>,
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A file, or the index of a folder when the path ends with a slash or is empty.
    File(Arc<Asset>),
    /// A folder with an index, without its slash.
    Folder,
}

impl Release {
    /// Reads what was found. Files that the release before has unchanged are taken from there.
    /// Blocks.
    pub(super) fn read(
        walk: Walk,
        options: &Options,
        mut earlier: Earlier<'_>,
    ) -> Result<Self, AssetError> {
        let before = earlier.release;
        let places = place(&walk.files, options);
        let mut files = HashMap::with_capacity(walk.files.len());
        let mut skipped = walk.skipped;
        for (found, place) in walk.files.iter().zip(places) {
            let known = before.and_then(|before| before.files.get(&found.name));
            let known =
                known.filter(|known| *known.stamp() == found.stamp && known.place() == place);
            let content = match known {
                Some(known) => known.clone(),
                None => match Content::read(found, place) {
                    Err(error) if error.is_forbidden() => {
                        skipped.add(&found.path, "it may not be read");
                        continue;
                    }
                    read => read?,
                },
            };
            files.insert(found.name.clone(), content);
        }
        earlier.history.follow(hashed(&files), now());
        earlier.history.expire(options.keep, now());
        let mut release = Self {
            history: earlier.history,
            entries: entries(&files, options, before),
            retired: HashMap::new(),
            folders: HashSet::new(),
            missing: HashSet::new(),
            missing_chunks: HashSet::new(),
            fingerprint: walk.fingerprint,
            files: Arc::new(files),
            environment: options.environment.clone(),
            skipped,
            since: Instant::now(),
            coded: AtomicBool::new(false),
        };
        release.resolve_pages();
        release.resolve_chunks();
        release.retire(before, earlier.archive, options);
        Ok(release)
    }

    /// What a decoded, relative path leads to.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path).or_else(|| self.retired.get(path))
    }

    /// The file at a path; not the index of a folder without its slash.
    pub fn file(&self, path: &str) -> Option<&Asset> {
        match self.find(path)? {
            Entry::File(asset) => Some(asset),
            Entry::Folder => None,
        }
    }

    /// Pages of the build, with their names.
    pub(super) fn pages(&self) -> impl Iterator<Item = (&str, &Asset)> {
        let assets = self
            .files
            .keys()
            .filter_map(|name| Some((&**name, self.file(name)?)));
        assets.filter(|(_, asset)| asset.page().is_some())
    }

    /// How many files the build has.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// The build has no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Assets that still want variants, small ones first; those of earlier builds last.
    pub(super) fn wanting(&self) -> Vec<Shared> {
        let wanting = |entries: &HashMap<Box<str>, Entry>| {
            let files = entries.values().filter_map(|entry| match entry {
                Entry::File(asset) if !asset.missing().is_empty() => Some(Arc::clone(asset)),
                Entry::File(_) | Entry::Folder => None,
            });
            let mut files: Vec<_> = files.collect();
            files.sort_by_key(|asset| asset.identity().size());
            files
        };
        let mut all = wanting(&self.entries);
        all.extend(wanting(&self.retired));
        all
    }

    /// Assets that may be coded as a difference from earlier builds, with their names, and are not so far.
    pub(super) fn without_deltas(&self) -> Vec<(&str, &Shared)> {
        let files = self.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::File(asset) if asset.lacks_deltas() => Some((&**name, asset)),
            Entry::File(_) | Entry::Folder => None,
        });
        let mut files: Vec<_> = files.collect();
        files.sort_by_key(|(_, asset)| asset.identity().size());
        files
    }

    /// Bytes that it holds in memory.
    pub(super) fn weight(&self) -> u64 {
        let mut seen = HashSet::new();
        let assets = self.entries.values().chain(self.retired.values());
        let assets = assets.filter_map(|entry| match entry {
            Entry::File(asset) => seen.insert(Arc::as_ptr(asset)).then(|| asset.weight()),
            Entry::Folder => None,
        });
        assets.sum()
    }

    /// Whether there is nothing left to code.
    pub(super) fn is_coded(&self) -> bool {
        self.coded.load(Ordering::Relaxed)
    }

    /// Notes that there is nothing left to code.
    pub(super) fn set_coded(&self) {
        self.coded.store(true, Ordering::Relaxed);
    }
}

/// Where each file is to be kept: the smallest in memory, as many as fit.
fn place(files: &[Found], options: &Options) -> Vec<Place> {
    let mut order: Vec<_> = (0..files.len()).collect();
    order.sort_by_key(|at| files[*at].stamp.size);
    let mut places = vec![Place::Disk; files.len()];
    let (mut left, mut held) = (options.memory, MAX_HELD);
    for at in order {
        let size = files[at].stamp.size;
        let fits = left.checked_sub(size).filter(|_| size <= options.in_memory);
        places[at] = match fits {
            Some(rest) => {
                left = rest;
                Place::Memory
            }
            None if held > 0 => {
                held -= 1;
                Place::Held
            }
            None => Place::Disk,
        };
    }
    places
}

fn entries(
    files: &HashMap<String, Content>,
    options: &Options,
    before: Option<&Release>,
) -> HashMap<Box<str>, Entry> {
    let mut lookup = Lookup::new(&options.suffixes, files.len());
    let filled = options.environment.fill_all(files);
    for (name, content) in files {
        let content = filled.get(name.as_str()).unwrap_or(content);
        let variants = variants(files, name, content);
        let mut asset = Asset::new(name, content.clone(), variants, options);
        if let Some(earlier) = before.and_then(|before| before.file(name)) {
            asset.share(earlier);
        }
        lookup.add(name, &Arc::new(asset));
    }
    lookup.entries()
}

/// What a build compressed beside a file, which knows nothing of what was filled in since.
fn variants(files: &HashMap<String, Content>, name: &str, content: &Content) -> Vec<Variant> {
    /// A copy gives files of one build about the same time; a variant that is older than this, in
    /// seconds, is of an earlier build.
    const OLDER: i64 = 60;
    if content.is_filled() {
        return Vec::new();
    }
    let find = |coding: Coding| {
        let variant = files.get(&format!("{name}{}", suffix(coding)))?;
        let fresh = variant.stamp().modified.0.saturating_add(OLDER) >= content.stamp().modified.0;
        fresh.then(|| Variant {
            coding,
            content: variant.clone(),
        })
    };
    Coding::ALL.into_iter().filter_map(find).collect()
}

/// What a build adds to the name of a file that it compressed.
fn suffix(coding: Coding) -> &'static str {
    match coding {
        Coding::Brotli => ".br",
        Coding::Zstd => ".zst",
        Coding::Gzip => ".gz",
    }
}

fn folder(reference: &str) -> &str {
    reference.rfind('/').map_or("", |at| &reference[..at])
}
