//! What is known about a connection and a request, beside its bytes.

use std::{
    cell::{Cell, OnceCell, RefCell},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Method, Uri, Version};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::message::{host::Host, notice::Heed};

/// One accepted connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// The socket's other end.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// Which worker it lives on, counted from 0.
    pub worker: usize,
    /// TLS, if it speaks it.
    pub tls: Option<TlsInfo>,
}

/// What the handshake agreed on.
#[derive(Debug, Clone)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// IANA name of the suite.
    pub cipher: &'static str,
    /// Server name the client sent, lower case.
    pub server_name: Option<Arc<str>>,
}

/// Who really asked, after the trust rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Client address.
    pub address: IpAddr,
    /// Whether the client itself spoke https.
    pub scheme: Scheme,
    /// The peer is a trusted proxy: its forwarded headers stand.
    pub forwarded: bool,
}

/// http or https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// One request, as the log and the metrics see it. Layers and handlers fill the cells.
pub struct RequestContext {
    /// The connection it came by.
    pub connection: Rc<ConnectionInfo>,
    /// When its head was complete.
    pub started: Instant,
    /// Method.
    pub method: Method,
    /// Target as received.
    pub uri: Uri,
    /// HTTP version of the client's side.
    pub version: Version,
    /// Host asked for; `None` when it was absent or malformed.
    pub host: Option<Host>,
    /// `User-Agent`.
    pub user_agent: Option<HeaderValue>,
    /// `Referer`.
    pub referer: Option<HeaderValue>,
    /// `Accept`, which decides the shape of errors.
    pub accept: Option<HeaderValue>,
    /// `X-Request-Id`, taken or made.
    pub request_id: OnceCell<HeaderValue>,
    /// Client address and scheme.
    pub client: OnceCell<Client>,
    /// The rate limit refused it.
    pub limited: Cell<bool>,
    /// Tries on backends.
    pub attempts: Cell<u32>,
    /// The backend that answered, or was tried last.
    pub backend: RefCell<Option<BackendName>>,
    /// Time of the connect, if one was needed.
    pub connect_time: Cell<Option<Duration>>,
    /// Time from the start to the first byte of the backend's answer.
    pub first_byte_time: Cell<Option<Duration>>,
    /// Class of the error that was answered, as metrics name it.
    pub error: Cell<Option<&'static str>>,
    /// How the response leaves.
    pub flow: Flow,
    /// What was not read of the body, where somebody may want it.
    pub unread: RefCell<Option<Incoming>>,
    /// What goes on after a 101, left by the handler for the worker to run.
    pub tunnel: RefCell<Option<Tunnel>>,
}

/// Whether a response waits for its source or for its client.
#[derive(Debug, Default)]
pub struct Flow {
    pieces: Cell<u64>,
    /// Pieces of the request, where they count.
    came: Cell<u64>,
    is_wanted: Cell<bool>,
}

impl Flow {
    /// The connection asks for the next piece.
    pub fn asked(&self) {
        self.is_wanted.set(true);
    }

    /// The connection got a piece.
    pub fn handed(&self) {
        self.is_wanted.set(false);
        self.pieces.set(self.pieces.get() + 1);
    }

    /// The client sent a piece of its request: it may want to take the response only after that.
    pub fn came(&self) {
        self.came.set(self.came.get() + 1);
    }

    /// Pieces so far, both ways, when the last of the response still waits for the client.
    pub fn untaken(&self) -> Option<u64> {
        let pieces = self.pieces.get();
        (!self.is_wanted.get() && pieces > 0).then(|| pieces + self.came.get())
    }
}

/// Makes the relay of an upgraded connection, which heeds the notice that its worker gives.
pub type Tunnel = Box<dyn FnOnce(Heed) -> Relay>;

/// The relay of an upgraded connection; gives the bytes that went to the client.
pub type Relay = Pin<Box<dyn Future<Output = u64>>>;

impl std::fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestContext")
            .field("method", &self.method)
            .field("uri", &self.uri)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Names of an upstream and one of its backends.
#[derive(Debug, Clone)]
pub struct BackendName {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// Address of the backend, as configured.
    pub backend: Arc<str>,
}

impl RequestContext {
    /// Notes the head of a request that starts now.
    pub fn new<B>(
        connection: Rc<ConnectionInfo>,
        request: &http::Request<B>,
        host: Option<Host>,
    ) -> Self {
        let header = |name| request.headers().get(name).cloned();
        Self {
            connection,
            started: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host,
            user_agent: header(http::header::USER_AGENT),
            referer: header(http::header::REFERER),
            accept: header(http::header::ACCEPT),
            request_id: OnceCell::new(),
            client: OnceCell::new(),
            limited: Cell::new(false),
            attempts: Cell::new(0),
            backend: RefCell::new(None),
            connect_time: Cell::new(None),
            first_byte_time: Cell::new(None),
            error: Cell::new(None),
            flow: Flow::default(),
            unread: RefCell::new(None),
            tunnel: RefCell::new(None),
        }
    }

    /// Client address; the peer's until the trust rules have spoken.
    pub fn client_address(&self) -> IpAddr {
        self.client
            .get()
            .map_or_else(|| self.connection.peer.ip(), |client| client.address)
    }

    /// Scheme the client used; the connection's own until the trust rules have spoken.
    pub fn scheme(&self) -> Scheme {
        self.client
            .get()
            .map_or_else(|| self.connection.scheme(), |client| client.scheme)
    }
}

impl ConnectionInfo {
    /// Scheme of this very connection.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        }
    }
}
