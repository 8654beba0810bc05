//! One place that requests are sent to: its address, its load, its health.

use std::{
    net::SocketAddr,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;

use crate::{
    config::upstream::BackendAddress,
    message::notice::Notice,
    observe::metrics::{Metrics, backend::BackendMetrics},
    upstream::{
        balancer::{hash, latency::Latency, round_robin::Pass},
        client::Connection,
        health::Health,
        outlier::Tally,
        pool::Pool,
        sticky::Cookie,
        warm_up::WarmUp,
    },
};

mod origin;

pub use origin::Instance;
pub(in crate::upstream) use origin::Origin;

/// One place that requests are sent to.
///
/// It may have several addresses, such as those of `localhost`: they are tried in turn, the one that
/// worked last first. A name that stands for several instances is several backends.
#[derive(Debug)]
pub struct Backend {
    id: usize,
    origin: Origin,
    name: Arc<str>,
    seed: u64,
    authority: Box<str>,
    cookie: Option<Cookie>,
    in_flight: AtomicUsize,
    /// Tunnels and event streams: load, but not what `limits.max_requests` is about.
    lingering: AtomicUsize,
    /// One per worker: a lock that nobody else wants is free.
    pools: Box<[Mutex<Pool>]>,
    metrics: Arc<BackendMetrics>,
    notice: Notice,
    addresses: ArcSwap<Vec<SocketAddr>>,
    drained: AtomicBool,
    /// No list has it any more: what it idles on is of no use.
    retired: AtomicBool,
    rank: AtomicU8,
    weight: AtomicU16,
    pub(in crate::upstream) health: Health,
    pub(in crate::upstream) tally: Tally,
    pub(in crate::upstream) warm_up: WarmUp,
    pub(in crate::upstream) pass: Pass,
    pub(in crate::upstream) latency: Latency,
    /// Wakes the probe of this backend before its interval is over.
    pub(in crate::upstream) suspected: Notify,
}

impl Backend {
    /// `id` tells it from the other backends that its upstream ever has.
    pub(in crate::upstream) fn new(origin: Origin, id: usize, workers: usize) -> Self {
        let name: Arc<str> = origin.name().into();
        let weight = origin.weight.get();
        Self {
            id,
            seed: hash::seed(&name),
            name,
            authority: origin::authority(&origin).into(),
            cookie: None,
            addresses: ArcSwap::from_pointee(
                origin::literal(&origin.address).into_iter().collect(),
            ),
            origin,
            in_flight: AtomicUsize::new(0),
            lingering: AtomicUsize::new(0),
            pools: (0..workers).map(|_| Mutex::default()).collect(),
            metrics: Arc::default(),
            drained: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            notice: Notice::default(),
            rank: AtomicU8::new(0),
            weight: AtomicU16::new(weight),
            health: Health::new(),
            tally: Tally::default(),
            warm_up: WarmUp::new(),
            pass: Pass::default(),
            latency: Latency::default(),
            suspected: Notify::new(),
        }
    }

    /// Its counts appear in `metrics` under the name of its upstream.
    pub(in crate::upstream) fn counted_in(mut self, metrics: &Metrics, upstream: &str) -> Self {
        self.metrics = metrics.backend(upstream, &self.name);
        self
    }

    /// Clients that stick to it get this cookie.
    pub(in crate::upstream) fn named_by(mut self, cookie: Option<Cookie>) -> Self {
        self.cookie = cookie;
        self
    }

    /// Its counters.
    pub fn metrics(&self) -> &Arc<BackendMetrics> {
        &self.metrics
    }

    /// What its tunnels heed.
    pub fn notice(&self) -> &Notice {
        &self.notice
    }

    /// Lets `act` on the idle connections of one worker, and counts how many there are then.
    pub(in crate::upstream) fn with_pool<T>(
        &self,
        worker: usize,
        act: impl FnOnce(&mut Pool) -> T,
    ) -> T {
        let mut pool = self.pools[worker]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = pool.len();
        let result = act(&mut pool);
        self.metrics.idle_changed(before, pool.len());
        result
    }

    /// As in the configuration, such as `http://127.0.0.1:3001` or `unix:/run/app.sock`; with the
    /// address behind it, as `http://app:3000#10.0.0.3`, where a name stands for several instances, and
    /// with the target, as `srv+http://_api._tcp.test/a.test:3001`, where SRV records name it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it listens, as configured.
    pub fn address(&self) -> &BackendAddress {
        &self.origin.address
    }

    /// The host that it is asked for by name, and that its certificate is for; `None` for a Unix socket, and for an
    /// SRV name without an answer so far.
    pub fn host(&self) -> Option<&str> {
        self.origin.host().map(|(host, _)| host)
    }

    /// Where it stands among those of its SRV name (RFC 2782): 0 for the first priority, which is used while one of
    /// it is ready. 0 for all others.
    pub fn rank(&self) -> u8 {
        self.rank.load(Ordering::Relaxed)
    }

    pub(in crate::upstream) fn set_rank(&self, rank: u8) {
        self.rank.store(rank, Ordering::Relaxed);
    }

    /// Tells it from the other backends that its upstream ever has: from 0, in the order of the
    /// configuration.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Its share of the requests, beside that of the others.
    pub fn weight(&self) -> NonZero<u16> {
        NonZero::new(self.weight.load(Ordering::Relaxed)).unwrap_or(NonZero::<u16>::MIN)
    }

    /// Takes the weight that its SRV record says, times the one that is configured.
    pub(in crate::upstream) fn set_record_weight(&self, weight: u16) {
        let weight = weight.max(1).saturating_mul(self.origin.weight.get());
        self.weight.store(weight, Ordering::Relaxed);
    }

    /// Where it comes from.
    pub(in crate::upstream) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What tells clients apart that stick to it.
    pub(in crate::upstream) fn cookie(&self) -> Option<&Cookie> {
        self.cookie.as_ref()
    }

    /// A number that tells it from others, the same in each process.
    pub(in crate::upstream) fn seed(&self) -> u64 {
        self.seed
    }

    /// What a `Host` field for this backend says (RFC 9110 section 7.2): host and port, the port
    /// left out where it is the scheme's own. `localhost` for a Unix socket.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// How busy it is: requests in flight, tunnels and event streams.
    pub fn load(&self) -> usize {
        self.in_flight() + self.lingering()
    }

    /// Tunnels and event streams.
    pub fn lingering(&self) -> usize {
        self.lingering.load(Ordering::Relaxed)
    }

    /// Requests in flight, which `limits.max_requests` bounds.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// What probes and connects say of it.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The operator took it out of service: it gets no request, whatever its health.
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::SeqCst)
    }

    /// Takes it out of service or puts it back; true when that is news.
    pub(in crate::upstream) fn set_drained(&self, drained: bool) -> bool {
        self.drained.swap(drained, Ordering::SeqCst) != drained
    }

    /// Whether requests are sent to it while others are as good.
    pub fn is_up(&self) -> bool {
        self.health.is_healthy() && !self.is_drained()
    }

    /// Its socket addresses, the one to try first in front. Empty for a Unix socket, and for a name
    /// that did not resolve so far.
    pub fn addresses(&self) -> Guard<Arc<Vec<SocketAddr>>> {
        self.addresses.load()
    }

    /// Says that a connection to `address` was made: from now on it is tried first.
    pub fn remember(&self, address: SocketAddr) {
        if self.addresses.load().first() == Some(&address) {
            return;
        }
        self.addresses.rcu(|known| {
            let mut ordered = Vec::clone(known);
            if let Some(place) = ordered.iter().position(|it| *it == address) {
                ordered[..=place].rotate_right(1);
            }
            ordered
        });
    }

    /// Takes the answer of a look-up; true when it differs from what was known. The order of the
    /// addresses that stay is kept, so that an answer that is merely shuffled changes nothing.
    pub(in crate::upstream) fn learn(&self, found: &[SocketAddr]) -> bool {
        let known = self.addresses.load_full();
        let mut merged: Vec<SocketAddr> = known
            .iter()
            .copied()
            .filter(|it| found.contains(it))
            .collect();
        for address in found {
            if !merged.contains(address) {
                merged.push(*address);
            }
        }
        if merged == *known {
            return false;
        }
        self.addresses.store(Arc::new(merged));
        true
    }

    /// Counts one more request, unless `limit` are in flight already.
    pub(in crate::upstream) fn enter(&self, limit: usize) -> bool {
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                (now < limit).then_some(now + 1)
            })
            .is_ok()
    }

    pub(in crate::upstream) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// A request that was in flight stays on for long.
    pub(in crate::upstream) fn linger(&self) {
        self.lingering.fetch_add(1, Ordering::Relaxed);
        self.leave();
    }

    pub(in crate::upstream) fn leave_for_good(&self) {
        self.lingering.fetch_sub(1, Ordering::Relaxed);
    }

    /// Keeps `connection` among at most `size` idle ones of `worker`, for at most `life`.
    pub(in crate::upstream) fn keep(
        &self,
        connection: Connection,
        worker: usize,
        life: Duration,
        size: usize,
    ) {
        self.with_pool(worker, |pool| {
            // Under the lock: whoever retires it empties the pool after that.
            if !self.retired.load(Ordering::SeqCst) {
                pool.put(connection, life, size);
            }
        });
    }

    /// Closes its idle connections.
    pub(in crate::upstream) fn hang_up(&self) {
        for worker in 0..self.pools.len() {
            self.with_pool(worker, |pool| *pool = Pool::default());
        }
    }

    /// It left the list for good: its idle connections are closed, and those in use are when they are free.
    pub(in crate::upstream) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.hang_up();
    }
}

impl Drop for Backend {
    /// Its counts may live on under the same name; its idle connections do not.
    fn drop(&mut self) {
        self.hang_up();
    }
}

#[cfg(test)]
mod tests;
