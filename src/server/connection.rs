//! One connection: the handshake, then HTTP/1.1 or HTTP/2, then its end.

use std::{net::SocketAddr, pin::pin, rc::Rc, time::Duration};

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    message::context::ConnectionInfo,
    observe::metrics::{Resumption, listener::ListenerMetrics},
    server::{
        framing::Followed, io::Unstalled, listener::Listener, service::Requests, worker::Worker,
    },
    tls::handshake::{self, HandshakeError, Protocol},
};

/// Largest read buffer of an HTTP/1.1 connection; hyper's own default is 400 KiB each.
const H1_BUFFER: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection; browsers use about 100.
const H2_STREAMS: u32 = 128;
/// Upload window of one stream, and of a connection: what a client may make us hold.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Response bytes that wait for one stream's window.
const H2_SEND_BUFFER: usize = 128 * 1024;
/// Resets that we had to send, until the connection is closed.
const H2_LOCAL_RESETS: usize = 256;
/// A connection that is silent is asked this often whether it lives, and has this long to say so.
const H2_PING: Duration = Duration::from_secs(30);
const H2_PONG: Duration = Duration::from_secs(20);

/// Serves a connection to its end.
pub async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    listener: Rc<Listener>,
    worker: Rc<Worker>,
) {
    let _open = listener.count();
    let local = stream.local_addr().unwrap_or(listener.address);
    let mut info = ConnectionInfo {
        peer,
        local,
        worker: worker.index,
        tls: None,
    };
    let services = worker.services();
    let snapshot = services.snapshot();
    let stall = snapshot.config().server.stall_timeout;
    if !listener.tls {
        let requests = Requests::new(worker, listener, info);
        return http1(Unstalled::new(stream, stall), requests).await;
    }
    let Some(config) = snapshot.tls() else {
        return;
    };
    let deadline = snapshot.config().tls.handshake_timeout;
    match Box::pin(handshake::accept(stream, config, deadline)).await {
        Ok(accepted) => {
            worker.metrics.tls_handshake(
                accepted.info.version,
                if accepted.resumed {
                    Resumption::Resumed
                } else {
                    Resumption::Full
                },
            );
            info.tls = Some(accepted.info);
            let stream = Unstalled::new(accepted.stream, stall);
            let requests = Requests::new(worker, listener, info);
            drop(services);
            match accepted.protocol {
                Protocol::Http1 => Box::pin(http1(stream, requests)).await,
                Protocol::Http2 => Box::pin(http2(stream, requests)).await,
            }
        }
        Err(error) => {
            worker.metrics.tls_handshake_failed(error.class());
            let class = error.class();
            // Load balancers and port scanners look in like this all day.
            if matches!(error, HandshakeError::Silent) {
                tracing::debug!(%peer, class, "handshake failed");
            } else {
                tracing::info!(%peer, class, %error, "handshake failed");
            }
        }
    }
}

async fn http1<S>(stream: S, requests: Requests)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut drain = requests.worker().drain.clone();
    let (head_timeout, head_limit) = requests.head_bounds();
    let peer = requests.peer();
    let metrics = requests.metrics();
    let stream = Followed::new(stream, requests.ambiguous());
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_header_size(head_limit)
        .max_buf_size(H1_BUFFER.max(head_limit))
        .half_close(false)
        .serve_connection(TokioIo::new(stream), requests)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = drain.started() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended(result, peer, &metrics);
}

async fn http2<S>(stream: S, requests: Requests)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut drain = requests.worker().drain.clone();
    let (_, head_limit) = requests.head_bounds();
    let peer = requests.peer();
    let metrics = requests.metrics();
    let connection = http2::Builder::new(LocalTasks)
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(u32::try_from(head_limit).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(H2_LOCAL_RESETS)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PONG)
        .serve_connection(TokioIo::new(stream), requests);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = drain.started() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended(result, peer, &metrics);
}

/// What hyper refused by itself never met the stack, so its line is written here.
fn ended(result: hyper::Result<()>, peer: SocketAddr, metrics: &ListenerMetrics) {
    let Err(error) = result else { return };
    let class = if error.is_parse_too_large() {
        "head_too_large"
    } else if error.is_parse() {
        "malformed"
    } else if error.is_timeout() {
        "head_timeout"
    } else {
        tracing::debug!(%peer, %error, "connection ended");
        return;
    };
    metrics.refused();
    tracing::info!(%peer, class, %error, "request refused");
}

/// HTTP/2 streams run on the worker that has the connection.
#[derive(Debug, Clone, Copy)]
struct LocalTasks;

impl<F> hyper::rt::Executor<F> for LocalTasks
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        // Ends with its connection: hyper resets the streams of a connection that is gone.
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
