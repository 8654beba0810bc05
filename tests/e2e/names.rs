//! Backends that are named: one name for several instances, a name that moves, a name that is not there yet.
//!
//! The proxy runs with an `/etc/hosts` of its own, which the tests change while it serves.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use crate::harness::{Proxy, backend::Backend, eventually, folder, setup::Setup};

/// A proxy whose upstream is `http://app.test` at the port of a backend, and the file that says what the name means.
async fn proxy_by_name(port: u16, hosts: &str, keys: &str) -> (Proxy, PathBuf) {
    let dir = folder();
    let file = dir.path().join("hosts");
    fs::write(&file, hosts).unwrap();
    let proxy = Setup::to_urls(&[format!("http://app.test:{port}")])
        .route("/", "proxy = { upstream = \"app\" }")
        .upstream(keys)
        .start_in(dir)
        .await;
    (proxy, file)
}

/// An echo at the same port as `other`, at another address.
async fn beside(other: &Backend, ip: &str) -> Backend {
    let address = SocketAddr::new(ip.parse().unwrap(), other.address().port());
    Backend::echo_at(address).await
}

/// Whether the metrics have the instance at `ip`.
async fn knows(proxy: &Proxy, port: u16, ip: &str) -> bool {
    let label = format!("backend=\"http://app.test:{port}#{ip}\"");
    proxy.admin("/metrics").await.text().contains(&label)
}

#[tokio::test]
async fn a_name_with_several_addresses_is_several_backends() {
    let one = Backend::echo().await;
    let other = beside(&one, "127.0.0.2").await;
    let hosts = "127.0.0.1 app.test\n127.0.0.2 app.test\n";
    let port = one.address().port();
    let (proxy, _) = proxy_by_name(port, hosts, "balance = \"round_robin\"").await;
    eventually("both instances", async || {
        let first = knows(&proxy, port, "127.0.0.1").await;
        (first && knows(&proxy, port, "127.0.0.2").await).then_some(())
    })
    .await;
    let before = [one.requests().len(), other.requests().len()];
    for _ in 0..10 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    assert_eq!(one.requests().len() - before[0], 5);
    assert_eq!(other.requests().len() - before[1], 5);
}

#[tokio::test]
async fn a_name_that_changes_its_address_costs_no_request() {
    let mut old = Backend::echo().await;
    let new = beside(&old, "127.0.0.2").await;
    let (proxy, hosts) = proxy_by_name(old.address().port(), "127.0.0.1 app.test\n", "").await;
    let mut session = proxy.session().await;
    let mut post = proxy.session2().await;
    let mut moved = None;
    let deadline = Instant::now() + Duration::from_secs(20);
    for round in 0.. {
        if round == 20 {
            fs::write(&hosts, "127.0.0.2 app.test\n").unwrap();
            moved = Some(Instant::now());
        }
        let reply = session.send(proxy.request("GET", "/")).await;
        assert_eq!(reply.status, 200, "GET {round}");
        let reply = post.send(proxy.request("POST", "/").body("x")).await;
        assert_eq!(reply.status, 200, "POST {round}");
        if new.requests().len() >= 40 {
            break;
        }
        assert!(Instant::now() < deadline, "the old address stays in use");
        sleep(Duration::from_millis(20)).await;
    }
    eventually("the end of what idled there", async || {
        (old.open() == 0).then_some(())
    })
    .await;
    println!("moved after {:?} at the most", moved.unwrap().elapsed());
    let before = old.requests().len();
    old.kill().await;
    for _ in 0..10 {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    }
    assert_eq!(old.requests().len(), before);
}

#[tokio::test]
async fn a_container_that_is_made_anew_elsewhere_is_found_at_once() {
    let mut old = Backend::echo().await;
    let port = old.address().port();
    let (proxy, hosts) = proxy_by_name(port, "127.0.0.1 app.test\n", "").await;
    let mut session = proxy.session().await;
    assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    old.kill().await;
    let waits = tokio::spawn(proxy.request("POST", "/").body("x").send());
    let new = Backend::echo_at(SocketAddr::from(([127, 0, 0, 2], port))).await;
    fs::write(&hosts, "127.0.0.2 app.test\n").unwrap();
    assert_eq!(waits.await.unwrap().status, 200, "it was held meanwhile");
    assert_eq!(new.requests().len(), 1);
}

#[tokio::test]
async fn starts_and_holds_requests_though_a_name_does_not_resolve_yet() {
    let backend = Backend::echo().await;
    let port = backend.address().port();
    let (proxy, hosts) = proxy_by_name(port, "127.0.0.1 localhost\n", "").await;
    let waits = tokio::spawn(proxy.request("GET", "/").send());
    eventually("a request that waits", async || {
        (proxy.log().count("does not resolve") > 0).then_some(())
    })
    .await;
    fs::write(&hosts, "127.0.0.1 app.test\n").unwrap();
    assert_eq!(waits.await.unwrap().status, 200);
}

#[tokio::test]
async fn an_instance_that_is_gone_leaves_the_metrics_and_the_rest_serve() {
    let stays = Backend::echo().await;
    let mut goes = beside(&stays, "127.0.0.2").await;
    let port = stays.address().port();
    let both = "127.0.0.1 app.test\n127.0.0.2 app.test\n127.0.0.3 app.test\n";
    let third = beside(&stays, "127.0.0.3").await;
    let (proxy, hosts) = proxy_by_name(port, both, "").await;
    let mut session = proxy.session().await;
    for _ in 0..30 {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    }
    goes.kill().await;
    fs::write(&hosts, "127.0.0.1 app.test\n127.0.0.3 app.test\n").unwrap();
    eventually("the end of the instance", async || {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
        (!knows(&proxy, port, "127.0.0.2").await).then_some(())
    })
    .await;
    assert!(!third.requests().is_empty());
}

#[tokio::test]
async fn a_drained_instance_stays_drained_when_another_one_starts() {
    let one = Backend::echo().await;
    let other = beside(&one, "127.0.0.2").await;
    let port = one.address().port();
    let (proxy, hosts) = proxy_by_name(port, "127.0.0.1 app.test\n", "").await;
    eventually("the instance", async || {
        knows(&proxy, port, "127.0.0.1").await.then_some(())
    })
    .await;
    let drain = format!("/api/drain?upstream=app&backend=app.test:{port}%23127.0.0.1");
    assert_eq!(proxy.admin_request("POST", &drain).send().await.status, 200);
    let waits = tokio::spawn(proxy.request("GET", "/").send());
    fs::write(&hosts, "127.0.0.1 app.test\n127.0.0.2 app.test\n").unwrap();
    assert_eq!(
        waits.await.unwrap().status,
        200,
        "it waited for the other one"
    );
    for _ in 0..10 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    assert_eq!((one.requests().len(), other.requests().len()), (0, 11));
}
