//! The listener over real sockets.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener as StdListener},
    sync::Mutex,
};

use http::{Method, StatusCode};
use tokio::task::{JoinHandle, spawn_blocking};

use super::*;
use crate::config::value::Secret;

#[derive(Default)]
struct Fake(Mutex<Readiness>);

impl State for Fake {
    fn readiness(&self) -> Readiness {
        self.0.lock().unwrap().clone()
    }

    fn upstreams(&self) -> Vec<Arc<Upstream>> {
        Vec::new()
    }
}

struct Running {
    address: SocketAddr,
    state: Arc<Fake>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(token: Option<&str>) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Admin {
            address,
            token: token.map(|token| Secret::new(token.to_owned())),
        };
        let (stop, stopping) = watch::channel(false);
        let state = Arc::new(Fake::default());
        let metrics = Arc::new(Metrics::new());
        let task = tokio::spawn(serve(listener, config, metrics, state.clone(), stopping));
        Self {
            address,
            state,
            stop,
            task,
        }
    }

    async fn ask(&self, token: Option<&str>, path: &'static str) -> (StatusCode, String) {
        let token = token.map(|token| Secret::new(token.to_owned()));
        let address = self.address;
        blocking(move || client::ask(address, token.as_ref(), &Method::GET, path).unwrap()).await
    }

    /// Sends bytes and reads until the connection ends.
    async fn send(&self, request: String) -> String {
        let address = self.address;
        blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
        .await
    }

    fn break_upstream(&self) {
        self.state.0.lock().unwrap().faults = vec![Fault {
            part: Part::Upstream,
            name: "api".into(),
            reason: "no backend answers".into(),
        }];
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the client blocks, and the server needs the test's thread"
)]
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(f).await.unwrap()
}

#[tokio::test]
async fn tells_what_is_not_ready() {
    let admin = Running::start(None);
    let (status, body) = admin.ask(None, "/health/ready").await;
    assert_eq!(status, 200);
    assert_eq!(body, r#"{"faults":[],"status":"up"}"#);
    admin.break_upstream();
    let (status, body) = admin.ask(None, "/health/ready").await;
    assert_eq!(status, 503);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["status"], "down");
    assert_eq!(body["faults"][0]["part"], "upstream");
    assert_eq!(body["faults"][0]["name"], "api");
    assert_eq!(admin.ask(None, "/health/live").await.0, 200);
}

#[tokio::test]
async fn shows_metrics_with_the_token_alone_and_health_without_reasons() {
    let admin = Running::start(Some("t0ken"));
    admin.break_upstream();
    assert_eq!(admin.ask(None, "/metrics").await.0, 401);
    assert_eq!(admin.ask(Some("wrong"), "/metrics").await.0, 401);
    let (status, page) = admin.ask(Some("t0ken"), "/metrics").await;
    assert_eq!(status, 200);
    assert!(page.contains("\nportcullis_build_info{"));
    let (status, body) = admin.ask(None, "/health/ready").await;
    assert_eq!(
        (status.as_u16(), body.as_str()),
        (503, r#"{"status":"down"}"#)
    );
    assert!(
        admin
            .ask(Some("t0ken"), "/health/ready")
            .await
            .1
            .contains("api")
    );
}

#[tokio::test]
async fn says_what_it_does_not_do() {
    let admin = Running::start(None);
    let (status, body) = admin.ask(None, "/nothing").await;
    assert_eq!(status, 404);
    assert!(body.contains(r#""statusCode":404"#));
    let request = |head: &str| format!("{head}\r\nconnection: close\r\n\r\n");
    let answer = admin
        .send(request("POST /metrics HTTP/1.1\r\nhost: localhost"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.contains("\r\nallow: GET, HEAD\r\n"));
    assert!(answer.contains("\r\ncache-control: no-store\r\n"));
    assert!(answer.contains("\r\nx-content-type-options: nosniff\r\n"));
    let answer = admin
        .send(request("GET /metrics HTTP/1.1\r\nhost: rebound.example"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let answer = admin.send(request("GET /metrics HTTP/1.1\r\nx: y")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn ends_when_told_to_even_with_an_idle_connection() {
    let admin = Running::start(None);
    let mut idle = TcpStream::connect(admin.address).await.unwrap();
    assert_eq!(admin.ask(None, "/health/live").await.0, 200);
    admin.stop.send(true).unwrap();
    time::timeout(Duration::from_secs(3), admin.task)
        .await
        .expect("it ends before the drain deadline")
        .unwrap();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut idle, &mut rest)
        .await
        .unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn makes_the_65th_connection_wait_and_then_serves_it() {
    let admin = Running::start(None);
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(TcpStream::connect(admin.address).await.unwrap());
    }
    let asking = admin.ask(None, "/health/live");
    tokio::pin!(asking);
    let early = time::timeout(Duration::from_millis(200), &mut asking).await;
    assert!(early.is_err());
    drop(idle);
    assert_eq!(asking.await.0, 200);
}
