//! WebSockets when the process drains: they go on, are closed with 1012 near the deadline, and no frame is torn.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use crate::{
    harness::{
        HOST, PATIENCE, Proxy, backend::Backend, client::Stream, eventually, peer::Peer,
        setup::Setup,
    },
    websocket, websocket_h2,
};

/// A proxy in front of a Node backend on `ws`, which drains for `time`.
async fn behind(backend: &Peer, time: &str) -> Proxy {
    let port = backend.says("listening").await;
    Setup::new()
        .more(&format!(
            "[upstream.ws]\nbackends = [\"http://127.0.0.1:{port}\"]\n"
        ))
        .route("/", "proxy = { upstream = \"ws\" }")
        .server(&format!("drain_timeout = \"{time}\""))
        .start()
        .await
}

async fn says<S: Stream>(socket: &mut WebSocketStream<S>, message: Message) {
    socket.send(message.clone()).await.unwrap();
    let answer = timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(answer.unwrap().unwrap() == message);
}

/// Speaks until it is closed: each message that comes must be whole, and the end a Close with 1012.
async fn speaks_to_the_end<S: Stream>(mut socket: WebSocketStream<S>) {
    let message = Message::binary(vec![7; 100_000]);
    let mut sent = 0;
    let talk = async {
        loop {
            if sent < 3 {
                // More than one at a time, so that none of them is ever the whole that is under way.
                socket.send(message.clone()).await.unwrap();
                sent += 1;
                continue;
            }
            match socket.next().await.unwrap().unwrap() {
                Message::Close(frame) => return frame.unwrap().code,
                echo => assert!(echo == message),
            }
            sent -= 1;
        }
    };
    let code = timeout(PATIENCE, talk).await.unwrap();
    assert_eq!(code, CloseCode::Restart);
}

#[tokio::test]
async fn a_drain_closes_with_1012_what_node_has_opened() {
    let backend = Peer::start("ws-backend.mjs", &[]);
    let mut proxy = behind(&backend, "2s").await;
    let ca = proxy.dir().join("ca.pem");
    let url = format!("https://{}", proxy.https());
    let client = Peer::start(
        "ws-client.mjs",
        &[
            ("BASE_URL", &url),
            ("CA_FILE", ca.to_str().unwrap()),
            ("SERVER_NAME", HOST),
        ],
    );
    assert_eq!(client.says("echoed").await, "hello");
    proxy.signal("TERM");
    assert_eq!(client.says("closed").await, "1012");
    assert_eq!(backend.says("closed").await, "1001");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert_eq!(proxy.log().count("the drain deadline has passed"), 0);
}

#[tokio::test]
async fn a_drain_closes_with_1012_what_was_opened_over_http2() {
    let backend = Peer::start("ws-backend.mjs", &[]);
    let mut proxy = behind(&backend, "2s").await;
    let mut session = proxy.session2().await;
    session.send(proxy.request("GET", "/warm")).await;
    let request = websocket_h2::connect(&proxy, "/ws");
    let mut socket = websocket_h2::open(&mut session, request).await;
    says(&mut socket, Message::text("before")).await;
    proxy.signal("TERM");
    proxy.logged(&["draining"]).await;
    says(&mut socket, Message::text("while draining")).await;
    let end = timeout(PATIENCE, socket.next()).await.unwrap();
    let Some(Ok(Message::Close(Some(frame)))) = end else {
        panic!("closed by {end:?}");
    };
    assert_eq!(frame.code, CloseCode::Restart);
    while let Some(Ok(_)) = socket.next().await {}
    assert_eq!(backend.says("closed").await, "1001");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert_eq!(proxy.log().count("the drain deadline has passed"), 0);
}

#[tokio::test]
async fn messages_under_way_are_not_torn() {
    let backend = Peer::start("ws-backend.mjs", &[]);
    let mut proxy = behind(&backend, "5s").await;
    let mut session = proxy.session2().await;
    session.send(proxy.request("GET", "/warm")).await;
    let mut talks = Vec::new();
    for _ in 0..4 {
        talks.push(tokio::spawn(speaks_to_the_end(
            websocket::connect(&proxy).await,
        )));
        let request = websocket_h2::connect(&proxy, "/ws");
        let socket = websocket_h2::open(&mut session, request).await;
        talks.push(tokio::spawn(speaks_to_the_end(socket)));
    }
    proxy.signal("TERM");
    for talk in talks {
        talk.await.unwrap();
    }
    assert_eq!(proxy.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_backend_in_the_middle_of_a_frame_is_cut_at_the_deadline() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
             \x01\x05hel",
        )
        .await?;
        conn.closed().await;
        Ok(())
    })
    .await;
    let mut proxy = Setup::to(&[&backend])
        .server("drain_timeout = \"1s\"")
        .start()
        .await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n",
        websocket::UPGRADE
    ))
    .await;
    raw.read_until("hel").await;
    proxy.signal("TERM");
    assert_eq!(raw.read_to_end().await, "");
    assert_eq!(proxy.ended().await.code(), Some(0));
    eventually("the backend's end", async || {
        (backend.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_cut_at_the_deadline() {
    let backend = Backend::websocket().await;
    let mut proxy = Setup::to(&[&backend])
        .server("drain_timeout = \"1s\"")
        .start()
        .await;
    let mut socket = websocket::connect(&proxy).await;
    says(&mut socket, Message::text("x")).await;
    proxy.signal("TERM");
    // Neither read nor closed.
    assert_eq!(proxy.ended().await.code(), Some(0));
    let end = timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(
        matches!(&end, Some(Ok(Message::Close(Some(frame)))) if frame.code == CloseCode::Restart),
        "{end:?}"
    );
}
