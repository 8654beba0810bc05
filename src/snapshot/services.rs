//! The services of one worker: the snapshot's routes in their layers, built when first met.

use std::{
    cell::{OnceCell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use tower::Service as _;

use crate::{
    config::{headers::Headers, route},
    handler::{
        Handler,
        csp_report::CspReport,
        files::Files,
        proxy::Proxy,
        redirect::{Redirect, RedirectToHttps},
        respond::{Refuse, Respond},
    },
    message::{Call, error::ErrorKind, forwarded::TrustedProxies},
    middleware::{
        self, Settings, Stack,
        compression::{self, encoder::Encoders},
        observe::Observers,
        rate_limit,
        security_headers::Fields,
    },
    observe::metrics::{csp::Disposition, route::RouteMetrics},
    snapshot::{Leaf, Route, Snapshot, Target, build::site_name},
};

/// A request on its way through the stack.
pub type Answering = <Stack<Handler> as tower::Service<Call>>::Future;

/// A request that no route takes is told so, whatever it sends: nobody reads its body.
const UNREAD: u64 = u64::MAX;

/// The services of one worker. Nothing in it is shared with another.
#[derive(Debug)]
pub struct Services {
    snapshot: Arc<Snapshot>,
    trusted: Rc<TrustedProxies>,
    /// By site; the last is for what no site has.
    headers: Vec<Rc<Fields>>,
    encoders: Rc<Encoders>,
    routes: Vec<OnceCell<RefCell<Stack<Handler>>>>,
}

impl Services {
    /// Services of `snapshot`, which compress by `encoders` of the worker.
    pub fn new(snapshot: Arc<Snapshot>, encoders: Rc<Encoders>) -> Self {
        let config = snapshot.config();
        let none = Headers::default();
        let headers = config.sites.iter().map(|site| &site.headers).chain([&none]);
        Self {
            trusted: Rc::new(TrustedProxies::new(&config.server.trusted_proxies)),
            headers: headers
                .map(|headers| Rc::new(Fields::new(headers)))
                .collect(),
            encoders,
            routes: std::iter::repeat_with(OnceCell::new)
                .take(snapshot.routes.len())
                .collect(),
            snapshot,
        }
    }

    /// The snapshot they are built from.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Answers a request that came to the TLS listener at `address`.
    pub fn answer(&self, address: SocketAddr, call: Call) -> Answering {
        let host = call.context.host.as_ref().map_or("", |host| host.name());
        match self.snapshot.find(address, host, call.request.uri().path()) {
            Target::Route(index) => {
                let service = self.routes[index].get_or_init(|| RefCell::new(self.build(index)));
                service.borrow_mut().call(call)
            }
            Target::Miss(site, error) => self.miss(site, Handler::Refuse(Refuse(error)), call),
        }
    }

    /// Sends a request that came to a plain listener to https, where its host is known.
    pub fn redirect_to_https(&self, call: Call) -> Answering {
        let host = call.context.host.as_ref().map_or("", |host| host.name());
        let listeners = &self.snapshot.config().listeners;
        let tls_port = listeners
            .iter()
            .find(|listener| listener.tls)
            .map(|listener| listener.address.port());
        match (self.snapshot.router.site(host), tls_port) {
            (Some(site), Some(tls_port)) => {
                let plain_port = call.context.connection.local.port();
                let redirect = RedirectToHttps {
                    plain_port,
                    tls_port,
                };
                self.miss(Some(site), Handler::RedirectToHttps(redirect), call)
            }
            _ => self.refuse(ErrorKind::NoSite, call),
        }
    }

    /// Refuses a request that has no route.
    pub fn refuse(&self, error: ErrorKind, call: Call) -> Answering {
        self.miss(None, Handler::Refuse(Refuse(error)), call)
    }

    /// Answers outside of every route, so the stack is made for this once.
    fn miss(&self, site: Option<usize>, handler: Handler, call: Call) -> Answering {
        let site = site.unwrap_or(self.headers.len() - 1);
        let settings = self.settings(site, self.snapshot.misses[site].clone());
        middleware::stack(settings, handler).call(call)
    }

    fn settings(&self, site: usize, metrics: Arc<RouteMetrics>) -> Settings {
        Settings {
            trusted: self.trusted.clone(),
            observers: Rc::new(Observers {
                log: self.snapshot.access_log.clone(),
                metrics,
            }),
            headers: self.headers[site].clone(),
            rate_limit: None,
            body_limit: UNREAD,
            compression: None,
        }
    }

    fn build(&self, index: usize) -> Stack<Handler> {
        let route = &self.snapshot.routes[index];
        let compress = route.config.compress.clone();
        let limit = route.config.rate_limit.as_ref().zip(route.limiter.as_ref());
        let settings = Settings {
            rate_limit: limit
                .map(|(limit, limiter)| Rc::new(rate_limit::Policy::new(limit, limiter.clone()))),
            body_limit: route.config.body_limit,
            compression: compress
                .map(|config| Rc::new(compression::Policy::new(config, self.encoders.clone()))),
            ..self.settings(route.site, route.metrics.clone())
        };
        middleware::stack(settings, self.handler(route))
    }

    fn handler(&self, route: &Route) -> Handler {
        let server = &self.snapshot.config().server;
        match (&route.config.handler, &route.leaf) {
            (route::Handler::Files(files), Leaf::Files(store)) => Handler::Files(Rc::new(
                Files::new(store.clone(), files, &route.config.path),
            )),
            (route::Handler::Proxy(proxy), Leaf::Proxy(upstream)) => {
                let proxy = Proxy::new(upstream.clone(), proxy, route.config.path.path(), server);
                Handler::Proxy(Rc::new(proxy))
            }
            (route::Handler::Redirect(redirect), _) => Handler::Redirect(Redirect::new(redirect)),
            (route::Handler::Respond(respond), _) => Handler::Respond(Respond::new(respond)),
            (route::Handler::CspReport(report), Leaf::CspReport(counts, log)) => {
                let disposition = if report.report_only {
                    Disposition::Report
                } else {
                    Disposition::Enforce
                };
                let site = site_name(&self.snapshot.config().sites[route.site]);
                Handler::CspReport(Rc::new(CspReport::new(
                    &site,
                    disposition,
                    counts.clone(),
                    log.clone(),
                )))
            }
            (
                route::Handler::Files(_) | route::Handler::Proxy(_) | route::Handler::CspReport(_),
                _,
            ) => Handler::Refuse(Refuse(ErrorKind::Internal(
                "the route was built without its handler",
            ))),
        }
    }
}
