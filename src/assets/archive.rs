//! The hashed files of a root on disk, by the hash of their content, with an index of the builds
//! that had them.
//!
//! They are copies: what a deploy writes over its own files reaches no link of ours.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::assets::{
    content::{Content, HASHED_WHOLE, Place, Source},
    disk::{self, Told},
    history::{History, Kept},
    walk::{Found, Stamp},
};

/// Step of a copy, in bytes.
const STEP: u64 = 256 << 10;

/// What outlives a restart of one root.
#[derive(Debug)]
pub(super) struct Archive {
    folder: PathBuf,
    told: Told,
}

impl Archive {
    /// The archive of `root` in a state folder. Touches nothing.
    pub(super) fn new(state: &Path, root: &Path) -> Self {
        Self {
            folder: disk::folder_of(state, root),
            told: Told::default(),
        }
    }

    /// The builds that an earlier process served. Blocks.
    pub(super) fn load(&self) -> History {
        let path = self.index();
        let parsed = match fs::read(&path) {
            Ok(text) => History::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(History::default()),
            Err(_) => None,
        };
        parsed.unwrap_or_else(|| {
            let path = path.display();
            tracing::warn!(%path, "the list of earlier builds is damaged: they are forgotten");
            History::default()
        })
    }

    /// A file that was kept, unless it is damaged. Blocks.
    pub(super) fn open(&self, name: &str, kept: &Kept, place: Place) -> Option<Content> {
        let path = self.path(&kept.hash);
        let about = fs::symlink_metadata(&path).ok();
        let about = about.filter(|about| about.is_file() && about.size() == kept.size)?;
        let found = Found {
            name: name.to_owned(),
            path,
            stamp: Stamp::of(&about),
        };
        let content = Content::read(&found, place).ok()?;
        if disk::hex(content.digest()) == kept.hash {
            return Some(content);
        }
        disk::remove(&found.path);
        None
    }

    /// Keeps the files of the current build, and the index, within `bound` bytes: the newest builds
    /// first. Blocks.
    pub(super) fn save(&self, history: &History, files: &HashMap<String, Content>, bound: u64) {
        if let Err(error) = self.try_save(history, files, bound) {
            self.told.tell(&self.folder, &error);
        }
    }

    fn try_save(
        &self,
        history: &History,
        files: &HashMap<String, Content>,
        bound: u64,
    ) -> io::Result<()> {
        let json = history.to_json();
        if history.every().next().is_none() && !self.index().exists() {
            return Ok(());
        }
        fs::create_dir_all(self.folder.join("kept"))?;
        let present = disk::entries(&self.folder.join("kept"));
        let mut wanted = HashMap::new();
        let mut left = bound;
        for (name, kept) in history.every() {
            let path = self.path(&kept.hash);
            if wanted.contains_key(&path) || kept.size > HASHED_WHOLE {
                continue;
            }
            if let Some(rest) = left.checked_sub(kept.size) {
                left = rest;
                wanted.insert(path, (name, kept));
            }
        }
        for (path, about) in &present {
            let is_good = wanted
                .get(path)
                .is_some_and(|(_, kept)| kept.size == about.len());
            if is_good {
                wanted.remove(path);
            } else if wanted.contains_key(path) || disk::is_left_behind(about) {
                disk::remove(path);
            }
        }
        for (path, (name, kept)) in wanted {
            let content = files.get(name);
            if let Some(content) = content.filter(|it| disk::hex(it.digest()) == kept.hash) {
                match copy(content, &path) {
                    // It is gone by now, or another.
                    Err(error) if is_of_source(&error) => {}
                    other => other?,
                }
            }
        }
        if fs::read(self.index()).is_ok_and(|before| before == json) {
            return Ok(());
        }
        disk::write_whole(&self.index(), |file| file.write_all(&json))
    }

    fn index(&self) -> PathBuf {
        self.folder.join("index.json")
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join("kept").join(hash)
    }
}

/// Whether it is the file to be copied that fails, and not the disk that is written to.
fn is_of_source(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle
    )
}

/// The clock of the file is that of the original, since it goes out as `Last-Modified`.
fn copy(content: &Content, path: &Path) -> io::Result<()> {
    disk::write_whole(path, |file| {
        match content.source() {
            Source::Memory(bytes) => file.write_all(bytes)?,
            Source::Disk(large) => {
                // It may be gone by now, or another; then there is nothing to keep.
                let original = large.open()?;
                let mut at = 0;
                while at < content.size() {
                    let step = STEP.min(content.size() - at);
                    file.write_all(&original.read(at, usize::try_from(step).unwrap_or(0))?)?;
                    at += step;
                }
            }
        }
        let (seconds, nanoseconds) = content.stamp().modified;
        let since = Duration::new(
            u64::try_from(seconds).unwrap_or(0),
            u32::try_from(nanoseconds).unwrap_or(0),
        );
        file.set_modified(SystemTime::UNIX_EPOCH + since)
    })
}
