//! Files of ours in the state folder: written whole or not at all, and said once when that fails.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};

/// Age of what nobody knows of, before it is taken for left behind: another process may be about to
/// name it.
const LEFT_BEHIND: Duration = Duration::from_hours(1);
/// Starts the name of what is being written.
const PARTIAL: &str = ".partial-";

/// Whether trouble with the disk was said.
#[derive(Debug, Default)]
pub(super) struct Told(AtomicBool);

impl Told {
    /// Says, the first time, that nothing is kept.
    pub(super) fn tell(&self, folder: &Path, error: &io::Error) {
        if !self.0.swap(true, Ordering::Relaxed) {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "files cannot be kept: a restart compresses again and forgets earlier builds");
        }
    }
}

/// The folder of `root` in a state folder.
pub(super) fn folder_of(state: &Path, root: &Path) -> PathBuf {
    let name = hex(digest(&SHA256, root.as_os_str().as_encoded_bytes()).as_ref());
    state.join("files").join(&name[..16])
}

/// Writes a file so that others see all of it or nothing.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let partial = path.with_file_name(format!("{PARTIAL}{:016x}", fastrand::u64(..)));
    let written = File::create_new(&partial)
        .and_then(|mut file| write(&mut file))
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        remove(&partial);
    }
    written
}

/// The entries of a folder, without what is being written; what was left half written is removed.
pub(super) fn entries(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(about) = entry.metadata() else {
            continue;
        };
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(PARTIAL.as_bytes()) {
            found.push((entry.path(), about));
        } else if is_left_behind(&about) {
            remove(&entry.path());
        }
    }
    found
}

/// Whether it has been there for so long that no process is about to use it.
pub(super) fn is_left_behind(about: &fs::Metadata) -> bool {
    let changed = Duration::from_secs(u64::try_from(about.ctime()).unwrap_or(0));
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed);
    age.is_ok_and(|age| age > LEFT_BEHIND)
}

/// What cannot be removed is tried again by the next that tidies.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

/// In small letters.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
