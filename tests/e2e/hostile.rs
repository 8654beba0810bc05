//! Malformed requests and smuggling: refused or closed, and never two requests where one was meant.
//!
//! Each attack carries a second request, `GET /smuggled`. A backend must never see it inside the
//! first one's connection, and the proxy must go on serving.

use crate::harness::{
    HOST, Proxy,
    backend::Backend,
    client::Target,
    raw::{Raw, status_of},
    setup::Setup,
};

mod http2;
mod smuggling;

pub(super) const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";

pub(super) async fn site() -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .server("head_timeout = \"1s\"\nstall_timeout = \"1s\"")
        .start()
        .await;
    (backend, proxy)
}

/// What comes back for `bytes`, up to the close; a client that waits is cut by the proxy's timeouts.
pub(super) async fn answers(proxy: &Proxy, bytes: &str) -> String {
    let mut raw = proxy.raw().await;
    raw.try_send(bytes).await.ok();
    raw.read_to_end().await
}

/// Refused with 400 to 431 or 501 or 505, or closed without a word; the smuggled request unseen.
pub(super) async fn refused(bytes: &[&str]) {
    let (backend, proxy) = site().await;
    for attack in bytes {
        let answer = answers(&proxy, &format!("{attack}{SMUGGLED}")).await;
        let status = status_of(&answer);
        let good =
            answer.is_empty() || (400..=431).contains(&status) || [501, 505].contains(&status);
        assert!(good, "{attack:?} got {answer:?}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            usize::from(!answer.is_empty()),
            "{attack:?}: {answer:?}"
        );
        assert_eq!(
            backend.count("/smuggled"),
            0,
            "{attack:?} smuggled: {:?}",
            backend.requests()
        );
        assert_eq!(
            backend.count("/attack"),
            0,
            "{attack:?} passed: {:?}",
            backend.requests()
        );
    }
    assert_eq!(proxy.get("/alive").await.status, 200);
}

/// Either refused as above, or passed as one request whose body the smuggled bytes are.
pub(super) async fn harmless(bytes: &[&str]) {
    let (backend, proxy) = site().await;
    for attack in bytes {
        let answer = answers(&proxy, attack).await;
        assert_eq!(
            backend.count("/smuggled"),
            0,
            "{attack:?} smuggled: {answer:?}"
        );
    }
    assert_eq!(proxy.get("/alive").await.status, 200);
}

/// A POST with these fields.
pub(super) fn post(fields: &str) -> String {
    format!("POST /attack HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n")
}

/// A GET with these fields.
pub(super) fn get(fields: &str) -> String {
    format!("GET /attack HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n")
}

#[tokio::test]
async fn fields_with_forbidden_bytes() {
    let attacks = [
        get("X: a\x00b"),
        get("X\x00: a"),
        get("X: a\r\n folded: yes"),
        get("X: a\r\n\tfolded"),
        get("X : a"),
        get("X\x01Y: a"),
        get(": empty"),
        get("no colon"),
        get("X(Y): a"),
        get("caf\u{e9}: a"),
    ];
    refused(&attacks.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_bare_carriage_return_in_a_field() {
    refused(&[&get("X: a\rb"), &get("X: a\rSmuggled: yes")]).await;
}

#[tokio::test]
async fn hosts_that_are_missing_doubled_or_malformed() {
    let with = |host: &str| format!("GET /attack HTTP/1.1\r\n{host}\r\n\r\n");
    let attacks = [
        "GET /attack HTTP/1.1\r\nX: y\r\n\r\n".to_owned(),
        with("Host: site.test\r\nHost: site.test"),
        with("Host: site.test\r\nHost: evil.test"),
        with("Host: site.test, evil.test"),
        with("Host: site.test evil.test"),
        with("Host: site.test/evil"),
        with("Host: user@site.test"),
        with("Host: site.test:port"),
        with("Host: site.test:99999"),
        with("Host: site.test#"),
        with("Host: site.test?x"),
        with("Host: [::1"),
        with("Host:"),
    ];
    refused(&attacks.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn an_absolute_target_that_contradicts_its_host() {
    let attack = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    refused(&[
        &attack("http://evil.test/attack"),
        &attack("https://user@site.test/attack"),
    ])
    .await;
}

#[tokio::test]
async fn an_absolute_target_for_its_own_host_is_a_path() {
    let (backend, proxy) = site().await;
    let request =
        format!("GET https://{HOST}/own HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    assert_eq!(status_of(&answers(&proxy, &request).await), 200);
    assert_eq!(backend.requests(), ["GET /own"]);
}

#[tokio::test]
async fn request_lines_that_are_none() {
    let line = |line: &str| format!("{line}\r\nHost: {HOST}\r\n\r\n");
    let attacks = [
        line("GET /attack"),
        line("GET  /attack HTTP/1.1"),
        line("GET /attack  HTTP/1.1"),
        line("GET /attack HTTP/1.1 "),
        line("GET\t/attack\tHTTP/1.1"),
        line("GET /attack HTTP/9.9"),
        line("GET /attack HTTP/2.0"),
        line("GET /attack HTTP/1.1x"),
        line("GET /attack http/1.1"),
        line("G\x00T /attack HTTP/1.1"),
        line("GET /attack\x00 HTTP/1.1"),
        line("GET /att ack HTTP/1.1"),
        line("GET attack HTTP/1.1"),
        line("G(T /attack HTTP/1.1"),
        line("/attack"),
        line("\x16\x03\x01"),
    ];
    refused(&attacks.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn methods_that_are_not_a_proxys() {
    let attacks = [
        format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        format!("CONNECT /attack HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    refused(&attacks.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn too_many_fields_are_refused() {
    let attack = get(&(0..2000)
        .map(|index| format!("x-{index}: y"))
        .collect::<Vec<_>>()
        .join("\r\n"));
    refused(&[&attack]).await;
}

#[tokio::test]
async fn refusals_are_logged_and_counted() {
    let (_backend, proxy) = site().await;
    answers(&proxy, "GET /\x00 HTTP/1.1\r\n\r\n").await;
    proxy.logged(&["malformed"]).await;
    assert!(proxy.metric("portcullis_connections_refused", &[]).await >= 1.0);
}

#[tokio::test]
async fn the_plain_listener_is_as_strict() {
    let (backend, proxy) = site().await;
    for attack in [
        get("X : a"),
        post("Content-Length: 5\r\nContent-Length: 6"),
        "\x00\x00\r\n\r\n".to_owned(),
    ] {
        let mut raw = Raw::connect(&Target::plain(proxy.http())).await.unwrap();
        raw.try_send(&attack).await.ok();
        let answer = raw.read_to_end().await;
        assert!(
            answer.is_empty() || (400..=431).contains(&status_of(&answer)),
            "{attack:?} got {answer:?}"
        );
    }
    assert!(backend.requests().is_empty());
}
