//! `[upstream.NAME]`: a named set of backends.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};

use crate::config::{
    defaults,
    reader::table::{Shape, Table},
    tls::CertificateFiles,
    value::Located,
};

mod backend;
mod balance;
mod outlier;
mod policy;
mod probe;
mod tls;

pub(crate) use backend::{BACKEND, HAS_DNS};
pub use backend::{Backend, BackendAddress};
pub use balance::{Balance, HashKey};
pub(crate) use outlier::OUTLIER;
pub use outlier::Outlier;
pub(crate) use policy::{LIMITS, POOL, RETRY, TIMEOUT};
pub(crate) use probe::{HEADERS as PROBE_HEADERS, SHAPE as PROBE};
pub(crate) use tls::{CERTIFICATE as TLS_CERTIFICATE, SHAPE as TLS};

/// `[upstream.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// NAME.
    pub name: String,
    /// At least one.
    pub backends: Vec<Backend>,
    /// How a backend is picked.
    pub balance: Balance,
    /// Which requests come back to the backend that served them before.
    pub sticky: Sticky,
    /// Active check.
    pub probe: Probe,
    /// When a backend fails too often; `None`: never.
    pub outlier: Option<Outlier>,
    /// How long a backend that returns gets fewer requests than the others; zero: not at all.
    pub slow_start: Duration,
    /// What may be sent again, and how long a request waits for a backend.
    pub retry: Retry,
    /// Deadlines.
    pub timeout: Timeout,
    /// Load bounds.
    pub limits: Limits,
    /// Idle connections.
    pub pool: Pool,
    /// What is said of the client in front of each connection; the pool keeps none then.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// For `https` backends; present exactly when one is.
    pub tls: Option<BackendTls>,
    /// Servers that SRV names are asked of; none: those of the system. Only where a backend is such a name.
    pub dns: Vec<SocketAddr>,
}

/// `upstream.proxy_protocol`: a version of HAProxy's PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
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
    /// What the `Host` field says; `None`: the backend's own host and port.
    pub host: Option<String>,
    /// Further fields. Their values are secrets, and marked as such.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Status codes that are good.
    pub expect: Vec<StatusCode>,
    /// Text that the first 64 KiB of the body must hold.
    pub contains: Option<String>,
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
    /// Requests in flight per backend; tunnels and event streams are not counted.
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
    /// Shown to backends that ask for one.
    pub certificate: Option<CertificateFiles>,
}

/// `[upstream.NAME]`.
pub(crate) static SHAPE: Shape = Shape {
    name: "upstream.NAME",
    keys: &[
        "backends",
        "balance",
        "hash_key",
        "sticky",
        "probe",
        "outlier",
        "slow_start",
        "retry",
        "timeout",
        "limits",
        "pool",
        "proxy_protocol",
        "tls",
    ],
    reserved: &[],
};

/// `[upstream.NAME]` with the places of its backends.
pub(crate) struct RawUpstream {
    /// NAME.
    pub(crate) name: Located<String>,
    /// `None` when its backends are faulty.
    pub(crate) upstream: Option<Upstream>,
    /// Its backends again, with places.
    pub(crate) backends: Vec<Located<Backend>>,
}

impl Upstream {
    /// An upstream with these backends and the default of everything else.
    pub fn new(name: impl Into<String>, backends: Vec<Backend>) -> Self {
        let speaks_tls = backends.iter().any(|it| it.address.is_tls());
        Self {
            name: name.into(),
            backends,
            balance: Balance::LeastRequests,
            // Harmless where no Socket.IO is spoken, needed by Nest's gateways where polling is.
            sticky: Sticky::SocketIo,
            probe: Probe::default(),
            outlier: Some(Outlier::default()),
            slow_start: defaults::SLOW_START,
            retry: Retry::default(),
            timeout: Timeout::default(),
            limits: Limits::default(),
            pool: Pool::default(),
            proxy_protocol: None,
            tls: speaks_tls.then(BackendTls::default),
            dns: Vec::new(),
        }
    }
}

impl RawUpstream {
    /// Reads `[upstream.NAME]`.
    pub(crate) fn read(name: Located<String>, table: &Table<'_>) -> Self {
        let backends = backend::read(table);
        let values = backends.iter().map(|backend| backend.value.clone());
        let default = Upstream::new(name.value.clone(), values.collect());
        let stickies = [
            ("socketio", Sticky::SocketIo),
            ("cookie", Sticky::Cookie),
            ("off", Sticky::Off),
        ];
        let proxy_protocol = read_proxy_protocol(table);
        let pool = Pool::read(table.child("pool", &POOL));
        let upstream = Upstream {
            balance: Balance::read(table),
            sticky: table.choose("sticky", default.sticky, &stickies),
            probe: Probe::read(table.child("probe", &PROBE)),
            outlier: Outlier::read(table),
            slow_start: table.take_within(
                "slow_start",
                default.slow_start,
                &(Duration::ZERO..=Duration::from_mins(10)),
            ),
            retry: Retry::read(table.child("retry", &RETRY)),
            timeout: Timeout::read(table.child("timeout", &TIMEOUT)),
            limits: Limits::read(table.child("limits", &LIMITS)),
            pool: match proxy_protocol {
                None => pool,
                // A connection belongs to the client that it was opened for.
                Some(_) => Pool { size: 0, ..pool },
            },
            proxy_protocol,
            tls: tls::read(table, default.tls),
            dns: default.dns,
            name: default.name,
            backends: default.backends,
        };
        table.finish();
        Self {
            name,
            upstream: (!upstream.backends.is_empty()).then_some(upstream),
            backends,
        }
    }
}

fn read_proxy_protocol(table: &Table<'_>) -> Option<ProxyProtocol> {
    let versions = [
        ("v1", Some(ProxyProtocol::V1)),
        ("v2", Some(ProxyProtocol::V2)),
    ];
    let version = table.choose("proxy_protocol", None, &versions)?;
    if let Some(value) = table.value("pool") {
        value.reject::<()>(
            "`pool` has no effect beside `proxy_protocol`, where a connection belongs to one client",
            "take `pool` out",
        );
    }
    Some(version)
}
