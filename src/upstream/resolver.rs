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
    upstream::{
        Upstream,
        backend::Origin,
        members::found::{self, Found},
    },
};

#[cfg(feature = "dns")]
mod srv;

/// Looks up the names of one upstream until it is dropped.
#[derive(Debug)]
pub struct Resolver {
    tasks: JoinSet<()>,
}

impl Resolver {
    /// Starts one task per name on `runtime`. Address literals and Unix sockets need none.
    pub fn start(upstream: &Arc<Upstream>, runtime: &Handle) -> Self {
        let mut tasks = JoinSet::new();
        for origin in upstream.members.origins() {
            let upstream = Arc::clone(upstream);
            match &origin.address {
                BackendAddress::Tcp { host, port, .. } if is_name(host) => {
                    let name = SystemName {
                        host: host.clone(),
                        port: *port,
                        address: origin.address.clone(),
                    };
                    tasks.spawn_on(follow(upstream, origin.clone(), name), runtime);
                }
                #[cfg(feature = "dns")]
                BackendAddress::Srv { name, .. } => {
                    let name = srv::Name::new(name, &upstream.config.dns);
                    tasks.spawn_on(follow(upstream, origin.clone(), name), runtime);
                }
                // No configuration has one then.
                #[cfg(not(feature = "dns"))]
                BackendAddress::Srv { .. } => {}
                BackendAddress::Tcp { .. } | BackendAddress::Unix(_) => {}
            }
        }
        Self { tasks }
    }

    /// How many names it follows.
    pub fn names(&self) -> usize {
        self.tasks.len()
    }
}

/// Where answers come without a time to live, and after a look-up that failed.
const INTERVAL: Duration = Duration::from_secs(5);
/// Least time between two look-ups of one name, however often connections fail.
const PAUSE: Duration = Duration::from_millis(500);

/// Something to look up.
trait Name: Send + Sync {
    /// Asks once.
    ///
    /// # Errors
    /// Nobody answered, or with nothing of use.
    fn look_up(&self) -> impl Future<Output = io::Result<Answer>> + Send;
}

/// What a name stands for.
#[derive(Debug)]
struct Answer {
    /// Its backends; none where the answer says so itself.
    found: Vec<Found>,
    /// For how long it need not be asked for again.
    fresh: Duration,
    /// Why it is less than it could be.
    lack: Option<String>,
}

async fn follow(upstream: Arc<Upstream>, origin: Origin, name: impl Name) {
    let mut outcome = Outcome::Good;
    loop {
        let answer = name.look_up().await;
        let fresh = answer.as_ref().map_or(INTERVAL, |it| it.fresh);
        outcome = apply(&upstream, &origin, answer, outcome);
        sleep(PAUSE).await;
        // Whichever comes first is a reason to look again.
        let _ = timeout(fresh.saturating_sub(PAUSE), origin.lost.notified()).await;
    }
}

/// A host that the system looks up, as it does for everybody else: `/etc/hosts` and all.
#[derive(Debug)]
struct SystemName {
    host: String,
    port: u16,
    address: BackendAddress,
}

impl Name for SystemName {
    /// It is not cut short: it occupies a thread until the system gives up, and so there is never more than one per
    /// name.
    async fn look_up(&self) -> io::Result<Answer> {
        let found: Vec<_> = lookup_host((self.host.as_str(), self.port))
            .await?
            .collect();
        if found.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        Ok(Answer {
            found: found::instances(&self.address, &found),
            fresh: INTERVAL,
            lack: None,
        })
    }
}

/// How the last look-up ended; what does not change is not logged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Good,
    Lacking,
    Failed,
}

fn apply(
    upstream: &Upstream,
    origin: &Origin,
    answer: io::Result<Answer>,
    before: Outcome,
) -> Outcome {
    let name = &origin.address;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            if before != Outcome::Failed {
                tracing::warn!(upstream = %upstream.name, backend = %name, %error, "backend name does not resolve, its last addresses stay in use");
            }
            return Outcome::Failed;
        }
    };
    let moved = upstream.members.resolved(origin.place, &answer.found);
    if !moved.is_empty() {
        let addresses: Vec<SocketAddr> = answer
            .found
            .iter()
            .flat_map(|it| &it.addresses)
            .copied()
            .collect();
        tracing::info!(upstream = %upstream.name, backend = %name, ?addresses, "backend name resolved");
    }
    for backend in &moved {
        upstream.moved(backend);
    }
    // A backend that is new, or of a better rank, is nothing that a connection would tell of.
    upstream.queue.announce();
    let Some(lack) = answer.lack else {
        return Outcome::Good;
    };
    if before != Outcome::Lacking {
        tracing::warn!(upstream = %upstream.name, backend = %name, reason = lack, "backend name does not resolve in full");
    }
    Outcome::Lacking
}

fn is_name(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::{upstream, wanted};

    fn origin(upstream: &Upstream) -> Origin {
        upstream.backends()[0].origin().clone()
    }

    fn answer(upstream: &Upstream, addresses: &[&str], lack: Option<&str>) -> Answer {
        let found: Vec<_> = addresses.iter().map(|it| it.parse().unwrap()).collect();
        Answer {
            found: found::instances(&origin(upstream).address, &found),
            fresh: INTERVAL,
            lack: lack.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn keeps_the_old_addresses_when_a_look_up_fails() {
        let upstream = upstream(&["http://app:3000"], |_| {});
        let good = Ok(answer(&upstream, &["10.0.0.1:3000"], None));
        let outcome = apply(&upstream, &origin(&upstream), good, Outcome::Failed);
        assert_eq!(outcome, Outcome::Good);
        let gone = Err(io::Error::other("no such name"));
        assert_eq!(
            apply(&upstream, &origin(&upstream), gone, outcome),
            Outcome::Failed
        );
        let addresses: Vec<SocketAddr> = vec!["10.0.0.1:3000".parse().unwrap()];
        assert_eq!(**upstream.backends()[0].addresses(), addresses);
    }

    #[tokio::test]
    async fn uses_an_answer_that_lacks_something() {
        let upstream = upstream(&["http://app:3000"], |_| {});
        let part = Ok(answer(
            &upstream,
            &["10.0.0.1:3000"],
            Some("more than it takes"),
        ));
        let outcome = apply(&upstream, &origin(&upstream), part, Outcome::Good);
        assert_eq!(outcome, Outcome::Lacking);
        assert_eq!(upstream.backends()[0].addresses().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_moved_is_a_new_one_and_not_cooling() {
        let upstream = upstream(&["http://app:3000"], |_| {});
        let lease = upstream.lease(&wanted()).unwrap();
        lease.unreachable(&io::ErrorKind::ConnectionRefused.into());
        assert!(lease.backend().health().is_cooling());
        let good = Ok(answer(&upstream, &["10.0.0.1:3000"], None));
        apply(&upstream, &origin(&upstream), good, Outcome::Failed);
        assert!(!upstream.backends()[0].health().is_cooling());
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
