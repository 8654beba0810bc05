//! What is recorded, however a request ends.

use std::{future, path::PathBuf, time::Duration};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tower::service_fn;

use super::*;
use crate::{
    config::log::{Access, Format},
    message::{
        body::{Body, BodyError},
        context::ConnectionInfo,
        notice::Notice,
    },
    observe::{log_file::LogFile, metrics::Metrics},
};

/// A log and counts, and the handles of the test.
struct Bench {
    folder: tempfile::TempDir,
    file: LogFile,
    metrics: Metrics,
    observers: Rc<Observers>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let file = LogFile::open(Some(&path), 1, Counter::default()).unwrap();
        let metrics = Metrics::new();
        let access = Access {
            format: Format::Json,
            path: Some(path),
            redact: true,
        };
        let observers = Rc::new(Observers {
            log: Some(AccessLog::new(&access, file.lines())),
            metrics: metrics.route("s", "/"),
        });
        Self {
            folder,
            file,
            metrics,
            observers,
        }
    }

    fn serves<F>(
        &self,
        answer: fn(Call) -> F,
    ) -> impl Service<Call, Response = Response, Error = Infallible, Future = ObserveFuture<F>> + use<F>
    where
        F: Future<Output = Result<Response, Infallible>> + Unpin,
    {
        Observe::new(self.observers.clone(), service_fn(answer))
    }

    /// The log's lines, and the page of the metrics.
    fn end(self) -> (Vec<Value>, String) {
        let path: PathBuf = self.folder.path().join("log");
        drop(self.file);
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|l| serde_json::from_str(l).unwrap());
        (lines.collect(), self.metrics.encode())
    }
}

fn call(method: Method) -> Call {
    let mut request = http::Request::new(Body::empty());
    *request.method_mut() = method;
    let connection = Rc::new(ConnectionInfo {
        peer: "127.0.0.1:1".parse().unwrap(),
        local: "127.0.0.1:2".parse().unwrap(),
        worker: 0,
        tls: None,
    });
    let context = Rc::new(RequestContext::new(connection, &request, None));
    Call { request, context }
}

fn answer(status: u16, body: Body) -> future::Ready<Result<Response, Infallible>> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    future::ready(Ok(response))
}

/// Frames without a known length, the last of which may be an error.
fn stream(frames: Vec<Result<Bytes, BodyError>>) -> Body {
    let frames = frames.into_iter().map(|frame| frame.map(Frame::data));
    Body::wrap(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test(start_paused = true)]
async fn records_once_when_the_body_was_read_to_its_end() {
    let bench = Bench::new();
    let mut service = bench.serves(|_| answer(200, Body::full("hello")));
    let response = service.call(call(Method::GET)).await.unwrap();
    tokio::time::advance(Duration::from_millis(20)).await;
    response.into_body().collect().await.unwrap();
    let (lines, page) = bench.end();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["status"], &lines[0]["bytes"]),
        (&200.into(), &5.into())
    );
    assert_eq!(lines[0]["duration"], Value::from(0.02));
    assert_eq!(lines[0].get("aborted"), None);
    assert!(page.contains(r#"portcullis_requests_total{site="s",route="/",code="200"} 1"#));
    assert!(page.contains(r#"portcullis_response_bytes_total{site="s",route="/"} 5"#));
}

#[tokio::test]
async fn records_499_when_nobody_waits_for_the_answer() {
    let bench = Bench::new();
    let mut service = bench.serves(|_| future::pending::<Result<Response, Infallible>>());
    let waiting = service.call(call(Method::GET));
    drop(waiting);
    let (lines, page) = bench.end();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["status"], 499);
    assert_eq!(lines[0].get("aborted"), None);
    assert!(page.contains(r#"code="499"} 1"#));
}

#[tokio::test]
async fn keeps_the_status_of_a_response_that_was_abandoned_and_says_so() {
    let bench = Bench::new();
    let mut service =
        bench.serves(|_| answer(200, stream(vec![Ok("one".into()), Ok("two".into())])));
    let response = service.call(call(Method::GET)).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let (lines, _) = bench.end();
    assert_eq!(
        (&lines[0]["status"], &lines[0]["bytes"]),
        (&200.into(), &3.into())
    );
    assert_eq!(lines[0]["aborted"], true);
    assert_eq!(lines[0]["error"], Value::Null);
}

#[tokio::test]
async fn takes_a_body_of_the_promised_length_for_whole() {
    let bench = Bench::new();
    let mut service = bench.serves(|_| {
        let mut response = Response::new(stream(vec![Ok("one".into())]));
        let length = http::HeaderValue::from_static("3");
        response.headers_mut().insert(CONTENT_LENGTH, length);
        future::ready(Ok(response))
    });
    let mut body = service.call(call(Method::GET)).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let (lines, _) = bench.end();
    assert_eq!(lines[0].get("aborted"), None);
}

#[tokio::test]
async fn names_a_body_whose_source_broke_off() {
    let bench = Bench::new();
    let mut service =
        bench.serves(|_| answer(200, stream(vec![Ok("one".into()), Err(BodyError::Stalled)])));
    let response = service.call(call(Method::GET)).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    let (lines, page) = bench.end();
    assert_eq!(lines[0]["aborted"], true);
    assert_eq!(lines[0]["error"], BROKEN);
    assert!(page.contains(r#"class="response_broken"} 1"#));
}

#[tokio::test]
async fn does_not_call_a_body_aborted_that_is_never_sent() {
    let bench = Bench::new();
    let mut service = bench.serves(|_| answer(200, Body::full("of a HEAD")));
    drop(service.call(call(Method::HEAD)).await.unwrap());
    let mut service = bench.serves(|_| answer(304, Body::empty()));
    drop(service.call(call(Method::GET)).await.unwrap());
    let (lines, _) = bench.end();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.get("aborted").is_none()));
}

#[tokio::test]
async fn records_what_the_layers_inside_noted() {
    let bench = Bench::new();
    let mut service = bench.serves(|call| {
        call.context.limited.set(true);
        call.context.error.set(Some("rate_limited"));
        answer(429, Body::full("slow down"))
    });
    let response = service.call(call(Method::GET)).await.unwrap();
    response.into_body().collect().await.unwrap();
    let (lines, page) = bench.end();
    assert_eq!(
        (&lines[0]["limited"], &lines[0]["error"]),
        (&true.into(), &"rate_limited".into())
    );
    assert!(page.contains(r#"portcullis_rate_limited_total{site="s",route="/"} 1"#));
    assert!(page.contains(r#"class="rate_limited"} 1"#));
}

/// Serves one real HTTP/1.1 connection until the client's side, which `client` plays, is done.
async fn over_http<F, C>(bench: &Bench, answer: fn(Call) -> F, client: C)
where
    F: Future<Output = Result<Response, Infallible>> + Unpin + 'static,
    C: AsyncFnOnce(DuplexStream),
{
    let (ours, theirs) = tokio::io::duplex(1024);
    let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
        let mut call = call(request.method().clone());
        call.request = request.map(Body::from);
        bench.serves(answer).call(call)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(hyper_util::rt::TokioIo::new(ours), service);
    let (_result, ()) = tokio::join!(connection, client(theirs));
}

#[tokio::test]
async fn records_whole_responses_of_a_real_connection() {
    let bench = Bench::new();
    let answer = |call: Call| match call.request.uri().path() {
        "/full" => answer(200, Body::full("hello")),
        "/none" => answer(204, Body::empty()),
        _ => answer(200, stream(vec![Ok("hello ".into()), Ok("stream".into())])),
    };
    over_http(&bench, answer, async |mut stream| {
        let requests = "GET /full HTTP/1.1\r\n\r\nHEAD /full HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n\
                        GET /stream HTTP/1.1\r\nconnection: close\r\n\r\n";
        stream.write_all(requests.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    })
    .await;
    let (lines, _) = bench.end();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line["status"].as_u64(), line["bytes"].as_u64()))
        .collect();
    let expected = [(200, 5), (200, 0), (204, 0), (200, 12)];
    assert_eq!(
        seen,
        expected.map(|(status, bytes)| (Some(status), Some(bytes)))
    );
    assert!(
        lines.iter().all(|line| line.get("aborted").is_none()),
        "{lines:?}"
    );
}

#[tokio::test]
async fn records_499_when_the_client_hangs_up_on_a_real_connection() {
    let bench = Bench::new();
    over_http(
        &bench,
        |_| future::pending::<Result<Response, Infallible>>(),
        async |mut stream| {
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            tokio::task::yield_now().await;
            drop(stream);
        },
    )
    .await;
    let (lines, _) = bench.end();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["status"], 499);
}

#[tokio::test]
async fn marks_a_stream_that_the_client_left_as_aborted() {
    let bench = Bench::new();
    let answer = |_| {
        let first = futures_util::stream::iter([Ok(Frame::data("one".into()))]);
        let endless = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        answer(200, Body::wrap(StreamBody::new(endless)))
    };
    over_http(&bench, answer, async |mut stream| {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"one\r\n") {
            stream.read_buf(&mut seen).await.unwrap();
        }
    })
    .await;
    let (lines, _) = bench.end();
    assert_eq!(
        (&lines[0]["status"], &lines[0]["bytes"]),
        (&200.into(), &3.into())
    );
    assert_eq!(lines[0]["aborted"], true);
}

#[tokio::test]
async fn records_500_when_the_handling_panics() {
    let bench = Bench::new();
    let mut service = bench
        .serves(|_| future::poll_fn(|_| -> Poll<Result<Response, Infallible>> { panic!("a bug") }));
    let answering = service.call(call(Method::GET));
    let tasks = tokio::task::LocalSet::new();
    let task = tasks.spawn_local(answering);
    assert!(tasks.run_until(task).await.unwrap_err().is_panic());
    let (lines, _) = bench.end();
    assert_eq!(
        (&lines[0]["status"], &lines[0]["error"]),
        (&500.into(), &"internal".into())
    );
}

#[tokio::test(start_paused = true)]
async fn records_an_upgrade_when_its_tunnel_has_ended() {
    let bench = Bench::new();
    let mut service = bench.serves(|call| {
        let relay = async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            12
        };
        call.context
            .tunnel
            .replace(Some(Box::new(|_| Box::pin(relay))));
        answer(101, Body::empty())
    });
    let call = call(Method::GET);
    let context = call.context.clone();
    drop(service.call(call).await.unwrap());
    let tunnel = context.tunnel.take().unwrap();
    assert_eq!(tunnel(Notice::default().heed()).await, 12);
    let (lines, _) = bench.end();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["status"], 101);
    assert_eq!(lines[0]["bytes"], 12);
    assert!(lines[0]["duration"].as_f64().unwrap() >= 60.0);
}
