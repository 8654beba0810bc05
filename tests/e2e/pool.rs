//! Connections to backends are kept, and not for too long.

use std::time::Duration;

use tokio::time::sleep;

use crate::harness::{backend::Backend, eventually, setup::Setup};

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    for _ in 0..20 {
        proxy.get("/").await;
    }
    let mut session = proxy.session2().await;
    for _ in 0..20 {
        session.send(proxy.request("POST", "/").body("x")).await;
    }
    assert_eq!(backend.requests().len(), 40);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn the_metric_tells_how_many_connections_are_idle() {
    let backend = Backend::echo().await;
    let setup = Setup::to(&[&backend]).threads(1);
    let proxy = setup.start().await;
    let idle = async || proxy.metric("portcullis_pool_idle", &[]).await;
    assert!(idle().await < 0.5);
    proxy.get("/").await;
    eventually("an idle connection", async || {
        (idle().await > 0.5).then_some(())
    })
    .await;
    eventually("its end, after four seconds", async || {
        (idle().await < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connection_close_is_honoured() {
    let backend =
        Backend::canned_once("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    for _ in 0..5 {
        assert_eq!(proxy.get("/").await.text(), "ok");
    }
    assert_eq!(backend.connections(), 5);
}

#[tokio::test]
async fn an_http_1_0_answer_ends_its_connection() {
    let backend = Backend::canned_once("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    for _ in 0..3 {
        assert_eq!(proxy.get("/").await.text(), "ok");
    }
    assert_eq!(backend.connections(), 3);
}

#[tokio::test]
async fn idle_connections_are_closed_after_their_time() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .threads(1)
        .upstream("pool = { idle = \"200ms\" }")
        .start()
        .await;
    proxy.get("/").await;
    eventually("the idle connection's end", async || {
        (backend.open() == 0).then_some(())
    })
    .await;
    proxy.get("/").await;
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn the_backends_keep_alive_shortens_the_idle_time() {
    // Says 2 s, so 1 s is left after the margin; the default would be 4 s.
    let backend = Backend::node(Duration::from_secs(10), "Keep-Alive: timeout=2\r\n").await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    proxy.get("/").await;
    sleep(Duration::from_millis(1500)).await;
    proxy.get("/").await;
    assert_eq!(backend.connections(), 2);
    proxy.get("/").await;
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn requests_spaced_around_the_backends_timeout_see_no_error() {
    // Node's race, scaled: closes after 1 s idle and says so, clients come around that time.
    let backend = Backend::node(
        Duration::from_secs(1),
        "Connection: keep-alive\r\nKeep-Alive: timeout=1\r\n",
    )
    .await;
    race(backend).await;
}

#[tokio::test]
async fn requests_spaced_around_a_timeout_that_nobody_told_see_no_error() {
    let backend = Backend::node(Duration::from_secs(1), "").await;
    race(backend).await;
}

/// Forty clients, each with gaps of 1 s give or take 10 ms; GETs, which may be sent again.
async fn race(backend: Backend) {
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    let mut clients = Vec::new();
    for client in 0..40_u64 {
        let mut session = proxy.session().await;
        let target = proxy.target();
        clients.push(tokio::spawn(async move {
            for _ in 0..4 {
                let request = crate::harness::client::Request::new(target.clone(), "GET", "/");
                assert_eq!(session.send(request).await.status, 200);
                sleep(Duration::from_micros(990_000 + client * 500)).await;
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_died_unseen_is_replaced_without_an_error() {
    // Answers once per connection without saying so, and closes.
    let backend = Backend::canned_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    for round in 0..30 {
        assert_eq!(proxy.get("/").await.status, 200, "request {round}");
    }
}

#[tokio::test]
async fn bytes_after_an_answer_end_the_connection_and_reach_nobody() {
    let backend =
        Backend::canned("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            .await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    for _ in 0..10 {
        let reply = proxy.get("/").await;
        assert_ne!(reply.text(), "evil");
    }
}

#[tokio::test]
async fn a_cut_answer_is_no_connection_to_keep() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    let mut raw = proxy.raw().await;
    raw.send("POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    eventually("the request", async || (backend.open() == 1).then_some(())).await;
    drop(raw);
    eventually("its end", async || (backend.open() == 0).then_some(())).await;
    assert_eq!(proxy.get("/").await.json()["target"], "/");
}
