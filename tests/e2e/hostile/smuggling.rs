//! Two requests where one was meant: framings that two parsers could read in two ways.

use super::{SMUGGLED, answers, get, harmless, post, refused, site};
use crate::harness::{HOST, backend::Backend, raw::status_of, setup::Setup};

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
            "content-length: 6\r\nX: y\r\nTRANSFER-ENCODING: Chunked",
        ],
        "0\r\n\r\n",
    )
    .await;
}

#[tokio::test]
async fn both_lengths_in_a_later_request_of_a_connection() {
    let (backend, proxy) = site().await;
    let first = format!("POST /first HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\nhello");
    let chunked = format!(
        "POST /second HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    let attack = post("Content-Length: 6\r\nTransfer-Encoding: chunked") + "0\r\n\r\n";
    let answer = answers(
        &proxy,
        &[&first, &chunked, &attack, SMUGGLED]
            .map(|part| part as &str)
            .concat(),
    )
    .await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{answer}");
    assert_eq!(backend.requests(), ["POST /first", "POST /second"]);
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
    let attack = format!(
        "POST /attack HTTP/1.0\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
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
async fn bare_line_feeds_split_no_request() {
    let attacks = [
        format!("GET /one HTTP/1.1\nHost: {HOST}\nConnection: close\n\n"),
        format!(
            "POST /one HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nX: a\nContent-Length: 47\r\n\r\n{SMUGGLED}"
        ),
    ];
    harmless(&attacks.iter().map(String::as_str).collect::<Vec<_>>()).await;
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
        assert!(
            answer.is_empty() || (400..=431).contains(&status) || status == 502,
            "{chunk:?} got {answer:?}"
        );
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
    assert!(
        !answer.contains("evil.test") && !answer.contains("6.6.6.6"),
        "{answer}"
    );
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
    let attack = format!(
        "POST /refused HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
    );
    let answer = answers(&proxy, &attack).await;
    assert_eq!(status_of(&answer), 403);
    assert_eq!(backend.count("/smuggled"), 0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_backend, proxy) = site().await;
    let one =
        |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
    let answer = answers(
        &proxy,
        &(one("/1", "") + &one("/2", "") + &one("/3", "Connection: close\r\n")),
    )
    .await;
    let at = |path: &str| answer.find(&format!("\"target\":\"{path}\"")).unwrap();
    assert!(at("/1") < at("/2") && at("/2") < at("/3"));
}
