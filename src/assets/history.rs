//! Which hashed files earlier builds had, and until when they stay reachable.
//!
//! Names and hashes alone: pages that are still open ask for these names, long after the build that
//! knew them was replaced.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// Form of the index on disk.
const VERSION: u32 = 1;

/// The hashed files of the current build, and of those before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    version: u32,
    /// What the current build has, so that it is known when the build is replaced while nobody runs.
    current: BTreeMap<String, Kept>,
    /// What went with earlier builds, newest first.
    earlier: Vec<Earlier>,
}

/// What went when a build was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Earlier {
    /// When, in seconds since 1970.
    replaced: u64,
    files: BTreeMap<String, Kept>,
}

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// SHA-256 in hexadecimal.
    pub(super) hash: String,
    /// In bytes.
    pub(super) size: u64,
}

/// How long earlier builds stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How many of them.
    pub builds: usize,
    /// How long after they were replaced.
    pub age: Duration,
}

impl Default for History {
    fn default() -> Self {
        Self {
            version: VERSION,
            current: BTreeMap::new(),
            earlier: Vec::new(),
        }
    }
}

impl History {
    /// Reads an index; `None` when it is damaged or of another version.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let history: Self = serde_json::from_slice(text).ok()?;
        let is_hash = |(_, kept): (_, &Kept)| {
            kept.hash.len() == 64 && kept.hash.bytes().all(|it| it.is_ascii_hexdigit())
        };
        let is_good = history.version == VERSION && history.every().all(is_hash);
        is_good.then_some(history)
    }

    /// The index.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Goes on to a build with these hashed files, at a time in seconds since 1970.
    pub(super) fn follow(&mut self, files: BTreeMap<String, Kept>, now: u64) {
        let mut gone = std::mem::replace(&mut self.current, files);
        gone.retain(|name, _| !self.current.contains_key(name));
        if !gone.is_empty() {
            let earlier = Earlier {
                replaced: now,
                files: gone,
            };
            self.earlier.insert(0, earlier);
        }
    }

    /// Forgets what has been replaced for too long. Whether there was any.
    pub(super) fn expire(&mut self, keep: Keep, now: u64) -> bool {
        let before = self.earlier.len();
        self.earlier.truncate(keep.builds);
        // A clock that was wrong must not make a build stay for ever.
        for earlier in &mut self.earlier {
            earlier.replaced = earlier.replaced.min(now);
        }
        self.earlier
            .retain(|earlier| now - earlier.replaced < keep.age.as_secs());
        self.earlier.len() < before
    }

    /// Whether [`History::expire`] would forget something.
    pub(super) fn is_due(&self, keep: Keep, now: u64) -> bool {
        let ages = self
            .earlier
            .iter()
            .map(|it| now.saturating_sub(it.replaced));
        self.earlier.len() > keep.builds || ages.into_iter().any(|age| age >= keep.age.as_secs())
    }

    /// Builds of which something is still there.
    pub(super) fn builds(&self) -> usize {
        self.earlier.len()
    }

    /// The files that went, newest first.
    pub(super) fn gone(&self) -> impl Iterator<Item = (&String, &Kept)> {
        self.earlier.iter().flat_map(|earlier| &earlier.files)
    }

    /// The files of the current build, then those that went, newest first.
    pub(super) fn every(&self) -> impl Iterator<Item = (&String, &Kept)> {
        self.current.iter().chain(self.gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep {
        builds: 2,
        age: Duration::from_secs(100),
    };

    fn build(names: &[&str]) -> BTreeMap<String, Kept> {
        let kept = |name: &str| Kept {
            hash: format!("{:0>64}", name.len()),
            size: 1,
        };
        names
            .iter()
            .map(|name| ((*name).to_owned(), kept(name)))
            .collect()
    }

    fn gone(history: &History) -> Vec<&str> {
        history.gone().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn remembers_what_went_with_each_build() {
        let mut history = History::default();
        history.follow(build(&["a", "b"]), 10);
        history.follow(build(&["b", "c"]), 20);
        history.follow(build(&["d"]), 30);
        assert_eq!(gone(&history), ["b", "c", "a"]);
        assert_eq!(history.builds(), 2);
        history.follow(build(&["d", "e"]), 40);
        assert_eq!(history.builds(), 2, "nothing went");
    }

    #[test]
    fn forgets_by_age_and_by_number() {
        let mut history = History::default();
        for (at, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            history.follow(build(&[name]), 10 * at as u64);
        }
        assert!(history.is_due(KEEP, 30) && history.expire(KEEP, 30));
        assert_eq!(gone(&history), ["c", "b"]);
        assert!(!history.is_due(KEEP, 119) && !history.expire(KEEP, 119));
        assert!(history.is_due(KEEP, 120) && history.expire(KEEP, 120));
        assert_eq!(gone(&history), ["c"]);
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_no_build_for_ever() {
        let mut history = History::default();
        history.follow(build(&["a"]), 0);
        history.follow(build(&["b"]), 1_000_000);
        assert!(!history.expire(KEEP, 10));
        assert!(history.expire(KEEP, 110));
    }

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let mut history = History::default();
        history.follow(build(&["a"]), 0);
        history.follow(build(&["b"]), 1);
        let json = history.to_json();
        assert_eq!(History::parse(&json), Some(history));
        assert_eq!(History::parse(&json[..json.len() - 2]), None);
        assert_eq!(
            History::parse(b"{\"version\":2,\"current\":{},\"earlier\":[]}"),
            None
        );
        let path =
            b"{\"version\":1,\"current\":{\"a\":{\"hash\":\"../x\",\"size\":1}},\"earlier\":[]}";
        assert_eq!(History::parse(path), None, "a hash is no path");
    }
}
