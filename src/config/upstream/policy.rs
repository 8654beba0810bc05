//! `upstream.retry`, `timeout`, `limits` and `pool`.

use std::{ops::RangeInclusive, time::Duration};

use super::{Limits, Pool, Retry, Timeout};
use crate::config::{
    defaults,
    reader::table::{Shape, Table},
};

/// `upstream.retry`.
pub(crate) static RETRY: Shape = Shape {
    name: "upstream.NAME.retry",
    keys: &["budget", "hold"],
    reserved: &[],
};

/// `upstream.timeout`.
pub(crate) static TIMEOUT: Shape = Shape {
    name: "upstream.NAME.timeout",
    keys: &["connect", "header", "idle"],
    reserved: &[],
};

/// `upstream.limits`.
pub(crate) static LIMITS: Shape = Shape {
    name: "upstream.NAME.limits",
    keys: &["max_requests", "queue"],
    reserved: &[],
};

/// `upstream.pool`.
pub(crate) static POOL: Shape = Shape {
    name: "upstream.NAME.pool",
    keys: &["idle", "size"],
    reserved: &[],
};

/// Deadlines: none is zero, none outlives a day.
pub(super) const DEADLINE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(24);

impl Default for Retry {
    fn default() -> Self {
        Self {
            budget: defaults::RETRY_BUDGET,
            hold: defaults::RETRY_HOLD,
        }
    }
}

impl Retry {
    pub(super) fn read(table: Option<Table<'_>>) -> Self {
        let default = Self::default();
        let Some(table) = table else {
            return default;
        };
        let retry = Self {
            budget: table.take_within("budget", default.budget, &(0.0..=1.0)),
            hold: table.take_within(
                "hold",
                default.hold,
                &(Duration::ZERO..=Duration::from_mins(10)),
            ),
        };
        table.finish();
        retry
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self {
            connect: defaults::CONNECT_TIMEOUT,
            header: defaults::HEADER_TIMEOUT,
            idle: defaults::IDLE_TIMEOUT,
        }
    }
}

impl Timeout {
    pub(super) fn read(table: Option<Table<'_>>) -> Self {
        let default = Self::default();
        let Some(table) = table else {
            return default;
        };
        let timeout = Self {
            connect: table.take_within("connect", default.connect, &DEADLINE),
            header: table.take_within("header", default.header, &DEADLINE),
            idle: table.take_within("idle", default.idle, &DEADLINE),
        };
        table.finish();
        timeout
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_requests: defaults::MAX_REQUESTS,
            queue: defaults::QUEUE,
        }
    }
}

impl Limits {
    pub(super) fn read(table: Option<Table<'_>>) -> Self {
        let default = Self::default();
        let Some(table) = table else {
            return default;
        };
        let limits = Self {
            max_requests: table.take_within("max_requests", default.max_requests, &(1..=1_000_000)),
            queue: table.take_within("queue", default.queue, &(0..=1_000_000)),
        };
        table.finish();
        limits
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            idle: defaults::POOL_IDLE,
            size: defaults::POOL_SIZE,
        }
    }
}

impl Pool {
    pub(super) fn read(table: Option<Table<'_>>) -> Self {
        let default = Self::default();
        let Some(table) = table else {
            return default;
        };
        let pool = Self {
            idle: table.take_within("idle", default.idle, &DEADLINE),
            size: table.take_within("size", default.size, &(0..=100_000)),
        };
        table.finish();
        pool
    }
}
