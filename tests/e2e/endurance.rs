//! What must not be held for ever, lost in a swap, or cut while it can be answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{Instant, sleep, timeout},
};

use crate::harness::{
    HOST, PATIENCE, Proxy,
    backend::{Backend, Serve},
    client::{Stream, Target},
    eventually, pki,
    raw::{Raw, status_of},
    setup::Setup,
};

fn hello() -> Setup {
    Setup::new().route("/", "respond = { status = 200, body = \"hello\" }")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

#[tokio::test]
async fn a_connection_from_before_the_drain_is_answered_once() {
    let mut proxy = hello().start().await;
    let mut raw = proxy.raw().await;
    proxy.signal("TERM");
    proxy.logged(&["draining"]).await;
    sleep(Duration::from_millis(200)).await;
    raw.send(get("/")).await;
    let answer = raw.read_to_end().await;
    assert_eq!(status_of(&answer), 200, "{answer:?}");
    assert_eq!(proxy.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_the_drain_up() {
    let mut proxy = hello().start().await;
    let _tls = proxy.raw().await;
    let _plain = Raw::connect(&Target::plain(proxy.http())).await.unwrap();
    let start = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn the_deadline_ends_streams_that_wait_for_a_backend() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.closed().await;
        Ok(())
    })
    .await;
    let mut proxy = Setup::to(&[&backend])
        .server("drain_timeout = \"1s\"")
        .start()
        .await;
    let request = proxy.request("GET", "/never").h2();
    let waiting = tokio::spawn(request.try_open());
    eventually("the request", async || (backend.open() == 1).then_some(())).await;
    let start = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn an_idle_plain_connection_does_not_keep_an_old_upstream_alive() {
    let probed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", probed.local_addr().unwrap());
    let probes = Arc::new(AtomicUsize::new(0));
    let counted = probes.clone();
    tokio::spawn(async move {
        while probed.accept().await.is_ok() {
            counted.fetch_add(1, Relaxed);
        }
    });
    let old = Setup::to_urls(&[url])
        .upstream("probe = { interval = \"200ms\", timeout = \"100ms\" }")
        .route("/", "proxy = { upstream = \"app\" }");
    let proxy = old.start().await;
    let mut idle = Raw::connect(&Target::plain(proxy.http())).await.unwrap();
    idle.send(get("/")).await;
    idle.read_until("\r\n\r\n").await;
    eventually("probes", async || (probes.load(Relaxed) > 2).then_some(())).await;
    proxy.reload(&hello().toml()).await;
    // The sweep of each worker lets go of the old services within a second.
    sleep(Duration::from_millis(1500)).await;
    let seen = probes.load(Relaxed);
    sleep(Duration::from_secs(1)).await;
    assert!(probes.load(Relaxed) <= seen + 1, "still probed");
}

fn listener(address: &str, tls: &str) -> String {
    format!("[[listener]]\naddress = \"{address}\"\n{tls}")
}

/// An address that nobody has; on an interface that no other test uses.
fn free_address() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.5:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_listener_takes_up_tls_by_a_reload() {
    let address = free_address();
    let proxy = hello().more(&listener(&address, "")).start().await;
    for round in 0..3 {
        proxy
            .reload(&hello().more(&listener(&address, "tls = true")).toml())
            .await;
        let target = Target::tls(address.parse().unwrap());
        let mut raw = Raw::connect(&target)
            .await
            .unwrap_or_else(|error| panic!("{round}: {error}"));
        raw.send(get("/")).await;
        assert!(raw.read_until("hello").await.starts_with("HTTP/1.1 200"));
        proxy
            .reload(&hello().more(&listener(&address, "")).toml())
            .await;
        let mut raw = Raw::connect(&Target::plain(address.parse().unwrap()))
            .await
            .unwrap();
        raw.send(get("/")).await;
        assert!(raw.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 308"));
    }
}

#[tokio::test]
async fn a_listener_that_would_take_up_tls_stays_when_the_reload_is_refused() {
    let address = free_address();
    let taken = std::net::TcpListener::bind("127.0.0.6:0").unwrap();
    let proxy = hello().more(&listener(&address, "")).start().await;
    let refused = listener(&address, "tls = true\n")
        + &listener(&taken.local_addr().unwrap().to_string(), "");
    proxy.configure(&hello().more(&refused).toml());
    proxy.signal("HUP");
    proxy.logged(&["reload refused"]).await;
    let mut raw = Raw::connect(&Target::plain(address.parse().unwrap()))
        .await
        .unwrap();
    raw.send(get("/")).await;
    assert!(raw.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 308"));
}

#[tokio::test]
async fn one_connection_at_a_time_is_served_by_whichever_worker() {
    let proxy = hello()
        .threads(4)
        .listener("max_connections = 1")
        .start()
        .await;
    for round in 0..20 {
        let reply = timeout(Duration::from_secs(5), proxy.get("/")).await;
        assert_eq!(
            reply
                .unwrap_or_else(|_| panic!("round {round} hangs"))
                .status,
            200
        );
    }
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

async fn tunnel(proxy: &Proxy) -> (Raw, String) {
    let mut raw = proxy.raw().await;
    raw.send(format!("GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}\r\n"))
        .await;
    let head = raw.read_until("\r\n\r\n").await;
    (raw, head)
}

#[tokio::test]
async fn a_tunnel_counts_as_a_connection_until_it_ends() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write(SWITCHED).await?;
        conn.closed().await;
        Ok(())
    })
    .await;
    let setup = Setup::to(&[&backend])
        .threads(1)
        .listener("max_connections = 1");
    let proxy = setup
        .route("/hello", "respond = { status = 200, body = \"hello\" }")
        .start()
        .await;
    let (socket, head) = tunnel(&proxy).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        timeout(Duration::from_millis(500), proxy.get("/hello"))
            .await
            .is_err()
    );
    drop(socket);
    assert_eq!(proxy.get("/hello").await.status, 200);
}

#[tokio::test]
async fn an_upgrade_may_follow_an_interim_answer_however_it_is_cut() {
    let both: &'static str = concat!(
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    let backend = Backend::canned(both).await;
    let proxy = Setup::to(&[&backend]).start().await;
    assert!(tunnel(&proxy).await.1.starts_with("HTTP/1.1 101"));
}

async fn h2(proxy: &Proxy, window: u32) -> h2::client::SendRequest<bytes::Bytes> {
    let target = proxy.target().config(pki::client(&["h2"]));
    let stream = target.connect().await.unwrap();
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

fn h2_get(path: &str) -> http::Request<()> {
    http::Request::get(format!("https://{HOST}{path}"))
        .body(())
        .unwrap()
}

#[tokio::test]
async fn a_stream_whose_window_stays_shut_gives_its_backend_back() {
    let backend = Backend::with(async |_| {
        http::Response::new(crate::harness::backend::full(vec![0; 1 << 20]))
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .server("stall_timeout = \"500ms\"")
        .start()
        .await;
    let mut sender = h2(&proxy, 1024).await;
    let (response, _) = sender.send_request(h2_get("/stuck"), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    // Read, but never given back to the window.
    let _first = body.data().await.unwrap().unwrap();
    let ended = timeout(Duration::from_secs(5), async {
        while let Some(Ok(_)) = body.data().await {}
    });
    assert!(ended.await.is_ok(), "the stream waits for ever");
    eventually("the backend's end", async || {
        (backend.open() == 0).then_some(())
    })
    .await;
    // The connection lives.
    let (response, _) = sender
        .ready()
        .await
        .unwrap()
        .send_request(h2_get("/next"), true)
        .unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_slow_event_stream_is_no_stalled_one() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            .await?;
        for _ in 0..3 {
            conn.write("data: x\n\n").await?;
            sleep(Duration::from_millis(800)).await;
        }
        conn.write("data: last\n\n").await
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .server("stall_timeout = \"500ms\"\nhead_timeout = \"500ms\"")
        .start()
        .await;
    let answer = proxy.request("GET", "/events").h2().open().await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: last\n\n"));
}

#[tokio::test]
async fn an_idle_h2_connection_is_closed() {
    let proxy = hello().server("head_timeout = \"500ms\"").start().await;
    let mut session = proxy.session2().await;
    assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    eventually("no connection", async || {
        (proxy
            .metric("portcullis_connections_open", &["127.0.0.1:"])
            .await
            == 0.0)
            .then_some(())
    })
    .await;
}

async fn ends(mut stream: Box<dyn Stream>) {
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "still open");
}

#[tokio::test]
async fn an_h2_connection_that_never_begins_or_never_listens_is_closed() {
    let proxy = hello().server("head_timeout = \"500ms\"").start().await;
    let target = proxy.target().config(pki::client(&["h2"]));
    ends(target.connect().await.unwrap()).await;
    let mut mute = target.connect().await.unwrap();
    mute.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    mute.flush().await.unwrap();
    ends(mute).await;
}

#[tokio::test]
async fn a_refusal_is_heard_by_a_client_that_still_sends() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    for _ in 0..5 {
        let mut raw = proxy.raw().await;
        let head =
            format!("POST /large HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 8388608\r\n\r\n");
        raw.send(head).await;
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..64 {
            raw.try_send(&piece).await.unwrap();
            sleep(Duration::from_millis(2)).await;
        }
        let answer = timeout(PATIENCE, raw.read_to_end()).await.unwrap();
        assert_eq!(status_of(&answer), 413, "{answer:?}");
    }
}

#[tokio::test]
async fn what_a_tls_backend_says_unasked_is_nobodys_answer() {
    let leaf = pki::Pki::get().leaf(&["127.0.0.1"]);
    let acceptor = tokio_rustls::TlsAcceptor::from(leaf.server());
    // The first read of a response ends exactly where the body does; the rest stays in rustls.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    let body = 8192 - head.len() - "8100\r\n\r\n".len();
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let bytes = format!("{head}{body}\r\n\r\n{}{poison}", "x".repeat(body));
    let serve: Serve = Arc::new(move |stream, _| {
        let (acceptor, bytes) = (acceptor.clone(), bytes.clone());
        Box::pin(async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = [0; 4096];
            while matches!(stream.read(&mut head).await, Ok(1..)) {
                stream.write_all(bytes.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        })
    });
    let backend = Backend::listen("127.0.0.1:0".parse().unwrap(), serve).await;
    let url = backend.url().replace("http://", "https://");
    let setup = Setup::to_urls(&[url])
        .upstream("tls = { ca = \"@dir/ca.pem\" }")
        .threads(1);
    let proxy = setup
        .route("/", "proxy = { upstream = \"app\" }")
        .start()
        .await;
    for _ in 0..4 {
        assert_ne!(proxy.get("/").await.text(), "poison");
    }
}
