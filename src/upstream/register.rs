//! What goes by the name of a backend, over changes of the DNS and over reloads: whether the operator drained it, and
//! what is under way there.
//!
//! An upstream shares one with those that a reload puts in its place. So an order holds for all of them, also for one
//! that is still being built, and nothing is forgotten that the list of this moment does not have.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::upstream::{backend::Backend, members::List};

/// The register of an upstream.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Register(Mutex<Entries>);

/// What is in it.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Entries {
    /// Names of backends, and configured ones that stand for several; also of such as will come.
    drained: HashSet<Arc<str>>,
    /// Instances that were put back alone, of names that are drained.
    spared: HashSet<Arc<str>>,
    /// Backends that somebody still uses. Several have the same name where one left and came back, or a reload made
    /// the upstream anew.
    known: BTreeMap<Arc<str>, Vec<Weak<Backend>>>,
}

/// What is under way at a backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// Requests.
    pub requests: usize,
    /// Tunnels and event streams.
    pub lingering: usize,
}

impl Register {
    /// Held while a list of backends changes: two names may resolve at once, and an order may come.
    pub(in crate::upstream) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Adds a backend, which is drained if its name is; true then.
    pub(in crate::upstream) fn enter(&mut self, backend: &Arc<Backend>) -> bool {
        self.known.retain(|_, backends| {
            backends.retain(|it| it.strong_count() > 0);
            !backends.is_empty()
        });
        let namesakes = self.known.entry(Arc::clone(backend.name())).or_default();
        namesakes.push(Arc::downgrade(backend));
        let is_drained = self.is_drained(backend.name());
        backend.set_drained(is_drained);
        is_drained
    }

    /// Drains whatever `key` names. The backends for which that is news.
    pub(in crate::upstream) fn drain(&mut self, key: &Arc<str>) -> List {
        self.spared.retain(|it| !is_meant(it, key));
        self.drained.insert(Arc::clone(key));
        self.apply()
    }

    /// Takes that back, for the instances of a configured name too. One instance of a name that was drained as a whole
    /// is put back alone.
    pub(in crate::upstream) fn undrain(&mut self, key: &Arc<str>) -> List {
        self.drained.retain(|it| !is_meant(it, key));
        self.spared.retain(|it| !is_meant(it, key));
        if self.drained.iter().any(|it| is_instance(key, it)) {
            self.spared.insert(Arc::clone(key));
        }
        self.apply()
    }

    /// The name that the operator means by `text`, which may lack the scheme.
    pub(in crate::upstream) fn known_as(
        &self,
        configured: &[String],
        text: &str,
    ) -> Option<Arc<str>> {
        let known = self.known.keys().chain(&self.drained).map(|it| &**it);
        let mut names = known.chain(configured.iter().map(String::as_str));
        let is_it = |name: &&str| {
            *name == text || name.split_once("://").is_some_and(|(_, rest)| rest == text)
        };
        names.find(is_it).map(Arc::from)
    }

    /// What is under way at the backends of this name.
    pub(in crate::upstream) fn under_way(&self, name: &str) -> UnderWay {
        let alive = self
            .known
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(Weak::upgrade);
        alive.fold(UnderWay::default(), |sum, it| UnderWay {
            requests: sum.requests + it.in_flight(),
            lingering: sum.lingering + it.lingering(),
        })
    }

    /// Backends that `list` does not have any more, but where something is under way; one for each name.
    pub(in crate::upstream) fn departed(&self, list: &List) -> List {
        let names = self.known.iter();
        let gone = names.filter(|(name, _)| list.iter().all(|it| it.name() != *name));
        let busy = gone.filter(|(name, _)| self.under_way(name) != UnderWay::default());
        busy.filter_map(|(_, backends)| backends.iter().find_map(Weak::upgrade))
            .collect()
    }

    fn is_drained(&self, name: &str) -> bool {
        !self.spared.contains(name) && self.drained.iter().any(|it| is_meant(name, it))
    }

    fn apply(&self) -> List {
        let alive = self.known.values().flatten().filter_map(Weak::upgrade);
        alive
            .filter(|it| it.set_drained(self.is_drained(it.name())))
            .collect()
    }
}

/// Whether `key` names the backend `name`, or the configured name that it is an instance of.
pub(in crate::upstream) fn is_meant(name: &str, key: &str) -> bool {
    name == key || is_instance(name, key)
}

/// Whether `name` is that of an instance of the configured name `whole`.
fn is_instance(name: &str, whole: &str) -> bool {
    let mark = if whole.starts_with("srv+") { '/' } else { '#' };
    name.strip_prefix(whole)
        .is_some_and(|it| it.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_instances_from_others_whose_names_begin_alike() {
        for (name, whole) in [
            ("http://app:3000#10.0.0.1", "http://app:3000"),
            ("srv+http://_a._tcp.test/x:1", "srv+http://_a._tcp.test"),
        ] {
            assert!(is_instance(name, whole) && is_meant(name, whole), "{name}");
        }
        for (name, other) in [
            ("http://app:30001", "http://app:3000"),
            ("http://app:3000", "http://app:3000#10.0.0.1"),
            ("unix:/run/app/a.sock", "unix:/run/app"),
            ("srv+http://_a._tcp.test2/x:1", "srv+http://_a._tcp.test"),
        ] {
            assert!(!is_meant(name, other), "{name}");
        }
    }
}
