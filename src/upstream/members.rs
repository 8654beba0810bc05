//! Which backends an upstream has at the moment: one for each address and socket that is configured, and for a name
//! one per instance that the name stands for.
//!
//! The list is published whole. A backend that leaves it gets no new request; what is in flight on it goes on, and its
//! idle connections end with the last lease.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, watch};

use crate::{
    config::upstream::BackendAddress,
    observe::metrics::Metrics,
    upstream::{
        backend::{Backend, Origin},
        sticky::Sticky,
    },
};

/// Backends of one moment, those of one configured address side by side.
pub type List = Vec<Arc<Backend>>;

/// The backends of an upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Members {
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
    /// One backend per address. Those in `drained` are. Those of names are not resolved so far: nobody can connect to them, and requests wait.
    pub(in crate::upstream) fn new(
        addresses: &[BackendAddress],
        maker: Maker,
        drained: HashSet<Arc<str>>,
    ) -> Self {
        let backends = addresses.iter().enumerate().map(|(place, address)| {
            let origin = Origin {
                address: address.clone(),
                place,
                instance: None,
                lost: Arc::new(Notify::new()),
            };
            maker.make(origin, &drained)
        });
        Self {
            current: ArcSwap::from_pointee(backends.collect()),
            changed: watch::Sender::new(()),
            drained: Mutex::new(drained),
            maker,
        }
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

    /// Takes what the name at `place` resolved to, not empty. The backends that are new or have other addresses than
    /// before; none when nothing changed.
    pub(in crate::upstream) fn resolved(&self, place: usize, found: &[SocketAddr]) -> List {
        let drained = self.drained();
        let old = self.current.load_full();
        let mut moved = List::new();
        let mut list: List = of_others(&old, |it| it < place);
        let Some(origin) = old
            .iter()
            .map(|it| it.origin())
            .find(|it| it.place == place)
        else {
            return moved;
        };
        let groups = instances(origin, found);
        let several = groups.len() > 1;
        for group in groups {
            let instance = several.then(|| group[0].ip());
            let known = old.iter().find(|it| {
                let origin = it.origin();
                origin.place == place && origin.instance == instance
            });
            let backend = known.cloned().unwrap_or_else(|| {
                let origin = Origin {
                    instance,
                    ..origin.clone()
                };
                self.maker.make(origin, &drained)
            });
            if backend.learn(&group) {
                backend.hang_up();
                moved.push(Arc::clone(&backend));
            }
            list.push(backend);
        }
        list.extend(of_others(&old, |it| it > place));
        if list.len() != old.len()
            || list
                .iter()
                .zip(&*old)
                .any(|(new, old)| !Arc::ptr_eq(new, old))
        {
            self.current.store(Arc::new(list));
            self.changed.send_replace(());
        }
        moved
    }
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

fn of_others(list: &List, is_wanted: impl Fn(usize) -> bool) -> List {
    list.iter()
        .filter(|it| is_wanted(it.origin().place))
        .cloned()
        .collect()
}

/// Which of the addresses `found` are ways to one instance.
///
/// Docker, Kubernetes and plain DNS give a name one IPv4 address per instance, so several of these are several
/// instances, and IPv6 addresses beside them are other ways to the same. With one IPv4 address all are ways to one
/// machine, as is whatever `localhost` has (RFC 6761 section 6.3). Where there is no IPv4, each IPv6 address counts.
fn instances(origin: &Origin, found: &[SocketAddr]) -> Vec<Vec<SocketAddr>> {
    let mut sorted = found.to_vec();
    // Answers are shuffled: what is merely in another order must not look like a change.
    sorted.sort_unstable();
    sorted.dedup();
    let (four, six): (Vec<_>, Vec<_>) = sorted.into_iter().partition(SocketAddr::is_ipv4);
    let primary = match (four.len(), six.len()) {
        (0, 2..) => six,
        (2.., _) => four,
        (0 | 1, _) => Vec::new(),
    };
    if is_localhost(&origin.address) || primary.is_empty() {
        return vec![found.to_vec()];
    }
    primary.into_iter().map(|it| vec![it]).collect()
}

fn is_localhost(address: &BackendAddress) -> bool {
    match address {
        BackendAddress::Tcp { host, .. } => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
        BackendAddress::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests;
