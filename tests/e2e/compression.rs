//! Proxied responses are compressed on their way, at once, and only where nothing is lost by it.

use std::io::Read as _;

use bytes::Bytes;
use http::{Response, Version};
use http_body_util::{BodyExt as _, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use tokio::{sync::mpsc, time::timeout};

use crate::harness::{
    HOST, PATIENCE, Proxy,
    backend::{Backend, full},
    client::{Reply, Session},
    command::run,
    eventually,
    nest::Nest,
    node::Node,
    setup::Setup,
};

const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];
const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// What can be decoded of `coded`, and whether that is all.
fn decode(coding: &str, coded: &[u8]) -> (String, bool) {
    let mut reader: Box<dyn std::io::Read> = match coding {
        "br" => Box::new(brotli::Decompressor::new(coded, 4096)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(coded).unwrap()),
        _ => Box::new(flate2::read::GzDecoder::new(coded)),
    };
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    let is_whole = loop {
        match reader.read(&mut piece) {
            Ok(0) => break true,
            Ok(count) => text.extend_from_slice(&piece[..count]),
            Err(_) => break false,
        }
    };
    (String::from_utf8(text).unwrap(), is_whole)
}

fn whole(reply: &Reply) -> String {
    let (text, is_whole) = decode(reply.header("content-encoding"), &reply.body);
    assert!(is_whole, "{reply:?}");
    text
}

/// A backend that sends each text that it is given as a chunk.
async fn chunks(head: &'static str) -> (Backend, mpsc::UnboundedSender<&'static str>) {
    let (next, given) = mpsc::unbounded_channel::<&str>();
    let given = std::sync::Arc::new(tokio::sync::Mutex::new(given));
    let backend = Backend::scripted(move |mut conn| {
        let given = given.clone();
        async move {
            conn.head().await;
            conn.write(&format!(
                "HTTP/1.1 200 OK\r\n{head}\r\nTransfer-Encoding: chunked\r\n\r\n"
            ))
            .await?;
            let mut given = given.lock().await;
            while let Some(text) = given.recv().await {
                conn.write(&format!("{:x}\r\n{text}\r\n", text.len()))
                    .await?;
            }
            conn.write("0\r\n\r\n").await
        }
    })
    .await;
    (backend, next)
}

async fn frame(response: &mut Response<Incoming>) -> Vec<u8> {
    let frame = timeout(PATIENCE, response.body_mut().frame()).await;
    let frame = frame.expect("a piece comes").unwrap().unwrap();
    frame.into_data().unwrap().to_vec()
}

async fn express() -> (Node, Proxy) {
    let node = Node::start("express.mjs", &[]).await;
    let proxy = Setup::to_urls(&[node.url("http")])
        .route("/", "proxy = { upstream = \"app\" }")
        .route(
            "/secret/",
            "proxy = { upstream = \"app\", strip_prefix = true }\ncompress = false",
        )
        .start()
        .await;
    (node, proxy)
}

#[tokio::test]
async fn curl_gets_from_express_what_it_would_get_uncompressed() {
    let (_node, proxy) = express().await;
    let plain = proxy.get("/list").await.text();
    let (port, ca) = (proxy.https().port(), proxy.dir().join("ca.pem"));
    let resolve = format!("{HOST}:{port}:127.0.0.1");
    for protocol in ["--http1.1", "--http2"] {
        for coding in CODINGS {
            let accept = format!("accept-encoding: {coding}");
            let url = format!("https://{HOST}:{port}/list");
            let args = ["-sS", protocol, "--cacert", ca.to_str().unwrap()];
            let more = ["--resolve", &resolve, "--compressed", "-H", &accept];
            let last = ["-w", "\n%header{content-encoding} %{size_download}", &url];
            let said = run("curl", &[&args[..], &more, &last].concat(), "").await;
            let (body, rest) = said.stdout.rsplit_once('\n').unwrap();
            assert_eq!(body, plain, "{said:?}");
            let (used, size) = rest.split_once(' ').unwrap();
            let size: usize = size.parse().unwrap();
            // Debian's curl does not know `%header` yet.
            assert!(used == coding || used.contains("header"), "{said:?}");
            assert!(size < plain.len() / 2, "{size} of {} bytes", plain.len());
        }
    }
}

#[tokio::test]
async fn an_entity_tag_that_was_weakened_still_finds_its_304_in_express() {
    let (_node, proxy) = express().await;
    let strong = proxy.get("/list").await.header("etag").to_owned();
    assert!(strong.starts_with('"'), "{strong}");
    let weak = format!("W/{strong}");
    for version in VERSIONS {
        let get = || proxy.request("GET", "/list").version(version);
        let first = get().header("accept-encoding", "gzip").send().await;
        assert_eq!(first.header("etag"), weak);
        assert_eq!(first.header("content-length"), first.body.len().to_string());
        for (accepted, known) in [("gzip", &weak), ("br", &weak), ("identity", &strong)] {
            let again = get()
                .header("accept-encoding", accepted)
                .header("if-none-match", known);
            let again = again.send().await;
            assert_eq!(again.status, 304);
            assert_eq!(again.header("etag"), known);
            assert_eq!(again.header("vary").to_lowercase(), "accept-encoding");
        }
    }
}

#[tokio::test]
async fn nest_on_both_adapters_is_compressed_and_revalidated() {
    for adapter in ["express", "fastify"] {
        let nest = Nest::start(1, adapter, &[]).await;
        let proxy = nest.behind_proxy().await;
        let mut session = Session::http2(&proxy.target().name("localhost"))
            .await
            .unwrap();
        let request = |method: &str, path: &str| {
            proxy
                .request(method, path)
                .host("localhost")
                .header("accept-encoding", "gzip, deflate, br, zstd")
        };
        for number in 0..30 {
            let todo = format!("{{\"title\":\"to-do number {number}, which is long enough\"}}");
            let post = request("POST", "/api/todos").header("content-type", "application/json");
            assert_eq!(session.send(post.body(todo)).await.status, 201);
        }
        let list = session.send(request("GET", "/api/todos")).await;
        assert_eq!(list.header("content-encoding"), "zstd", "{adapter}");
        assert!(whole(&list).contains("to-do number 29"));
        let etag = list.header("etag").to_owned();
        if !etag.is_empty() {
            let again = request("GET", "/api/todos").header("if-none-match", &etag);
            let again = session.send(again).await;
            assert_eq!((again.status.as_u16(), again.header("etag")), (304, &*etag));
            assert!(again.header("vary").contains("accept-encoding"));
        }
        // Less than is worth it.
        let small = session.send(request("GET", "/api/health")).await;
        assert_eq!(small.header("content-encoding"), "");
    }
}

#[tokio::test]
async fn head_ranges_and_a_route_that_is_off_are_as_they_should_be() {
    let (_node, proxy) = express().await;
    for version in VERSIONS {
        let request = |method: &str, path: &str| {
            let request = proxy.request(method, path).version(version);
            request.header("accept-encoding", "gzip")
        };
        let get = request("GET", "/files/express.mjs?").send().await;
        let small = whole(&request("GET", "/files/browser.mjs").send().await);
        assert_eq!(get.header("content-encoding"), "", "too small");
        let head = request("HEAD", "/files/browser.mjs").send().await;
        assert_eq!(head.header("content-encoding"), "gzip");
        assert_eq!(head.count("content-length"), 0, "{head:?}");
        assert!(head.header("etag").starts_with("W/"));
        let part = request("GET", "/files/browser.mjs").header("range", "bytes=5-1999");
        let part = part.send().await;
        assert_eq!(part.status, 206);
        assert_eq!(part.text(), small[5..2000]);
        let off = request("GET", "/secret/list").send().await;
        assert_eq!((off.header("content-encoding"), off.count("vary")), ("", 0));
        assert!(off.header("etag").starts_with('"'));
    }
}

#[tokio::test]
async fn each_piece_comes_before_the_next_is_sent() {
    for version in VERSIONS {
        for coding in CODINGS {
            let (backend, next) = chunks("Content-Type: text/plain").await;
            let proxy = Setup::to(&[&backend]).threads(1).start().await;
            let request = proxy.request("GET", "/").version(version);
            let mut response = request.header("accept-encoding", coding).open().await;
            assert_eq!(response.headers()["content-encoding"], coding);
            let (mut coded, mut sent) = (Vec::new(), String::new());
            for text in ["one piece, ", "another, ", "and a third"] {
                next.send(text).unwrap();
                sent.push_str(text);
                while decode(coding, &coded).0 != sent {
                    coded.extend(frame(&mut response).await);
                }
            }
            drop(next);
            coded.extend(response.into_body().collect().await.unwrap().to_bytes());
            assert_eq!(decode(coding, &coded), (sent, true));
        }
    }
}

#[tokio::test]
async fn events_stay_as_they_are() {
    let (backend, next) = chunks("Content-Type: text/event-stream; charset=utf-8").await;
    let proxy = Setup::to(&[&backend]).start().await;
    let request = proxy.request("GET", "/").header("accept-encoding", "br");
    let mut response = request.open().await;
    assert!(!response.headers().contains_key("content-encoding"));
    assert!(!response.headers().contains_key("vary"));
    next.send("data: 1\n\n").unwrap();
    assert_eq!(frame(&mut response).await, b"data: 1\n\n");
}

#[tokio::test]
async fn what_is_compressed_or_not_to_be_changed_passes() {
    let backend = Backend::with(async |request| {
        let body = "x".repeat(3000);
        let response = Response::builder().header("content-type", "text/plain");
        let response = match request.uri().path() {
            "/coded" => response.header("content-encoding", "br"),
            "/fixed" => response.header("cache-control", "no-transform"),
            "/image" => response.header("content-type", "image/png"),
            _ => response.header("vary", "Origin"),
        };
        response.header("etag", "\"x\"").body(full(body)).unwrap()
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let get = |path: &str| proxy.request("GET", path).header("accept-encoding", "gzip");
    for path in ["/coded", "/fixed"] {
        let reply = get(path).send().await;
        assert_eq!(reply.text(), "x".repeat(3000), "{path}");
        assert_eq!(reply.header("etag"), "\"x\"", "{path}");
        assert_eq!(reply.count("vary"), 0, "{path}");
    }
    let reply = get("/").send().await;
    assert_eq!(whole(&reply), "x".repeat(3000));
    let vary: Vec<_> = reply.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Origin", "accept-encoding"]);
    // The log counts what was sent.
    let logged = proxy.access("/").await;
    assert_eq!(logged["bytes"], reply.body.len());
    assert!(backend.count("GET /") > 0);
}

#[tokio::test]
async fn a_backend_that_breaks_off_leaves_no_whole_response() {
    let line = "this comes, and no more. ".repeat(20);
    for head in ["Content-Length: 9000", "Transfer-Encoding: chunked"] {
        let (head, line) = (head.to_owned(), line.clone());
        let backend = Backend::scripted(move |mut conn| {
            let chunk = if head.starts_with('T') {
                format!("{:x}\r\n{line}\r\n", line.len())
            } else {
                line.clone()
            };
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{head}\r\n\r\n{chunk}");
            async move {
                conn.head().await;
                conn.write(&head).await
            }
        })
        .await;
        let proxy = Setup::to(&[&backend]).start().await;
        for version in VERSIONS {
            for coding in CODINGS {
                let request = proxy.request("GET", "/").version(version);
                // Over HTTP/1.1 the connection may end before its head was written.
                if let Ok(response) = request.header("accept-encoding", coding).try_open().await {
                    assert_eq!(response.headers()["content-encoding"], coding);
                    assert!(Reply::read(response).await.is_err(), "{version:?} {coding}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_backends_exchange_along() {
    for version in VERSIONS {
        let (backend, next) = chunks("Content-Type: text/plain").await;
        let proxy = Setup::to(&[&backend]).start().await;
        let request = proxy.request("GET", "/").version(version);
        let mut response = request.header("accept-encoding", "zstd").open().await;
        next.send("a piece").unwrap();
        frame(&mut response).await;
        drop(response);
        eventually("the backend's end", async || {
            // A backend that only writes notices at its next writes.
            let _ = next.send("one more");
            (backend.open() == 0).then_some(())
        })
        .await;
        assert_eq!(proxy.access("/").await["status"], 200);
    }
}

#[tokio::test]
async fn an_endless_compressible_body_holds_up_nobody_else() {
    let backend = Backend::with(async |request| {
        let response = Response::builder().header("content-type", "text/plain");
        let body = match request.uri().path() {
            "/endless" => {
                let piece = || Ok(Frame::data(Bytes::from_static(&[b'x'; 1 << 13])));
                BoxBody::new(StreamBody::new(futures_util::stream::repeat_with(piece)))
            }
            _ => full("here"),
        };
        response.body(body).unwrap()
    })
    .await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    for coding in CODINGS {
        let request = proxy.request("GET", "/endless");
        let endless = request.header("accept-encoding", coding).open().await;
        assert_eq!(endless.headers()["content-encoding"], coding);
        let reading = tokio::spawn(endless.into_body().collect());
        assert_eq!(proxy.get("/small").await.text(), "here");
        assert!(!reading.is_finished(), "it has no end");
        reading.abort();
    }
}
