//! Answers that come before an upload over HTTP/2 is done: they are seen, and what still comes is bounded.

use std::{
    fs, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::{
    sync::oneshot,
    time::{Duration, Instant, timeout},
};

use crate::harness::{
    HOST, PATIENCE, Proxy,
    backend::Backend,
    client::Reply,
    command::{Said, run},
    frames::{DATA, Frames, Outcome},
    setup::Setup,
};

/// Debian's curl with `upload` arguments; the status and the version are the last line.
async fn curl(proxy: &Proxy, path: &str, upload: &[&str], input: &str) -> Said {
    let port = proxy.https().port();
    let ca = proxy.dir().join("ca.pem");
    let resolve = format!("{HOST}:{port}:127.0.0.1");
    let url = format!("https://{HOST}:{port}{path}");
    let mut args = vec!["--http2", "-sS", "--cacert", ca.to_str().unwrap()];
    args.extend([
        "--resolve",
        &resolve,
        "-w",
        "\n%{http_code} %{http_version}",
    ]);
    args.extend(upload);
    args.push(&url);
    run("curl", &args, input).await
}

#[tokio::test]
async fn curl_sees_why_its_upload_is_refused() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .route(
            "/none",
            "respond = { status = 401, body = \"no\" }\nbody_limit = \"4MiB\"",
        )
        .start()
        .await;
    let file = proxy.dir().join("upload");
    let upload = "x".repeat(2_000_000);
    fs::write(&file, &upload).unwrap();
    let data = format!("@{}", file.display());
    let announced = ["--data-binary", &data];
    let streamed = ["-X", "POST", "-T", "-"];
    for _ in 0..3 {
        let said = curl(&proxy, "/", &announced, "").await;
        assert!(said.stdout.ends_with("\n413 2"), "{said:?}");
        assert!(said.stdout.contains("\"statusCode\":413"), "{said:?}");
        let said = curl(&proxy, "/", &streamed, &upload).await;
        assert!(said.stdout.ends_with("\n413 2"), "{said:?}");
        assert!(said.stdout.contains("\"statusCode\":413"), "{said:?}");
        let said = curl(&proxy, "/none", &announced, "").await;
        assert!(said.stdout.ends_with("no\n401 2"), "{said:?}");
    }
}

/// A body without an end, which says how much of it was taken and when it is no longer wanted.
struct Endless {
    /// Nothing comes after so many bytes.
    stalls_at: usize,
    taken: Arc<AtomicUsize>,
    _end: oneshot::Sender<()>,
}

impl Endless {
    fn new(stalls_at: usize) -> (Self, Arc<AtomicUsize>, oneshot::Receiver<()>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let (end, ended) = oneshot::channel();
        let body = Self {
            stalls_at,
            taken: taken.clone(),
            _end: end,
        };
        (body, taken, ended)
    }
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.taken.load(Relaxed) >= self.stalls_at {
            return Poll::Pending;
        }
        let piece = Bytes::from_static(&[b'x'; 16 * 1024]);
        self.taken.fetch_add(piece.len(), Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

#[tokio::test]
async fn what_comes_after_a_refusal_is_bounded() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let (body, taken, ended) = Endless::new(usize::MAX);
    let mut session = proxy.session2().await;
    let request = proxy.request("POST", "/").stream(body);
    let reply = Reply::read(session.try_open(request).await.unwrap())
        .await
        .unwrap();
    assert_eq!(reply.status, 413);
    assert!(timeout(PATIENCE, ended).await.unwrap().is_err());
    let taken = taken.load(Relaxed);
    assert!((1 << 20..24 << 20).contains(&taken), "{taken}");
    // The connection goes on.
    assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
}

#[tokio::test]
async fn few_streams_of_a_connection_are_read_on() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut frames = Frames::connect(&proxy.target()).await;
    let start = Instant::now();
    let ids: Vec<u32> = (0..6).map(|count| 2 * count + 1).collect();
    for id in &ids {
        let head = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", HOST),
            (":path", "/"),
            ("content-length", "2000000"),
        ];
        assert!(frames.head(*id, 0, &head).await);
        assert!(matches!(frames.outcome(*id).await, Outcome::Status(_)));
        frames.send(DATA, 0, *id, b"more").await;
    }
    assert_eq!(frames.outcome(11).await, Outcome::Reset);
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_client_that_stalls_after_its_refusal_does_not_hold_a_drain_up() {
    let backend = Backend::echo().await;
    let mut proxy = Setup::to(&[&backend]).start().await;
    let (body, _, ended) = Endless::new(1 << 17);
    let mut session = proxy.session2().await;
    let request = proxy
        .request("POST", "/")
        .header("content-length", "2000000")
        .stream(body);
    let reply = Reply::read(session.try_open(request).await.unwrap()).await;
    assert_eq!(reply.unwrap().status, 413);
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert_eq!(proxy.log().count("the drain deadline has passed"), 0);
    assert!(timeout(PATIENCE, ended).await.unwrap().is_err());
}
