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

use crate::config::{defaults, headers::Csp};

mod advice;
pub mod asset;
mod cache;
mod chunk;
pub mod content;
pub mod environment;
mod hashed;
mod html;
mod links;
mod lookup;
mod mime;
mod page;
mod precompress;
pub mod release;
pub mod template;
mod walk;

use self::{
    cache::Cache, environment::Environment, precompress::Surroundings, release::Release, walk::walk,
};

/// Tries to read a folder that is being written to.
const ATTEMPTS: usize = 5;
/// How long a build is held back, from its last change on, for a file that only its scripts name.
/// A copy may hang for a while; but a script may also name what is no file, and that must not hold
/// a release for ever.
const CHUNKS: Duration = Duration::from_secs(30);

/// A folder and its current release.
pub struct Store {
    root: PathBuf,
    options: Options,
    release: ArcSwap<Release>,
    cache: Option<Cache>,
    /// A change that was seen and may not be complete.
    pending: Mutex<Option<Pending>>,
}

/// How a folder is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What pages and scripts are told.
    pub environment: Environment,
    /// What is appended to a path, in the order in which files are looked for.
    pub suffixes: Vec<String>,
    /// Policy to which the hashes of inline scripts and styles are added.
    pub csp: Option<Csp>,
    /// Largest file that is kept in memory, in bytes. A larger page gets no hashes.
    pub in_memory: u64,
    /// Bytes in memory in all.
    pub memory: u64,
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
    /// A page or a script names this file, which is not there yet; the old release stays.
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
    lacks: Option<Lack>,
}

/// What a build was found to lack. It is read again only when something changes, or the time is
/// over.
#[derive(Debug)]
struct Lack {
    name: String,
    until: Option<Instant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            environment: Environment::default(),
            suffixes: defaults::SUFFIXES.map(str::to_owned).into(),
            csp: None,
            in_memory: 1 << 20,
            memory: 256 << 20,
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
            stop,
        });
    }

    fn read_change(&self, pending: &mut Option<Pending>) -> Result<Changed, AssetError> {
        let before = self.release.load_full();
        let found = walk(&self.root, self.options.files)?;
        let fingerprint = found.fingerprint;
        if fingerprint == before.fingerprint {
            *pending = None;
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
        let now = Instant::now();
        if let Some(lack) = &seen.lacks
            && lack.until.is_none_or(|until| now < until)
        {
            return Ok(Changed::Incomplete(lack.name.clone()));
        }
        if seen.since.elapsed() < self.options.settle {
            return Ok(Changed::Settling);
        }
        let release = Release::read(found, &self.options, Some(&before))?;
        if let Some(lack) = lack(&release, &before, seen.since) {
            let name = lack.name.clone();
            seen.lacks = Some(lack);
            return Ok(Changed::Incomplete(name));
        }
        // What was written while it was read makes it a mixture.
        if walk(&self.root, self.options.files)?.fingerprint != fingerprint {
            return Ok(Changed::Settling);
        }
        *pending = None;
        warn_of_skipped(&self.root, &release);
        advice::give(&self.root, &release, self.options.csp.as_ref());
        let count = release.len();
        self.release.store(Arc::new(release));
        Ok(Changed::Published(count))
    }

    fn open_after(
        before: Option<&Release>,
        root: &Path,
        options: Options,
    ) -> Result<Arc<Self>, AssetError> {
        let mut attempt = 1;
        let release = loop {
            match walk(root, options.files).and_then(|found| Release::read(found, &options, before))
            {
                Err(error) if error.is_passing(root) && attempt < ATTEMPTS => attempt += 1,
                read => break read?,
            }
        };
        warn_of_skipped(root, &release);
        advice::give(root, &release, options.csp.as_ref());
        Ok(Arc::new(Self {
            root: root.to_owned(),
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

/// What holds back a build that changed last at `since`.
fn lack(release: &Release, before: &Release, since: Instant) -> Option<Lack> {
    let page = release.lacks(before).map(|name| Lack { name, until: None });
    let until = since + CHUNKS;
    let chunk = || {
        release
            .lacks_chunk(before)
            .filter(|_| Instant::now() < until)
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
