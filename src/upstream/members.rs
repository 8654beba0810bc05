//! Which backends an upstream has at the moment: one for each address and socket that is configured, and for a name
//! one per instance that the name stands for, which is none at times.
//!
//! The list is published whole. A backend that leaves it gets no new request; what is in flight on it goes on, and its
//! idle connections are closed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, watch};

use crate::{
    config,
    observe::metrics::Metrics,
    upstream::{
        backend::{Backend, Origin},
        members::found::{Found, merge},
        register::{Entries, Register},
        sticky::Sticky,
    },
};

pub mod found;
pub mod srv;

/// Backends of one moment, those of one configured address side by side.
pub type List = Vec<Arc<Backend>>;

/// The backends of an upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Members {
    /// By place in the configuration.
    origins: Vec<Origin>,
    current: ArcSwap<List>,
    changed: watch::Sender<()>,
    register: Arc<Register>,
    maker: Maker,
}

/// Makes backends.
#[derive(Debug)]
pub(in crate::upstream) struct Maker {
    /// Name of the upstream.
    pub(in crate::upstream) upstream: Arc<str>,
    pub(in crate::upstream) metrics: Arc<Metrics>,
    pub(in crate::upstream) workers: usize,
    pub(in crate::upstream) sticky: Option<Arc<Sticky>>,
    pub(in crate::upstream) next: AtomicUsize,
}

impl Members {
    /// One backend per configured one, drained if `register` says so. Those of names are not resolved so far: nobody
    /// can connect to them, and requests wait.
    pub(in crate::upstream) fn new(
        configured: &[config::upstream::Backend],
        maker: Maker,
        register: Arc<Register>,
    ) -> Self {
        let configured = configured.iter().enumerate();
        let origins = configured.map(|(place, backend)| Origin {
            address: backend.address.clone(),
            weight: backend.weight,
            place,
            instance: None,
            lost: Arc::new(Notify::new()),
        });
        let origins: Vec<_> = origins.collect();
        let mut entries = register.lock();
        let backends = origins
            .iter()
            .map(|it| maker.make(it.clone(), &mut entries));
        let backends = backends.collect();
        drop(entries);
        Self {
            current: ArcSwap::from_pointee(backends),
            origins,
            changed: watch::Sender::new(()),
            register,
            maker,
        }
    }

    /// What is configured, in order.
    pub(in crate::upstream) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The backends of this moment.
    pub(in crate::upstream) fn list(&self) -> Guard<Arc<List>> {
        self.current.load()
    }

    /// Hears of each change of the list.
    pub(in crate::upstream) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What goes by the names of its backends.
    pub(in crate::upstream) fn register(&self) -> &Arc<Register> {
        &self.register
    }

    /// Takes what the name at `place` resolved to. The backends that are new or have other addresses than before; none
    /// when nothing changed.
    pub(in crate::upstream) fn resolved(&self, place: usize, found: &[Found]) -> List {
        let mut entries = self.register.lock();
        let Some(origin) = self.origins.get(place) else {
            return List::new();
        };
        let old = self.current.load_full();
        let merged = merge(&old, origin, found, |origin| {
            self.maker.make(origin, &mut entries)
        });
        let mut moved = List::new();
        for (backend, found) in merged.heard_of {
            backend.set_rank(found.rank);
            if let Some(weight) = found.weight {
                backend.set_record_weight(weight);
            }
            if !found.addresses.is_empty() && backend.learn(&found.addresses) {
                backend.hang_up();
                moved.push(backend);
            }
        }
        if !is_same(&merged.list, &old) {
            let gone = old
                .iter()
                .filter(|it| !merged.list.iter().any(|new| Arc::ptr_eq(it, new)));
            gone.for_each(|it| it.retire());
            self.current.store(Arc::new(merged.list));
            self.changed.send_replace(());
        }
        moved
    }
}

fn is_same(one: &List, other: &List) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| Arc::ptr_eq(one, other))
}

impl Maker {
    fn make(&self, origin: Origin, entries: &mut Entries) -> Arc<Backend> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let backend =
            Backend::new(origin, id, self.workers).counted_in(&self.metrics, &self.upstream);
        let cookie = self.sticky.as_ref().map(|it| it.cookie(backend.name()));
        let backend = Arc::new(backend.named_by(cookie));
        if entries.enter(&backend) {
            tracing::info!(upstream = %self.upstream, backend = %backend.name(), "backend is drained from the start, as one of its name was");
        }
        backend
    }
}

#[cfg(test)]
mod tests;
