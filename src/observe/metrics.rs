//! What is counted, and how Prometheus reads it.
//!
//! Label values come from the configuration alone: a path, an address or a header of a request
//! never becomes one. Whoever counts per request looks its handle up once, when the snapshot is
//! built; from then on counting is a relaxed atomic.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::text::encode_registry,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::observe::metrics::{
    backend::{BackendMetrics, UpstreamMetrics},
    csp::CspMetrics,
    listener::ListenerMetrics,
    route::RouteMetrics,
    table::Table,
    worker::WorkerMetrics,
};

pub mod backend;
pub mod csp;
mod exposition;
pub mod histogram;
pub mod listener;
pub mod route;
mod table;
pub mod worker;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    routes: Arc<Table<RouteMetrics>>,
    upstreams: Arc<Table<UpstreamMetrics>>,
    backends: Arc<Table<BackendMetrics>>,
    listeners: Arc<Table<ListenerMetrics>>,
    workers: Arc<Table<WorkerMetrics>>,
    csp: Arc<Table<CspMetrics>>,
    handshakes: Family<Labels<2>, Counter>,
    handshake_failures: Family<Labels<1>, Counter>,
    certificates: Family<[(&'static str, String); 1], Gauge>,
    reloads: Family<Labels<1>, Counter>,
    generation: Gauge,
    last_reload: Gauge<f64, AtomicU64>,
    tunnels: Gauge,
    dropped_lines: Counter,
}

/// Whether a TLS handshake resumed an earlier session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// A full handshake.
    Full,
    /// By ticket or session id.
    Resumed,
}

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// This generation serves now; the first is 1.
    Applied(u64),
    /// The old generation stays.
    Refused,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at nought.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("portcullis"),
            routes: Arc::default(),
            upstreams: Arc::default(),
            backends: Arc::default(),
            listeners: Arc::default(),
            workers: Arc::default(),
            csp: Arc::default(),
            handshakes: Family::default(),
            handshake_failures: Family::default(),
            certificates: Family::default(),
            reloads: Family::default(),
            generation: Gauge::default(),
            last_reload: Gauge::default(),
            tunnels: Gauge::default(),
            dropped_lines: Counter::default(),
        };
        // A counter that is first seen at 1 hides its first event from `rate`.
        for result in ["applied", "refused"] {
            metrics.reloads.get_or_create_owned(&[("result", result)]);
        }
        metrics.register();
        metrics
    }

    /// Counts of a route. The same pair gives the same counts, across reloads too.
    pub fn route(&self, site: &str, route: &str) -> Arc<RouteMetrics> {
        self.routes.entry([site, route])
    }

    /// Counts of an upstream.
    pub fn upstream(&self, upstream: &str) -> Arc<UpstreamMetrics> {
        self.upstreams.entry([upstream, ""])
    }

    /// Counts of one backend; `backend` is its address as configured.
    pub fn backend(&self, upstream: &str, backend: &str) -> Arc<BackendMetrics> {
        self.backends.entry([upstream, backend])
    }

    /// Counts of a listener; `listener` is its address as configured.
    pub fn listener(&self, listener: &str, protocol: listener::Protocol) -> Arc<ListenerMetrics> {
        self.listeners.entry([listener, protocol.as_label()])
    }

    /// Counts of a worker, by its index.
    pub fn worker(&self, worker: usize) -> Arc<WorkerMetrics> {
        self.workers.entry([&worker.to_string(), ""])
    }

    /// What browsers report about the policy of a site.
    pub fn csp(&self, site: &str) -> Arc<CspMetrics> {
        self.csp.entry([site, ""])
    }

    /// A TLS handshake on the client side succeeded; `version` as in `TlsInfo`.
    pub fn tls_handshake(&self, version: &'static str, resumption: Resumption) {
        let resumed = match resumption {
            Resumption::Full => "false",
            Resumption::Resumed => "true",
        };
        self.handshakes
            .get_or_create(&[("version", version), ("resumed", resumed)])
            .inc();
    }

    /// A TLS handshake on the client side failed.
    pub fn tls_handshake_failed(&self, class: &'static str) {
        self.handshake_failures
            .get_or_create(&[("class", class)])
            .inc();
    }

    /// Certificates in service and when they expire. Those not named are forgotten, so that
    /// nobody is warned of a certificate that was replaced.
    pub fn certificates<'a>(&self, certificates: impl IntoIterator<Item = (&'a str, SystemTime)>) {
        self.certificates.clear();
        for (name, not_after) in certificates {
            let seconds = i64::try_from(since_epoch(not_after).as_secs()).unwrap_or(i64::MAX);
            self.certificates
                .get_or_create(&[("name", name.to_owned())])
                .set(seconds);
        }
    }

    /// A reload, or the first load, ended.
    pub fn reload(&self, reload: Reload) {
        let result = match reload {
            Reload::Applied(generation) => {
                self.generation
                    .set(i64::try_from(generation).unwrap_or(i64::MAX));
                self.last_reload
                    .set(since_epoch(SystemTime::now()).as_secs_f64());
                "applied"
            }
            Reload::Refused => "refused",
        };
        self.reloads.get_or_create(&[("result", result)]).inc();
    }

    /// A tunnel began; pairs with [`Self::tunnel_closed`].
    pub fn tunnel_opened(&self) {
        self.tunnels.inc();
    }

    /// A tunnel ended.
    pub fn tunnel_closed(&self) {
        self.tunnels.dec();
    }

    /// Lines that the access log could not take.
    pub fn dropped_lines(&self) -> Counter {
        self.dropped_lines.clone()
    }

    /// The page that Prometheus reads, in its text format 0.0.4.
    pub fn encode(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        // Writing to a string does not fail.
        if encode_registry(&mut page, &self.registry).is_err() {
            tracing::error!("the metrics could not be encoded");
        }
        exposition::from_open_metrics(&page)
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "build",
            "Version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        for table in [
            Box::new(Arc::clone(&self.routes)) as Box<dyn prometheus_client::collector::Collector>,
            Box::new(Arc::clone(&self.upstreams)),
            Box::new(Arc::clone(&self.backends)),
            Box::new(Arc::clone(&self.listeners)),
            Box::new(Arc::clone(&self.workers)),
            Box::new(Arc::clone(&self.csp)),
        ] {
            registry.register_collector(table);
        }
        registry.register(
            "tls_handshakes",
            "TLS handshakes with clients that succeeded",
            self.handshakes.clone(),
        );
        registry.register(
            "handshake_failures",
            "TLS handshakes with clients that failed, by class",
            self.handshake_failures.clone(),
        );
        registry.register(
            "certificate_not_after_seconds",
            "When a certificate expires, in seconds since 1970",
            self.certificates.clone(),
        );
        registry.register(
            "config_reloads",
            "Configurations that were applied or refused, the first load included",
            self.reloads.clone(),
        );
        registry.register(
            "config_generation",
            "Number of the configuration that serves",
            self.generation.clone(),
        );
        registry.register(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration that serves was applied, in seconds since 1970",
            self.last_reload.clone(),
        );
        registry.register("tunnels_open", "WebSocket tunnels", self.tunnels.clone());
        registry.register(
            "access_log_dropped",
            "Access log lines that could not be written",
            self.dropped_lines.clone(),
        );
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
