//! What a request wants of an upstream, and what it gets: a backend, counted until it is given back.

use std::{io, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::timeout;

use crate::{
    message::context::RequestContext,
    upstream::{
        Upstream, backend::Backend, client::Connection, pool::Demand, proxy_protocol::Ends,
        stopwatch::Stopwatch,
    },
};

/// A backend that was picked for one request. It counts as in flight until the lease is dropped, so
/// keep it until the response body has ended.
#[derive(Debug)]
pub struct Lease {
    upstream: Arc<Upstream>,
    backend: Arc<Backend>,
    lingers: bool,
    /// The head of the answer was as it should be.
    is_answered: bool,
    stopwatch: Stopwatch,
}

impl Lease {
    /// For a backend that has counted the request already.
    pub(in crate::upstream) fn new(upstream: Arc<Upstream>, backend: Arc<Backend>) -> Self {
        Self {
            stopwatch: upstream.balancer.stopwatch(),
            upstream,
            backend,
            lingers: false,
            is_answered: false,
        }
    }

    /// The backend.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The upstream that it belongs to.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// An idle connection of `worker` that meets `demand`.
    pub fn pooled(&self, worker: usize, demand: Demand) -> Option<Connection> {
        let connection = self.backend().with_pool(worker, |pool| pool.take(demand))?;
        self.backend().metrics().reused();
        Some(connection)
    }

    /// A fresh connection for the client of `context`, within the upstream's connect timeout.
    ///
    /// # Errors
    /// What the last address said, or `TimedOut`.
    pub async fn connect(&self, context: &RequestContext) -> io::Result<Connection> {
        let connector = &self.upstream.connector;
        let connecting = connector.connect(self.backend(), Some(Ends::of(context)));
        // Boxed: it is rare, and would make the future of every request larger.
        let stream = Box::pin(timeout(self.upstream.config.timeout.connect, connecting))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.backend().metrics().connected();
        Ok(Connection::new(stream))
    }

    /// Keeps `connection` for the next request of `worker`, for at most `life`; not at all for a life of zero.
    pub fn give_back(self, connection: Connection, worker: usize, life: Duration) {
        if life.is_zero() {
            return;
        }
        let size = self.upstream.config.pool.size;
        self.backend().keep(connection, worker, life, size);
    }

    /// Counts as a tunnel or an event stream from now on: as load, but in nobody's way, since
    /// hundreds of them are idle most of the time.
    pub fn linger(&mut self) {
        self.untimed();
        if !self.lingers {
            self.lingers = true;
            self.backend().linger();
            self.upstream.queue.announce();
        }
    }

    /// What measures the request, where its time matters to the balancer.
    pub fn stopwatch(&self) -> &Stopwatch {
        &self.stopwatch
    }

    /// The time that it takes says nothing about other requests.
    pub fn untimed(&self) {
        self.stopwatch.stop();
    }

    /// Reports that a connection was made, or that the backend answered. Cheap when that is no news.
    pub fn reached(&self) {
        self.upstream.reached(&self.backend);
    }

    /// Reports the head of an answer. A 5xx speaks against the backend, if the others do better, and is not praised for
    /// its haste.
    pub fn answered(&mut self, status: StatusCode) {
        let is_bad = status.is_server_error();
        if let Some((time, now)) = self.stopwatch.stop() {
            if is_bad {
                self.backend.latency.endure(time, now);
            } else {
                self.backend.latency.learn(time, now);
            }
        }
        if is_bad {
            self.upstream.answered_badly(&self.backend);
        } else {
            self.is_answered = true;
            self.backend.tally.good();
        }
    }

    /// Reports that there was no answer: nothing in time, a reset, or what is no HTTP.
    pub fn not_answered(&self) {
        self.upstream.answered_badly(&self.backend);
    }

    /// Reports that the body of an answer broke off. What lingers may end at any time.
    pub fn broke_off(&self) {
        if self.is_answered && !self.lingers {
            self.backend.tally.not_good();
            self.upstream.answered_badly(&self.backend);
        }
    }

    /// Reports that the backend is about to end.
    pub fn leaving(&self) {
        self.upstream.leaving(&self.backend);
    }

    /// Reports that no connection could be made. Not for anything that happens on a connection.
    pub fn unreachable(&self, error: &io::Error) {
        self.untimed();
        self.upstream.unreachable(&self.backend, error);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The client left, or the backend broke off.
        if let Some((time, now)) = self.stopwatch.stop() {
            self.backend.latency.endure(time, now);
        }
        if self.lingers {
            self.backend().leave_for_good();
            return;
        }
        self.backend().leave();
        self.upstream.queue.announce();
    }
}

/// What a request wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is hashed by: [`Upstream::key`].
    pub key: u64,
    /// The id of the backend that its cookie names.
    pub sticky: Option<usize>,
    /// Backends that failed this request already.
    pub tried: Tried,
    /// It had a place in the waiting room.
    pub(in crate::upstream) waited: bool,
}

impl Wanted {
    /// A request that was not sent anywhere yet.
    pub fn new(key: u64, sticky: Option<usize>) -> Self {
        Self {
            key,
            sticky,
            tried: Tried::default(),
            waited: false,
        }
    }
}

/// A set of backends, by id. Allocates nothing for the first 64.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    low: u64,
    high: Vec<usize>,
}

impl Tried {
    /// Adds a backend.
    pub fn insert(&mut self, id: usize) {
        if id < 64 {
            self.low |= 1 << id;
        } else if !self.high.contains(&id) {
            self.high.push(id);
        }
    }

    /// Takes a backend out again.
    pub fn remove(&mut self, id: usize) {
        if id < 64 {
            self.low &= !(1 << id);
        } else {
            self.high.retain(|it| *it != id);
        }
    }

    /// Whether a backend is in it.
    pub fn contains(&self, id: usize) -> bool {
        if id < 64 {
            self.low & (1 << id) != 0
        } else {
            self.high.contains(&id)
        }
    }

    /// Whether nothing was tried.
    pub fn is_empty(&self) -> bool {
        self.low == 0 && self.high.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.low = 0;
        self.high.clear();
    }
}

/// Why there is no backend at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Backends have no room, or others wait already.
    #[error("every backend that could serve the request is at its limit")]
    Full,
    /// Each backend failed this request.
    #[error("every backend was tried")]
    AllTried,
}

/// Why there is no backend after a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The waiting room is full.
    #[error("too many requests wait for a backend")]
    Overloaded,
    /// The time to wait is over.
    #[error("no backend became ready in time")]
    Expired,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_what_was_tried() {
        let mut tried = Tried::default();
        assert!(tried.is_empty());
        for index in [0, 63, 64, 200, 200] {
            tried.insert(index);
        }
        for index in [0, 63, 64, 200] {
            assert!(tried.contains(index));
        }
        for index in [1, 62, 65, 199] {
            assert!(!tried.contains(index));
        }
        tried.remove(63);
        tried.remove(200);
        assert!(tried.contains(0) && tried.contains(64));
        assert!(!tried.contains(63) && !tried.contains(200));
        tried.clear();
        assert!(tried.is_empty());
    }
}
