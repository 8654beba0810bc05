//! Against the real application, three instances of it, and real clients: Node, Socket.IO, Chromium.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::harness::{
    Proxy,
    client::Session,
    nest::{Nest, client},
};

#[tokio::test]
async fn express_serves_rest_uploads_events_and_socketio_over_three_instances() {
    let nest = Nest::start(3, "express", &[]).await;
    let proxy = nest.behind_proxy().await;
    client("node-client.mjs", &proxy, &[]).await;
    client("sse.mjs", &proxy, &[]).await;
    client("socketio.mjs", &proxy, &[("MIN_INSTANCES", "2")]).await;
}

#[tokio::test]
async fn fastify_serves_rest_uploads_events_and_socketio_over_three_instances() {
    let nest = Nest::start(3, "fastify", &[]).await;
    let proxy = nest.behind_proxy().await;
    client("node-client.mjs", &proxy, &[]).await;
    client("sse.mjs", &proxy, &[]).await;
    client("socketio.mjs", &proxy, &[("MIN_INSTANCES", "2")]).await;
}

#[tokio::test]
async fn chromium_uses_the_single_page_application_under_the_default_policy() {
    let nest = Nest::start(3, "express", &[]).await;
    let proxy = nest.behind_proxy().await;
    client("browser.mjs", &proxy, &[]).await;
}

#[tokio::test]
async fn an_instance_killed_under_load_costs_no_idempotent_request() {
    let mut nest = Nest::start(3, "express", &[]).await;
    let proxy = nest.behind_proxy().await;
    let end = Instant::now() + Duration::from_secs(4);
    let mut load = Vec::new();
    for _ in 0..16 {
        let mut session = session(&proxy).await;
        let request =
            move |proxy: &Proxy| proxy.request("GET", "/api/slow?ms=15").host("localhost");
        let requests: Vec<_> = (0..400).map(|_| request(&proxy)).collect();
        load.push(tokio::spawn(async move {
            let mut statuses = Vec::new();
            for request in requests {
                if Instant::now() > end {
                    break;
                }
                statuses.push(session.send(request).await.status);
            }
            statuses
        }));
    }
    sleep(Duration::from_secs(1)).await;
    nest.kill(1).await;
    let mut answered = 0;
    for statuses in load {
        let statuses = statuses.await.unwrap();
        answered += statuses.len();
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    assert!(answered > 500, "only {answered} requests");
}

/// Node closes an idle connection after 5 s: each of these requests meets one that is about that old.
#[tokio::test]
async fn two_thousand_requests_spaced_around_nodes_keep_alive_see_no_error() {
    const CLIENTS: u32 = 500;
    const ROUNDS: u32 = 4;
    let nest = Nest::start(2, "express", &[("KEEP_ALIVE_MS", "5000")]).await;
    let proxy = nest.behind_proxy().await;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut session = session(&proxy).await;
        let requests: Vec<_> = (0..ROUNDS)
            .map(|_| proxy.request("GET", "/api/whoami").host("localhost"))
            .collect();
        // From 4.9 s to 5.1 s apart.
        let spacing = Duration::from_micros(4_900_000 + u64::from(client) * 400);
        clients.push(tokio::spawn(async move {
            let mut next = Instant::now();
            for request in requests {
                sleep_until(next).await;
                next += spacing;
                assert_eq!(session.send(request).await.status, 200);
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let counted = proxy
        .metric("portcullis_requests_total", &["/api/", "code=\"200\""])
        .await;
    assert!((counted - 2000.0).abs() < 0.5, "{counted}");
}

async fn session(proxy: &Proxy) -> Session {
    Session::http1(&proxy.target().name("localhost"))
        .await
        .unwrap()
}
