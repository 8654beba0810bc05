//! A configuration made into running objects.

use std::{collections::BTreeMap, io, sync::Arc, time::SystemTime};

use tokio::runtime::Handle;

use crate::{
    config::{
        Config,
        diagnostic::Diagnostic,
        route::{self, Handler, PathPattern},
        site::Site,
    },
    handler::csp_report::LogLimits,
    limiter::Limiter,
    observe::{
        access_log::AccessLog,
        log_file::Lines,
        metrics::{Metrics, Reload},
    },
    router::Router,
    snapshot::{
        Leaf, Route, Running, Snapshot, backend_tls,
        certificates::{self, SiteCertificates},
        stores,
    },
    tls::{self, Tickets, resolver::CertTable},
    upstream::{
        Surroundings, Upstream,
        health::probe::{Probes, dial::Connect},
        outlier::Outliers,
        resolver::Resolver,
        sticky,
    },
};

/// What every snapshot of the process shares.
#[derive(Debug)]
pub struct Shared {
    metrics: Arc<Metrics>,
    lines: Lines,
    workers: usize,
    tickets: Tickets,
    /// Of affinity cookies, where the configuration has no secret.
    key: sticky::Key,
    /// Of what browsers report, in all.
    report_log: Arc<LogLimits>,
    control: Handle,
}

impl Shared {
    /// Made once; probes and look-ups run on the runtime that calls.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(metrics: Arc<Metrics>, lines: Lines, workers: usize) -> io::Result<Self> {
        Ok(Self {
            metrics,
            lines,
            workers,
            tickets: Tickets::new().map_err(io::Error::other)?,
            key: sticky::Key::random().map_err(io::Error::other)?,
            report_log: Arc::default(),
            control: Handle::current(),
        })
    }

    /// Counters of the process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Says in the metrics that `snapshot` serves now.
    pub fn announce(&self, snapshot: &Snapshot) {
        let certificates = snapshot.certificates.iter();
        self.metrics
            .certificates(certificates.map(|(name, not_after)| (name.as_str(), *not_after)));
        self.metrics.reload(Reload::Applied(snapshot.generation));
    }

    /// Builds a snapshot of `config`; what did not change since `old` is carried over. Reads files.
    ///
    /// # Errors
    /// Every fault that shows only now. `old` goes on as it was.
    pub fn build(
        &self,
        config: Config,
        old: Option<&Snapshot>,
    ) -> Result<Snapshot, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let sites = collect(site_certificates(&config), &mut faults).unwrap_or_default();
        let certificates = ends(&sites);
        let tls = collect(self.tls(&config, sites), &mut faults).flatten();
        let upstreams = collect(self.upstreams(&config, old), &mut faults).unwrap_or_default();
        let routes =
            collect(self.routes(&config, &upstreams, old), &mut faults).unwrap_or_default();
        if !faults.is_empty() {
            return Err(faults);
        }
        let misses = config.sites.iter().map(site_name).chain([String::new()]);
        Ok(Snapshot {
            generation: old.map_or(0, Snapshot::generation) + 1,
            router: router(&config),
            routes,
            misses: misses.map(|site| self.metrics.route(&site, "")).collect(),
            tls,
            certificates,
            upstreams,
            access_log: config
                .log
                .access
                .as_ref()
                .map(|access| AccessLog::new(access, self.lines.clone())),
            config: Arc::new(config),
        })
    }

    fn tls(
        &self,
        config: &Config,
        sites: Vec<SiteCertificates>,
    ) -> Result<Option<Arc<tls::ServerConfig>>, Vec<Diagnostic>> {
        if sites.is_empty() {
            return Ok(None);
        }
        let refused = |error: tls::TlsError| vec![Diagnostic::error(error.to_string())];
        let table = CertTable::build(sites).map_err(refused)?;
        tls::server_config(&config.tls, Arc::new(table), &self.tickets)
            .map(Some)
            .map_err(refused)
    }

    fn upstreams(
        &self,
        config: &Config,
        old: Option<&Snapshot>,
    ) -> Result<BTreeMap<String, Arc<Running>>, Vec<Diagnostic>> {
        let mut upstreams = BTreeMap::new();
        let mut faults = Vec::new();
        let key = self.key(config);
        for (name, upstream) in &config.upstreams {
            let known = old.and_then(|old| old.upstreams.get(name));
            let running = self.carry_or_start(upstream, known, &key);
            match running {
                Ok(running) => drop(upstreams.insert(name.clone(), running)),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(upstreams)
        } else {
            Err(faults)
        }
    }

    /// The key of affinity cookies.
    fn key(&self, config: &Config) -> sticky::Key {
        match &config.server.secret {
            Some(secret) => sticky::Key::from_secret(secret.expose().as_bytes()),
            None => self.key.clone(),
        }
    }

    /// The upstream that runs already, if neither its configuration, nor a file that it names, nor the key of its
    /// cookies has changed.
    fn carry_or_start(
        &self,
        config: &Arc<crate::config::upstream::Upstream>,
        known: Option<&Arc<Running>>,
        key: &sticky::Key,
    ) -> Result<Arc<Running>, Diagnostic> {
        let Some(known) = known else {
            return self.start(config, key, None);
        };
        let sticky = known.upstream.sticky();
        if sticky.is_none_or(|it| it.is_keyed_by(key))
            && backend_tls::is_current(&known.upstream, config)?
        {
            return Ok(known.clone());
        }
        self.start(config, key, Some(&known.upstream))
    }

    fn start(
        &self,
        config: &Arc<crate::config::upstream::Upstream>,
        key: &sticky::Key,
        before: Option<&Upstream>,
    ) -> Result<Arc<Running>, Diagnostic> {
        let surroundings = Surroundings {
            key,
            metrics: &self.metrics,
            workers: self.workers,
            before,
        };
        let upstream = Upstream::new(config.clone(), &surroundings)
            .map_err(|error| backend_tls::fault(config, &error))?;
        let connect: Arc<dyn Connect> = Arc::new(upstream.connector().clone());
        Ok(Arc::new(Running {
            _probes: Probes::start(&upstream, &connect, &self.control),
            _resolver: Resolver::start(&upstream, &self.control),
            _outliers: Outliers::start(&upstream, &self.control),
            upstream,
        }))
    }

    fn routes(
        &self,
        config: &Config,
        upstreams: &BTreeMap<String, Arc<Running>>,
        old: Option<&Snapshot>,
    ) -> Result<Vec<Route>, Vec<Diagnostic>> {
        let mut stores = old.map(Snapshot::stores).unwrap_or_default();
        let state = config.server.state.folder();
        let mut routes = Vec::new();
        let mut faults = Vec::new();
        for (site, site_config) in config.sites.iter().enumerate() {
            let name = site_name(site_config);
            for route in &site_config.routes {
                let leaf = match &route.handler {
                    Handler::Files(files) => {
                        match stores::open(files, site_config, state.clone(), &mut stores) {
                            Ok(store) => Leaf::Files(store),
                            Err(fault) => {
                                faults.push(fault);
                                continue;
                            }
                        }
                    }
                    Handler::Proxy(proxy) => match upstreams.get(&proxy.upstream.name) {
                        Some(running) => Leaf::Proxy(running.upstream.clone()),
                        // Its own fault was reported.
                        None => continue,
                    },
                    Handler::CspReport(_) => {
                        Leaf::CspReport(self.metrics.csp(&name), self.report_log.clone())
                    }
                    Handler::Redirect(_) | Handler::Respond(_) => Leaf::Fixed,
                };
                routes.push(Route {
                    site,
                    leaf,
                    limiter: limiter(&name, route, old),
                    metrics: self.metrics.route(&name, &path_name(&route.path)),
                    config: route.clone(),
                });
            }
        }
        if faults.is_empty() {
            Ok(routes)
        } else {
            Err(faults)
        }
    }
}

/// What the TLS listeners need; nothing where there are none.
fn site_certificates(config: &Config) -> Result<Vec<SiteCertificates>, Vec<Diagnostic>> {
    if config.listeners.iter().any(|listener| listener.tls) {
        certificates::load(config)
    } else {
        Ok(Vec::new())
    }
}

/// First name and end of each certificate.
fn ends(sites: &[SiteCertificates]) -> Vec<(String, SystemTime)> {
    let infos = sites
        .iter()
        .flat_map(|(_, pairs)| pairs)
        .map(|pair| &pair.info);
    infos
        .map(|info| {
            (
                info.names.first().cloned().unwrap_or_default(),
                info.not_after,
            )
        })
        .collect()
}

/// The value, or none and its faults among the others.
fn collect<T>(result: Result<T, Vec<Diagnostic>>, faults: &mut Vec<Diagnostic>) -> Option<T> {
    result.map_err(|more| faults.extend(more)).ok()
}

/// Routes are numbered as [`Shared::routes`] makes them.
fn router(config: &Config) -> Router<usize> {
    let mut next = 0..;
    Router::new(config.sites.iter().map(|site| {
        let routes = site
            .routes
            .iter()
            .zip(&mut next)
            .map(|(route, index)| (route.path.clone(), index));
        (site.hosts.as_slice(), routes.collect())
    }))
}

/// The limiter of a route, with its counts where the same limit stood at the same place before.
fn limiter(site: &str, route: &route::Route, old: Option<&Snapshot>) -> Option<Arc<Limiter>> {
    let limit = route.rate_limit.as_ref()?;
    let known = old.and_then(|old| {
        old.routes.iter().find(|known| {
            known.config.path == route.path
                && known.config.rate_limit.as_ref() == Some(limit)
                && old
                    .config
                    .sites
                    .get(known.site)
                    .is_some_and(|known| site_name(known) == site)
        })
    });
    match known.and_then(|known| known.limiter.clone()) {
        Some(limiter) => Some(limiter),
        None => Some(Arc::new(Limiter::new(limit, Limiter::CAPACITY))),
    }
}

/// How a site is called in metrics and by a reload: its first host.
pub(super) fn site_name(site: &Site) -> String {
    site.hosts
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// A path as it is written in the configuration.
fn path_name(path: &PathPattern) -> String {
    match path {
        PathPattern::Exact(path) => format!("={path}"),
        PathPattern::Prefix(path) => path.clone(),
    }
}
