//! Coded bytes on disk, by the hash of what was coded, so that a restart does not code again.
//!
//! Each root has a folder of its own. An entry carries a digest of its bytes: what is damaged is no
//! entry. Several processes may share a folder without a lock, since equal names have equal meaning.
//! Trouble with the disk is said once and harms nobody.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};

use crate::assets::disk::{self, Told};

/// How old the last use of an entry may look before it is noted anew.
const USED: Duration = Duration::from_hours(24);
/// Length of the digest in front of the bytes.
const DIGEST: usize = 32;

/// The coded bytes of one root.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    told: Told,
}

impl Cache {
    /// The cache of `root` in a state folder. Touches nothing.
    pub(super) fn new(state: &Path, root: &Path) -> Self {
        Self {
            folder: disk::folder_of(state, root).join("coded"),
            told: Told::default(),
        }
    }

    /// What was kept for a content under a label. Blocks.
    pub(super) fn find(&self, content: &[u8; 32], label: &str) -> Option<Vec<u8>> {
        let path = self.path(content, label);
        let mut bytes = fs::read(&path).ok()?;
        if bytes.len() < DIGEST {
            return None;
        }
        let coded = bytes.split_off(DIGEST);
        if digest(&SHA256, &coded).as_ref() != bytes {
            return None;
        }
        note_use(&path);
        Some(coded)
    }

    /// Keeps bytes for a content under a label. Blocks.
    pub(super) fn keep(&self, content: &[u8; 32], label: &str, coded: &[u8]) {
        let kept = fs::create_dir_all(&self.folder).and_then(|()| {
            disk::write_whole(&self.path(content, label), |file| {
                file.write_all(digest(&SHA256, coded).as_ref())?;
                file.write_all(coded)
            })
        });
        if let Err(error) = kept {
            self.told.tell(&self.folder, &error);
        }
    }

    /// Removes what was not used for longest until no more than `bound` bytes are left. Blocks.
    pub(super) fn tidy(&self, bound: u64) {
        let entries = disk::entries(&self.folder).into_iter();
        let mut files: Vec<_> = entries
            .map(|(path, about)| {
                let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                (used, about.len(), path)
            })
            .collect();
        files.sort_unstable_by(|one, other| other.cmp(one));
        let mut left = bound;
        for (_, size, path) in files {
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => disk::remove(&path),
            }
        }
    }

    fn path(&self, content: &[u8; 32], label: &str) -> PathBuf {
        self.folder.join(format!("{}.{label}", disk::hex(content)))
    }
}

/// The clock of the file says when it was used last. A folder that is read-only keeps its times.
fn note_use(path: &Path) {
    let Ok(file) = fs::File::open(path) else {
        return;
    };
    let used = file.metadata().and_then(|about| about.modified());
    let now = SystemTime::now();
    if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > USED)) {
        let _ = file.set_modified(now);
    }
}
