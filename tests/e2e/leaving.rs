//! Clients that leave, and backends that do.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};

use crate::harness::{
    HOST, PATIENCE,
    backend::Backend,
    eventually,
    frames::{END_STREAM, Frames, RST_STREAM},
    raw::status_of,
    setup::Setup,
};

async fn silent() -> Backend {
    Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.closed().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_backends_request() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.closed().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!("GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    eventually("the backend's request", async || {
        (backend.open() == 1).then_some(())
    })
    .await;
    drop(raw);
    eventually("its end", async || (backend.open() == 0).then_some(())).await;
    assert_eq!(proxy.access("/slow").await["status"], 499);
}

#[tokio::test]
async fn a_client_that_resets_its_stream_is_logged_as_gone() {
    let backend = silent().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut frames = Frames::connect(&proxy.target()).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/slow"),
    ];
    frames.head(1, END_STREAM, &fields).await;
    eventually("the backend's request", async || {
        (backend.open() == 1).then_some(())
    })
    .await;
    frames.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes()).await;
    eventually("its end", async || (backend.open() == 0).then_some(())).await;
    assert_eq!(proxy.access("/slow").await["status"], 499);
}

#[tokio::test]
async fn a_client_that_leaves_while_it_is_held_is_logged_and_forgotten() {
    let mut backend = Backend::echo().await;
    let address = backend.address();
    let proxy = Setup::to(&[&backend])
        .upstream("retry = { hold = \"30s\" }")
        .start()
        .await;
    backend.kill().await;
    let mut raw = proxy.raw().await;
    raw.send(format!("GET /held HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    sleep(Duration::from_millis(200)).await;
    drop(raw);
    assert_eq!(proxy.access("/held").await["status"], 499);
    let returned = Backend::echo_at(address).await;
    assert_eq!(proxy.get("/next").await.status, 200);
    assert_eq!(returned.count("/held"), 0);
}

#[tokio::test]
async fn a_client_that_leaves_in_its_upload_leaves_nothing_behind() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\nhalf"
    ))
    .await;
    eventually("the backend's request", async || {
        (backend.open() == 1).then_some(())
    })
    .await;
    drop(raw);
    eventually("its end", async || (backend.open() == 0).then_some(())).await;
    assert_eq!(proxy.access("/up").await["status"], 499);
}

#[tokio::test]
async fn a_slow_client_that_goes_on_is_not_cut() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .server("stall_timeout = \"1s\"")
        .start()
        .await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 6\r\nConnection: close\r\n\r\n"
    ))
    .await;
    for piece in ["a", "b", "c", "d", "e", "f"] {
        sleep(Duration::from_millis(300)).await;
        raw.send(piece).await;
    }
    let answer = raw.read_to_end().await;
    assert_eq!(status_of(&answer), 200, "{answer}");
    assert!(answer.contains("abcdef"));
}

#[tokio::test]
async fn a_backend_that_dies_under_a_socket_ends_it() {
    let mut backend = Backend::websocket().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let stream = proxy.raw().await.into_stream();
    let url = format!("wss://{HOST}/ws");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    backend.kill().await;
    timeout(PATIENCE, async {
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await
    .expect("the socket outlives its backend");
    drop(socket);
    assert_eq!(proxy.access("/ws").await["status"], 101);
}

#[tokio::test]
async fn many_fields_and_foreign_bytes_of_a_backend_pass() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        let fields = "Set-Cookie: a=1\r\n".repeat(80);
        conn.write(&format!(
            "HTTP/1.1 200 OK\r\n{fields}X-Name: caf\u{e9}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    for http2 in [false, true] {
        let request = proxy.request("GET", "/");
        let reply = if http2 { request.h2() } else { request }.send().await;
        assert_eq!(
            (reply.status.as_u16(), reply.count("set-cookie")),
            (200, 80)
        );
        assert_eq!(reply.headers["x-name"].as_bytes(), "caf\u{e9}".as_bytes());
    }
}
