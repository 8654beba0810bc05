//! Backends that SRV records name: found, preferred by priority, added and removed, and kept while no server answers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::harness::{Proxy, backend::Backend, dns::Dns, eventually, pki::Pki, setup::Setup};

const NAME: &str = "_api._tcp.service.test";

/// A record for `host` at the port of `backend`.
fn record(host: &str, backend: &Backend, priority: u16) -> String {
    let port = backend.address().port();
    format!("srv-host={NAME},{host},{port},{priority},60")
}

/// SRV records, the hosts of their targets, and a life of one second.
fn zone(records: &[String]) -> Vec<String> {
    let hosts = ["a", "b"].map(|it| format!("host-record={it}.test,127.0.0.1"));
    // A target of which the SRV answer brings no address along.
    let alias = "cname=alias.test,a.test".to_owned();
    let mut zone = vec!["local-ttl=1".to_owned(), alias];
    zone.extend(hosts);
    zone.extend_from_slice(records);
    zone
}

fn setup(dns: &Dns, scheme: &str, keys: &str) -> Setup {
    Setup::to_urls(&[format!("srv+{scheme}://{NAME}")])
        .threads(1)
        .server(&format!("dns = [\"{}\"]", dns.address()))
        .upstream(keys)
        .route("/", "proxy = { upstream = \"app\" }")
}

async fn proxy(dns: &Dns, keys: &str) -> Proxy {
    setup(dns, "http", keys).start().await
}

fn name(host: &str, backend: &Backend) -> String {
    format!("srv+http://{NAME}/{host}:{}", backend.address().port())
}

/// The names of the backends, in order.
async fn backends(proxy: &Proxy) -> Vec<String> {
    let reply = proxy.admin("/api/upstreams").await;
    let state: serde_json::Value = serde_json::from_str(&reply.text()).unwrap();
    let backends = state["upstreams"][0]["backends"].as_array().unwrap();
    backends
        .iter()
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn has(proxy: &Proxy, expected: &[String]) {
    eventually("the backends of the answer", async || {
        (backends(proxy).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_target_is_a_backend_and_is_asked_by_its_own_name() {
    let (one, other) = (Backend::echo().await, Backend::echo().await);
    let records = [record("a.test", &one, 10), record("alias.test", &other, 10)];
    let dns = Dns::start(&zone(&records)).await;
    let keys = "balance = \"round_robin\"\nprobe = { path = \"/health\" }";
    let proxy = proxy(&dns, keys).await;
    has(&proxy, &[name("a.test", &one), name("alias.test", &other)]).await;
    for _ in 0..10 {
        assert_eq!(proxy.get("/api").await.status, 200);
    }
    assert_eq!((one.count("/api"), other.count("/api")), (5, 5));
    eventually("probes", async || {
        (one.count("/health") > 0 && other.count("/health") > 0).then_some(())
    })
    .await;
    assert_eq!(proxy.access("/api").await["upstream"], "app");
}

#[tokio::test]
async fn goes_by_the_weights_of_the_records_as_they_change() {
    let (one, other) = (Backend::echo().await, Backend::echo().await);
    let weighing = |backend: &Backend, weight: u16| {
        record("a.test", backend, 10).replace(",60", &format!(",{weight}"))
    };
    let records = |first, second| zone(&[weighing(&one, first), weighing(&other, second)]);
    let mut dns = Dns::start(&records(30, 10)).await;
    let proxy = proxy(&dns, "balance = \"round_robin\"").await;
    let mut names = [name("a.test", &one), name("a.test", &other)];
    names.sort();
    has(&proxy, &names).await;
    for _ in 0..40 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    assert_eq!((one.count("/"), other.count("/")), (30, 10));
    dns.change(&records(0, 65_535)).await;
    eventually("the new weights", async || {
        let before = (one.count("/"), other.count("/"));
        for _ in 0..10 {
            proxy.get("/").await;
        }
        (one.count("/") == before.0 && other.count("/") == before.1 + 10).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_probe_names_the_target_as_host() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
    })
    .await;
    let dns = Dns::start(&zone(&[record("a.test", &backend, 10)])).await;
    let _proxy = proxy(&dns, "probe = { path = \"/health\" }").await;
    let host = format!("a.test:{}", backend.address().port());
    eventually("the probe", async || {
        let heads = backend.requests();
        let head = heads.iter().find(|it| it.contains("/health"))?;
        assert!(
            head.to_ascii_lowercase().contains(&format!("host: {host}")),
            "{head}"
        );
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_certificate_is_verified_for_the_target() {
    for (names, status) in [("a.test", 200), (NAME, 502)] {
        let backend = Backend::echo_tls(Pki::get().leaf(&[names]).server()).await;
        let dns = Dns::start(&zone(&[record("a.test", &backend, 10)])).await;
        let keys = "tls = { ca = \"@dir/ca.pem\" }\nretry = { hold = \"100ms\" }";
        let proxy = setup(&dns, "https", keys).start().await;
        let name = name("a.test", &backend).replace("http", "https");
        has(&proxy, &[name]).await;
        let reply = proxy.get("/").await;
        if status == 200 {
            assert_eq!(reply.status, 200, "{names}");
        } else {
            assert_ne!(reply.status, 200, "{names}");
        }
    }
}

#[tokio::test]
async fn the_next_priority_serves_while_the_first_is_gone_and_no_longer() {
    let mut first = Backend::echo().await;
    let next = Backend::echo().await;
    let records = [record("b.test", &next, 20), record("a.test", &first, 10)];
    let dns = Dns::start(&zone(&records)).await;
    let proxy = proxy(&dns, "").await;
    has(&proxy, &[name("a.test", &first), name("b.test", &next)]).await;
    let mut session = proxy.session().await;
    for _ in 0..20 {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    }
    assert_eq!((first.count("GET /"), next.count("GET /")), (20, 0));
    first.kill().await;
    for _ in 0..20 {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    }
    assert_eq!(next.count("GET /"), 20);
    let first = Backend::echo_at(first.address()).await;
    eventually("the first priority again", async || {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
        (first.count("GET /") > 0).then_some(())
    })
    .await;
    let before = next.count("GET /");
    for _ in 0..20 {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    }
    assert_eq!(next.count("GET /"), before);
}

#[tokio::test]
async fn records_come_and_go_under_load_without_an_error() {
    let (stays, other) = (Backend::echo().await, Backend::echo().await);
    let (one, both) = (
        zone(&[record("a.test", &stays, 10)]),
        zone(&[record("a.test", &stays, 10), record("b.test", &other, 10)]),
    );
    let mut dns = Dns::start(&one).await;
    let proxy = proxy(&dns, "").await;
    has(&proxy, &[name("a.test", &stays)]).await;
    let load = async {
        let mut session = proxy.session().await;
        let mut posts = proxy.session2().await;
        loop {
            let reply = session.send(proxy.request("GET", "/")).await;
            assert_eq!(reply.status, 200);
            let reply = posts.send(proxy.request("POST", "/").body("x")).await;
            assert_eq!(reply.status, 200);
            sleep(Duration::from_millis(2)).await;
        }
    };
    let changes = async {
        dns.change(&both).await;
        has(&proxy, &[name("a.test", &stays), name("b.test", &other)]).await;
        eventually("requests at the new one", async || {
            (other.requests().len() > 20).then_some(())
        })
        .await;
        dns.change(&one).await;
        has(&proxy, &[name("a.test", &stays)]).await;
        let (before, after) = (other.requests().len(), stays.requests().len());
        eventually("requests at the one that stays", async || {
            (stays.requests().len() > after + 20).then_some(())
        })
        .await;
        assert!(
            other.requests().len() <= before + 1,
            "one may be on its way"
        );
    };
    tokio::select! {
        () = changes => {}
        () = load => {}
    }
}

#[tokio::test]
async fn a_dead_server_keeps_the_last_answer_and_is_told_of_once() {
    let backend = Backend::echo().await;
    let mut dns = Dns::start(&zone(&[record("a.test", &backend, 10)])).await;
    let proxy = proxy(&dns, "").await;
    has(&proxy, &[name("a.test", &backend)]).await;
    dns.kill();
    let failed = ["does not resolve", NAME];
    proxy.logged(&failed).await;
    dns.change(&zone(&[])).await;
    // A name without a record is no reason to drop it either.
    eventually("another look-up", async || {
        (dns.questions() > 1).then_some(())
    })
    .await;
    assert_eq!(proxy.get("/").await.status, 200);
    assert_eq!(backends(&proxy).await, [name("a.test", &backend)]);
    assert_eq!(proxy.log().count(failed[0]), 1);
}

#[tokio::test]
async fn an_answer_that_lives_for_no_time_floods_nobody() {
    let backend = Backend::echo().await;
    let mut records = zone(&[record("a.test", &backend, 10)]);
    records.retain(|it| !it.starts_with("local-ttl"));
    let dns = Dns::start(&records).await;
    let began = Instant::now();
    let proxy = proxy(&dns, "").await;
    eventually("eight look-ups", async || {
        assert_eq!(proxy.get("/").await.status, 200);
        (dns.questions() >= 8).then_some(())
    })
    .await;
    let questions = dns.questions();
    // One in a second; at the start one more, when nobody could be connected to.
    let most = began.elapsed().as_secs() + 3;
    assert!(questions <= usize::try_from(most).unwrap(), "{questions}");
}

#[tokio::test]
async fn requests_wait_for_a_service_that_is_said_not_to_be_there() {
    let backend = Backend::echo().await;
    let mut dns = Dns::start(&zone(&[format!("srv-host={NAME}")])).await;
    let proxy = proxy(&dns, "").await;
    proxy.logged(&["the service is not there", NAME]).await;
    assert_eq!(backends(&proxy).await, [""; 0]);
    let waits = tokio::spawn(proxy.request("GET", "/").send());
    eventually("a request that waits", async || {
        let waiting = proxy.admin("/api/upstreams").await.text();
        waiting.contains("\"waiting\":1").then_some(())
    })
    .await;
    dns.change(&zone(&[record("a.test", &backend, 10)])).await;
    assert_eq!(waits.await.unwrap().status, 200);
}

#[tokio::test]
async fn takes_64_of_a_long_answer_and_says_so() {
    let records: Vec<_> = (1..=70)
        .map(|port| format!("srv-host={NAME},a.test,{port},{port},60"))
        .collect();
    let dns = Dns::start(&zone(&records)).await;
    let proxy = proxy(&dns, "").await;
    let names = eventually("the long answer", async || {
        let names = backends(&proxy).await;
        (names.len() > 1).then_some(names)
    })
    .await;
    assert_eq!(names.len(), 64);
    assert!(names[63].ends_with("a.test:64"), "{}", names[63]);
    proxy.logged(&["6 SRV records are left out"]).await;
}

#[tokio::test]
async fn a_reload_asks_other_servers() {
    let backend = Backend::echo().await;
    let mut dead = Dns::start(&zone(&[])).await;
    dead.kill();
    let dns = Dns::start(&zone(&[record("a.test", &backend, 10)])).await;
    let proxy = proxy(&dead, "").await;
    proxy.logged(&["does not resolve", NAME]).await;
    proxy.reload(&setup(&dns, "http", "").toml()).await;
    assert_eq!(proxy.get("/").await.status, 200);
    assert_eq!(backends(&proxy).await, [name("a.test", &backend)]);
}
