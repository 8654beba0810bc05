//! HTTP/2 that breaks its rules: no field splits a request of the backend, no flood costs others.

use crate::harness::{
    HOST, Proxy,
    backend::Backend,
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, PING, RST_STREAM,
        SETTINGS, block,
    },
    setup::Setup,
};

type Fields = Vec<(&'static str, &'static str)>;

async fn site() -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    (backend, proxy)
}

fn get(path: &'static str) -> Fields {
    vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", path),
    ]
}

fn with(more: &[(&'static str, &'static str)]) -> Fields {
    [get("/attack"), more.to_vec()].concat()
}

/// Each is reset, closed or answered with an error, and no backend saw it.
async fn refused(attacks: &[Fields]) {
    let (backend, proxy) = site().await;
    for fields in attacks {
        let mut frames = Frames::connect(&proxy.target()).await;
        frames.head(1, END_STREAM, fields).await;
        let outcome = frames.outcome(1).await;
        assert_ne!(outcome, Outcome::Status(200), "{fields:?}");
        assert!(
            backend.requests().is_empty(),
            "{fields:?} passed: {:?}",
            backend.requests()
        );
    }
    alive(&proxy).await;
}

async fn alive(proxy: &Proxy) {
    assert_eq!(proxy.request("GET", "/alive").h2().send().await.status, 200);
    assert_eq!(proxy.get("/alive").await.status, 200);
}

#[tokio::test]
async fn a_proper_request_passes() {
    let (backend, proxy) = site().await;
    let mut frames = Frames::connect(&proxy.target()).await;
    frames.head(1, END_STREAM, &get("/proper")).await;
    assert_eq!(frames.outcome(1).await, Outcome::Status(200));
    assert_eq!(backend.requests(), ["GET /proper"]);
}

#[tokio::test]
async fn fields_of_http_1_connections() {
    refused(&[
        with(&[("connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("keep-alive", "timeout=5")]),
        with(&[("proxy-connection", "keep-alive")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
    ])
    .await;
}

#[tokio::test]
async fn fields_that_would_split_the_backends_request() {
    refused(&[
        with(&[("x", "a\r\nGET /smuggled HTTP/1.1\r\nhost: b")]),
        with(&[("x", "a\nb: c")]),
        with(&[("x", "a\rb")]),
        with(&[("x", "a\x00b")]),
        with(&[("x\r\ny", "a")]),
        with(&[("x: y", "a")]),
        with(&[("x y", "a")]),
        with(&[("X-Upper", "a")]),
        with(&[("", "a")]),
    ])
    .await;
}

#[tokio::test]
async fn pseudo_fields_that_are_wrong() {
    let replaced = |name: &'static str, value: &'static str| {
        let mut fields = get("/attack");
        fields.retain(|(known, _)| *known != name);
        fields.insert(0, (name, value));
        fields
    };
    let without = |name: &'static str| {
        let mut fields = get("/attack");
        fields.retain(|(known, _)| *known != name);
        fields
    };
    refused(&[
        replaced(":path", "/attack HTTP/1.1\r\nhost: b\r\n\r\n"),
        replaced(":path", "/att ack"),
        replaced(":path", ""),
        replaced(":method", "GET /smuggled HTTP/1.1\r\nx:"),
        replaced(":method", ""),
        replaced(":authority", "site.test\r\nx: y"),
        replaced(":authority", "user@site.test"),
        replaced(":authority", "site.test/evil"),
        replaced(":scheme", "ht tp"),
        without(":path"),
        without(":method"),
        without(":scheme"),
        without(":authority"),
        with(&[(":path", "/attack")]),
        with(&[(":unknown", "x")]),
        with(&[(":status", "200")]),
        with(&[("x", "y"), (":path", "/attack")]),
    ])
    .await;
}

#[tokio::test]
async fn a_host_that_contradicts_the_authority() {
    refused(&[
        with(&[("host", "evil.test")]),
        with(&[("host", HOST), ("host", HOST)]),
    ])
    .await;
}

#[tokio::test]
async fn connect_without_websocket() {
    refused(&[
        vec![(":method", "CONNECT"), (":authority", HOST)],
        vec![(":method", "CONNECT"), (":authority", "127.0.0.1:22")],
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says() {
    let (backend, proxy) = site().await;
    for (length, body) in [
        ("5", "hello, and a GET /smuggled HTTP/1.1\r\n\r\n"),
        ("50", "short"),
    ] {
        let mut frames = Frames::connect(&proxy.target()).await;
        let mut fields = with(&[("content-length", length)]);
        fields[0] = (":method", "POST");
        frames.head(1, 0, &fields).await;
        frames.send(DATA, END_STREAM, 1, body.as_bytes()).await;
        assert_ne!(frames.outcome(1).await, Outcome::Status(200), "{length}");
    }
    assert_eq!(backend.count("/smuggled"), 0);
    alive(&proxy).await;
}

/// Sends `frame` until the other side closes, at most `most` times.
async fn flood(proxy: &Proxy, most: u32, kind: u8, payload: &[u8]) {
    let mut frames = Frames::connect(&proxy.target()).await;
    for _ in 0..most {
        if !frames.send(kind, 0, 0, payload).await {
            break;
        }
    }
}

#[tokio::test]
async fn floods_of_control_frames_cost_nobody_else() {
    let (_backend, proxy) = site().await;
    flood(&proxy, 20_000, SETTINGS, &[]).await;
    flood(&proxy, 20_000, PING, &[0; 8]).await;
    assert!(proxy.resident_mib() < 200, "{} MiB", proxy.resident_mib());
    alive(&proxy).await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_connection() {
    let (backend, proxy) = site().await;
    let mut frames = Frames::connect(&proxy.target()).await;
    let mut sent = 0;
    for id in (1..40_000).step_by(2) {
        if !frames.head(id, END_STREAM, &get("/reset")).await {
            break;
        }
        if !frames.send(RST_STREAM, 0, id, &8_u32.to_be_bytes()).await {
            break;
        }
        sent += 1;
    }
    assert!(
        sent < 20_000 || backend.requests().len() < 20_000,
        "nothing stops it"
    );
    assert!(proxy.resident_mib() < 200, "{} MiB", proxy.resident_mib());
    alive(&proxy).await;
}

#[tokio::test]
async fn a_flood_of_continuations_is_cut() {
    let (backend, proxy) = site().await;
    let mut frames = Frames::connect(&proxy.target()).await;
    frames
        .send(HEADERS, END_STREAM, 1, &block(&get("/attack")))
        .await;
    let piece = block(&[("x-large", &"x".repeat(8000))]);
    let mut sent = 0;
    while sent < 20_000 && frames.send(CONTINUATION, 0, 1, &piece).await {
        sent += 1;
    }
    assert!(sent < 20_000, "160 MB of one head were taken");
    frames.send(CONTINUATION, END_HEADERS, 1, &[]).await;
    assert!(backend.requests().is_empty());
    assert!(proxy.resident_mib() < 200, "{} MiB", proxy.resident_mib());
    alive(&proxy).await;
}

#[tokio::test]
async fn a_flood_of_empty_data_is_cut() {
    let (_backend, proxy) = site().await;
    let mut frames = Frames::connect(&proxy.target()).await;
    let mut fields = get("/empty");
    fields[0] = (":method", "POST");
    frames.head(1, 0, &fields).await;
    let mut sent = 0;
    while sent < 50_000 && frames.send(DATA, 0, 1, &[]).await {
        sent += 1;
    }
    assert!(sent < 50_000, "empty frames are taken without end");
    alive(&proxy).await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.closed().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut frames = Frames::connect(&proxy.target()).await;
    for id in (1..400).step_by(2) {
        frames.head(id, END_STREAM, &get("/many")).await;
    }
    assert_eq!(frames.outcome(399).await, Outcome::Reset);
    assert!(backend.connections() <= 128, "{}", backend.connections());
}
