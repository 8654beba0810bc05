//! Backends on hyper: they echo what they see, or answer as a test says.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::harness::{client::Stream, eventually};

/// A body that a backend sends.
pub(crate) type Sent = BoxBody<Bytes, io::Error>;
type Future<T> = Pin<Box<dyn std::future::Future<Output = T> + Send>>;
type Answer = Arc<dyn Fn(Request<Incoming>) -> Future<Response<Sent>> + Send + Sync>;
/// What happens to an accepted connection.
pub(crate) type Serve = Arc<dyn Fn(Box<dyn Stream>, Seen) -> Future<()> + Send + Sync>;

/// A server that the proxy stands in front of. Dropping it closes everything.
pub(crate) struct Backend {
    url: String,
    address: Option<SocketAddr>,
    seen: Seen,
    task: JoinHandle<()>,
}

/// What a backend has seen.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Request lines, or whole heads.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// Connections that carried a byte.
    pub(crate) connections: Arc<AtomicUsize>,
    /// Connections that are open and carried a byte.
    pub(crate) open: Arc<AtomicUsize>,
}

impl Backend {
    /// Answers with what it saw, as JSON.
    pub(crate) async fn echo() -> Self {
        Self::echo_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// Echoes at an address that was another backend's before.
    pub(crate) async fn echo_at(address: SocketAddr) -> Self {
        Self::listen(address, hyper_server(Arc::new(echo))).await
    }

    /// Echoes over TLS.
    pub(crate) async fn echo_tls(config: Arc<ServerConfig>) -> Self {
        let inner = hyper_server(Arc::new(echo));
        let acceptor = TlsAcceptor::from(config);
        let serve: Serve = Arc::new(move |stream, seen| {
            let (inner, acceptor) = (inner.clone(), acceptor.clone());
            Box::pin(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    inner(Box::new(stream), seen).await;
                }
            })
        });
        let mut backend = Self::listen("127.0.0.1:0".parse().unwrap(), serve).await;
        backend.url = backend.url.replace("http://", "https://");
        backend
    }

    /// Echoes on a Unix socket.
    pub(crate) fn echo_unix(path: &Path) -> Self {
        Self::listen_unix(path, hyper_server(Arc::new(echo)))
    }

    /// Listens on a Unix socket and serves each connection.
    pub(crate) fn listen_unix(path: &Path, serve: Serve) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let seen = Seen::default();
        let seen_by_all = seen.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(Box::new(stream), seen_by_all.clone()));
            }
        });
        Self {
            url: format!("unix:{}", path.display()),
            address: None,
            seen,
            task,
        }
    }

    /// Answers as `answer` says.
    pub(crate) async fn with<F>(
        answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: std::future::Future<Output = Response<Sent>> + Send + 'static,
    {
        let answer: Answer = Arc::new(move |request| Box::pin(answer(request)));
        Self::listen("127.0.0.1:0".parse().unwrap(), hyper_server(answer)).await
    }

    /// Listens and serves each connection that carries a byte.
    pub(crate) async fn listen(address: SocketAddr, serve: Serve) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let task = tokio::spawn(accept(listener, serve, seen.clone()));
        Self {
            url: format!("http://{address}"),
            address: Some(address),
            seen,
            task,
        }
    }

    /// For `upstream.backends`.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The socket.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("a TCP backend")
    }

    /// Requests seen so far: request lines, or whole heads of a scripted backend.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        self.seen.requests.lock().unwrap().clear();
    }

    /// Requests whose text holds `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.contains(part))
            .count()
    }

    /// Connections that carried a request.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Relaxed)
    }

    /// Connections that carried a request and are open.
    pub(crate) fn open(&self) -> usize {
        self.seen.open.load(Relaxed)
    }

    /// Closes the listener and every connection, as a killed process does.
    pub(crate) async fn kill(&mut self) {
        self.task.abort();
        eventually("the backend's end", async || {
            self.task.is_finished().then_some(())
        })
        .await;
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A body of known length.
pub(crate) fn full(body: impl Into<Bytes>) -> Sent {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed()
}

async fn accept(listener: TcpListener, serve: Serve, seen: Seen) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(one(stream, serve.clone(), seen.clone()));
    }
}

async fn one(stream: TcpStream, serve: Serve, seen: Seen) {
    // A probe connects and says nothing; it is not a request's connection.
    if !matches!(stream.peek(&mut [0]).await, Ok(1)) {
        return;
    }
    seen.connections.fetch_add(1, Relaxed);
    seen.open.fetch_add(1, Relaxed);
    let _open = Open(seen.open.clone());
    serve(Box::new(stream), seen).await;
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn hyper_server(answer: Answer) -> Serve {
    Arc::new(move |stream, seen| {
        let answer = answer.clone();
        Box::pin(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let line = format!("{} {}", request.method(), request.uri());
                seen.requests.lock().unwrap().push(line);
                let answered = answer(request);
                async move { Ok::<_, io::Error>(answered.await) }
            });
            // What a connection ends by is the test's matter.
            let _ = http1::Builder::new()
                .max_buf_size(256 * 1024)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        })
    })
}

fn echo(request: Request<Incoming>) -> Future<Response<Sent>> {
    Box::pin(async move {
        let (head, body) = request.into_parts();
        let headers: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
            .collect();
        let (length, text, trailers) = match body.collect().await {
            Ok(body) => {
                let trailers = body.trailers().map(|trailers| format!("{trailers:?}"));
                let bytes = body.to_bytes();
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).into_owned();
                (bytes.len(), text, trailers)
            }
            Err(error) => (0, format!("broken: {error}"), None),
        };
        let seen = json!({
            "method": head.method.as_str(),
            "target": head.uri.to_string(),
            "version": format!("{:?}", head.version),
            "headers": headers,
            "length": length,
            "body": text,
            "trailers": trailers,
        });
        Response::builder()
            .header("content-type", "application/json")
            .body(full(seen.to_string()))
            .unwrap()
    })
}

/// Values of a field in an echo.
pub(crate) fn echoed<'a>(echo: &'a serde_json::Value, name: &str) -> Vec<&'a str> {
    let headers = echo["headers"].as_array().expect("an echo");
    headers
        .iter()
        .filter(|header| header[0] == name)
        .filter_map(|header| header[1].as_str())
        .collect()
}
