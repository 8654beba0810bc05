//! `upstream.outlier`: when a backend fails so often that it is spared for a while.

use std::time::Duration;

use super::policy::DEADLINE;
use crate::config::{
    defaults,
    reader::table::{Shape, Switch, Table},
};

/// `upstream.outlier`.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlier {
    /// Share of a backend's requests that have to fail, above 0.0 to 1.0.
    pub failures: f64,
    /// Requests in the window below which nothing is said of a backend.
    pub requests: u64,
    /// How far back requests count.
    pub window: Duration,
    /// How long a backend is spared at first; longer each time until it has stayed well.
    pub eject: Duration,
}

/// `upstream.outlier`.
pub(crate) static OUTLIER: Shape = Shape {
    name: "upstream.NAME.outlier",
    keys: &["failures", "requests", "window", "eject"],
    reserved: &[],
};

impl Default for Outlier {
    fn default() -> Self {
        Self {
            failures: defaults::OUTLIER_FAILURES,
            requests: defaults::OUTLIER_REQUESTS,
            window: defaults::OUTLIER_WINDOW,
            eject: defaults::OUTLIER_EJECT,
        }
    }
}

impl Outlier {
    /// `None` where it is `false`.
    pub(super) fn read(upstream: &Table<'_>) -> Option<Self> {
        let default = Self::default();
        let table = match upstream.switch("outlier", &OUTLIER) {
            Switch::Absent => return Some(default),
            Switch::Off => return None,
            Switch::On(table) => table,
        };
        let outlier = Self {
            failures: table.take_within("failures", default.failures, &(0.01..=1.0)),
            requests: table.take_within("requests", default.requests, &(2..=1_000_000)),
            window: table.take_within(
                "window",
                default.window,
                &(Duration::from_secs(2)..=Duration::from_hours(1)),
            ),
            eject: table.take_within("eject", default.eject, &DEADLINE),
        };
        table.finish();
        Some(outlier)
    }
}
