//! The seed's nginx block for the API, and its upstream block.

use std::time::Duration;

use http::Version;
use tokio::time::Instant;

use super::{API, both, request};
use crate::harness::{
    HOST, Proxy,
    backend::{Backend, echoed},
    client::Reply,
    setup::Setup,
};

async fn api() -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    (backend, proxy)
}

async fn reply() -> Reply {
    let (_backend, proxy) = api().await;
    request(&proxy, API, "GET", "/users").send().await
}

#[tokio::test]
async fn seed_nginx_server_upstream_server() {
    let (backend, proxy) = api().await;
    request(&proxy, API, "GET", "/users").send().await;
    assert_eq!(backend.requests(), ["GET /users"]);
}

#[tokio::test]
async fn seed_nginx_server_upstream_more_servers() {
    let (first, second) = (Backend::echo().await, Backend::echo().await);
    let proxy = Setup::to(&[&first, &second])
        .upstream("balance = \"round_robin\"")
        .start()
        .await;
    for _ in 0..8 {
        proxy.get("/").await;
    }
    assert!(first.requests().len() >= 2 && second.requests().len() >= 2);
}

#[tokio::test]
async fn seed_nginx_server_listen_443_ssl_http2() {
    let (_backend, proxy) = api().await;
    let reply = request(&proxy, API, "GET", "/").h2().send().await;
    assert_eq!(
        (reply.status.as_u16(), reply.version),
        (200, Version::HTTP_2)
    );
}

#[tokio::test]
async fn seed_nginx_server_server_name() {
    let (backend, proxy) = api().await;
    request(&proxy, super::SITE, "GET", "/users").send().await;
    assert!(backend.requests().is_empty());
    request(&proxy, API, "GET", "/users").send().await;
    assert_eq!(backend.requests().len(), 1);
}

#[tokio::test]
async fn seed_nginx_server_add_header_strict_transport_security() {
    assert_eq!(
        reply().await.header("strict-transport-security"),
        "max-age=63072000"
    );
}

#[tokio::test]
async fn seed_nginx_server_add_header_x_content_type_options() {
    assert_eq!(reply().await.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn seed_nginx_server_add_header_x_frame_options() {
    assert_eq!(reply().await.header("x-frame-options"), "DENY");
}

#[tokio::test]
async fn seed_nginx_server_proxy_pass() {
    assert_eq!(reply().await.json()["target"], "/users");
}

#[tokio::test]
async fn seed_nginx_server_proxy_http_version_1_1() {
    let (_backend, proxy) = api().await;
    let over_h2 = request(&proxy, API, "GET", "/").h2().send().await;
    assert_eq!(over_h2.json()["version"], "HTTP/1.1");
}

#[tokio::test]
async fn seed_nginx_server_proxy_set_header_upgrade() {
    // Done otherwise: only `websocket` is an upgrade; h2c and others are dropped.
    let (_backend, proxy) = api().await;
    let reply = request(&proxy, API, "GET", "/")
        .header("connection", "upgrade, http2-settings")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQAAP__")
        .send()
        .await;
    assert!(echoed(&reply.json(), "upgrade").is_empty());
    assert!(echoed(&reply.json(), "http2-settings").is_empty());
}

#[tokio::test]
async fn seed_nginx_server_proxy_set_header_connection_upgrade() {
    // Done otherwise: an ordinary request carries no `Connection: upgrade`.
    let echo = reply().await.json();
    assert!(!echoed(&echo, "connection").contains(&"upgrade"), "{echo}");
}

#[tokio::test]
async fn seed_nginx_server_proxy_set_header_host() {
    assert_eq!(echoed(&reply().await.json(), "host"), [API]);
}

#[tokio::test]
async fn seed_nginx_server_proxy_set_header_x_real_ip() {
    assert_eq!(echoed(&reply().await.json(), "x-real-ip"), ["127.0.0.1"]);
}

#[tokio::test]
async fn seed_nginx_server_proxy_set_header_x_forwarded_for() {
    // Done otherwise: what a stranger claims is not passed on.
    let (_backend, proxy) = api().await;
    let reply = request(&proxy, API, "GET", "/")
        .header("x-forwarded-for", "6.6.6.6")
        .send()
        .await;
    assert_eq!(echoed(&reply.json(), "x-forwarded-for"), ["127.0.0.1"]);
}

#[tokio::test]
async fn seed_nginx_server_proxy_set_header_x_forwarded_proto() {
    assert_eq!(
        echoed(&reply().await.json(), "x-forwarded-proto"),
        ["https"]
    );
}

#[tokio::test]
async fn seed_nginx_server_proxy_cache_bypass_upgrade() {
    // No cache stands here: every request reaches the backend.
    let (backend, proxy) = api().await;
    for _ in 0..3 {
        request(&proxy, API, "GET", "/same").send().await;
    }
    assert_eq!(backend.requests().len(), 3);
}

#[tokio::test]
async fn seed_nginx_server_proxy_connect_timeout() {
    // A documentation address (RFC 5737) that nothing answers from, or that the system refuses.
    let proxy = Setup::to_urls(&["http://192.0.2.1:9".into()])
        .upstream("timeout = { connect = \"200ms\" }\nretry = { hold = \"200ms\" }")
        .route("/", "proxy = { upstream = \"app\" }")
        .start()
        .await;
    let start = Instant::now();
    let status = proxy.get("/").await.status.as_u16();
    assert!([503, 504].contains(&status), "{status}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn seed_nginx_server_proxy_send_timeout() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        // Reads no body: the proxy's sending stalls.
        std::future::pending::<()>().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .upstream("timeout = { idle = \"300ms\", header = \"5s\" }")
        .route(
            "/up/",
            "proxy = { upstream = \"app\" }\nbody_limit = \"64MiB\"",
        )
        .start()
        .await;
    let start = Instant::now();
    let reply = proxy
        .request("POST", "/up/")
        .body(vec![b'x'; 32 << 20])
        .try_open()
        .await;
    if let Ok(reply) = reply {
        assert_eq!(reply.status(), 504);
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn seed_nginx_server_proxy_read_timeout() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        std::future::pending::<()>().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .upstream("timeout = { header = \"300ms\" }")
        .start()
        .await;
    let reply = proxy.get("/").await;
    assert_eq!(reply.status, 504);
    assert_eq!(proxy.access("/").await["host"], HOST);
}
