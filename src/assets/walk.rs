//! The regular files below a root, and nothing that an operator did not mean to publish.
//!
//! Dotfiles are left out (`.well-known/` in the root is not one), and so are links that lead out of
//! the root.

use std::{
    fs::{self, DirEntry, Metadata},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, ErrorKind},
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::assets::{AssetError, watch::Round};

/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// What was found.
#[derive(Debug)]
pub(super) struct Walk {
    /// Sorted by name.
    pub(super) files: Vec<Found>,
    /// What was left out and has to be said.
    pub(super) skipped: Skipped,
    /// Changes when any file changes.
    pub(super) fingerprint: u64,
}

/// A regular file.
#[derive(Debug, Hash)]
pub(super) struct Found {
    /// Relative, with `/`.
    pub(super) name: String,
    /// Absolute, without links.
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

/// What changes when a file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    /// Seconds and nanoseconds since 1970.
    pub(super) modified: (i64, i64),
    changed: (i64, i64),
}

/// Files left out for a reason that the operator should know.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    pub(super) count: usize,
    /// The first of them, and why.
    pub(super) first: Option<(PathBuf, &'static str)>,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// That of bytes which were made of the file.
    pub(super) fn with_size(self, size: u64) -> Self {
        Self { size, ..self }
    }

    /// When it was changed last, in any way.
    pub(super) fn changed_at(&self) -> SystemTime {
        let (seconds, nanoseconds) = self.changed;
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    /// Whether an open file still has the bytes it had. Its change time also moves when it is
    /// unlinked.
    pub(super) fn has_bytes_of(&self, other: &Self) -> bool {
        let changed = other.changed;
        Self { changed, ..*self } == *other
    }
}

impl Skipped {
    pub(super) fn add(&mut self, path: &Path, why: &'static str) {
        self.count += 1;
        self.first.get_or_insert_with(|| (path.to_owned(), why));
    }
}

/// Finds the files below `root`, of which there may be `limit`, folders counted. `round` watches what
/// is looked at.
pub(super) fn walk(
    root: &Path,
    limit: usize,
    round: Option<&mut Round>,
) -> Result<Walk, AssetError> {
    let real = root
        .canonicalize()
        .map_err(|source| AssetError::read(root, source))?;
    let mut walker = Walker {
        root: &real,
        limit,
        round,
        seen: 0,
        files: Vec::new(),
        skipped: Skipped::default(),
    };
    walker.folder("", &mut vec![real.clone()])?;
    let Walker {
        mut files, skipped, ..
    } = walker;
    files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(Walk {
        files,
        skipped,
        fingerprint: hasher.finish(),
    })
}

struct Walker<'a> {
    root: &'a Path,
    limit: usize,
    round: Option<&'a mut Round>,
    seen: usize,
    files: Vec<Found>,
    skipped: Skipped,
}

impl Walker<'_> {
    /// Walks the last of `above`, the real folders from the root down; `prefix` is its name, with a
    /// slash unless it is the root.
    fn folder(&mut self, prefix: &str, above: &mut Vec<PathBuf>) -> Result<(), AssetError> {
        let here = above.last().cloned().unwrap_or_default();
        if above.len() > MAX_DEPTH {
            return Err(AssetError::TooDeep {
                path: here,
                limit: MAX_DEPTH,
            });
        }
        if let Some(round) = &mut self.round {
            round.cover(&here);
        }
        let entries = match fs::read_dir(&here) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::PermissionDenied && above.len() > 1 => {
                self.skipped.add(&here, "it may not be read");
                return Ok(());
            }
            Err(error) => return Err(AssetError::read(&here, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| AssetError::read(&here, source))?;
            self.seen += 1;
            if self.seen > self.limit {
                return Err(AssetError::TooMany {
                    path: self.root.to_owned(),
                    limit: self.limit,
                });
            }
            match self.entry(&entry, prefix, above) {
                Ok(walked) => walked?,
                // Where a folder may be listed and not entered.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    self.skipped.add(&entry.path(), "it may not be read");
                }
                Err(error) => return Err(AssetError::read(&entry.path(), error)),
            }
        }
        Ok(())
    }

    /// Takes one entry; the outer error is that of looking at it.
    fn entry(
        &mut self,
        entry: &DirEntry,
        prefix: &str,
        above: &mut Vec<PathBuf>,
    ) -> io::Result<Result<(), AssetError>> {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            self.skipped.add(&entry.path(), "its name is not UTF-8");
            return Ok(Ok(()));
        };
        if name.starts_with('.') && !(prefix.is_empty() && name == ".well-known") {
            return Ok(Ok(()));
        }
        let path = if entry.file_type()?.is_symlink() {
            match self.follow(&entry.path()) {
                Ok(path) => path,
                Err(why) => {
                    self.skipped.add(&entry.path(), why);
                    return Ok(Ok(()));
                }
            }
        } else {
            entry.path()
        };
        // Every component is real by now, so a link that appears meanwhile is seen as one and left
        // out.
        let metadata = self.look(entry, &path)?;
        if metadata.is_file() {
            let name = format!("{prefix}{name}");
            self.files.push(Found {
                name,
                path,
                stamp: Stamp::of(&metadata),
            });
        } else if !metadata.is_dir() {
            self.skipped.add(&path, "it is not a regular file");
        } else if above.contains(&path) {
            self.skipped.add(&entry.path(), "it is a link loop");
        } else {
            above.push(path);
            let walked = self.folder(&format!("{prefix}{name}/"), above);
            above.pop();
            return Ok(walked);
        }
        Ok(Ok(()))
    }

    /// The metadata of what an entry leads to. A file that is linked to, or mounted by itself, changes
    /// without notice to the folder of the entry.
    fn look(&mut self, entry: &DirEntry, path: &Path) -> io::Result<Metadata> {
        let metadata = fs::symlink_metadata(path)?;
        match &mut self.round {
            Some(round) if metadata.is_file() && metadata.ino() != entry.ino() => {
                round.cover(path);
                fs::symlink_metadata(path)
            }
            _ => Ok(metadata),
        }
    }

    /// Where a link leads, if a client may go there.
    fn follow(&self, link: &Path) -> Result<PathBuf, &'static str> {
        let target = link.canonicalize().map_err(|_| "it is a link to nothing")?;
        let inside = target
            .strip_prefix(self.root)
            .map_err(|_| "it is a link out of the root")?;
        // Kubernetes keeps the files of a mounted ConfigMap in a folder whose name starts with two
        // dots.
        let hidden = inside.components().any(|part| match part {
            Component::Normal(name) => {
                let name = name.as_encoded_bytes();
                name.starts_with(b".") && !name.starts_with(b"..") && name != b".well-known"
            }
            _ => false,
        });
        if hidden {
            Err("it is a link to a hidden file")
        } else {
            Ok(target)
        }
    }
}
