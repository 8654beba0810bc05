//! A named set of backends, and which of them a request gets.
//!
//! One [`Upstream`] is shared by all workers; what changes in it is atomic. Probes and the resolver
//! run elsewhere and report to it.

use std::sync::{Arc, Mutex, atomic::AtomicUsize};

use arc_swap::Guard;
use http::HeaderMap;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    config,
    message::context::RequestContext,
    observe::metrics::{Metrics, backend::UpstreamMetrics},
    tls::TlsError,
    upstream::{
        balancer::Balancer,
        budget::Budget,
        connector::Connector,
        lease::{Lease, Unavailable, Wanted},
        members::{List, Maker, Members},
        pool::Pool,
        queue::{Entry, Place, Queue},
        sticky::Sticky,
    },
};

pub mod backend;
pub mod balancer;
pub mod budget;
pub mod client;
pub mod connector;
pub mod drain;
pub mod health;
pub mod lease;
pub mod members;
pub mod outlier;
mod pick;
pub mod pool;
pub mod proxy_protocol;
mod queue;
pub mod register;
mod report;
pub mod resolver;
pub mod sticky;
pub mod stopwatch;
mod warm_up;

/// A named set of backends.
#[derive(Debug)]
pub struct Upstream {
    config: Arc<config::upstream::Upstream>,
    name: Arc<str>,
    members: Members,
    balancer: Balancer,
    queue: Queue,
    /// Held by who ejects a backend: two at once could eject too many.
    ejecting: Mutex<()>,
    budget: Budget,
    sticky: Option<Arc<Sticky>>,
    connector: Connector,
    metrics: Arc<UpstreamMetrics>,
}

/// What an upstream shares with the rest of the process.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Makes the values of the sticky cookie.
    pub key: &'a sticky::Key,
    /// Counters.
    pub metrics: &'a Arc<Metrics>,
    /// Worker threads; each has a pool of its own per backend.
    pub workers: usize,
    /// The upstream of the same name that a reload replaces.
    pub before: Option<&'a Upstream>,
}

impl Upstream {
    /// Every backend counts as healthy until a probe says otherwise.
    ///
    /// # Errors
    /// The authorities that https backends are verified with cannot be read.
    pub fn new(
        config: Arc<config::upstream::Upstream>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Arc<Self>, TlsError> {
        let Surroundings {
            key,
            metrics,
            workers,
            before,
        } = *surroundings;
        let name: Arc<str> = config.name.as_str().into();
        let sticky = Sticky::new(&config, key, before.and_then(Self::sticky)).map(Arc::new);
        let register = before.map(|it| Arc::clone(it.members.register()));
        let maker = Maker {
            upstream: Arc::clone(&name),
            metrics: Arc::clone(metrics),
            workers,
            sticky: sticky.clone(),
            next: AtomicUsize::new(0),
        };
        Ok(Arc::new(Self {
            connector: Connector::new(&config)?,
            metrics: metrics.upstream(&config.name),
            name,
            members: Members::new(&config.backends, maker, register.unwrap_or_default()),
            balancer: Balancer::new(&config),
            queue: Queue::new(config.limits.queue),
            ejecting: Mutex::default(),
            budget: Budget::new(config.retry.budget),
            sticky,
            config,
        }))
    }

    /// Makes its connections.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Its counters.
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.metrics
    }

    /// Closes idle connections of `worker` that are too old or were closed by their backend.
    pub fn sweep(&self, worker: usize) {
        for backend in self.members.list().iter() {
            backend.with_pool(worker, Pool::sweep);
        }
    }

    /// Nobody sends to it any more but who does so now: its idle connections are closed.
    pub fn retire(&self) {
        self.backends().iter().for_each(|it| it.retire());
    }

    /// What it was made from.
    pub fn config(&self) -> &Arc<config::upstream::Upstream> {
        &self.config
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its backends at the moment, in the order of the configuration.
    pub fn backends(&self) -> Guard<Arc<List>> {
        self.members.list()
    }

    /// Requests that wait for a backend.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// What its balancer hashes a request by; 0 where it hashes none.
    pub fn key(&self, headers: &HeaderMap, context: &RequestContext) -> u64 {
        self.balancer.key(headers, context)
    }

    /// What bounds its retries.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Its affinity cookie; `None` when nothing sticks.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_deref()
    }

    /// Picks a backend, and waits for one until `deadline` where [`Self::lease`] refuses: for room,
    /// or for a backend that can be connected to again. May be dropped at any time.
    ///
    /// A request that was tried everywhere may get a backend again that failed it before, once that
    /// has returned. One that waited before keeps its right to wait.
    pub async fn acquire(
        self: &Arc<Self>,
        wanted: &mut Wanted,
        deadline: Instant,
    ) -> Result<Lease, Unavailable> {
        if let Ok(lease) = self.lease(wanted) {
            return Ok(lease);
        }
        let entry = if wanted.waited {
            Entry::Again
        } else {
            Entry::First
        };
        let place = self.queue.enter(entry).ok_or(Unavailable::Overloaded)?;
        wanted.waited = true;
        // Boxed: it is rare, and would make the future of every request larger.
        Box::pin(timeout_at(deadline, self.wait(&place, wanted)))
            .await
            .map_err(|_| Unavailable::Expired)
    }

    async fn wait(self: &Arc<Self>, place: &Place<'_>, wanted: &Wanted) -> Lease {
        let front = place.front().await;
        loop {
            let news = front.news();
            // Before the look at the backends: a cooling that ends in between is then seen there.
            let next = self.next_return();
            if let Some(lease) = self.lease_at_front(wanted) {
                return lease;
            }
            match next {
                Some(at) => tokio::select! {
                    () = news => {}
                    () = sleep_until(at) => {}
                },
                None => news.await,
            }
        }
    }

    /// The first end of a cooling.
    fn next_return(&self) -> Option<Instant> {
        let now = Instant::now();
        let backends = self.members.list();
        let ends = backends
            .iter()
            .filter_map(|it| it.health.ready_at())
            .filter(|it| *it > now);
        ends.min()
    }
}

#[cfg(test)]
pub(crate) mod tests;
