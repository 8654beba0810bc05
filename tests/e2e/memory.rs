//! What slow clients may cost: so much memory for each, however much waits for them. docs/performance.md has the figures.

use std::{
    io,
    pin::pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::client::ResponseFuture;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinSet,
    time::sleep,
};

use crate::harness::{
    HOST, Proxy,
    client::{Stream, Target},
    eventually, note, pki,
    raw::Raw,
    setup::Setup,
};

/// Clients that connect at the same time, so that none waits for the kernel's patience.
const AT_ONCE: usize = 250;

/// In KiB: hyper's two buffers of 8, its state, and rustls' with what it has read.
const SLOW_HEAD: usize = 32;
/// In KiB: for a head near `head_limit`, hyper's buffer and a line whose end has not come, each up to 64.
const LARGE_HEAD: usize = SLOW_HEAD + 2 * 64;
/// In KiB: of the backend one piece that is being sent and one that waits, each up to 256; 128 of TLS records; 64 of
/// hyper's over HTTP/1.1 or what HTTP/2 frames take.
const DOWNLOAD: usize = 2 * 256 + 128 + 64;
/// In KiB: a stream over HTTP/2 whose window is shut has its place in the tables, and one small piece.
const SHUT: usize = 64;

/// Descriptors for this process, and for the proxy, which inherits the limit.
fn raise_descriptors(needed: usize) {
    let process = std::process::id().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &process, &format!("--nofile={needed}:")])
        .status();
    assert!(status.unwrap().success(), "{needed} descriptors are needed");
}

/// Fails when `proxy` has more than `bound` KiB beyond `before` MiB.
fn assert_bounded(proxy: &Proxy, before: usize, bound: usize, what: &str) {
    let grown = proxy.resident_mib().saturating_sub(before);
    note(format!("{what}: {grown} MiB, bound {} MiB", bound / 1024));
    assert!(grown * 1024 <= bound, "{what}: {grown} MiB");
}

async fn say(target: &Target, count: usize, text: &str) -> Vec<Raw> {
    let mut all = Vec::new();
    while all.len() < count {
        let mut some = JoinSet::new();
        for _ in 0..AT_ONCE.min(count - all.len()) {
            let (target, text) = (target.clone(), text.to_owned());
            some.spawn(async move {
                let mut raw = Raw::connect(&target).await.unwrap();
                raw.send(text).await;
                raw
            });
        }
        all.extend(some.join_all().await);
    }
    all
}

#[tokio::test]
async fn ten_thousand_slow_heads_are_bounded() {
    const PLAIN: usize = 9_000;
    const TLS: usize = 1_000;
    const LARGE: usize = 400;
    raise_descriptors(12_000);
    let proxy = Setup::new()
        .server("head_timeout = \"5m\"")
        .route("/", "respond = { status = 200, body = \"hello\" }")
        .start()
        .await;
    assert_eq!(proxy.get("/").await.status, 200);
    let before = proxy.resident_mib();

    let head = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ");
    let mut slow = say(&Target::plain(proxy.http()), PLAIN, &head).await;
    slow.extend(say(&proxy.target(), TLS, &head).await);
    for _ in 0..3 {
        for raw in &mut slow {
            raw.send("x").await;
        }
    }
    let open = async || proxy.metric("portcullis_connections_open", &[]).await;
    eventually("all connections", async || {
        (open().await > 9_999.5).then_some(())
    })
    .await;
    let bound = (PLAIN + TLS) * SLOW_HEAD;
    assert_bounded(&proxy, before, bound, "10,000 slow heads");

    let large = say(
        &proxy.target(),
        LARGE,
        &format!("{head}{}", "x".repeat(30_000)),
    )
    .await;
    sleep(Duration::from_millis(500)).await;
    let bound = bound + LARGE * LARGE_HEAD;
    assert_bounded(&proxy, before, bound, "and 400 large ones");
    assert_eq!(proxy.get("/").await.status, 200);
    // The proxy goes first, so that no port of the clients is left waiting.
    drop(proxy);
    drop((slow, large));
}

#[tokio::test]
async fn downloads_that_nobody_takes_are_bounded() {
    const BYTEWISE: usize = 250;
    const UNREAD: usize = 700;
    const SHUT_STREAMS: usize = 2_000;
    const ALL: usize = BYTEWISE + UNREAD + SHUT_STREAMS;
    raise_descriptors(10_000);
    let backend = Endless::start();
    let proxy = Setup::to_urls(std::slice::from_ref(&backend.url))
        .upstream("limits = { max_requests = 10000 }")
        .route("/", "proxy = { upstream = \"app\" }")
        .start()
        .await;
    let before = proxy.resident_mib();

    let get = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut bytewise = JoinSet::new();
    for raw in say(&proxy.target(), BYTEWISE, &get).await {
        bytewise.spawn(read_bytewise(raw.into_stream()));
    }
    let mut streams = Vec::new();
    for number in 1..=(UNREAD + SHUT_STREAMS) / 100 {
        let window = if number * 100 <= UNREAD {
            1 << 20
        } else {
            // Of the whole connection.
            1 << 10
        };
        streams.push(Streams::open(&proxy, window).await);
        backend.serves(BYTEWISE + number * 100).await;
        if number * 100 <= UNREAD {
            streams.last_mut().unwrap().look_away();
        }
    }
    assert_eq!(backend.downloads.load(Relaxed), ALL);

    let bound = (BYTEWISE + UNREAD) * DOWNLOAD + SHUT_STREAMS * SHUT;
    let mut sent = 0;
    for second in 0..4 {
        sleep(Duration::from_secs(1)).await;
        sent = backend.sent.load(Relaxed);
        assert_bounded(
            &proxy,
            before,
            bound,
            &format!("downloads, second {second}"),
        );
    }
    note(format!(
        "the backend sent {} KiB to each",
        sent / 1024 / ALL
    ));
    drop(proxy);
}

async fn read_bytewise(mut stream: Box<dyn Stream>) {
    while stream.read_u8().await.is_ok() {
        sleep(Duration::from_millis(100)).await;
    }
}

/// 100 requests over HTTP/2 whose answers nobody reads.
struct Streams {
    _answers: Vec<ResponseFuture>,
    away: Option<oneshot::Sender<()>>,
}

impl Streams {
    /// Each has `window` bytes until it would have to be read.
    async fn open(proxy: &Proxy, window: u32) -> Self {
        let target = proxy.target().config(pki::client(&["h2"]));
        let (mut sender, connection) = h2::client::Builder::new()
            .initial_window_size(window)
            .initial_connection_window_size(window.max(65_535) * 100)
            .handshake::<_, Bytes>(target.connect().await.unwrap())
            .await
            .unwrap();
        let (away, looks_away) = oneshot::channel();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                Ok(()) = looks_away => std::future::pending().await,
            }
        });
        let mut answers = Vec::new();
        for _ in 0..100 {
            let request = http::Request::get(format!("https://{HOST}/"));
            sender = sender.ready().await.unwrap();
            let sent = sender.send_request(request.body(()).unwrap(), true);
            answers.push(sent.unwrap().0);
        }
        Self {
            _answers: answers,
            away: Some(away),
        }
    }

    /// Reads nothing more, not even what belongs to the connection.
    fn look_away(&mut self) {
        self.away.take().unwrap().send(()).unwrap();
    }
}

/// A backend that sends without end, as fast as it can.
struct Endless {
    url: String,
    downloads: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Endless {
    fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // What the kernel keeps for thousands of connections would be more than what is measured.
        socket.set_send_buffer_size(16 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4096).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (downloads, sent) = (Arc::default(), Arc::default());
        let backend = Self {
            url,
            downloads: Arc::clone(&downloads),
            sent: Arc::clone(&sent),
        };
        tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                all.spawn(send(stream, downloads.clone(), sent.clone()));
            }
        });
        backend
    }

    async fn serves(&self, count: usize) {
        eventually("the downloads", async || {
            (self.downloads.load(Relaxed) >= count).then_some(())
        })
        .await;
    }
}

async fn send(
    mut stream: TcpStream,
    downloads: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
) -> io::Result<()> {
    // A probe says nothing.
    if stream.read(&mut [0; 4096]).await? == 0 {
        return Ok(());
    }
    downloads.fetch_add(1, Relaxed);
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        .await?;
    let piece = vec![b'x'; 16 * 1024];
    loop {
        sent.fetch_add(stream.write(&piece).await?, Relaxed);
    }
}
