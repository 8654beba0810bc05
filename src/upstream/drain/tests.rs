//! What is drained, for how long, and what counts as under way.

use std::{collections::HashSet, net::SocketAddr};

use super::*;
use crate::{
    observe::metrics::Metrics,
    upstream::{
        Surroundings,
        lease::{Lease, Refusal},
        sticky::Key,
        tests::{resolved, upstream, wanted},
    },
};

const BACKENDS: [&str; 2] = ["http://127.0.0.1:3001", "http://app:3002"];

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

/// `app` has these addresses now.
fn app_is(upstream: &Upstream, last: &[u8]) {
    let found: Vec<_> = last
        .iter()
        .map(|it| SocketAddr::from(([10, 0, 0, *it], 3002)))
        .collect();
    resolved(upstream, 1, &found);
}

fn two() -> Arc<Upstream> {
    let upstream = upstream(&BACKENDS, |_| {});
    app_is(&upstream, &[1, 2]);
    upstream
}

fn drain(upstream: &Upstream, name: &str) {
    upstream.drain(&upstream.known_as(name).unwrap());
}

fn undrain(upstream: &Upstream, name: &str) {
    upstream.undrain(&upstream.known_as(name).unwrap());
}

/// Addresses of the backends that are not drained, in short.
fn serving(upstream: &Upstream) -> Vec<String> {
    let backends = upstream.backends();
    let serving = backends.iter().filter(|it| !it.is_drained());
    serving
        .map(|it| it.name().rsplit(['#', ':']).next().unwrap().to_owned())
        .collect()
}

fn lease_of(upstream: &Arc<Upstream>, name: &str) -> Lease {
    let leases: Vec<_> = (0..20)
        .map(|_| upstream.lease(&wanted()).unwrap())
        .collect();
    let mut leases = leases.into_iter();
    leases.find(|it| &**it.backend().name() == name).unwrap()
}

#[tokio::test]
async fn knows_a_backend_by_each_of_its_names() {
    let upstream = two();
    let meant = |name| {
        upstream
            .known_as(name)
            .map_or(0, |it| upstream.meant(&it).len())
    };
    for one in [
        "http://127.0.0.1:3001",
        "127.0.0.1:3001",
        "http://app:3002#10.0.0.2",
        "app:3002#10.0.0.2",
    ] {
        assert_eq!(meant(one), 1, "{one}");
    }
    assert_eq!((meant("app:3002"), meant("http://app:3002")), (2, 2));
    for other in [
        "",
        "app",
        "127.0.0.1",
        "http",
        "http://",
        "app:3002#10.0.0.9",
    ] {
        assert_eq!(upstream.known_as(other), None, "{other}");
    }
}

#[tokio::test]
async fn a_drained_backend_gets_no_request_until_it_is_put_back() {
    let upstream = two();
    drain(&upstream, "app:3002");
    let picked = || -> HashSet<_> {
        let lease = |_| upstream.lease(&wanted()).unwrap().backend().id();
        (0..50).map(lease).collect()
    };
    assert_eq!(picked().len(), 1);
    drain(&upstream, BACKENDS[0]);
    assert_eq!(upstream.lease(&wanted()).unwrap_err(), Refusal::AllTried);
    for name in BACKENDS {
        undrain(&upstream, name);
    }
    assert_eq!(picked().len(), 3);
}

#[tokio::test]
async fn an_instance_stays_drained_whoever_comes_and_goes_beside_it() {
    let upstream = upstream(&BACKENDS, |_| {});
    app_is(&upstream, &[1]);
    drain(&upstream, "app:3002#10.0.0.1");
    app_is(&upstream, &[1, 2]);
    assert_eq!(serving(&upstream), ["3001", "10.0.0.2"]);
    app_is(&upstream, &[1]);
    assert_eq!(serving(&upstream), ["3001"]);
}

#[tokio::test]
async fn a_name_that_is_drained_whole_keeps_its_newcomers_out() {
    let upstream = two();
    drain(&upstream, "app:3002");
    app_is(&upstream, &[3]);
    assert_eq!(serving(&upstream), ["3001"]);
    app_is(&upstream, &[3, 4, 5]);
    undrain(&upstream, "app:3002#10.0.0.4");
    assert_eq!(serving(&upstream), ["3001", "10.0.0.4"]);
    app_is(&upstream, &[4, 5, 6]);
    assert_eq!(serving(&upstream), ["3001", "10.0.0.4"]);
    drain(&upstream, "app:3002");
    assert_eq!(serving(&upstream), ["3001"]);
    undrain(&upstream, "app:3002");
    assert_eq!(serving(&upstream).len(), 4);
}

#[tokio::test]
async fn one_that_is_away_can_be_put_back() {
    let upstream = two();
    drain(&upstream, "app:3002#10.0.0.2");
    app_is(&upstream, &[1]);
    undrain(&upstream, "app:3002#10.0.0.2");
    app_is(&upstream, &[1, 2]);
    assert_eq!(serving(&upstream).len(), 3);
}

#[tokio::test]
async fn a_reload_keeps_what_is_drained_drained() {
    let old = two();
    drain(&old, "127.0.0.1:3001");
    drain(&old, "app:3002#10.0.0.2");
    let new = after(&old);
    app_is(&new, &[1, 2]);
    assert_eq!(serving(&new), ["10.0.0.1"]);
}

#[tokio::test]
async fn an_order_holds_before_during_and_after_a_reload() {
    let old = two();
    let new = after(&old);
    app_is(&new, &[1, 2]);
    drain(&old, "app:3002");
    assert_eq!(
        (serving(&old), serving(&new)),
        (vec!["3001".into()], vec!["3001".into()])
    );
    undrain(&new, "app:3002#10.0.0.1");
    assert_eq!(serving(&old), ["3001", "10.0.0.1"]);
    drop(new);
    drain(&old, "127.0.0.1:3001");
    assert_eq!(serving(&old), ["10.0.0.1"]);
}

#[tokio::test]
async fn counts_what_began_before_reloads_and_tells_its_tunnels() {
    let old = two();
    let lease = lease_of(&old, BACKENDS[0]);
    let mut heed = lease.backend().notice().heed();
    let new = after(&after(&old));
    let requests = || new.under_way(&new.backends()[0]).requests;
    assert_eq!(requests(), 1);
    drain(&new, BACKENDS[0]);
    assert!(heed.deadline().is_some());
    undrain(&new, BACKENDS[0]);
    assert!(heed.deadline().is_none());
    drop(lease);
    assert_eq!(requests(), 0);
}

#[tokio::test]
async fn counts_what_is_under_way_where_the_dns_knows_nobody_any_more() {
    let upstream = two();
    let name = "http://app:3002#10.0.0.2";
    let mut tunnel = lease_of(&upstream, name);
    tunnel.linger();
    let mut heed = tunnel.backend().notice().heed();
    app_is(&upstream, &[1]);
    let departed = upstream.departed();
    assert_eq!(departed.len(), 1);
    assert_eq!(upstream.meant(name).len(), 1);
    drain(&upstream, name);
    assert!(heed.deadline().is_some());
    assert_eq!(
        upstream.under_way(&departed[0]),
        UnderWay {
            requests: 0,
            lingering: 1
        }
    );
    app_is(&upstream, &[1, 2]);
    assert!(upstream.departed().is_empty(), "it is back");
    let back = Arc::clone(&upstream.meant(name)[0]);
    assert!(back.is_drained());
    assert_eq!(upstream.under_way(&back).lingering, 1);
    drop(tunnel);
    assert_eq!(upstream.under_way(&back), UnderWay::default());
}
