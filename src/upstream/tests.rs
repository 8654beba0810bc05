//! Which backend a request gets.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use http::StatusCode;

use super::*;
use crate::{
    config::upstream::{
        BackendAddress, Balance, HttpProbe, Limits, Outlier, Pool, Probe, Retry, Sticky as Mode,
        Timeout,
    },
    upstream::{health::Verdict, lease::Refusal, members::found},
};

mod timing;
mod waiting;

/// An upstream with short texts for its backends and all else at its default, less what `change` does.
pub(crate) fn upstream(
    backends: &[&str],
    change: impl FnOnce(&mut config::upstream::Upstream),
) -> Arc<Upstream> {
    let mut config = config::upstream::Upstream {
        name: "api".to_owned(),
        backends: backends.iter().map(|it| address(it).into()).collect(),
        balance: Balance::LeastRequests,
        sticky: Mode::Off,
        probe: Probe {
            http: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
        },
        outlier: Some(Outlier {
            failures: 0.5,
            requests: 20,
            window: Duration::from_secs(10),
            eject: Duration::from_secs(10),
        }),
        slow_start: Duration::from_secs(10),
        retry: Retry {
            budget: 0.2,
            hold: Duration::from_secs(10),
        },
        timeout: Timeout {
            connect: Duration::from_secs(2),
            header: Duration::from_mins(1),
            idle: Duration::from_mins(1),
        },
        limits: Limits {
            max_requests: 512,
            queue: 1024,
        },
        pool: Pool {
            idle: Duration::from_secs(4),
            size: 32,
        },
        proxy_protocol: None,
        tls: None,
        dns: Vec::new(),
    };
    change(&mut config);
    let surroundings = Surroundings {
        key: &sticky::Key::from_secret(b"test"),
        metrics: &Arc::new(Metrics::new()),
        workers: 1,
        before: None,
    };
    Upstream::new(Arc::new(config), &surroundings).unwrap()
}

fn address(text: &str) -> BackendAddress {
    if let Some(path) = text.strip_prefix("unix:") {
        return BackendAddress::Unix(path.into());
    }
    let (scheme, rest) = text.split_once("://").unwrap();
    if let Some(scheme) = scheme.strip_prefix("srv+") {
        return BackendAddress::Srv {
            tls: scheme == "https",
            name: rest.to_owned(),
        };
    }
    let (host, port) = rest.rsplit_once(':').unwrap();
    BackendAddress::Tcp {
        tls: scheme == "https",
        host: host.to_owned(),
        port: port.parse().unwrap(),
    }
}

/// Lets the name at `place` resolve to addresses.
pub(crate) fn resolved(upstream: &Upstream, place: usize, addresses: &[SocketAddr]) -> List {
    let address = &upstream.members.origins()[place].address;
    let found = found::instances(address, addresses);
    upstream.members.resolved(place, &found)
}

/// Asks `path` and expects 200.
pub(crate) fn http_probe(path: &str) -> HttpProbe {
    HttpProbe {
        path: path.to_owned(),
        host: None,
        headers: Vec::new(),
        expect: vec![StatusCode::OK],
        contains: None,
    }
}

/// Any backend.
pub(crate) fn wanted() -> Wanted {
    Wanted::new(0, None)
}

fn three(change: impl FnOnce(&mut config::upstream::Upstream)) -> Arc<Upstream> {
    let backends = [
        "http://127.0.0.1:3001",
        "http://127.0.0.1:3002",
        "http://127.0.0.1:3003",
    ];
    upstream(&backends, change)
}

fn one(max_requests: usize, queue: usize) -> Arc<Upstream> {
    upstream(&["http://127.0.0.1:3001"], |config| {
        config.limits = Limits {
            max_requests,
            queue,
        };
    })
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

/// One bad first probe is enough.
fn eject(upstream: &Upstream, index: usize) {
    upstream.judge(&upstream.backends()[index], Verdict::Bad, &"test");
    assert!(!upstream.backends()[index].health().is_healthy());
}

fn picks(upstream: &Arc<Upstream>, wanted: &Wanted) -> HashSet<usize> {
    (0..100)
        .map(|_| upstream.lease(wanted).unwrap().backend().id())
        .collect()
}

#[tokio::test]
async fn passes_over_unhealthy_backends() {
    let upstream = three(|_| {});
    eject(&upstream, 1);
    assert_eq!(picks(&upstream, &wanted()), [0, 2].into());
}

#[tokio::test]
async fn each_probe_says_in_the_metrics_how_a_backend_is() {
    let metrics = Arc::new(Metrics::new());
    let counts = metrics.backend("api", "http://127.0.0.1:1");
    // What a backend of the same name left behind before a reload.
    counts.is_up(false);
    let surroundings = Surroundings {
        key: &sticky::Key::from_secret(b"test"),
        metrics: &metrics,
        workers: 1,
        before: None,
    };
    let config = config::upstream::Upstream::new("api", vec![address("http://127.0.0.1:1").into()]);
    let upstream = Upstream::new(Arc::new(config), &surroundings).unwrap();
    upstream.judge(&upstream.backends()[0], Verdict::Good, &"test");
    let up = "portcullis_backend_up{upstream=\"api\",backend=\"http://127.0.0.1:1\"} 1";
    assert!(metrics.encode().contains(up), "{}", metrics.encode());
}

#[tokio::test]
async fn uses_every_backend_when_all_are_unhealthy() {
    let upstream = three(|_| {});
    (0..3).for_each(|index| eject(&upstream, index));
    assert_eq!(picks(&upstream, &wanted()), [0, 1, 2].into());
}

#[tokio::test(start_paused = true)]
async fn prefers_backends_that_can_be_connected_to() {
    let upstream = three(|_| {});
    upstream.unreachable(&upstream.backends()[0], &refused());
    assert_eq!(picks(&upstream, &wanted()), [1, 2].into());
    upstream.reached(&upstream.backends()[0]);
    assert_eq!(picks(&upstream, &wanted()), [0, 1, 2].into());
}

#[tokio::test(start_paused = true)]
async fn tries_every_backend_once_the_better_ones_first() {
    let upstream = three(|_| {});
    upstream.unreachable(&upstream.backends()[0], &refused());
    eject(&upstream, 1);
    let mut wanted = wanted();
    for expected in [2, 0, 1] {
        let lease = upstream.lease(&wanted).unwrap();
        assert_eq!(lease.backend().id(), expected);
        wanted.tried.insert(lease.backend().id());
    }
    assert_eq!(upstream.lease(&wanted).unwrap_err(), Refusal::AllTried);
}

#[tokio::test]
async fn sticks_while_the_backend_is_good() {
    let upstream = three(|config| config.limits.max_requests = 1);
    let mut wanted = Wanted::new(0, Some(1));
    assert_eq!(picks(&upstream, &wanted), [1].into());
    let held = upstream.lease(&wanted).unwrap();
    assert_ne!(
        upstream.lease(&wanted).unwrap().backend().id(),
        1,
        "no room"
    );
    drop(held);
    eject(&upstream, 1);
    assert_eq!(picks(&upstream, &wanted), [0, 2].into());
    wanted.sticky = Some(99);
    assert_eq!(picks(&upstream, &wanted), [0, 2].into());
}

#[tokio::test]
async fn does_not_overflow_to_unhealthy_backends() {
    let upstream = three(|config| config.limits.max_requests = 1);
    eject(&upstream, 0);
    eject(&upstream, 1);
    let _held = upstream.lease(&wanted()).unwrap();
    assert_eq!(upstream.lease(&wanted()).unwrap_err(), Refusal::Full);
}

#[tokio::test]
async fn gives_back_what_was_leased() {
    let upstream = three(|_| {});
    let leases: Vec<_> = (0..9).map(|_| upstream.lease(&wanted()).unwrap()).collect();
    assert!(upstream.backends().iter().all(|it| it.in_flight() == 3));
    drop(leases);
    assert!(upstream.backends().iter().all(|it| it.in_flight() == 0));
}

#[tokio::test]
async fn what_lingers_makes_room_but_counts_as_load() {
    let upstream = one(1, 1);
    let mut tunnel = upstream.lease(&wanted()).unwrap();
    assert_eq!(upstream.lease(&wanted()).unwrap_err(), Refusal::Full);
    tunnel.linger();
    tunnel.linger();
    assert!(upstream.lease(&wanted()).is_ok());
    assert_eq!(upstream.backends()[0].load(), 1);
    drop(tunnel);
    assert_eq!(upstream.backends()[0].load(), 0);
}

#[test]
fn counts_leases_of_many_threads_exactly() {
    let upstream = three(|config| config.limits.max_requests = 2);
    let refusals = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    match upstream.lease(&wanted()) {
                        Ok(lease) => assert!((1..=2).contains(&lease.backend().in_flight())),
                        Err(_) => _ = refusals.fetch_add(1, Ordering::Relaxed),
                    }
                }
            });
        }
    });
    assert!(upstream.backends().iter().all(|it| it.in_flight() == 0));
    assert!(refusals.into_inner() < 40_000);
}

/// How many of 1000 requests the backend at `index` gets.
fn share(upstream: &Arc<Upstream>, index: usize) -> usize {
    let lease = |_| upstream.lease(&wanted()).unwrap().backend().id();
    (0..1000).map(lease).filter(|id| *id == index).count()
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_returns_starts_slowly() {
    let upstream = three(|_| {});
    eject(&upstream, 0);
    for _ in 0..2 {
        upstream.judge(&upstream.backends()[0], Verdict::Good, &"test");
    }
    let before = share(&upstream, 0);
    assert!((10..80).contains(&before), "{before}");
    tokio::time::advance(Duration::from_secs(10)).await;
    let after = share(&upstream, 0);
    assert!((270..400).contains(&after), "{after}");
}

#[tokio::test]
async fn serves_though_every_backend_has_just_returned() {
    let upstream = three(|_| {});
    for backend in upstream.backends().iter() {
        upstream.returned(backend);
    }
    assert_eq!(picks(&upstream, &wanted()), [0, 1, 2].into());
}

#[tokio::test(start_paused = true)]
async fn a_hash_and_a_cookie_know_no_slow_start() {
    let upstream =
        three(|config| config.balance = Balance::Hash(config::upstream::HashKey::Client));
    let home = upstream.lease(&wanted()).unwrap().backend().id();
    upstream.returned(&upstream.backends()[home]);
    assert_eq!(picks(&upstream, &wanted()), [home].into());
    let upstream = three(|_| {});
    upstream.returned(&upstream.backends()[1]);
    let sticks = Wanted::new(0, Some(1));
    assert_eq!(picks(&upstream, &sticks), [1].into());
}
