//! Which backends an upstream has at the moment: one for each address and socket that is configured, and for a name
//! one per instance that the name stands for, which is none at times.
//!
//! The list is published whole. A backend that leaves it gets no new request; what is in flight on it goes on, and its
//! idle connections end with the last lease.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, watch};

use crate::{
    config,
    observe::metrics::Metrics,
    upstream::{
        backend::{Backend, Origin},
        members::found::{Found, merge},
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
    /// Names that the operator drained, also of backends that will come. Locked while the list changes: two names may
    /// resolve at once.
    drained: Mutex<HashSet<Arc<str>>>,
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
    /// Backends of the upstream that a reload replaces, by name.
    pub(in crate::upstream) before: HashMap<Arc<str>, Weak<Backend>>,
}

impl Members {
    /// One backend per configured one. Those in `drained` are. Those of names are not resolved so far: nobody can
    /// connect to them, and requests wait.
    pub(in crate::upstream) fn new(
        configured: &[config::upstream::Backend],
        maker: Maker,
        drained: HashSet<Arc<str>>,
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
        let backends = origins.iter().map(|it| maker.make(it.clone(), &drained));
        Self {
            current: ArcSwap::from_pointee(backends.collect()),
            origins,
            changed: watch::Sender::new(()),
            drained: Mutex::new(drained),
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

    /// Drains the backends named `name`, those that are and those that will come, or takes that back.
    pub(in crate::upstream) fn set_drained(&self, name: &Arc<str>, is_drained: bool) -> List {
        let mut drained = self.drained();
        if is_drained {
            drained.insert(Arc::clone(name));
        } else {
            drained.remove(name);
        }
        let list = self.list();
        let meant = list.iter().filter(|it| it.name() == name);
        meant
            .filter(|it| it.set_drained(is_drained))
            .cloned()
            .collect()
    }

    /// Names that the operator drained.
    pub(in crate::upstream) fn drained(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.drained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the name at `place` resolved to. The backends that are new or have other addresses than before; none
    /// when nothing changed.
    pub(in crate::upstream) fn resolved(&self, place: usize, found: &[Found]) -> List {
        let drained = self.drained();
        let Some(origin) = self.origins.get(place) else {
            return List::new();
        };
        let old = self.current.load_full();
        let merged = merge(&old, origin, found, |origin| {
            self.maker.make(origin, &drained)
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
    fn make(&self, origin: Origin, drained: &HashSet<Arc<str>>) -> Arc<Backend> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let backend =
            Backend::new(origin, id, self.workers).counted_in(&self.metrics, &self.upstream);
        let cookie = self.sticky.as_ref().map(|it| it.cookie(backend.name()));
        let mut backend = backend.named_by(cookie);
        if let Some(old) = self.before.get(backend.name()).and_then(Weak::upgrade) {
            backend = backend.after(&old);
        }
        backend.set_drained(drained.contains(backend.name()));
        Arc::new(backend)
    }
}

#[cfg(test)]
mod tests;
