//! A backend is taken out of service by the operator, and put back.
//!
//! It gets no new request then, not even as the last one. Requests in flight go on; tunnels and event streams, which
//! would go on for ever, are ended, so that their clients come back on another backend.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::upstream::{Upstream, backend::Backend, members::List, report::show};

/// When the last tunnel of a drained backend is closed; most are in the two seconds before. A message under way has time
/// to arrive, and nobody waits long at a deploy.
const TUNNELS_END: Duration = Duration::from_secs(10);

impl Upstream {
    /// The backends that the operator means by `name`: one as logs and metrics name it, the instances of a name as
    /// configured, either also without the scheme.
    pub fn named(&self, name: &str) -> List {
        let is_meant = |backend: &Arc<Backend>| {
            let configured = backend.address().to_string();
            [&**backend.name(), configured.as_str()]
                .iter()
                .any(|it| *it == name || it.split_once("://").is_some_and(|(_, rest)| rest == name))
        };
        let mut list = self.backends().to_vec();
        list.retain(is_meant);
        list
    }

    /// Sends no more requests to backends named `name`, until [`Self::undrain`].
    pub fn drain(&self, name: &Arc<str>) {
        for backend in self.members.set_drained(name, true) {
            tracing::info!(upstream = %self.name, backend = %name, "backend is drained");
            show(&backend);
            backend.end_tunnels(Some(Instant::now() + TUNNELS_END));
        }
    }

    /// Sends requests to backends named `name` again.
    pub fn undrain(&self, name: &Arc<str>) {
        for backend in self.members.set_drained(name, false) {
            tracing::info!(upstream = %self.name, backend = %name, "backend is back in service");
            backend.end_tunnels(None);
            self.returned(&backend);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        observe::metrics::Metrics,
        upstream::{
            Surroundings,
            lease::Refusal,
            sticky::Key,
            tests::{resolved, upstream, wanted},
        },
    };

    /// What a reload makes of an upstream.
    fn after(old: &Upstream) -> Arc<Upstream> {
        let surroundings = Surroundings {
            key: &Key::from_secret(b"test"),
            metrics: &Arc::new(Metrics::new()),
            workers: 1,
            before: Some(old),
        };
        Upstream::new(old.config().clone(), &surroundings).unwrap()
    }

    const BACKENDS: [&str; 2] = ["http://127.0.0.1:3001", "http://app:3002"];

    fn two() -> Arc<Upstream> {
        let upstream = upstream(&BACKENDS, |_| {});
        let found = ["10.0.0.1:3002", "10.0.0.2:3002"].map(|it| it.parse().unwrap());
        resolved(&upstream, 1, &found);
        upstream
    }

    fn names(list: &List) -> Vec<&str> {
        list.iter().map(|it| &**it.name()).collect()
    }

    #[tokio::test]
    async fn knows_a_backend_by_each_of_its_names() {
        let upstream = two();
        for name in ["http://127.0.0.1:3001", "127.0.0.1:3001"] {
            assert_eq!(names(&upstream.named(name)), ["http://127.0.0.1:3001"]);
        }
        for name in ["http://app:3002#10.0.0.2", "app:3002#10.0.0.2"] {
            assert_eq!(names(&upstream.named(name)), ["http://app:3002#10.0.0.2"]);
        }
        assert_eq!(upstream.named("app:3002").len(), 2);
        for other in ["", "app", "127.0.0.1", "http", "http://"] {
            assert!(upstream.named(other).is_empty(), "{other}");
        }
    }

    #[tokio::test]
    async fn a_drained_backend_gets_no_request_until_it_is_put_back() {
        let upstream = two();
        for backend in upstream.named("app:3002") {
            upstream.drain(backend.name());
        }
        let picked = || -> HashSet<_> {
            let lease = |_| upstream.lease(&wanted()).unwrap().backend().id();
            (0..50).map(lease).collect()
        };
        assert_eq!(picked().len(), 1);
        upstream.drain(upstream.backends()[0].name());
        assert_eq!(upstream.lease(&wanted()).unwrap_err(), Refusal::AllTried);
        for backend in upstream.backends().iter() {
            upstream.undrain(backend.name());
        }
        assert_eq!(picked().len(), 3);
    }

    #[tokio::test]
    async fn a_reload_keeps_what_is_drained_drained() {
        let old = two();
        old.drain(old.named("127.0.0.1:3001")[0].name());
        old.drain(old.named("app:3002#10.0.0.2")[0].name());
        let new = after(&old);
        let found = ["10.0.0.1:3002", "10.0.0.2:3002"].map(|it| it.parse().unwrap());
        resolved(&new, 1, &found);
        let drained: Vec<_> = new.backends().iter().map(|it| it.is_drained()).collect();
        assert_eq!(drained, [true, false, true]);
    }

    #[tokio::test]
    async fn counts_what_began_before_reloads_and_tells_its_tunnels() {
        let old = two();
        let name = Arc::clone(old.backends()[0].name());
        let leases: Vec<_> = (0..3).map(|_| old.lease(&wanted()).unwrap()).collect();
        let mine = leases
            .iter()
            .find(|it| it.backend().name() == &name)
            .unwrap();
        let mut heed = mine.backend().notice().heed();
        let new = after(&after(&old));
        let requests = || new.backends()[0].under_way().requests;
        assert_eq!(requests(), 1);
        new.drain(&name);
        assert!(heed.deadline().is_some());
        new.undrain(&name);
        assert!(heed.deadline().is_none());
        drop(leases);
        assert_eq!(requests(), 0);
    }
}
