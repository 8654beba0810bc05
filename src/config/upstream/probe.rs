//! `upstream.probe`: the active check.

use super::{Probe, policy::DEADLINE};
use crate::config::{
    defaults,
    reader::table::{Shape, Table},
};

mod http;

pub(crate) use http::HEADERS;

/// `upstream.probe`.
pub(crate) static SHAPE: Shape = Shape {
    name: "upstream.NAME.probe",
    keys: &[
        "path", "host", "headers", "expect", "contains", "interval", "timeout", "rise", "fall",
    ],
    reserved: &[],
};

impl Default for Probe {
    fn default() -> Self {
        Self {
            http: None,
            interval: defaults::PROBE_INTERVAL,
            timeout: defaults::PROBE_TIMEOUT,
            rise: defaults::PROBE_RISE,
            fall: defaults::PROBE_FALL,
        }
    }
}

impl Probe {
    pub(super) fn read(table: Option<Table<'_>>) -> Self {
        let default = Self::default();
        let Some(table) = table else {
            return default;
        };
        let probe = Self {
            http: http::read(&table),
            interval: table.take_within("interval", default.interval, &DEADLINE),
            timeout: table.take_within("timeout", default.timeout, &DEADLINE),
            rise: table.take_within("rise", default.rise, &(1..=1000)),
            fall: table.take_within("fall", default.fall, &(1..=1000)),
        };
        table.finish();
        probe
    }
}
