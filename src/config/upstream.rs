//! `[upstream.NAME]`: a named set of backends.

use std::{path::PathBuf, time::Duration};

use http::StatusCode;

use crate::config::value::Located;

/// `[upstream.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// NAME.
    pub name: String,
    /// At least one.
    pub backends: Vec<BackendAddress>,
    /// How a backend is picked.
    pub balance: Balance,
    /// Which requests come back to the backend that served them before.
    pub sticky: Sticky,
    /// Active check.
    pub probe: Probe,
    /// What may be sent again, and how long a request waits for a backend.
    pub retry: Retry,
    /// Deadlines.
    pub timeout: Timeout,
    /// Load bounds.
    pub limits: Limits,
    /// Idle connections.
    pub pool: Pool,
    /// For `https` backends; present exactly when one is.
    pub tls: Option<BackendTls>,
}

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    /// `http://host:port` or `https://host:port`.
    Tcp {
        /// Speak TLS.
        tls: bool,
        /// Name or address literal (without brackets).
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

/// `upstream.balance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    RoundRobin,
    /// The less busy of two picked at random.
    LeastRequests,
    /// By client address (rendezvous hash).
    Hash,
}

/// `upstream.sticky`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sticky {
    /// Nothing sticks.
    Off,
    /// Every client, by cookie.
    Cookie,
    /// Socket.IO sessions only, by cookie.
    SocketIo,
}

/// `upstream.probe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked; `None` connects and hangs up.
    pub http: Option<HttpProbe>,
    /// Time between two probes of one backend.
    pub interval: Duration,
    /// Time for one probe.
    pub timeout: Duration,
    /// Good probes in a row until a backend is healthy again.
    pub rise: u32,
    /// Bad probes in a row until a backend is unhealthy.
    pub fall: u32,
}

/// The HTTP part of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Path with query.
    pub path: String,
    /// Status codes that are good.
    pub expect: Vec<StatusCode>,
}

/// `upstream.retry`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Retries as a share of requests, 0.0 to 1.0.
    pub budget: f64,
    /// How long a request waits when no backend can be connected to or has room.
    pub hold: Duration,
}

/// `upstream.timeout`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeout {
    /// TCP (and TLS) connect.
    pub connect: Duration,
    /// From the request sent to the response head; event streams are exempt.
    pub header: Duration,
    /// Between two pieces of a body, either way.
    pub idle: Duration,
}

/// `upstream.limits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight per backend.
    pub max_requests: usize,
    /// Requests that may wait for a backend, over the whole upstream.
    pub queue: usize,
}

/// `upstream.pool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Longest idle life of a connection; a backend's own `Keep-Alive: timeout` less 1 s may shorten it.
    pub idle: Duration,
    /// Idle connections kept per backend and worker.
    pub size: usize,
}

/// `upstream.tls`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackendTls {
    /// PEM file with the authorities that are trusted; `None`: the system's.
    pub ca: Option<Located<PathBuf>>,
    /// Name to verify and to send as SNI; `None`: the host of the backend.
    pub name: Option<String>,
}
