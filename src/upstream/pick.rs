//! Which backend a request gets.

use std::{cell::Cell, sync::Arc};

use crate::upstream::{
    Upstream,
    backend::Backend,
    lease::{Lease, Refusal, Wanted},
    members::List,
};

impl Upstream {
    /// Picks a backend at once.
    ///
    /// Preferred are backends that are healthy and can be connected to, among them the sticky one.
    /// While one of these is left it is waited for rather than passed over. Then come those whose
    /// last connection failed, then the unhealthy ones: when all are, all are candidates, but never one
    /// that the operator drained. None is given twice to one request. Nobody overtakes the requests that wait.
    /// Within each of these, the first rank goes before the next: it is waited for while it has one, even at its limit.
    pub fn lease(self: &Arc<Self>, wanted: &Wanted) -> Result<Lease, Refusal> {
        if self.queue.waiting() > 0 {
            return Err(Refusal::Full);
        }
        let first = self.lease_from(Tier::READY, wanted, Repeat::Never);
        if !matches!(first, Err(Refusal::AllTried)) {
            return first;
        }
        let mut refusal = Refusal::AllTried;
        for tier in [Tier::COOLING, Tier::UNHEALTHY, Tier::LAST] {
            match self.lease_from(tier, wanted, Repeat::Never) {
                Err(Refusal::Full) => refusal = Refusal::Full,
                Err(Refusal::AllTried) => {}
                Ok(lease) => return Ok(lease),
            }
        }
        Err(refusal)
    }

    /// Whether a backend that this request has not tried would take it at once, and is as good as any.
    pub fn is_another_ready(&self, wanted: &Wanted) -> bool {
        let limit = self.config.limits.max_requests;
        self.queue.waiting() == 0
            && self.members.list().iter().any(|backend| {
                Tier::READY.holds(backend)
                    && !wanted.tried.contains(backend.id())
                    && backend.in_flight() < limit
            })
    }

    /// What a waiting request takes: no backend that is cooling, as that is what it waits for, and
    /// one that was tried before only when no other is ready.
    pub(in crate::upstream) fn lease_at_front(self: &Arc<Self>, wanted: &Wanted) -> Option<Lease> {
        if !wanted.tried.is_empty()
            && let Ok(lease) = self.lease_from(Tier::READY, wanted, Repeat::Never)
        {
            return Some(lease);
        }
        match self.lease_from(Tier::READY, wanted, Repeat::Allowed) {
            Ok(lease) => Some(lease),
            Err(Refusal::Full) => None,
            Err(Refusal::AllTried) => self
                .lease_from(Tier::UNHEALTHY, wanted, Repeat::Allowed)
                .ok(),
        }
    }

    /// The sticky one, or one of the first rank that has any which fits.
    fn lease_from(
        self: &Arc<Self>,
        tier: Tier,
        wanted: &Wanted,
        repeat: Repeat,
    ) -> Result<Lease, Refusal> {
        let backends = self.members.list();
        let sticky = wanted
            .sticky
            .filter(|_| tier == Tier::READY)
            .and_then(|id| backends.iter().find(|it| it.id() == id));
        if let Some(backend) = sticky
            && fits(backend, tier, wanted, repeat)
            && let Some(lease) = self.take(backend, tier)
        {
            return Ok(lease);
        }
        let mut rank = 0;
        loop {
            match self.lease_of_rank(&backends, rank, tier, wanted, repeat) {
                Err(Refusal::AllTried) => {
                    rank = next_rank(&backends, rank).ok_or(Refusal::AllTried)?;
                }
                done => return done,
            }
        }
    }

    fn lease_of_rank(
        self: &Arc<Self>,
        backends: &List,
        rank: u8,
        tier: Tier,
        wanted: &Wanted,
        repeat: Repeat,
    ) -> Result<Lease, Refusal> {
        let limit = self.config.limits.max_requests;
        let full = Cell::new(false);
        let eligible = |backend: &Backend| {
            let fits = backend.rank() == rank && fits(backend, tier, wanted, repeat);
            let has_room = backend.in_flight() < limit;
            if fits && !has_room {
                full.set(true);
            }
            fits && has_room
        };
        // Another worker may take the last room between the look and the step: then look again.
        for _ in 0..=backends.len() {
            let Some(mut backend) = self.balancer.pick(backends, wanted.key, eligible) else {
                break;
            };
            if backend.warm_up.sits_out(self.config.slow_start)
                && self.balancer.spreads()
                && let Some(other) = self.balancer.pick(backends, wanted.key, |it| {
                    !it.warm_up.is_on() && eligible(it)
                })
            {
                backend = other;
            }
            if let Some(lease) = self.take(backend, tier) {
                return Ok(lease);
            }
            full.set(true);
        }
        Err(if full.get() {
            Refusal::Full
        } else {
            Refusal::AllTried
        })
    }

    fn take(self: &Arc<Self>, backend: &Arc<Backend>, tier: Tier) -> Option<Lease> {
        if !backend.enter(self.config.limits.max_requests) {
            return None;
        }
        let lease = Lease::new(Arc::clone(self), Arc::clone(backend));
        // Looked at again, now that it is counted: whoever drains it looks at the count after that.
        if !backend.is_drained() && (tier.cooling || backend.health.admit()) {
            return Some(lease);
        }
        lease.untimed();
        None
    }
}

fn fits(backend: &Backend, tier: Tier, wanted: &Wanted, repeat: Repeat) -> bool {
    tier.holds(backend) && (repeat == Repeat::Allowed || !wanted.tried.contains(backend.id()))
}

/// The first rank behind `rank`. Nearly always there is none.
fn next_rank(backends: &List, rank: u8) -> Option<u8> {
    let ranks = backends.iter().map(|it| it.rank());
    ranks.filter(|it| *it > rank).min()
}

/// How good a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tier {
    healthy: bool,
    cooling: bool,
}

impl Tier {
    const READY: Self = Self::new(true, false);
    const COOLING: Self = Self::new(true, true);
    const UNHEALTHY: Self = Self::new(false, false);
    const LAST: Self = Self::new(false, true);

    const fn new(healthy: bool, cooling: bool) -> Self {
        Self { healthy, cooling }
    }

    fn holds(self, backend: &Backend) -> bool {
        let health = backend.health();
        !backend.is_drained()
            && health.is_healthy() == self.healthy
            && health.is_cooling() == self.cooling
    }
}

/// Whether a backend may be given to a request that it failed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Never,
    Allowed,
}
