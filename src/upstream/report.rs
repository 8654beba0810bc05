//! What is heard of backends, and what follows from it: a change of state, a line in the log, a look by the probe, and
//! news for the requests that wait.

use std::{fmt, io};

use crate::upstream::{
    Upstream,
    backend::Backend,
    health::{Change, Thresholds, Verdict},
};

impl Upstream {
    /// A connection to a backend was made, or it answered.
    pub(in crate::upstream) fn reached(&self, backend: &Backend) {
        if backend.health.reachable() {
            tracing::debug!(upstream = %self.name, backend = %backend.name(), "backend accepts connections again");
            self.queue.announce();
        }
    }

    /// A request found no connection to a backend.
    pub(in crate::upstream) fn unreachable(&self, backend: &Backend, error: &io::Error) {
        if self.cool(backend) {
            tracing::warn!(upstream = %self.name, backend = %backend.name(), %error, "cannot connect to backend");
        }
        backend.suspected.notify_one();
    }

    /// A backend said that it is about to end: others are preferred until it can be connected to anew.
    pub(in crate::upstream) fn leaving(&self, backend: &Backend) {
        if backend.health.leaving() {
            tracing::info!(upstream = %self.name, backend = %backend.name(), "backend is about to end");
        }
        backend.suspected.notify_one();
        self.queue.announce();
    }

    /// Others are preferred for a moment; true when that is news.
    pub(in crate::upstream) fn cool(&self, backend: &Backend) -> bool {
        let is_news = backend.health.unreachable();
        backend.origin().lost.notify_one();
        self.queue.announce();
        is_news
    }

    /// A backend has other addresses than before. It has to warm up, unless the whole upstream has just begun.
    pub(in crate::upstream) fn moved(&self, backend: &Backend) {
        self.reached(backend);
        backend.suspected.notify_one();
        if self
            .backends()
            .iter()
            .any(|it| it.id() != backend.id() && it.health.is_probed())
        {
            self.returned(backend);
        }
    }

    /// A backend gets requests again that got none for a while.
    pub(in crate::upstream) fn returned(&self, backend: &Backend) {
        if !self.config.slow_start.is_zero() {
            backend.warm_up.begin();
        }
        show(backend);
        self.queue.announce();
    }

    /// Takes what a probe found, with the reason.
    pub(in crate::upstream) fn judge(
        &self,
        backend: &Backend,
        verdict: Verdict,
        reason: &dyn fmt::Display,
    ) {
        let thresholds = Thresholds {
            rise: self.config.probe.rise,
            fall: self.config.probe.fall,
        };
        let change = backend.health.judge(verdict, thresholds);
        // Each time: the counts may be those of a backend before a reload, in another state.
        show(backend);
        let Some(change) = change else {
            return;
        };
        match change {
            Change::Up => {
                tracing::info!(upstream = %self.name, backend = %backend.name(), "backend is healthy");
                self.returned(backend);
            }
            Change::Down => {
                tracing::warn!(upstream = %self.name, backend = %backend.name(), %reason, "backend is unhealthy");
            }
        }
        self.queue.announce();
    }
}

/// Brings the metrics up to date with the state.
pub(in crate::upstream) fn show(backend: &Backend) {
    backend.metrics().is_up(backend.is_up());
    backend.metrics().is_drained(backend.is_drained());
    backend.metrics().is_ejected(backend.health.is_ejected());
}
