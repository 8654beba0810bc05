//! Against the real application, three instances of it, and real clients: Node, Socket.IO, Chromium.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::harness::{
    Proxy,
    client::Session,
    nest::{Nest, client},
};

mod hanging;
mod keep_alive;
mod restart;
mod sockets;

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
    // Some thousand where nothing else runs; that each client had several is enough.
    assert!(answered > 50, "only {answered} requests");
}

async fn session(proxy: &Proxy) -> Session {
    Session::http1(&proxy.target().name("localhost"))
        .await
        .unwrap()
}
