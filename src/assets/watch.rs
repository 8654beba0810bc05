//! The kernel's notices (inotify) of what changes below a root, so that it need not be walked to know
//! that nothing did.
//!
//! Each folder is watched before it is read, so that nothing happens unseen between the two.

use std::{
    collections::BTreeSet,
    fs, io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{
        inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
        statfs,
    },
    io::Errno,
};
use tokio::time::Instant;

/// How long the root is not walked while there are no notices. Some changes bring none: a write
/// through another hard link or a mapping, a mount.
const TRUSTED: Duration = Duration::from_secs(30);
/// How long a root that cannot be watched is walked all the time before a watch is tried again.
const RETRY: Duration = Duration::from_mins(5);
/// Notices that are thrown away before a walk; the kernel queues 16,384.
const DRAINED: usize = 1 << 17;
/// Longer than any notice.
const BUFFER: usize = 4096;

/// Filesystems that tell of every change, by the number that statfs(2) gives. Those of a network or
/// of another kernel tell only of changes that were made here.
const LOCAL: [i128; 11] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0x2fc1_2fc1, // ZFS
    0xf2f5_2010, // F2FS
    0xca45_1a4e, // bcachefs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs, as in container images; a folder of the host is mounted as what it is
    0x7371_7368, // SquashFS
    0xe0f5_e1e2, // EROFS
];

/// What is watched of one root.
#[derive(Debug)]
pub(super) struct Watch {
    /// Folders, and files that are not reached through one of these.
    limit: usize,
    /// None until a walk was watched to its end.
    standing: Option<Standing>,
    refused: Option<Refused>,
}

/// A walk while it is watched. Dropped before its end, it leaves nothing watched.
#[derive(Debug)]
pub(super) struct Round {
    notices: OwnedFd,
    /// From the walk before.
    earlier: BTreeSet<i32>,
    watched: BTreeSet<i32>,
    place: Place,
    since: Instant,
    limit: usize,
    refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Standing {
    notices: OwnedFd,
    watched: BTreeSet<i32>,
    place: Place,
    /// When the last walk began.
    since: Instant,
}

#[derive(Debug)]
struct Refused {
    place: Place,
    refusal: Refusal,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("its filesystem may not tell of each change")]
    Filesystem,
    #[error("it has more than {0} folders or links")]
    TooMany(usize),
    #[error("the kernel refuses to watch it: {0}")]
    Kernel(Errno),
}

/// Where a root leads. The path alone does not tell a folder from one that took its name.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Watch {
    /// Watches so many folders and files at most.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            standing: None,
            refused: None,
        }
    }

    /// Whether nothing changed since the last walk of `root`, as far as notices tell.
    pub(super) fn is_quiet(&self, root: &Path) -> bool {
        let Some(standing) = &self.standing else {
            return false;
        };
        standing.since.elapsed() < TRUSTED
            && Place::of(root).is_ok_and(|place| place == standing.place)
            && !standing.has_heard()
    }

    /// Begins to watch a walk of `root`; `None` where that has no use now.
    pub(super) fn begin(&mut self, root: &Path) -> Option<Round> {
        let earlier = self.standing.take();
        let place = Place::of(root).ok()?;
        if let Some(refused) = &self.refused
            && refused.place == place
            && Instant::now() < refused.until
        {
            return None;
        }
        let (notices, earlier) = match earlier {
            Some(standing) => (standing.notices, standing.watched),
            None => match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
                Ok(notices) => (notices, BTreeSet::new()),
                Err(error) => {
                    self.refuse(place, Refusal::Kernel(error));
                    return None;
                }
            },
        };
        // The walk sees all that they tell of.
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&notices, &mut buffer);
        for _ in 0..DRAINED {
            if reader.next().is_err() {
                break;
            }
        }
        Some(Round {
            notices,
            earlier,
            watched: BTreeSet::new(),
            place,
            since: Instant::now(),
            limit: self.limit,
            refusal: None,
        })
    }

    /// Ends a walk that saw everything: from now on notices stand for it.
    pub(super) fn end(&mut self, round: Round) {
        match round.refusal {
            None => {}
            // It was gone for a moment.
            Some(Refusal::Kernel(Errno::NOENT)) => return,
            Some(refusal) => return self.refuse(round.place, refusal),
        }
        for &gone in round.earlier.difference(&round.watched) {
            // It fails for a folder that was deleted, which is what is wanted.
            let _ = inotify::remove_watch(&round.notices, gone);
        }
        self.refused = None;
        self.standing = Some(Standing {
            notices: round.notices,
            watched: round.watched,
            place: round.place,
            since: round.since,
        });
    }

    fn refuse(&mut self, place: Place, refusal: Refusal) {
        let is_known = |refused: &Refused| refused.refusal == refusal && refused.place == place;
        if !self.refused.as_ref().is_some_and(is_known) {
            let root = place.path.display();
            tracing::info!(%root, "every file is looked at each second, because {refusal}");
        }
        self.refused = Some(Refused {
            place,
            refusal,
            until: Instant::now() + RETRY,
        });
    }
}

impl Round {
    /// Watches a folder, or a file that is not reached through a watched one. To be called before
    /// it is looked at.
    pub(super) fn cover(&mut self, path: &Path) {
        if self.refusal.is_none() {
            self.refusal = self.watch(path).err();
        }
    }

    fn watch(&mut self, path: &Path) -> Result<(), Refusal> {
        if !is_local(path).map_err(Refusal::Kernel)? {
            return Err(Refusal::Filesystem);
        }
        if self.watched.len() >= self.limit {
            return Err(Refusal::TooMany(self.limit));
        }
        let wanted = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::DONT_FOLLOW;
        match inotify::add_watch(&self.notices, path, wanted) {
            Ok(watch) => {
                self.watched.insert(watch);
                Ok(())
            }
            // The walk leaves it out, too.
            Err(Errno::ACCESS) => Ok(()),
            Err(error) => Err(Refusal::Kernel(error)),
        }
    }
}

impl Standing {
    fn has_heard(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.notices, &mut buffer);
        loop {
            match reader.next() {
                // Others are the last ones of what is watched no more.
                Ok(notice)
                    if self.watched.contains(&notice.wd())
                        || notice.events().contains(ReadFlags::QUEUE_OVERFLOW) =>
                {
                    return true;
                }
                Ok(_) => {}
                Err(error) => return error != Errno::AGAIN,
            }
        }
    }
}

impl Place {
    fn of(root: &Path) -> io::Result<Self> {
        let path = root.canonicalize()?;
        let metadata = fs::symlink_metadata(&path)?;
        Ok(Self {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// Whether a file lies where notices tell of every change.
fn is_local(path: &Path) -> Result<bool, Errno> {
    // The low half alone: the rest is the sign where the field is narrow.
    let kind = i128::from(statfs(path)?.f_type) & 0xffff_ffff;
    Ok(LOCAL.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusts_a_disk_and_not_what_the_kernel_makes_up() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(is_local(dir.path()), Ok(true));
        assert_eq!(is_local(Path::new("/proc/self")), Ok(false));
    }
}
