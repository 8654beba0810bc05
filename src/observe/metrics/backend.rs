//! Counts of upstreams and their backends.

use std::{
    array, fmt,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
};

use prometheus_client::encoding::DescriptorEncoder;

use crate::observe::metrics::table::{Entries, Families, counters, gauges};

/// How one try on a backend ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered; the status says what.
    Answered,
    /// No connection.
    ConnectFailed,
    /// No answer in time.
    Timeout,
    /// It closed the connection before it answered.
    Reset,
    /// Its answer was not HTTP.
    Protocol,
    /// The client left first.
    Abandoned,
}

const OUTCOMES: [&str; 6] = [
    "answered",
    "connect_failed",
    "timeout",
    "reset",
    "protocol",
    "abandoned",
];

/// Why a request was sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// The backend could not be connected to.
    ConnectFailed,
    /// A pooled connection died before the first byte of the answer.
    StaleConnection,
    /// The backend said that it is about to end.
    Draining,
}

const RETRY_REASONS: [&str; 3] = ["connect_failed", "stale_connection", "draining"];

/// Counts of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    retries: [AtomicU64; RETRY_REASONS.len()],
}

/// Counts of one backend of one upstream.
#[derive(Debug)]
pub struct BackendMetrics {
    outcomes: [AtomicU64; OUTCOMES.len()],
    in_flight: AtomicI64,
    idle: AtomicI64,
    reused: AtomicU64,
    connects: AtomicU64,
    up: AtomicBool,
    drained: AtomicBool,
    is_ejected: AtomicBool,
    ejections: AtomicU64,
}

impl Default for UpstreamMetrics {
    fn default() -> Self {
        Self {
            retries: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Default for BackendMetrics {
    fn default() -> Self {
        Self {
            outcomes: array::from_fn(|_| AtomicU64::new(0)),
            in_flight: AtomicI64::new(0),
            idle: AtomicI64::new(0),
            reused: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            // Up until a probe or a failure says otherwise.
            up: AtomicBool::new(true),
            drained: AtomicBool::new(false),
            is_ejected: AtomicBool::new(false),
            ejections: AtomicU64::new(0),
        }
    }
}

impl UpstreamMetrics {
    /// A request was sent again.
    pub fn retried(&self, reason: RetryReason) {
        self.retries[reason as usize].fetch_add(1, Relaxed);
    }
}

impl BackendMetrics {
    /// A try began; pairs with [`Self::finished`].
    pub fn started(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A try is over.
    pub fn finished(&self, outcome: Outcome) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
    }

    /// Whether the balancer sends requests to it.
    pub fn is_up(&self, up: bool) {
        self.up.store(up, Relaxed);
    }

    /// Whether the operator took it out of service.
    pub fn is_drained(&self, drained: bool) {
        self.drained.store(drained, Relaxed);
    }

    /// It is spared as an outlier from now on.
    pub fn ejected(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    /// Whether it is spared as an outlier.
    pub fn is_ejected(&self, ejected: bool) {
        self.is_ejected.store(ejected, Relaxed);
    }

    /// A new connection was made.
    pub fn connected(&self) {
        self.connects.fetch_add(1, Relaxed);
    }

    /// A pool held `before` idle connections and holds `after` now.
    pub fn idle_changed(&self, before: usize, after: usize) {
        if before != after {
            let change = i64::try_from(after).unwrap_or(i64::MAX)
                - i64::try_from(before).unwrap_or(i64::MAX);
            self.idle.fetch_add(change, Relaxed);
        }
    }

    /// A pooled connection was used again.
    pub fn reused(&self) {
        self.reused.fetch_add(1, Relaxed);
    }
}

impl Families for UpstreamMetrics {
    fn encode(entries: &Entries<Self>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        counters(
            encoder,
            "retries",
            "Requests that were sent to a backend again, by reason",
            entries.iter().flat_map(|([upstream, _], counts)| {
                let reasons = RETRY_REASONS.into_iter().zip(&counts.retries);
                reasons.map(move |(reason, count)| {
                    let labels = [("upstream", upstream.as_str()), ("reason", reason)];
                    (labels, count.load(Relaxed))
                })
            }),
        )
    }
}

impl Families for BackendMetrics {
    fn encode(entries: &Entries<Self>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let backends = || entries.iter().map(|(key, counts)| (labels(key), counts));
        counters(
            encoder,
            "backend_requests",
            "Tries on a backend, by how they ended",
            backends().flat_map(|(labels, counts)| {
                let outcomes = OUTCOMES.into_iter().zip(&counts.outcomes);
                outcomes.map(move |(outcome, count)| {
                    ((labels, [("outcome", outcome)]), count.load(Relaxed))
                })
            }),
        )?;
        gauges(
            encoder,
            "backend_up",
            "1 when the balancer sends requests to the backend",
            backends().map(|(labels, counts)| (labels, i64::from(counts.up.load(Relaxed)))),
        )?;
        gauges(
            encoder,
            "backend_drained",
            "1 when the operator took the backend out of service",
            backends().map(|(labels, counts)| (labels, i64::from(counts.drained.load(Relaxed)))),
        )?;
        gauges(
            encoder,
            "backend_ejected",
            "1 while the backend is spared because its answers were far worse than those of others",
            backends().map(|(labels, counts)| (labels, i64::from(counts.is_ejected.load(Relaxed)))),
        )?;
        counters(
            encoder,
            "backend_ejections",
            "Times the backend was spared as an outlier",
            backends().map(|(labels, counts)| (labels, counts.ejections.load(Relaxed))),
        )?;
        gauges(
            encoder,
            "backend_in_flight",
            "Requests that wait for the backend",
            backends().map(|(labels, counts)| (labels, counts.in_flight.load(Relaxed))),
        )?;
        gauges(
            encoder,
            "pool_idle",
            "Idle connections to the backend",
            backends().map(|(labels, counts)| (labels, counts.idle.load(Relaxed))),
        )?;
        counters(
            encoder,
            "pool_reused",
            "Tries that used a pooled connection",
            backends().map(|(labels, counts)| (labels, counts.reused.load(Relaxed))),
        )?;
        counters(
            encoder,
            "pool_connects",
            "Connections that were made to the backend",
            backends().map(|(labels, counts)| (labels, counts.connects.load(Relaxed))),
        )
    }
}

fn labels([upstream, backend]: &[String; 2]) -> [(&'static str, &str); 2] {
    [("upstream", upstream), ("backend", backend)]
}
