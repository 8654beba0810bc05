//! WebSockets over HTTP/2 (RFC 8441): one stream of a connection that carries requests too.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::Response;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::harness::{
    PATIENCE, Proxy,
    backend::Backend,
    client::{Reply, Request, Session},
    eventually,
    setup::Setup,
};

pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub(crate) fn connect(proxy: &Proxy, path: &str) -> Request {
    proxy
        .request("CONNECT", path)
        .protocol("websocket")
        .header("sec-websocket-version", "13")
}

/// A session that has seen the proxy's settings.
async fn session(proxy: &Proxy) -> Session {
    let mut session = proxy.session2().await;
    session.send(proxy.request("GET", "/warm")).await;
    session
}

pub(crate) async fn open(session: &mut Session, request: Request) -> Socket {
    let response = session.try_open(request).await.unwrap();
    assert_eq!(response.status(), 200);
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

async fn says(socket: &mut Socket, message: Message) {
    socket.send(message.clone()).await.unwrap();
    let answer = timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(answer.unwrap().unwrap() == message);
}

async fn answer(proxy: &Proxy, request: Request) -> Reply {
    let response: Response<Incoming> = session(proxy).await.try_open(request).await.unwrap();
    Reply::read(response).await.unwrap()
}

#[tokio::test]
async fn messages_go_both_ways_beside_requests() {
    let sockets = Backend::websocket().await;
    let pages = Backend::echo().await;
    let proxy = Setup::to(&[&pages])
        .more(&format!(
            "[upstream.ws]\nbackends = [\"{}\"]\n",
            sockets.url()
        ))
        .route("/ws", "proxy = { upstream = \"ws\" }")
        .start()
        .await;
    let mut session = session(&proxy).await;
    let mut first = open(&mut session, connect(&proxy, "/ws")).await;
    let mut second = open(&mut session, connect(&proxy, "/ws")).await;
    for round in 0..10 {
        says(&mut first, Message::text(format!("message {round}"))).await;
        says(&mut second, Message::binary(vec![round; 1 << 18])).await;
        let reply = session.send(proxy.request("GET", "/page")).await;
        assert_eq!(reply.status, 200);
    }
    assert!(proxy.metric("portcullis_tunnels_open", &[]).await >= 2.0);
    first.close(None).await.unwrap();
    while let Some(Ok(_)) = first.next().await {}
    drop(first);
    drop(second);
    eventually("the backend's ends", async || {
        (sockets.open() == 0).then_some(())
    })
    .await;
    assert_eq!(proxy.access("/ws").await["status"], 200);
    eventually("no tunnel", async || {
        (proxy.metric("portcullis_tunnels_open", &[]).await < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_backend_sees_a_handshake_of_http_1_1() {
    let backend = Backend::canned("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let proxy = Setup::to(&[&backend]).start().await;
    let request = connect(&proxy, "/ws?token=t")
        .header("sec-websocket-protocol", "chat")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header("sec-websocket-key", "the client's")
        .header("origin", "https://site.test");
    let reply = answer(&proxy, request).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "no".into()));
    let seen = backend.requests()[1].to_ascii_lowercase();
    for part in [
        "get /ws?token=t http/1.1\r\n",
        "host: site.test\r\n",
        "connection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "sec-websocket-version: 13\r\n",
        "sec-websocket-protocol: chat\r\n",
        "sec-websocket-extensions: permessage-deflate\r\n",
        "origin: https://site.test\r\n",
        "x-forwarded-proto: https\r\n",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert!(!seen.contains("the client's"), "{seen}");
    assert_eq!(seen.matches("sec-websocket-key: ").count(), 1);
}

#[tokio::test]
async fn a_handshake_that_is_not_accepted_is_502() {
    for answer_of_backend in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage",
    ] {
        let backend = Backend::canned(answer_of_backend).await;
        let proxy = Setup::to(&[&backend]).start().await;
        let reply = answer(&proxy, connect(&proxy, "/ws")).await;
        assert_eq!(reply.status, 502, "{answer_of_backend}");
    }
}

#[tokio::test]
async fn nothing_else_is_opened_by_connect() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .route("/text", "respond = { status = 200, body = \"x\" }")
        .start()
        .await;
    let udp = proxy.request("CONNECT", "/ws").protocol("connect-udp");
    assert_eq!(answer(&proxy, udp).await.status, 405);
    assert_eq!(answer(&proxy, connect(&proxy, "/text")).await.status, 404);
    assert!(!backend.requests().iter().any(|it| it.contains("/ws")));
}

#[tokio::test]
async fn each_socket_takes_a_place_of_its_own() {
    let backend = Backend::websocket().await;
    let pages = Backend::echo().await;
    let proxy = Setup::to(&[&pages])
        .more(&format!(
            "[upstream.ws]\nbackends = [\"{}\"]\n",
            backend.url()
        ))
        .route("/ws", "proxy = { upstream = \"ws\" }")
        .listener("max_connections = 3")
        .start()
        .await;
    let mut session = session(&proxy).await;
    let mut first = open(&mut session, connect(&proxy, "/ws")).await;
    let mut second = open(&mut session, connect(&proxy, "/ws")).await;
    // The third is the connection's own.
    let refused = session.send(connect(&proxy, "/ws")).await;
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("too many connections"),
        "{refused:?}"
    );
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(backend.connections(), 2);
    let line = proxy
        .access_where("/ws", |line| line["status"] == 503)
        .await;
    assert_eq!(line["error"], "no_place");
    assert_eq!(
        session.send(proxy.request("GET", "/page")).await.status,
        200
    );
    first.close(None).await.unwrap();
    while let Some(Ok(_)) = first.next().await {}
    drop(first);
    // What the backend refuses gives its place back too.
    eventually("the place", async || {
        let other = session.send(connect(&proxy, "/page")).await;
        (other.status != 503).then_some(())
    })
    .await;
    says(&mut second, Message::text("still here")).await;
    let mut third = open(&mut session, connect(&proxy, "/ws")).await;
    says(&mut third, Message::text("there is room")).await;
}

#[tokio::test]
async fn an_open_socket_keeps_its_connection_until_it_is_closed() {
    let backend = Backend::websocket().await;
    let proxy = Setup::to(&[&backend])
        .server("head_timeout = \"1s\"")
        .start()
        .await;
    let mut session = session(&proxy).await;
    let mut socket = open(&mut session, connect(&proxy, "/ws")).await;
    sleep(Duration::from_secs(3)).await;
    says(&mut socket, Message::text("still here")).await;
}
