//! `route.files.releases`: what stays of earlier builds, for pages that are still open.

use std::time::Duration;

use crate::config::{
    defaults,
    reader::table::{Shape, Table},
    value::unit::Size,
};

/// `route.files.releases`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Releases {
    /// How many earlier builds.
    pub keep: usize,
    /// How long after they were replaced.
    pub age: Duration,
    /// Bytes of theirs in memory.
    pub memory: u64,
    /// Bytes on disk for each root, compressed files included.
    pub disk: u64,
}

/// `route.files.releases`.
pub(crate) static SHAPE: Shape = Shape {
    name: "site.route.files.releases",
    keys: &["keep", "age", "memory", "disk"],
    reserved: &[],
};

impl Default for Releases {
    fn default() -> Self {
        Self {
            keep: defaults::RELEASES_KEEP,
            age: defaults::RELEASES_AGE,
            memory: defaults::RELEASES_MEMORY,
            disk: defaults::RELEASES_DISK,
        }
    }
}

impl Releases {
    /// Reads the table.
    pub(super) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let releases = Self {
            keep: table.take_within("keep", default.keep, &(0..=100)),
            age: table.take_or("age", default.age),
            memory: table.take_or("memory", Size(default.memory)).0,
            disk: table.take_or("disk", Size(default.disk)).0,
        };
        table.finish();
        releases
    }
}
