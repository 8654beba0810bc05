//! Names of backends, looked up again and again: a container that is made anew has a new address.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::lookup_host,
    runtime::Handle,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    config::upstream::BackendAddress,
    upstream::{Upstream, backend::Origin},
};

/// Looks up the names of one upstream until it is dropped.
#[derive(Debug)]
pub struct Resolver {
    tasks: JoinSet<()>,
}

impl Resolver {
    /// Starts one task per name on `runtime`. Address literals and Unix sockets need none.
    pub fn start(upstream: &Arc<Upstream>, runtime: &Handle) -> Self {
        let mut tasks = JoinSet::new();
        // Each name has one backend before its first look-up.
        for backend in upstream.backends().iter() {
            let origin = backend.origin().clone();
            if is_name(&origin.address) {
                tasks.spawn_on(follow(Arc::clone(upstream), origin), runtime);
            }
        }
        Self { tasks }
    }

    /// How many names it follows.
    pub fn names(&self) -> usize {
        self.tasks.len()
    }
}

const INTERVAL: Duration = Duration::from_secs(5);
/// Least time between two look-ups of one name, however often connections fail.
const PAUSE: Duration = Duration::from_millis(500);

/// A look-up is not cut short: it occupies a thread until the system gives up, and so there is
/// never more than one per name.
async fn follow(upstream: Arc<Upstream>, origin: Origin) {
    let mut outcome = Outcome::Good;
    loop {
        let found = look_up(&origin.address).await;
        outcome = apply(&upstream, &origin, found, outcome);
        sleep(PAUSE).await;
        // Whichever comes first is a reason to look again.
        let _ = timeout(INTERVAL.saturating_sub(PAUSE), origin.lost.notified()).await;
    }
}

async fn look_up(address: &BackendAddress) -> io::Result<Vec<SocketAddr>> {
    match address {
        BackendAddress::Tcp { host, port, .. } => {
            Ok(lookup_host((host.as_str(), *port)).await?.collect())
        }
        BackendAddress::Unix(_) => Ok(Vec::new()),
    }
}

/// How the last look-up ended; what does not change is not logged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Good,
    Failed,
}

fn apply(
    upstream: &Upstream,
    origin: &Origin,
    found: io::Result<Vec<SocketAddr>>,
    before: Outcome,
) -> Outcome {
    let name = &origin.address;
    let failure = match found {
        Ok(found) if !found.is_empty() => {
            let moved = upstream.members.resolved(origin.place, &found);
            if !moved.is_empty() {
                tracing::info!(upstream = %upstream.name, backend = %name, addresses = ?found, "backend name resolved");
            }
            for backend in moved {
                upstream.moved(&backend);
            }
            return Outcome::Good;
        }
        Ok(_) => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        Err(error) => error,
    };
    if before == Outcome::Good {
        tracing::warn!(upstream = %upstream.name, backend = %name, error = %failure, "backend name does not resolve, its last addresses stay in use");
    }
    Outcome::Failed
}

fn is_name(address: &BackendAddress) -> bool {
    match address {
        BackendAddress::Tcp { host, .. } => host.parse::<std::net::IpAddr>().is_err(),
        BackendAddress::Unix(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::{upstream, wanted};

    fn origin(upstream: &Upstream) -> Origin {
        upstream.backends()[0].origin().clone()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn keeps_the_old_addresses_when_a_look_up_fails() {
        let upstream = upstream(&["http://app:3000"], |_| {});
        let found = vec![at("10.0.0.1:3000")];
        let outcome = apply(
            &upstream,
            &origin(&upstream),
            Ok(found.clone()),
            Outcome::Failed,
        );
        assert_eq!(outcome, Outcome::Good);
        let gone = Err(io::Error::other("no such name"));
        assert_eq!(
            apply(&upstream, &origin(&upstream), gone, outcome),
            Outcome::Failed
        );
        assert_eq!(
            apply(&upstream, &origin(&upstream), Ok(Vec::new()), outcome),
            Outcome::Failed
        );
        assert_eq!(**upstream.backends()[0].addresses(), found);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_the_cooling_of_a_backend_that_moved() {
        let upstream = upstream(&["http://app:3000"], |_| {});
        let lease = upstream.lease(&wanted()).unwrap();
        lease.unreachable(&io::ErrorKind::ConnectionRefused.into());
        assert!(lease.backend().health().is_cooling());
        apply(
            &upstream,
            &origin(&upstream),
            Ok(vec![at("10.0.0.1:3000")]),
            Outcome::Failed,
        );
        assert!(!lease.backend().health().is_cooling());
    }

    #[tokio::test]
    async fn looks_up_names_and_only_names() {
        let addresses = [
            "http://localhost:3000",
            "http://127.0.0.1:3000",
            "unix:/run/app.sock",
        ];
        let upstream = upstream(&addresses, |_| {});
        let resolver = Resolver::start(&upstream, &Handle::current());
        assert_eq!(resolver.names(), 1);
        while upstream.backends()[0].addresses().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(
            upstream.backends()[0]
                .addresses()
                .iter()
                .all(|it| it.ip().is_loopback())
        );
    }
}
