//! How a folder is read.

use std::{path::PathBuf, time::Duration};

use crate::{
    assets::{environment::Environment, history::Keep},
    config::{defaults, headers::Csp},
};

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
    /// Earlier builds whose hashed files stay reachable.
    pub keep: Keep,
    /// Bytes in memory for files of earlier builds.
    pub retired: u64,
    /// Send the next build of a file as the difference from this one.
    pub dictionaries: bool,
    /// Files and folders that there may be.
    pub files: usize,
    /// Folders that are watched, and links to files; where there are more, none is.
    pub watches: usize,
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

impl Default for Options {
    fn default() -> Self {
        Self {
            environment: Environment::default(),
            suffixes: defaults::SUFFIXES.map(str::to_owned).into(),
            csp: None,
            in_memory: 1 << 20,
            memory: 256 << 20,
            keep: Keep {
                builds: 3,
                age: Duration::from_hours(7 * 24),
            },
            retired: 64 << 20,
            dictionaries: defaults::DICTIONARIES,
            files: 100_000,
            // The kernel has about a kilobyte for each, and for a user often no more than 8,192.
            watches: 4096,
            settle: Duration::from_secs(1),
            rest: Duration::from_secs(2),
            state: None,
            disk: 512 << 20,
        }
    }
}
