//! One connection: the handshake, then HTTP/1.1 or HTTP/2, then its end.

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

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
        framing::Followed,
        io::Unstalled,
        listener::{Listener, OpenConnection},
        service::Requests,
        stream,
        worker::Worker,
    },
    tls::{
        ServerConfig,
        handshake::{self, HandshakeError, Protocol},
    },
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

/// How long a connection may still bring its first request once draining has started: its client
/// connected in good faith, and the request may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// Looks at a quiet connection in the time that it may be idle.
const LOOKS: u32 = 4;

/// Serves a connection to its end.
pub async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    listener: Arc<Listener>,
    worker: Rc<Worker>,
    open: Rc<OpenConnection>,
) {
    let local = stream.local_addr().unwrap_or(listener.address);
    let mut info = ConnectionInfo {
        peer,
        local,
        worker: worker.index,
        tls: None,
    };
    let Policy {
        tls,
        handshake_timeout,
        stall_timeout,
    } = Policy::of(&worker);
    if !listener.tls {
        let requests = Requests::new(worker, listener, info, open);
        return http1(Unstalled::new(stream, stall_timeout), requests).await;
    }
    let Some(config) = tls else {
        return;
    };
    match Box::pin(handshake::accept(stream, &config, handshake_timeout)).await {
        Ok(accepted) => {
            drop(config);
            worker.metrics.tls_handshake(
                accepted.info.version,
                if accepted.resumed {
                    Resumption::Resumed
                } else {
                    Resumption::Full
                },
            );
            info.tls = Some(accepted.info);
            let stream = Unstalled::new(accepted.stream, stall_timeout);
            let requests = Requests::new(worker, listener, info, open);
            match accepted.protocol {
                Protocol::Http1 => Box::pin(http1(stream, requests)).await,
                Protocol::Http2 => Box::pin(http2(stream, requests, stall_timeout)).await,
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

/// What a connection takes from the snapshot that it finds. Not the snapshot itself: a connection
/// may outlive it by hours, and would keep the old upstreams and their probes alive.
struct Policy {
    tls: Option<Arc<ServerConfig>>,
    handshake_timeout: Duration,
    stall_timeout: Duration,
}

impl Policy {
    fn of(worker: &Worker) -> Self {
        let services = worker.services();
        let snapshot = services.snapshot();
        Self {
            tls: snapshot.tls().cloned(),
            handshake_timeout: snapshot.config().tls.handshake_timeout,
            stall_timeout: snapshot.config().server.stall_timeout,
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
        .serve_connection(TokioIo::new(stream), requests.clone())
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = drain.started() => if let Some(result) = first_request(connection.as_mut(), &requests).await {
            result
        } else {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended(result, peer, &metrics);
}

/// Drives a connection until it has had a request or its time for one is over: hyper would close
/// it without a look. Its end, if it ends before.
async fn first_request<C: Future>(
    mut connection: Pin<&mut C>,
    requests: &Requests,
) -> Option<C::Output> {
    let mut time = pin!(tokio::time::sleep(FIRST_REQUEST));
    poll_fn(|cx| {
        if requests.count() > 0 {
            return Poll::Ready(None);
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        if requests.count() > 0 {
            return Poll::Ready(None);
        }
        time.as_mut().poll(cx).map(|()| None)
    })
    .await
}

async fn http2<S>(stream: S, requests: Requests, stall_timeout: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut drain = requests.worker().drain.clone();
    let (idle_timeout, head_limit) = requests.head_bounds();
    let peer = requests.peer();
    let metrics = requests.metrics();
    let connection = http2::Builder::new(LocalTasks { stall_timeout })
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(u32::try_from(head_limit).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(H2_LOCAL_RESETS)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PONG)
        .serve_connection(TokioIo::new(stream), requests.clone());
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return ended(result, peer, &metrics),
        () = drain.started() => {}
        () = quiet(&requests, idle_timeout) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A client that has no request has nothing to lose; what was answered may be on its way.
    let patience = if requests.count() == 0 {
        FIRST_REQUEST
    } else {
        stall_timeout
    };
    tokio::select! {
        result = connection => ended(result, peer, &metrics),
        () = quiet(&requests, patience) => {
            tracing::debug!(%peer, "the client did not let its connection end");
        }
    }
}

/// Ready when no request has come or gone on for `time`.
async fn quiet(requests: &Requests, time: Duration) {
    let mut looks = 0;
    let mut seen = requests.count();
    while looks <= LOOKS {
        tokio::time::sleep(time / LOOKS).await;
        if requests.are_done() && requests.count() == seen {
            looks += 1;
        } else {
            looks = 0;
            seen = requests.count();
        }
    }
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
struct LocalTasks {
    stall_timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for LocalTasks
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        // Ends with its connection: hyper resets the streams of a connection that is gone.
        tokio::task::spawn_local(stream::unstalled(future, self.stall_timeout));
    }
}
