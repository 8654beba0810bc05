//! Coded bytes on disk, by the hash of what was coded, so that a restart does not code again.
//!
//! Each root has a folder of its own. An entry is written beside its place and renamed, and carries
//! a digest of its bytes: what is damaged is no entry. Several processes may share a folder without
//! a lock, since equal names have equal meaning. Trouble with the disk is said once and harms
//! nobody.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};

/// How old the last use of an entry may look before it is noted anew.
const USED: Duration = Duration::from_hours(24);
/// Age of what a process left half written when it was killed.
const LEFT_BEHIND: Duration = Duration::from_hours(1);
/// Starts the name of what is being written.
const PARTIAL: &str = ".partial-";
/// Length of the digest in front of the bytes.
const DIGEST: usize = 32;

/// The coded bytes of one root.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// Trouble was said.
    told: AtomicBool,
}

impl Cache {
    /// The cache of `root` in a state folder. Touches nothing.
    pub(super) fn new(state: &Path, root: &Path) -> Self {
        let name = hex(digest(&SHA256, root.as_os_str().as_encoded_bytes()).as_ref());
        Self {
            folder: state.join("files").join(&name[..16]).join("coded"),
            told: AtomicBool::new(false),
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
        let whole = [digest(&SHA256, coded).as_ref(), coded].concat();
        let kept = fs::create_dir_all(&self.folder)
            .and_then(|()| write_whole(&self.path(content, label), &whole));
        if let Err(error) = kept
            && !self.told.swap(true, Ordering::Relaxed)
        {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "compressed files cannot be kept, a restart makes them again");
        }
    }

    /// Removes what was not used for longest until no more than `bound` bytes are left. Blocks.
    pub(super) fn tidy(&self, bound: u64) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let now = SystemTime::now();
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let Ok(about) = entry.metadata() else {
                continue;
            };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let is_partial = entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(PARTIAL.as_bytes());
            if is_partial && now.duration_since(used).is_ok_and(|age| age > LEFT_BEHIND) {
                remove(&entry.path());
            } else if !is_partial {
                files.push((used, about.len(), entry.path()));
            }
        }
        files.sort_unstable_by(|one, other| other.cmp(one));
        let mut left = bound;
        for (_, size, path) in files {
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => remove(&path),
            }
        }
    }

    fn path(&self, content: &[u8; 32], label: &str) -> PathBuf {
        self.folder.join(format!("{}.{label}", hex(content)))
    }
}

/// Writes a file so that others see all of it or nothing.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_file_name(format!("{PARTIAL}{:016x}", fastrand::u64(..)));
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        remove(&partial);
    }
    written
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

/// What cannot be removed is tried again by the next that tidies.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
