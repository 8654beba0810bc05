//! Malformed requests and smuggling: refused or closed, and never two requests where one was meant.
//!
//! Each attack carries a second request, `GET /smuggled`. A backend must never see it inside the
//! first one's connection, and the proxy must go on serving.

use crate::harness::{
    HOST, Proxy,
    backend::Backend,
    client::{Raw, Target, status_of},
    setup::Setup,
};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";

async fn site() -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).server("head_timeout = \"1s\"\nstall_timeout = \"1s\"").start().await;
    (backend, proxy)
}

/// What comes back for `bytes`, up to the close; a client that waits is cut by the proxy's timeouts.
async fn answers(proxy: &Proxy, bytes: &str) -> String {
    let mut raw = proxy.raw().await;
    raw.try_send(bytes).await.ok();
    raw.read_to_end().await
}

/// Refused with 400 to 431 or 501 or 505, or closed without a word; the smuggled request unseen.
async fn refused(bytes: &[&str]) {
    let (backend, proxy) = site().await;
    for attack in bytes {
        let answer = answers(&proxy, &format!("{attack}{SMUGGLED}")).await;
        let status = status_of(&answer);
        let good = answer.is_empty() || (400..=431).contains(&status) || [501, 505].contains(&status);
        assert!(good, "{attack:?} got {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), usize::from(!answer.is_empty()), "{attack:?}: {answer:?}");
        assert_eq!(backend.count("/smuggled"), 0, "{attack:?} smuggled: {:?}", backend.requests());
        assert_eq!(backend.count("/attack"), 0, "{attack:?} passed: {:?}", backend.requests());
    }
    assert_eq!(proxy.get("/alive").await.status, 200);
}

/// Either refused as above, or passed as one request whose body the smuggled bytes are.
async fn harmless(bytes: &[&str]) {
    let (backend, proxy) = site().await;
    for attack in bytes {
        let answer = answers(&proxy, attack).await;
        assert_eq!(backend.count("/smuggled"), 0, "{attack:?} smuggled: {answer:?}");
    }
    assert_eq!(proxy.get("/alive").await.status, 200);
}

/// A POST with these fields.
fn post(fields: &str) -> String {
    format!("POST /attack HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n")
}

/// A GET with these fields.
fn get(fields: &str) -> String {
    format!("GET /attack HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n")
}

async fn refused_posts(fields: &[&str], body: &str) {
    let attacks: Vec<_> = fields.iter().map(|fields| post(fields) + body).collect();
    refused(&attacks.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn content_length_and_transfer_encoding() {
    refused_posts(
        &[
            "Content-Length: 6\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 6",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
        ],
        "0\r\n\r\n",
    )
    .await;
}

#[tokio::test]
async fn transfer_encodings_that_only_one_side_would_understand() {
    refused_posts(
        &[
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding:\r\n chunked",
            "Transfer-Encoding : chunked",
            "Transfer-Encoding\t: chunked",
            " Transfer-Encoding: chunked",
            "X: y\rTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding: chunked\x00",
        ],
        "0\r\n\r\n",
    )
    .await;
}

#[tokio::test]
async fn transfer_encoding_in_http_1_0() {
    let attack = format!("POST /attack HTTP/1.0\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    refused(&[&attack]).await;
}

#[tokio::test]
async fn content_lengths_that_are_no_number() {
    refused_posts(
        &[
            "Content-Length: -1",
            "Content-Length: +5",
            "Content-Length: 0x5",
            "Content-Length: 5, 5, 6",
            "Content-Length: 5 5",
            "Content-Length: ",
            "Content-Length: 99999999999999999999999999",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length : 5",
            "Content-Length: 1e3",
            "Content-Length: five",
        ],
        "hello",
    )
    .await;
}

#[tokio::test]
async fn equal_content_lengths_are_one_or_refused() {
    let attack = post("Content-Length: 5\r\nContent-Length: 5") + "hello";
    harmless(&[&attack]).await;
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
async fn bare_line_feeds_split_no_request() {
    let attacks = [
        format!("GET /one HTTP/1.1\nHost: {HOST}\nConnection: close\n\n"),
        format!("POST /one HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nX: a\nContent-Length: 47\r\n\r\n{SMUGGLED}"),
    ];
    harmless(&attacks.iter().map(String::as_str).collect::<Vec<_>>()).await;
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
    refused(&[&attack("http://evil.test/attack"), &attack("https://user@site.test/attack")]).await;
}

#[tokio::test]
async fn an_absolute_target_for_its_own_host_is_a_path() {
    let (backend, proxy) = site().await;
    let request = format!("GET https://{HOST}/own HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
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
async fn chunk_sizes_that_are_none() {
    let (backend, proxy) = site().await;
    for chunk in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "5;\nx\r\nhello\r\n0\r\n\r\n",
    ] {
        let attack = post("Transfer-Encoding: chunked") + chunk + SMUGGLED;
        let answer = answers(&proxy, &attack).await;
        let status = status_of(&answer);
        assert!(answer.is_empty() || (400..=431).contains(&status) || status == 502, "{chunk:?} got {answer:?}");
        assert_eq!(backend.count("/smuggled"), 0, "{chunk:?} smuggled");
    }
    assert_eq!(proxy.get("/alive").await.status, 200);
}

#[tokio::test]
async fn a_chunk_extension_flood_is_cut() {
    let (_backend, proxy) = site().await;
    let attack = post("Transfer-Encoding: chunked") + "5;" + &"x".repeat(200_000);
    let answer = answers(&proxy, &attack).await;
    assert!(answer.is_empty() || status_of(&answer) >= 400, "{answer:?}");
    assert_eq!(proxy.get("/alive").await.status, 200);
}

#[tokio::test]
async fn a_trailer_flood_is_cut() {
    let (_backend, proxy) = site().await;
    let attack = post("Transfer-Encoding: chunked") + "0\r\n" + &"X: y\r\n".repeat(50_000);
    let answer = answers(&proxy, &attack).await;
    assert!(answer.is_empty() || status_of(&answer) >= 400, "{answer:?}");
    assert_eq!(proxy.get("/alive").await.status, 200);
}

#[tokio::test]
async fn trailers_cannot_set_what_frames_or_routes() {
    let (backend, proxy) = site().await;
    let attack = post("Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\nConnection: close")
        + "5\r\nhello\r\n0\r\nContent-Length: 0\r\nHost: evil.test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let answer = answers(&proxy, &attack).await;
    assert!(!answer.contains("evil.test") && !answer.contains("6.6.6.6"), "{answer}");
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_body_with_a_get_is_its_body_and_no_request() {
    let (backend, proxy) = site().await;
    let length = SMUGGLED.len();
    let attack = get(&format!("Content-Length: {length}\r\nConnection: close")) + SMUGGLED;
    let answer = answers(&proxy, &attack).await;
    assert_eq!(backend.count("/smuggled"), 0, "{answer}");
}

#[tokio::test]
async fn a_body_that_is_refused_is_no_next_request() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .server("head_timeout = \"1s\"")
        .route("/refused", "respond = { status = 403, body = \"no\" }")
        .start()
        .await;
    let length = SMUGGLED.len();
    let attack = format!("POST /refused HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}");
    let answer = answers(&proxy, &attack).await;
    assert_eq!(status_of(&answer), 403);
    assert_eq!(backend.count("/smuggled"), 0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_backend, proxy) = site().await;
    let one = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
    let answer = answers(&proxy, &(one("/1", "") + &one("/2", "") + &one("/3", "Connection: close\r\n"))).await;
    let at = |path: &str| answer.find(&format!("\"target\":\"{path}\"")).unwrap();
    assert!(at("/1") < at("/2") && at("/2") < at("/3"));
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
    let attack = get(&(0..2000).map(|index| format!("x-{index}: y")).collect::<Vec<_>>().join("\r\n"));
    refused(&[&attack]).await;
}

#[tokio::test]
async fn refusals_are_logged_and_counted() {
    let (_backend, proxy) = site().await;
    answers(&proxy, "GET /\x00 HTTP/1.1\r\n\r\n").await;
    proxy.logged(&["malformed"]).await;
    assert!(proxy.metric("portcullis_", &["malformed"]).await >= 1.0);
}

#[tokio::test]
async fn the_plain_listener_is_as_strict() {
    let (backend, proxy) = site().await;
    for attack in [get("X : a"), post("Content-Length: 5\r\nContent-Length: 6"), "\x00\x00\r\n\r\n".to_owned()] {
        let mut raw = Raw::connect(&Target::plain(proxy.http())).await.unwrap();
        raw.try_send(&attack).await.ok();
        let answer = raw.read_to_end().await;
        assert!(answer.is_empty() || (400..=431).contains(&status_of(&answer)), "{attack:?} got {answer:?}");
    }
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn files_are_not_left_by_any_path() {
    let dir = crate::harness::setup::folder_with_spa();
    std::fs::write(dir.path().join("www/.env"), "SECRET=1").unwrap();
    std::os::unix::fs::symlink(dir.path().join("site.key"), dir.path().join("www/link.txt")).unwrap();
    let proxy = Setup::new().route("/", "files = { root = \"@dir/www\" }").start_in(dir).await;
    for path in [
        "/../site.key", "/%2e%2e/site.key", "/..%2fsite.key", "/%2e%2e%2fsite.key", "/assets/../../site.key",
        "/..%5csite.key", "/%252e%252e/site.key", "/.env", "/%2eenv", "/assets/..%2f.env", "/link.txt",
        "/index.html%00.js", "//etc/passwd", "/%2fetc%2fpasswd", "/%ff%fe",
    ] {
        let mut raw = proxy.raw().await;
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await;
        let answer = raw.read_to_end().await;
        assert!([400, 403, 404].contains(&status_of(&answer)), "{path}: {answer}");
        assert!(!answer.contains("SECRET") && !answer.contains("PRIVATE KEY"), "{path}");
    }
}
