//! Connections that rest between requests, and in the middle of them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::harness::{
    HOST, Proxy,
    backend::Backend,
    client::Target,
    eventually,
    raw::{Raw, status_of},
    setup::Setup,
};

/// Long enough for the proxy to put an idle connection to rest.
const REST: Duration = Duration::from_millis(400);

async fn here() -> Proxy {
    Setup::new()
        .route("/", "respond = { status = 200, body = \"here\" }")
        .start()
        .await
}

/// Connections over TLS and in the clear.
async fn both(proxy: &Proxy) -> [Raw; 2] {
    [
        proxy.raw().await,
        Raw::connect(&Target::plain(proxy.http())).await.unwrap(),
    ]
}

fn get() -> String {
    format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

async fn answered(raw: &mut Raw) {
    let (head, _) = raw.response().await;
    assert!([200, 308].contains(&status_of(&head)), "{head}");
}

#[tokio::test]
async fn requests_are_answered_after_every_rest() {
    let proxy = here().await;
    for mut raw in both(&proxy).await {
        for _ in 0..4 {
            sleep(REST).await;
            raw.send(get() + &get()).await;
            answered(&mut raw).await;
            answered(&mut raw).await;
        }
    }
}

#[tokio::test]
async fn a_head_and_a_body_may_rest_in_the_middle() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    for _ in 0..2 {
        let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\n");
        let (first, second) = head.split_at(20);
        for part in [first, second, "first", "after"] {
            raw.send(part).await;
            sleep(REST).await;
        }
        let (_, body) = raw.response().await;
        assert!(body.contains("firstafter"), "{body}");
    }
}

#[tokio::test]
async fn a_rest_does_not_lengthen_the_time_that_a_connection_may_be_idle() {
    let proxy = Setup::new()
        .server("head_timeout = \"1s\"")
        .route("/", "respond = { status = 200, body = \"here\" }")
        .start()
        .await;
    let [mut used, _] = both(&proxy).await;
    let [mut fresh, _] = both(&proxy).await;
    used.send(get()).await;
    answered(&mut used).await;
    let start = Instant::now();
    assert_eq!(used.read_to_end().await, "");
    assert_eq!(fresh.read_to_end().await, "");
    let open = start.elapsed();
    assert!(
        (Duration::from_millis(600)..Duration::from_millis(2500)).contains(&open),
        "{open:?}"
    );
    // Only the one that never asked is worth a line.
    let line = proxy.logged(&["head_timeout"]).await;
    assert!(line.contains("no request came"), "{line}");
}

#[tokio::test]
async fn resting_connections_end_with_a_drain_and_a_late_first_request_is_served() {
    let mut proxy = here().await;
    let [mut used, _] = both(&proxy).await;
    let [mut fresh, _] = both(&proxy).await;
    used.send(get()).await;
    answered(&mut used).await;
    sleep(REST).await;
    proxy.signal("TERM");
    proxy.logged(&["draining"]).await;
    fresh.send(get()).await;
    answered(&mut fresh).await;
    assert_eq!(fresh.read_to_end().await, "");
    assert_eq!(used.read_to_end().await, "");
    assert_eq!(proxy.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_client_that_leaves_a_resting_connection_frees_its_place() {
    let proxy = here().await;
    let resting = both(&proxy).await;
    sleep(REST).await;
    drop(resting);
    eventually("no connection", async || {
        let open = proxy
            .metric("portcullis_connections_open", &["127.0.0."])
            .await;
        (open < 1.0).then_some(())
    })
    .await;
}
