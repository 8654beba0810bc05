//! A backend is taken out of service by the operator, and put back.
//!
//! It gets no new request then, not even as the last one. Requests in flight go on; tunnels and event streams, which
//! would go on for ever, are ended, so that their clients come back on another backend.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::upstream::{
    Upstream,
    backend::Backend,
    members::List,
    register::{UnderWay, is_meant},
    report::show,
};

/// When the last tunnel of a drained backend is closed; most are in the two seconds before. A message under way has time
/// to arrive, and nobody waits long at a deploy.
const TUNNELS_END: Duration = Duration::from_secs(10);

impl Upstream {
    /// What the operator means by `name`: a backend as logs and metrics name it, or all instances of a name as
    /// configured, either also without the scheme; `None` when nothing goes by that name.
    pub fn known_as(&self, name: &str) -> Option<Arc<str>> {
        let backends = self.config.backends.iter();
        let configured: Vec<_> = backends.map(|it| it.address.to_string()).collect();
        self.members.register().lock().known_as(&configured, name)
    }

    /// The backends that `key` means: those of this moment, and those that are gone but where something is under way.
    pub fn meant(&self, key: &str) -> List {
        let mut list = self.backends().to_vec();
        list.extend(self.departed());
        list.retain(|it| is_meant(it.name(), key));
        list
    }

    /// Backends that are gone, by the DNS or by a reload, but where something is under way.
    pub fn departed(&self) -> List {
        self.members.register().lock().departed(&self.backends())
    }

    /// What is under way at a backend, also what began before it left and came back, or before a reload.
    pub fn under_way(&self, backend: &Backend) -> UnderWay {
        self.members.register().lock().under_way(backend.name())
    }

    /// Sends no more requests to what `key` means, also to instances that come, until [`Self::undrain`].
    pub fn drain(&self, key: &Arc<str>) {
        let end = Instant::now() + TUNNELS_END;
        let drained = self.members.register().lock().drain(key);
        for backend in drained {
            tracing::info!(upstream = %self.name, backend = %backend.name(), "backend is drained");
            show(&backend);
            backend.notice().set(Some(end));
        }
    }

    /// Sends requests to what `key` means again.
    pub fn undrain(&self, key: &Arc<str>) {
        let back = self.members.register().lock().undrain(key);
        for backend in back {
            tracing::info!(upstream = %self.name, backend = %backend.name(), "backend is back in service");
            backend.notice().set(None);
            self.returned(&backend);
        }
    }
}

#[cfg(test)]
mod tests;
