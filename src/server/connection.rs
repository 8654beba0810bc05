//! One connection: the handshake, then HTTP/1.1 or HTTP/2, then its end.

use std::{fmt::Display, net::SocketAddr, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use tokio::net::TcpStream;

use crate::{
    message::context::ConnectionInfo,
    observe::metrics::Resumption,
    server::{
        io::Unstalled,
        listener::{Listener, OpenConnection},
        service::Requests,
        worker::Worker,
    },
    tls::{
        ServerConfig,
        handshake::{self, Accepted, HandshakeError, Protocol},
    },
};

mod http1;
mod http2;

/// How long a connection may still bring its first request once draining has started: its client
/// connected in good faith, and the request may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// What is left of a connection once its protocol is known. Boxed, because the worker keeps a frame
/// for each connection that has room for the largest of its states.
type Conversation = Pin<Box<dyn Future<Output = ()>>>;

/// Serves a connection to its end.
pub async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    listener: Arc<Listener>,
    worker: Rc<Worker>,
    open: Rc<OpenConnection>,
) {
    let info = ConnectionInfo {
        peer,
        local: stream.local_addr().unwrap_or(listener.address),
        worker: worker.index,
        tls: None,
    };
    let conversation = if listener.tls {
        Box::pin(shake_hands(stream, info, listener, worker, open)).await
    } else {
        let stream = Unstalled::new(stream, Policy::of(&worker).stall_timeout);
        let requests = Requests::new(worker, listener, info, open);
        Some(Box::pin(http1::serve(stream, requests)) as Conversation)
    };
    if let Some(conversation) = conversation {
        conversation.await;
    }
}

/// Performs the TLS handshake; what follows, if it succeeds.
async fn shake_hands(
    stream: TcpStream,
    mut info: ConnectionInfo,
    listener: Arc<Listener>,
    worker: Rc<Worker>,
    open: Rc<OpenConnection>,
) -> Option<Conversation> {
    let Policy {
        tls,
        handshake_timeout,
        stall_timeout,
    } = Policy::of(&worker);
    match handshake::accept(stream, &tls?, handshake_timeout).await {
        Ok(accepted) => {
            let Accepted {
                stream,
                info: tls,
                protocol,
                resumed,
            } = accepted;
            let resumption = if resumed {
                Resumption::Resumed
            } else {
                Resumption::Full
            };
            worker.metrics.tls_handshake(tls.version, resumption);
            info.tls = Some(tls);
            let stream = Unstalled::new(stream, stall_timeout);
            let requests = Requests::new(worker, listener, info, open);
            Some(match protocol {
                Protocol::Http1 => Box::pin(http1::serve(stream, requests)),
                Protocol::Http2 => Box::pin(http2::serve(stream, requests, stall_timeout)),
            })
        }
        Err(error) => {
            let (peer, class) = (info.peer, error.class());
            worker.metrics.tls_handshake_failed(class);
            // Load balancers and port scanners look in like this all day.
            if matches!(error, HandshakeError::Silent) {
                tracing::debug!(%peer, class, "handshake failed");
            } else {
                tracing::info!(%peer, class, %error, "handshake failed");
            }
            None
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

/// What hyper refused by itself never met the stack, so its line is written here.
fn ended(result: hyper::Result<()>, requests: &Requests) {
    let Err(error) = result else { return };
    let class = if error.is_parse_too_large() {
        "head_too_large"
    } else if error.is_parse() {
        "malformed"
    } else if error.is_timeout() {
        "head_timeout"
    } else {
        let peer = requests.peer();
        tracing::debug!(%peer, %error, "connection ended");
        return;
    };
    refused(class, &error, requests);
}

/// Counts and logs a request whose head never came whole.
fn refused(class: &'static str, error: &dyn Display, requests: &Requests) {
    let peer = requests.peer();
    requests.metrics().refused();
    tracing::info!(%peer, class, %error, "request refused");
}
