//! Bodies, both ways: sizes, framings, trailers.

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body, Frame};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::harness::{
    HOST, PATIENCE, Proxy,
    backend::{Backend, echoed, full},
    peer::Peer,
    setup::Setup,
};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const MIB: usize = 1 << 20;

async fn echo() -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .route(
            "/up/",
            "proxy = { upstream = \"app\" }\nbody_limit = \"16MiB\"",
        )
        .start()
        .await;
    (backend, proxy)
}

/// A body in pieces, with trailers at its end when there are some.
fn pieces(
    data: Vec<&'static [u8]>,
    trailers: Option<HeaderMap>,
) -> impl Body<Data = Bytes, Error = io::Error> + Send + Sync + 'static {
    let frames = data
        .into_iter()
        .map(|piece| Frame::data(Bytes::from_static(piece)));
    let frames: Vec<_> = frames
        .chain(trailers.map(Frame::trailers))
        .map(Ok::<_, Infallible>)
        .collect();
    StreamBody::new(stream::iter(frames)).map_err(|never| match never {})
}

/// Bytes that are not all alike.
fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect()
}

#[tokio::test]
async fn five_mebibytes_go_up() {
    let (_backend, proxy) = echo().await;
    for version in BOTH {
        let echo = proxy
            .request("POST", "/up/")
            .version(version)
            .body(pattern(5 * MIB))
            .send()
            .await
            .json();
        assert_eq!(echo["length"], 5 * MIB);
        assert_eq!(echoed(&echo, "content-length"), [(5 * MIB).to_string()]);
    }
}

#[tokio::test]
async fn five_mebibytes_come_down() {
    let backend =
        Backend::with(|_| async move { http::Response::new(full(pattern(5 * MIB))) }).await;
    let proxy = Setup::to(&[&backend]).start().await;
    for version in BOTH {
        let reply = proxy.request("GET", "/").version(version).send().await;
        assert_eq!(reply.header("content-length"), (5 * MIB).to_string());
        assert!(reply.body == pattern(5 * MIB), "the bytes differ");
    }
}

#[tokio::test]
async fn pieces_of_unknown_length_go_up_chunked() {
    let (_backend, proxy) = echo().await;
    for version in BOTH {
        let body = pieces(vec![b"one ", b"two ", b"three"], None);
        let echo = proxy
            .request("POST", "/")
            .version(version)
            .stream(body)
            .send()
            .await
            .json();
        assert_eq!(echo["body"], "one two three");
        assert_eq!(echoed(&echo, "transfer-encoding"), ["chunked"]);
    }
}

#[tokio::test]
async fn an_h2_body_with_a_length_keeps_it() {
    let (_backend, proxy) = echo().await;
    let echo = proxy
        .request("PUT", "/")
        .h2()
        .body("12345")
        .send()
        .await
        .json();
    assert_eq!(echoed(&echo, "content-length"), ["5"]);
    assert!(echoed(&echo, "transfer-encoding").is_empty());
}

#[tokio::test]
async fn a_get_has_no_body_and_no_framing() {
    let (_backend, proxy) = echo().await;
    for version in BOTH {
        let echo = proxy
            .request("GET", "/")
            .version(version)
            .send()
            .await
            .json();
        assert!(echoed(&echo, "transfer-encoding").is_empty(), "{echo}");
        assert!(echoed(&echo, "content-length").is_empty(), "{echo}");
    }
}

#[tokio::test]
async fn an_empty_post_says_so() {
    let (_backend, proxy) = echo().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ))
    .await;
    let answer = raw.read_to_end().await;
    assert!(answer.contains("[\"content-length\",\"0\"]"), "{answer}");
}

#[tokio::test]
async fn trailers_go_up() {
    let (_backend, proxy) = echo().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    for version in BOTH {
        let body = pieces(vec![b"data"], Some(trailers.clone()));
        let echo = proxy
            .request("POST", "/")
            .version(version)
            .header("trailer", "x-checksum")
            .header("te", "trailers")
            .stream(body)
            .send()
            .await
            .json();
        assert_eq!(echo["body"], "data");
        assert!(
            echo["trailers"].to_string().contains("abc"),
            "{version:?} {echo}"
        );
    }
}

#[tokio::test]
async fn trailers_come_down() {
    let backend = Backend::canned(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n\
         4\r\ndata\r\n0\r\nX-Checksum: abc\r\n\r\n",
    )
    .await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    for version in BOTH {
        let reply = proxy
            .request("GET", "/")
            .version(version)
            .header("te", "trailers")
            .send()
            .await;
        assert_eq!(reply.text(), "data");
        let trailers = reply.trailers.unwrap_or_default();
        assert_eq!(
            trailers.get("x-checksum").map(HeaderValue::as_bytes),
            Some(&b"abc"[..]),
            "{version:?}"
        );
    }
    assert_eq!(backend.connections(), 1, "the connection is still in step");
}

#[tokio::test]
async fn a_chunked_answer_comes_down_whole() {
    let backend = Backend::canned(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=1\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n",
    )
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    for version in BOTH {
        assert_eq!(
            proxy
                .request("GET", "/")
                .version(version)
                .send()
                .await
                .text(),
            "Wikipedia"
        );
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_comes_down_whole() {
    let backend =
        Backend::canned_once("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end").await;
    let proxy = Setup::to(&[&backend]).start().await;
    for version in BOTH {
        assert_eq!(
            proxy
                .request("GET", "/")
                .version(version)
                .send()
                .await
                .text(),
            "until the end"
        );
    }
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks() {
    let backend = Backend::canned(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    )
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!("GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n"))
        .await;
    let answer = raw.read_to_end().await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(
        !answer.to_ascii_lowercase().contains("transfer-encoding"),
        "{answer}"
    );
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    let (_backend, proxy) = echo().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    ))
    .await;
    assert!(raw.head().await.starts_with("http/1.1 100"));
    raw.send("body").await;
    let answer = raw.read_to_end().await;
    assert!(answer.contains("\"body\":\"body\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let (backend, proxy) = echo().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n"
    ))
    .await;
    assert!(raw.head().await.starts_with("http/1.1 413"));
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn h1_connections_are_kept_after_bodies() {
    let (_backend, proxy) = echo().await;
    let mut session = proxy.session().await;
    for round in 0..5 {
        let reply = session
            .send(proxy.request("POST", "/").body(vec![b'x'; 1000 * round]))
            .await;
        assert_eq!(reply.json()["length"], 1000 * round);
    }
}

#[tokio::test]
async fn a_hundred_streams_share_one_h2_connection() {
    let (_backend, proxy) = echo().await;
    let session = proxy.session2().await;
    let crate::harness::client::Session::Http2(sender) = &session else {
        panic!("not h2")
    };
    let mut answers = Vec::new();
    for index in 0..100 {
        let mut session = crate::harness::client::Session::Http2(sender.clone());
        let request = proxy
            .request("POST", &format!("/{index}"))
            .body(pattern(20_000));
        answers.push(tokio::spawn(async move { session.send(request).await }));
    }
    for (index, answer) in answers.into_iter().enumerate() {
        let echo = answer.await.unwrap().json();
        assert_eq!(
            (&echo["target"], &echo["length"]),
            (&format!("/{index}").into(), &20_000.into())
        );
    }
}

#[tokio::test]
async fn an_answer_that_says_its_length_twice_says_it_once() {
    let backend =
        Backend::canned("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
            .await;
    let proxy = Setup::to(&[&backend]).start().await;
    for h2 in [false, true] {
        let request = proxy.request("GET", "/");
        let reply = if h2 { request.h2() } else { request }.send().await;
        assert_eq!(
            (reply.text().as_str(), reply.count("content-length")),
            ("hello", 1)
        );
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none_whatever_they_say() {
    for head in [
        "204 No Content\r\nContent-Length: 5",
        "304 Not Modified\r\nContent-Length: 5",
        "204 No\r\nTransfer-Encoding: chunked",
    ] {
        let answer: &'static str = format!("HTTP/1.1 {head}\r\n\r\n").leak();
        let backend = Backend::canned(answer).await;
        let proxy = Setup::to(&[&backend]).start().await;
        for h2 in [false, true] {
            let mut session = if h2 {
                proxy.session2().await
            } else {
                proxy.session().await
            };
            for _ in 0..2 {
                let reply = session.send(proxy.request("GET", "/")).await;
                assert!(reply.body.is_empty(), "{head}");
                let reply = session.send(proxy.request("HEAD", "/")).await;
                assert!(reply.body.is_empty(), "{head}");
            }
        }
    }
}

/// Pieces of a mebibyte, slow enough that all of them take far more time than a client may stall.
fn paced(pieces: usize, done: oneshot::Sender<()>) -> impl Body<Data = Bytes, Error = io::Error> {
    StreamBody::new(stream::unfold(
        (pieces, Some(done)),
        async |(left, mut done)| {
            if left == 0 {
                let _ = done.take().unwrap().send(());
                return None;
            }
            sleep(Duration::from_millis(120)).await;
            let piece = Frame::data(Bytes::from(vec![b'x'; MIB]));
            Some((Ok(piece), (left - 1, done)))
        },
    ))
}

#[tokio::test]
async fn a_client_may_upload_everything_before_it_reads() {
    let backend = Peer::start("upload-echo.mjs", &[]);
    let port = backend.says("listening").await;
    let url = format!("http://127.0.0.1:{port}");
    let proxy = Setup::to_urls(&[url])
        .route(
            "/",
            "proxy = { upstream = \"app\" }\nbody_limit = \"64MiB\"",
        )
        .server("stall_timeout = \"1s\"")
        .start()
        .await;
    for version in BOTH {
        let (done, is_done) = oneshot::channel();
        let request = proxy.request("POST", "/").version(version);
        let response = request.stream(paced(24, done)).open().await;
        let uploaded = timeout(PATIENCE, is_done).await;
        assert!(matches!(uploaded, Ok(Ok(()))), "{version:?}");
        // So much through TLS takes its time on a busy machine.
        let echo = timeout(PATIENCE * 4, response.into_body().collect()).await;
        let echo = echo.unwrap().unwrap().to_bytes();
        assert_eq!(echo.len(), 24 * MIB, "{version:?}");
    }
}
