//! Counts of a worker: whether connections are spread over them.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use prometheus_client::encoding::DescriptorEncoder;

use crate::observe::metrics::table::{Entries, Families, counters, gauges};

/// Counts of one worker.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    open: AtomicI64,
    given: AtomicU64,
}

impl WorkerMetrics {
    /// A connection is the worker's; pairs with [`Self::closed`].
    pub fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// A connection of the worker is gone.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// The worker gave a connection that it had accepted to another.
    pub fn gave(&self) {
        self.given.fetch_add(1, Relaxed);
    }
}

impl Families for WorkerMetrics {
    fn encode(entries: &Entries<Self>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let workers = || {
            entries
                .iter()
                .map(|([worker, _], counts)| ([("worker", worker.as_str())], counts))
        };
        gauges(
            encoder,
            "worker_connections_open",
            "Client connections that are open, by the worker that has them",
            workers().map(|(labels, counts)| (labels, counts.open.load(Relaxed))),
        )?;
        counters(
            encoder,
            "worker_connections_given",
            "Client connections that a worker accepted and gave to one with less to do",
            workers().map(|(labels, counts)| (labels, counts.given.load(Relaxed))),
        )
    }
}
