//! What the client makes of an answer, byte by byte.

use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::*;
use crate::upstream::{Upstream, lease::Lease, tests as upstreams};

mod oracle;

const LONG: Duration = Duration::from_secs(20);

const DEADLINES: Deadlines = Deadlines {
    header: Some(LONG),
    idle: LONG,
    stall: LONG,
};

/// A connection, and the end that the backend would hold.
fn pair() -> (Connection, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    (Connection::new(Stream::Unix(near)), far)
}

/// A lease whose backend takes connections back.
fn lease() -> Lease {
    let upstream: std::sync::Arc<Upstream> = upstreams::upstream(&["unix:/nowhere"], |_| {});
    upstream.lease(&upstreams::wanted()).unwrap()
}

/// Sends a request for `/`, to which the backend says `answer` and nothing more. CONNECT stands for one that
/// asks for an upgrade.
async fn ask(method: Method, body: Body, answer: &[u8]) -> (Result<Answer, Failure>, UnixStream) {
    let (connection, mut far) = pair();
    far.write_all(answer).await.unwrap();
    let request = request(&method, method == Method::CONNECT);
    (send(connection, request, body, DEADLINES).await, far)
}

fn request(method: &Method, upgrade: bool) -> Request<'_> {
    Request {
        method,
        head: b"POST / HTTP/1.1\r\n",
        upgrade,
        is_repeatable: false,
        spare: HeaderMap::new(),
    }
}

fn malformed(answer: Result<Answer, Failure>) -> &'static str {
    match answer.unwrap_err().cause {
        Cause::Malformed(Malformed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// A body of which nothing comes.
struct Silence;

impl http_body::Body for Silence {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn hands_an_upgraded_connection_on_with_the_bytes_behind_the_head() {
    let text = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi";
    let (answer, mut far) = ask(Method::CONNECT, Body::empty(), text).await;
    let Ok(Answer::Upgraded(head, mut connection)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(head.headers["upgrade"], "websocket");
    assert_eq!(&connection.buffer[..], b"\x81\x02hi");
    far.write_all(b"more").await.unwrap();
    let mut more = [0; 4];
    connection.stream.read_exact(&mut more).await.unwrap();
    assert_eq!(&more, b"more");
}

#[tokio::test]
async fn refuses_an_upgrade_that_nobody_asked_for() {
    let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n";
    let (answer, _far) = ask(Method::GET, Body::empty(), text).await;
    assert_eq!(malformed(answer), "the backend switched protocols unasked");
}

#[tokio::test]
async fn takes_a_head_of_64_kib_and_none_that_is_larger() {
    let head = |size: usize| {
        let start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: ";
        let value = "x".repeat(size - start.len() - 4);
        format!("{start}{value}\r\n\r\n")
    };
    let (answer, _far) = ask(
        Method::GET,
        Body::empty(),
        head(decode::MAX_HEAD).as_bytes(),
    )
    .await;
    assert!(matches!(answer, Ok(Answer::Whole(..))), "{answer:?}");
    let larger = head(decode::MAX_HEAD + 1);
    let (answer, _far) = ask(Method::GET, Body::empty(), larger.as_bytes()).await;
    assert_eq!(malformed(answer), "the response head is larger than 64 KiB");
}

#[tokio::test]
async fn takes_128_fields_and_no_more() {
    let head = |count: usize| format!("HTTP/1.1 204 X\r\n{}\r\n", "a: b\r\n".repeat(count));
    let (answer, _far) = ask(Method::GET, Body::empty(), head(128).as_bytes()).await;
    assert!(matches!(answer, Ok(Answer::Whole(..))), "{answer:?}");
    let (answer, _far) = ask(Method::GET, Body::empty(), head(129).as_bytes()).await;
    assert_eq!(
        malformed(answer),
        "the response has more than 128 header fields"
    );
}

#[tokio::test]
async fn fails_a_body_with_an_endless_chunk_size_line() {
    let text = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3;{}",
        "x".repeat(2000)
    );
    let (answer, _far) = ask(Method::GET, Body::empty(), text.as_bytes()).await;
    let Ok(Answer::Streamed(_, mut body)) = answer else {
        panic!("{answer:?}");
    };
    let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(data, "abc");
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(format!("{error:?}").contains("too long"), "{error:?}");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn reads_an_answer_that_comes_before_the_request_is_whole() {
    let text = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    let (answer, mut far) = ask(Method::POST, Body::wrap(Silence), text).await;
    // The rest of the request was never sent, so nothing else may be sent here.
    let Ok(Answer::Whole(head, body, None)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(body, "no");
    let mut sent = Vec::new();
    far.read_to_end(&mut sent).await.unwrap();
    assert!(sent.ends_with(b"transfer-encoding: chunked\r\n\r\n"));
}

#[tokio::test]
async fn goes_on_sending_while_the_answer_is_read() {
    let (connection, mut far) = pair();
    let large = vec![b'x'; 4 << 20];
    let request = request(&Method::POST, false);
    let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    far.write_all(text).await.unwrap();
    let answer = send(connection, request, Body::full(large.clone()), DEADLINES).await;
    let Ok(Answer::Streamed(_, mut body)) = answer else {
        panic!("{answer:?}");
    };
    let lease = lease();
    let upstream = lease.upstream().clone();
    body.hold(lease, 0, LONG);
    let backend = async {
        let mut sent = Vec::new();
        while !sent.ends_with(&large) {
            far.read_buf(&mut sent).await.unwrap();
        }
        far.write_all(b"0\r\n\r\n").await.unwrap();
    };
    let (collected, ()) = tokio::join!(body.collect(), backend);
    assert_eq!(collected.unwrap().to_bytes(), "a");
    // Both sides are at their end: the next request may use it.
    let idle = upstream.backends()[0].with_pool(0, |pool| pool.len());
    assert_eq!(idle, 1);
}
