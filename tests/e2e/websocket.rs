//! WebSockets over HTTP/1.1: the upgrade, the tunnel, its end.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::harness::{
    HOST, PATIENCE, Proxy,
    backend::{Backend, echoed},
    client::Stream,
    eventually,
    raw::status_of,
    setup::Setup,
};

pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

pub(crate) async fn connect(proxy: &Proxy) -> Socket {
    let stream = proxy.raw().await.into_stream();
    let (socket, response) = tokio_tungstenite::client_async(format!("wss://{HOST}/ws"), stream)
        .await
        .unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.headers().contains_key("x-request-id"));
    socket
}

async fn says(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let answer = timeout(PATIENCE, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(answer, Message::text(text));
}

pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn messages_go_both_ways() {
    let backend = Backend::websocket().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut socket = connect(&proxy).await;
    for round in 0..10 {
        says(&mut socket, &format!("message {round}")).await;
    }
    let large = vec![7; 1 << 20];
    socket.send(Message::binary(large.clone())).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::binary(large)
    );
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    eventually("the backend's end", async || {
        (backend.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_is_logged_and_counted() {
    let backend = Backend::websocket().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut socket = connect(&proxy).await;
    says(&mut socket, "x").await;
    assert!(proxy.metric("portcullis_tunnels_open", &[]).await >= 1.0);
    drop(socket);
    assert_eq!(proxy.access("/ws").await["status"], 101);
    eventually("no tunnel", async || {
        (proxy.metric("portcullis_tunnels_open", &[]).await < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_refuses_the_upgrade_is_heard() {
    let backend = Backend::canned("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!("GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}\r\n"))
        .await;
    let (head, body) = raw.response().await;
    assert!(head.starts_with("http/1.1 403"), "{head}");
    assert_eq!(body, "no");
}

#[tokio::test]
async fn a_backend_that_switches_unasked_is_502() {
    let backend = Backend::canned(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    )
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    assert_eq!(proxy.get("/").await.status, 502);
}

#[tokio::test]
async fn other_tokens_are_dropped_and_the_request_goes_on() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    for token in ["h2c", "TLS/1.0", "foo/2"] {
        let reply = proxy
            .request("GET", "/")
            .header("connection", "upgrade")
            .header("upgrade", token)
            .send()
            .await;
        assert_eq!(reply.status, 200, "{token}");
        assert!(echoed(&reply.json(), "upgrade").is_empty(), "{token}");
    }
}

#[tokio::test]
async fn an_upgrade_without_its_connection_option_is_none() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let reply = proxy
        .request("GET", "/")
        .header("upgrade", "websocket")
        .send()
        .await;
    assert_eq!(reply.status, 200);
    assert!(echoed(&reply.json(), "upgrade").is_empty());
}

#[tokio::test]
async fn a_post_cannot_upgrade() {
    let backend = Backend::websocket().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST /ws HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}Content-Length: 0\r\n\r\n"
    ))
    .await;
    assert!(status_of(&raw.head().await) >= 400);
}

#[tokio::test]
async fn the_backend_sees_the_whole_handshake() {
    let backend = Backend::canned("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "GET /ws?token=t HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}Sec-WebSocket-Protocol: chat\r\nOrigin: https://{HOST}\r\n\r\n"
    ))
    .await;
    raw.response().await;
    let seen = backend.requests()[0].to_ascii_lowercase();
    for part in [
        "get /ws?token=t http/1.1",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dghlihnhbxbszsbub25jzq==",
        "sec-websocket-protocol: chat",
        "origin: https://site.test",
        "x-forwarded-proto: https",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
}

#[tokio::test]
async fn bytes_behind_the_backends_101_are_the_tunnels() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly").await?;
        conn.closed().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!("GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}\r\n"))
        .await;
    assert!(raw.head().await.starts_with("http/1.1 101"));
    raw.read_until("early").await;
}

#[tokio::test]
async fn bytes_behind_the_clients_upgrade_are_the_tunnels() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
        .await?;
        let came = conn.until("eager").await?;
        conn.write(&came.to_uppercase()).await
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}\r\neager"
    ))
    .await;
    assert!(raw.head().await.starts_with("http/1.1 101"));
    raw.read_until("EAGER").await;
}

#[tokio::test]
async fn an_idle_tunnel_ends_and_a_busy_one_does_not() {
    let backend = Backend::websocket().await;
    let proxy = Setup::to(&[&backend])
        .server("tunnel_timeout = \"500ms\"")
        .start()
        .await;
    let mut socket = connect(&proxy).await;
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        says(&mut socket, &format!("still here {round}")).await;
    }
    let end = timeout(PATIENCE, socket.next())
        .await
        .expect("an idle tunnel stays open");
    assert!(!matches!(end, Some(Ok(Message::Text(_)))));
    eventually("the backend's end", async || {
        (backend.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_survives_a_reload() {
    let backend = Backend::websocket().await;
    let setup = Setup::to(&[&backend]);
    let proxy = setup.start().await;
    let mut socket = connect(&proxy).await;
    says(&mut socket, "before").await;
    // Even one after which its route and its upstream are gone.
    let other = Setup::new().route("/", "respond = { status = 200, body = \"gone\" }");
    proxy.reload(&other.toml()).await;
    assert_eq!(proxy.get("/").await.text(), "gone");
    says(&mut socket, "after").await;
}

#[tokio::test]
async fn a_tunnel_is_served_while_draining_and_closed_at_the_deadline() {
    let backend = Backend::websocket().await;
    let mut proxy = Setup::to(&[&backend])
        .server("drain_timeout = \"1s\"")
        .start()
        .await;
    let mut socket = connect(&proxy).await;
    says(&mut socket, "before").await;
    proxy.signal("TERM");
    proxy.logged(&["draining"]).await;
    says(&mut socket, "while draining").await;
    let end = timeout(PATIENCE, socket.next())
        .await
        .expect("the tunnel outlives the deadline");
    assert!(!matches!(end, Some(Ok(Message::Text(_)))));
    assert_eq!(proxy.ended().await.code(), Some(0));
}

#[tokio::test]
async fn two_hundred_tunnels_at_once() {
    let backend = Backend::websocket().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut sockets = Vec::new();
    for _ in 0..200 {
        sockets.push(connect(&proxy).await);
    }
    for socket in &mut sockets {
        says(socket, "x").await;
    }
    assert_eq!(backend.open(), 200);
}
