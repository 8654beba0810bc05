//! Static files, read whole into memory: a build is served from one release until the next is
//! complete.
//!
//! Reading blocks and is for the control runtime; requests only look up. Files that are too large
//! for memory are read while they are sent.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::time::Instant;

use crate::config::headers::Csp;

mod archive;
pub mod asset;
mod cache;
pub mod content;
mod disk;
mod hashed;
pub mod history;
mod html;
mod mime;
mod page;
mod precompress;
pub mod release;
mod walk;

use self::{
    archive::Archive,
    cache::Cache,
    history::{History, Keep},
    precompress::Surroundings,
    release::{Earlier, Release},
    walk::walk,
};

/// Tries to read a folder that is being written to.
const ATTEMPTS: usize = 5;

/// A folder and its current release.
pub struct Store {
    root: PathBuf,
    options: Options,
    release: ArcSwap<Release>,
    cache: Option<Cache>,
    archive: Option<Archive>,
    /// A change that was seen and may not be complete.
    pending: Mutex<Option<Pending>>,
}

/// How a folder is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Policy to which the hashes of inline scripts are added.
    pub csp: Option<Csp>,
    /// Largest file that is kept in memory, in bytes. A larger page gets no hashes of its scripts.
    pub in_memory: u64,
    /// Bytes in memory in all.
    pub memory: u64,
    /// Earlier builds whose hashed files stay reachable.
    pub keep: Keep,
    /// Bytes in memory for files of earlier builds.
    pub retired: u64,
    /// Files and folders that there may be.
    pub files: usize,
    /// How long a change must have been the last before it is read.
    pub settle: Duration,
    /// How long after it was read a release is compressed: a start, or a deploy, has better things
    /// to do.
    pub rest: Duration,
    /// Folder that keeps what was made across restarts.
    pub state: Option<PathBuf>,
    /// Bytes that may be kept there.
    pub disk: u64,
}

/// What [`Store::refresh`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Nothing new.
    No,
    /// A change that is not over.
    Settling,
    /// A page names this file, which is not there yet; the old release stays.
    Incomplete(String),
    /// A new release of so many files is served.
    Published(usize),
}

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// A file or folder could not be read.
    #[error("cannot read {path:?}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More files than are taken.
    #[error("{path:?} holds more than {limit} files; point root at the built files alone")]
    TooMany {
        /// The root.
        path: PathBuf,
        /// The bound.
        limit: usize,
    },
    /// Folders too deep within each other.
    #[error("{path:?} lies more than {limit} folders deep")]
    TooDeep {
        /// The folder.
        path: PathBuf,
        /// The bound.
        limit: usize,
    },
    /// A file changed while it was read.
    #[error("{0:?} changes while it is read; start again when the copy is complete")]
    Changing(PathBuf),
}

#[derive(Debug)]
struct Pending {
    fingerprint: u64,
    since: Instant,
    /// What it was found to lack; read again only when something changes.
    lacks: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            csp: None,
            in_memory: 1 << 20,
            memory: 256 << 20,
            keep: Keep {
                builds: 3,
                age: Duration::from_hours(7 * 24),
            },
            retired: 64 << 20,
            files: 100_000,
            settle: Duration::from_secs(1),
            rest: Duration::from_secs(2),
            state: None,
            disk: 512 << 20,
        }
    }
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
    /// runtime, every second or two.
    ///
    /// # Errors
    /// The folder cannot be read; the old release stays.
    pub fn refresh(&self) -> Result<Changed, AssetError> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read_change(&mut pending) {
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

    fn read_change(&self, pending: &mut Option<Pending>) -> Result<Changed, AssetError> {
        let before = self.release.load_full();
        let found = walk(&self.root, self.options.files)?;
        let fingerprint = found.fingerprint;
        if fingerprint == before.fingerprint {
            *pending = None;
            self.forget_expired(&before);
            return Ok(Changed::No);
        }
        let seen = match pending {
            Some(seen) if seen.fingerprint == fingerprint => seen,
            _ => pending.insert(Pending {
                fingerprint,
                since: Instant::now(),
                lacks: None,
            }),
        };
        if let Some(missing) = &seen.lacks {
            return Ok(Changed::Incomplete(missing.clone()));
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
        if let Some(missing) = release.lacks(&before) {
            seen.lacks = Some(missing.clone());
            return Ok(Changed::Incomplete(missing));
        }
        // What was written while it was read makes it a mixture.
        if walk(&self.root, self.options.files)?.fingerprint != fingerprint {
            return Ok(Changed::Settling);
        }
        *pending = None;
        warn_of_skipped(&self.root, &release);
        let count = release.len();
        self.release.store(Arc::new(release));
        Ok(Changed::Published(count))
    }

    /// Lets go of earlier builds whose time is over.
    fn forget_expired(&self, release: &Release) {
        if let Some(next) = release.without_expired(&self.options, self.archive.as_ref()) {
            let (root, kept) = (self.root.display(), next.earlier_builds());
            tracing::info!(%root, kept, "files of an earlier build are no longer kept");
            self.release.store(Arc::new(next));
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
            (Some(before), _) => before.history.clone(),
            (None, Some(archive)) => archive.load(),
            (None, None) => History::default(),
        };
        let earlier = || Earlier {
            release: before,
            history: history.clone(),
            archive: archive.as_ref(),
        };
        let mut attempt = 1;
        let release = loop {
            match walk(root, options.files)
                .and_then(|found| Release::read(found, &options, earlier()))
            {
                Err(error) if error.is_passing(root) && attempt < ATTEMPTS => attempt += 1,
                read => break read?,
            }
        };
        warn_of_skipped(root, &release);
        Ok(Arc::new(Self {
            root: root.to_owned(),
            archive,
            cache: options.state.as_ref().map(|state| Cache::new(state, root)),
            options,
            release: ArcSwap::from_pointee(release),
            pending: Mutex::new(None),
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

impl AssetError {
    fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    fn is_forbidden(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    /// A copy in progress explains it.
    fn is_passing(&self, root: &Path) -> bool {
        match self {
            Self::Changing(_) => true,
            Self::Read { path, source } => path != root && source.kind() == io::ErrorKind::NotFound,
            Self::TooMany { .. } | Self::TooDeep { .. } => false,
        }
    }
}

fn warn_of_skipped(root: &Path, release: &Release) {
    if let Some((path, why)) = &release.skipped.first {
        let (root, path, count) = (root.display(), path.display(), release.skipped.count);
        tracing::warn!(%root, %path, count, "files are left out, this one because {why}");
    }
}

#[cfg(test)]
mod tests;
