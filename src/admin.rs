//! The operator's listener: health, readiness, metrics, backends.
//!
//! It lives on the control runtime, so that it answers while the workers are busy. It is reachable
//! from loopback alone, or asks for a token. Without a token it answers only to a `Host` that names
//! this machine: a page in the operator's browser that rebinds its name to loopback is refused.
//! No answer may be cached and none is shared with other origins.

use std::{sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time,
};
use tower::ServiceExt as _;

use crate::{
    admin::service::Answers, config::server::Admin, observe::metrics::Metrics, upstream::Upstream,
};

pub mod backends;
pub mod client;
mod guard;
mod service;

/// Connections at a time; the next one waits in the backlog.
const CONNECTIONS: usize = 64;
/// Time for a request head, and for the next one on an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Age at which a connection ends after its current request: nobody keeps one of the 64 for ever.
const CONNECTION_AGE: Duration = Duration::from_mins(2);
/// How long a request in flight may go on after that, or after the stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest request head in bytes.
const HEAD_LIMIT: usize = 16 * 1024;
/// Pause when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the listener tells about the rest of the process.
pub trait State: Send + Sync {
    /// Whether requests can be served, and what stands in the way.
    fn readiness(&self) -> Readiness;
    /// The upstreams in service.
    fn upstreams(&self) -> Vec<Arc<Upstream>>;
}

/// Whether requests can be served. Ready when nothing stands in the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// What is not ready.
    pub faults: Vec<Fault>,
}

/// One thing that is not ready.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// What it is.
    pub part: Part,
    /// Its name in the configuration.
    pub name: String,
    /// Why it is not ready, in a sentence for the operator.
    pub reason: String,
}

/// What can fail to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A listener that is not bound.
    Listener,
    /// An upstream without a healthy backend.
    Upstream,
    /// The process, which starts or drains.
    Process,
}

impl Readiness {
    /// Nothing stands in the way.
    pub fn is_ready(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Answers on `listener` until `stop` becomes true or its sender is gone, then ends what is in
/// flight. A fault of the listener itself is logged; the proxy goes on without it.
pub async fn serve(
    listener: std::net::TcpListener,
    config: Admin,
    metrics: Arc<Metrics>,
    state: Arc<dyn State>,
    mut stop: watch::Receiver<bool>,
) {
    let address = config.address;
    let listener = match listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
    {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%address, %error, "the admin listener cannot be used");
            return;
        }
    };
    let answers = Answers::new(config, metrics, state);
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            (stream, permit) = accept(&listener, &permits) => {
                let connection = serve_connection(stream, answers.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        tracing::debug!("admin connections were cut");
    }
}

/// Cancel safe: nothing is lost between the permit and the connection.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so that there is always a permit in the end.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, answers: Answers, mut stop: watch::Receiver<bool>) {
    let service = hyper::service::service_fn(move |request| answers.stack().oneshot(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        result = &mut connection => Some(result),
        () = stopped(&mut stop) => None,
        () = time::sleep(CONNECTION_AGE) => None,
    };
    let ended = if let Some(result) = ended {
        Ok(result)
    } else {
        connection.as_mut().graceful_shutdown();
        time::timeout(DRAIN_TIMEOUT, connection).await
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection failed"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

/// Ends when the process stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone will not say stop any more.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
