//! Handshakes that fail: each ends in time, with a class in log and metric.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::harness::{PATIENCE, Proxy, setup::Setup};

async fn site() -> Proxy {
    Setup::new()
        .log("level = \"debug\"")
        .tls("handshake_timeout = \"500ms\"")
        .route("/", "respond = { status = 200, body = \"here\" }")
        .start()
        .await
}

/// Says `bytes` to the TLS port; what comes back until it closes.
async fn say(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(proxy.https()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as good as any.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the connection stays open");
    answer
}

async fn still_serves(proxy: &Proxy) {
    assert_eq!(proxy.get("/").await.text(), "here");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_at_the_deadline() {
    let proxy = site().await;
    let start = Instant::now();
    assert_eq!(say(&proxy, b"").await, b"");
    assert!(start.elapsed() >= Duration::from_millis(400));
    proxy
        .logged(&["handshake failed", "class=\"timeout\""])
        .await;
    assert!(
        proxy
            .metric("portcullis_handshake_failures", &["timeout"])
            .await
            >= 1.0
    );
    still_serves(&proxy).await;
}

#[tokio::test]
async fn a_client_that_stops_half_way_is_cut_at_the_deadline() {
    let proxy = site().await;
    // A record header that promises 512 bytes.
    say(&proxy, &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]).await;
    proxy
        .logged(&["handshake failed", "class=\"timeout\""])
        .await;
    still_serves(&proxy).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_noted_and_forgotten() {
    let proxy = site().await;
    drop(TcpStream::connect(proxy.https()).await.unwrap());
    proxy
        .logged(&["handshake failed", "class=\"silent\""])
        .await;
    still_serves(&proxy).await;
}

#[tokio::test]
async fn garbage_gets_an_alert_or_a_close() {
    let proxy = site().await;
    let answer = say(&proxy, &[0xff; 300]).await;
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    proxy
        .logged(&["handshake failed", "class=\"not_tls\""])
        .await;
    assert!(
        proxy
            .metric("portcullis_handshake_failures", &["not_tls"])
            .await
            >= 1.0
    );
    still_serves(&proxy).await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_answered_or_closed_and_classed() {
    let proxy = site().await;
    let answer = say(&proxy, b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
    let is_answer = answer.starts_with(b"HTTP/1.1 400") || answer.starts_with(b"HTTP/1.1 308");
    assert!(
        is_answer || answer.is_empty() || answer[0] == 0x15,
        "{answer:?}"
    );
    proxy
        .logged(&["handshake failed", "class=\"plain_http\""])
        .await;
    still_serves(&proxy).await;
}

#[tokio::test]
async fn many_silent_clients_do_not_keep_others_out() {
    let proxy = site().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(proxy.https()).await.unwrap());
    }
    still_serves(&proxy).await;
    for stream in &mut silent {
        let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new()))
            .await
            .expect("a silent client is kept");
    }
    still_serves(&proxy).await;
}

#[tokio::test]
async fn a_client_that_refuses_the_certificate_is_classed() {
    let proxy = site().await;
    let refused = proxy.target().name("other.test").handshake().await;
    assert!(refused.is_err());
    proxy
        .logged(&["handshake failed", "class=\"certificate_refused\""])
        .await;
    still_serves(&proxy).await;
}

#[tokio::test]
async fn a_client_without_a_common_protocol_is_refused() {
    let proxy = site().await;
    let config = crate::harness::pki::client(&["spdy/3"]);
    assert!(proxy.target().config(config).handshake().await.is_err());
    proxy
        .logged(&["handshake failed", "class=\"no_shared_alpn\""])
        .await;
}
