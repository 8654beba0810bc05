//! Static files, read whole into memory: a build is served from one release until the next is
//! complete.
//!
//! Reading blocks and is for the control runtime; requests only look up. Files that are too large
//! for memory are read while they are sent.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::time::Instant;

mod advice;
mod archive;
pub mod asset;
mod cache;
mod chunk;
pub mod content;
mod delta;
mod disk;
pub mod environment;
mod error;
mod hashed;
pub mod history;
mod html;
mod links;
mod lookup;
pub mod mime;
mod options;
mod page;
mod precompress;
pub mod release;
pub mod template;
mod walk;
mod watch;

pub use self::{error::AssetError, options::Options};

use self::{
    archive::Archive,
    cache::Cache,
    history::History,
    precompress::Surroundings,
    release::{Earlier, Release},
    walk::{Walk, walk},
    watch::Watch,
};

/// Tries to read a folder that is being written to.
const ATTEMPTS: usize = 5;
/// How long a build is held back, from its last change on, for a file that only its scripts name, or
/// a page in a folder that is new. A copy may hang for a while; but a script may also name what is no
/// file, and a page what another route serves, and that must not hold a release for ever.
const CHUNKS: Duration = Duration::from_secs(30);
/// The same from its first change on: something else may write into the folder all the time.
const CHANGES: Duration = Duration::from_mins(10);

/// A folder and its current release.
pub struct Store {
    root: PathBuf,
    options: Options,
    release: ArcSwap<Release>,
    cache: Option<Cache>,
    archive: Option<Archive>,
    following: Mutex<Following>,
}

/// What [`Store::refresh`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Nothing new.
    No,
    /// A change that is not over.
    Settling,
    /// A page or a script names this file, which is not there yet; the old release stays.
    Incomplete(String),
    /// A new release of so many files is served.
    Published(usize),
}

/// What is known of the folder from one look at it to the next.
#[derive(Debug)]
struct Following {
    /// A change that was seen and may not be complete.
    pending: Option<Pending>,
    watch: Watch,
}

#[derive(Debug)]
struct Pending {
    fingerprint: u64,
    since: Instant,
    /// When the folder began to differ from what is served.
    first: Instant,
    lacks: Option<Lack>,
}

/// What a build was found to lack. It is read again only when something changes, or the time is
/// over.
#[derive(Debug)]
struct Lack {
    name: String,
    until: Option<Instant>,
}

impl Store {
    /// Reads the folder at `root`. Blocks.
    ///
    /// # Errors
    /// The folder is not there, holds too much, or keeps changing. A single file that may not be
    /// read is left out with a warning.
    pub fn open(root: &Path, options: Options) -> Result<Arc<Self>, AssetError> {
        Self::open_after(None, root, options)
    }

    /// The same folder with other options: what did not change is not read again, and earlier
    /// builds stay reachable. Blocks.
    ///
    /// # Errors
    /// As of [`Store::open`].
    pub fn with_options(&self, options: Options) -> Result<Arc<Self>, AssetError> {
        Self::open_after(Some(&self.release.load()), &self.root, options)
    }

    /// The release to answer from. Not to be held over an await.
    pub fn release(&self) -> Guard<Arc<Release>> {
        self.release.load()
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How it is read.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Looks for a new build and publishes it when it is complete. Blocks, so it is for the control
    /// runtime, every second or two. The folder is walked when the kernel told of a change, now and
    /// then, and each time where it cannot be watched.
    ///
    /// # Errors
    /// The folder cannot be read; the old release stays.
    pub fn refresh(&self) -> Result<Changed, AssetError> {
        let following = self.following.lock();
        let mut following = following.unwrap_or_else(PoisonError::into_inner);
        match self.read_change(&mut following) {
            Err(error) if error.is_passing(&self.root) => Ok(Changed::Settling),
            other => other,
        }
    }

    /// Makes the variants that the release lacks, or takes them from the cache. Blocks for as long
    /// as that takes; ends early when there is a newer release, or `stop` is set. For a thread that
    /// serves nobody, every second.
    pub fn precompress(&self, stop: &AtomicBool) {
        let release = self.release.load_full();
        if release.is_coded() {
            return;
        }
        precompress::complete(&Surroundings {
            release: &release,
            current: &self.release,
            options: &self.options,
            cache: self.cache.as_ref(),
            archive: self.archive.as_ref(),
            stop,
        });
    }

    fn read_change(&self, following: &mut Following) -> Result<Changed, AssetError> {
        let Following { pending, watch } = following;
        let before = self.release.load_full();
        if pending.is_none() && watch.is_quiet(&self.root) {
            self.forget_expired(&before);
            return Ok(Changed::No);
        }
        let found = self.walk_watched(watch)?;
        let fingerprint = found.fingerprint;
        if fingerprint == before.fingerprint {
            *pending = None;
            self.forget_expired(&before);
            return Ok(Changed::No);
        }
        let first = pending.as_ref().map(|it| it.first);
        let seen = match pending {
            Some(seen) if seen.fingerprint == fingerprint => seen,
            _ => pending.insert(Pending {
                fingerprint,
                since: Instant::now(),
                first: first.unwrap_or_else(Instant::now),
                lacks: None,
            }),
        };
        let now = Instant::now();
        if let Some(lack) = &seen.lacks
            && lack.until.is_none_or(|until| now < until)
        {
            return Ok(Changed::Incomplete(lack.name.clone()));
        }
        if seen.since.elapsed() < self.options.settle {
            return Ok(Changed::Settling);
        }
        let history = before.history.clone();
        let archive = self.archive.as_ref();
        let earlier = Earlier {
            release: Some(&before),
            history,
            archive,
        };
        let release = Release::read(found, &self.options, earlier)?;
        if let Some(lack) = lack(&release, &before, seen) {
            let name = lack.name.clone();
            seen.lacks = Some(lack);
            return Ok(Changed::Incomplete(name));
        }
        // What was written while it was read makes it a mixture.
        if walk(&self.root, self.options.files, None)?.fingerprint != fingerprint {
            return Ok(Changed::Settling);
        }
        *pending = None;
        if let Some(missing) = release.lacks_chunk(&before) {
            let root = self.root.display();
            tracing::warn!(%root, missing, "a script of the new build names a file that is not there");
        }
        warn_of_skipped(&self.root, &release);
        advice::give(&self.root, &release, self.options.csp.as_ref());
        let count = release.len();
        self.release.store(Arc::new(release));
        Ok(Changed::Published(count))
    }

    fn walk_watched(&self, watch: &mut Watch) -> Result<Walk, AssetError> {
        let mut round = watch.begin(&self.root);
        let found = walk(&self.root, self.options.files, round.as_mut())?;
        if let Some(round) = round {
            watch.end(round);
        }
        Ok(found)
    }

    /// Lets go of earlier builds whose time is over.
    fn forget_expired(&self, release: &Release) {
        if let Some(next) = release.without_expired(&self.options, self.archive.as_ref()) {
            let (root, kept) = (self.root.display(), next.earlier_builds());
            tracing::info!(%root, kept, "files of an earlier build are no longer kept");
            self.release.store(Arc::new(next));
        }
    }

    fn read_first<'a>(
        root: &Path,
        options: &Options,
        earlier: &dyn Fn() -> Earlier<'a>,
    ) -> Result<Release, AssetError> {
        let mut attempt = 1;
        loop {
            match walk(root, options.files, None)
                .and_then(|found| Release::read(found, options, earlier()))
            {
                Err(error) if error.is_passing(root) && attempt < ATTEMPTS => attempt += 1,
                Ok(mut release) => {
                    if release.is_young(options.settle) {
                        release.forget_missing();
                    }
                    return Ok(release);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn open_after(
        before: Option<&Release>,
        root: &Path,
        options: Options,
    ) -> Result<Arc<Self>, AssetError> {
        let state = options.state.as_ref();
        let archive = state.map(|state| Archive::new(state, root));
        let history = match (before, &archive) {
            (None, Some(archive)) => archive.load(),
            _ => History::default(),
        };
        let earlier = || Earlier {
            release: None,
            history: history.clone(),
            archive: archive.as_ref(),
        };
        let release = match before {
            // What was copied into the folder since is for the next look at it, which knows whether it is whole.
            Some(before) => before.again(&options, archive.as_ref()),
            None => Self::read_first(root, &options, &earlier)?,
        };
        warn_of_skipped(root, &release);
        advice::give(root, &release, options.csp.as_ref());
        Ok(Arc::new(Self {
            root: root.to_owned(),
            archive,
            cache: options.state.as_ref().map(|state| Cache::new(state, root)),
            following: Mutex::new(Following {
                pending: None,
                watch: Watch::new(options.watches),
            }),
            options,
            release: ArcSwap::from_pointee(release),
        }))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// What holds back a build.
fn lack(release: &Release, before: &Release, seen: &Pending) -> Option<Lack> {
    let page = release.lacks(before).map(|name| Lack { name, until: None });
    let until = (seen.since + CHUNKS).min(seen.first + CHANGES);
    let chunk = || {
        let chunk = release
            .lacks_elsewhere(before)
            .or_else(|| release.lacks_chunk(before));
        chunk.filter(|_| Instant::now() < until)
    };
    page.or_else(|| {
        chunk().map(|name| Lack {
            name,
            until: Some(until),
        })
    })
}

fn warn_of_skipped(root: &Path, release: &Release) {
    if let Some((path, why)) = &release.skipped.first {
        let (root, path, count) = (root.display(), path.display(), release.skipped.count);
        tracing::warn!(%root, %path, count, "files are left out, this one because {why}");
    }
}

#[cfg(test)]
mod tests;
