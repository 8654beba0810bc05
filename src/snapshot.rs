//! One immutable running configuration, replaced as a whole.
//!
//! A request sees exactly one snapshot. What did not change is carried over by a reload: an upstream
//! with its health and its pools, a limiter with its counts, a folder with its releases.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;

use crate::{
    assets::Store,
    config::{self, Config},
    handler::csp_report::LogLimits,
    limiter::Limiter,
    message::error::ErrorKind,
    observe::{
        access_log::AccessLog,
        metrics::{csp::CspMetrics, route::RouteMetrics},
    },
    router::{Found, Router},
    tls::ServerConfig,
    upstream::{Upstream, health::probe::Probes, outlier::Outliers, resolver::Resolver},
};

pub mod backend_tls;
pub mod build;
pub mod certificates;
pub mod services;
mod stores;

/// One immutable running configuration.
#[derive(Debug)]
pub struct Snapshot {
    generation: u64,
    config: Arc<Config>,
    router: Router<usize>,
    routes: Vec<Route>,
    /// By site, for what none of its routes matches; the last is for what no site has.
    misses: Vec<Arc<RouteMetrics>>,
    tls: Option<Arc<ServerConfig>>,
    /// First name and end of each certificate.
    certificates: Vec<(String, SystemTime)>,
    upstreams: BTreeMap<String, Arc<Running>>,
    access_log: Option<AccessLog>,
}

/// An upstream with those who look after it.
#[derive(Debug)]
struct Running {
    upstream: Arc<Upstream>,
    _probes: Probes,
    _resolver: Resolver,
    _outliers: Outliers,
}

impl Drop for Running {
    /// Tunnels may hold the upstream for hours yet; its idle connections need not wait for them.
    fn drop(&mut self) {
        self.upstream.retire();
    }
}

/// A route, made of what all workers share.
#[derive(Debug)]
struct Route {
    site: usize,
    config: config::route::Route,
    leaf: Leaf,
    limiter: Option<Arc<Limiter>>,
    metrics: Arc<RouteMetrics>,
}

/// The running part of a route's handler.
#[derive(Debug)]
enum Leaf {
    Files(Arc<Store>),
    Proxy(Arc<Upstream>),
    /// Counts of the site, and what bounds the log of all.
    CspReport(Arc<CspMetrics>, Arc<LogLimits>),
    /// The configuration is all it needs.
    Fixed,
}

impl Snapshot {
    /// Counted from 1, one more at each reload.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Policy and certificates of TLS listeners; `None` when there are none.
    pub fn tls(&self) -> Option<&Arc<ServerConfig>> {
        self.tls.as_ref()
    }

    /// Upstreams, by name.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values().map(|running| &running.upstream)
    }

    /// Folders that are served, each once.
    pub fn stores(&self) -> Vec<Arc<Store>> {
        let mut stores: Vec<Arc<Store>> = Vec::new();
        for route in &self.routes {
            if let Leaf::Files(store) = &route.leaf
                && !stores.iter().any(|known| Arc::ptr_eq(known, store))
            {
                stores.push(store.clone());
            }
        }
        stores
    }

    /// Closes idle backend connections of `worker` that are past their time.
    pub fn sweep(&self, worker: usize) {
        for upstream in self.upstreams() {
            upstream.sweep(worker);
        }
    }

    /// The route of a request that came to the listener at `address`, or why there is none.
    fn find(&self, address: SocketAddr, host: &str, path: &str) -> Target {
        let default = || {
            let listener = self
                .config
                .listeners
                .iter()
                .find(|listener| listener.address == address);
            listener.and_then(|listener| listener.default_site)
        };
        match self.router.find(host, default, path) {
            Found::Route { route, .. } => Target::Route(*route),
            Found::NoRoute { site } => Target::Miss(Some(site), ErrorKind::NoRoute),
            Found::NoSite => Target::Miss(None, ErrorKind::NoSite),
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// A route, by index.
    Route(usize),
    /// Nowhere, and whose headers the refusal carries.
    Miss(Option<usize>, ErrorKind),
}

/// The handle that a reload writes and requests read.
#[derive(Debug)]
pub struct Live {
    snapshot: ArcSwap<Snapshot>,
    /// Read by every request, so that the pointer itself is only loaded when it has changed.
    generation: AtomicU64,
}

impl Live {
    /// Starts with `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        let generation = AtomicU64::new(snapshot.generation);
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            generation,
        }
    }

    /// The newest snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Generation of the newest snapshot.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// From now on requests see `snapshot`; those under way keep theirs.
    pub fn publish(&self, snapshot: Snapshot) {
        let generation = snapshot.generation;
        self.snapshot.store(Arc::new(snapshot));
        self.generation.store(generation, Ordering::Release);
    }
}
