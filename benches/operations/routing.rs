//! Where a request goes: router, balancer, limiter.

use std::{hint::black_box, net::IpAddr, path::Path, sync::Arc, time::Duration};

use portcullis::{
    config::{
        Config,
        limit::{RateKey, RateLimit},
        route::PathPattern,
        value::HostPattern,
    },
    limiter::Limiter,
    observe::metrics::Metrics,
    router::Router,
    upstream::{Surroundings, Upstream, balancer::hash, lease::Wanted, sticky},
};
use tokio::time::Instant;

use super::Operation;

/// How much there is to choose from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    sites: usize,
    routes_per_site: usize,
}

pub(crate) const ONE: Size = Size {
    sites: 1,
    routes_per_site: 1,
};

/// 10,000 routes.
pub(crate) const MANY: Size = Size {
    sites: 500,
    routes_per_site: 20,
};

/// Finds the route of a path three segments deep.
pub(crate) fn router(size: Size) -> Operation {
    let hosts: Vec<_> = (0..size.sites)
        .map(|site| [HostPattern::Exact(format!("site-{site:03}.example.com"))])
        .collect();
    let routes = |_| {
        let routes = 0..size.routes_per_site;
        let prefix = |route| PathPattern::Prefix(format!("/part-{route:02}/"));
        routes.map(|route| (prefix(route), route)).collect()
    };
    let sites = hosts.iter().enumerate();
    let router = Router::new(sites.map(|(site, hosts)| (&hosts[..], routes(site))));
    let host = format!("site-{:03}.example.com", size.sites / 2);
    let path = format!("/part-{:02}/todos/42", size.routes_per_site / 2);
    Box::new(move || {
        black_box(router.find(black_box(&host), || None, black_box(&path)));
    })
}

/// Leases one of `count` backends and gives it back.
pub(crate) fn balancer(balance: &str, count: u16) -> Operation {
    let backends: Vec<_> = (0..count)
        .map(|number| format!("http://127.0.0.1:{}", 3000 + number))
        .collect();
    let text = format!("[upstream.api]\nbackends = {backends:?}\nbalance = \"{balance}\"\n");
    let config = parse(&(text + &listener_and_site("respond = { status = 204 }")));
    let surroundings = Surroundings {
        key: &sticky::Key::from_secret(b"bench"),
        metrics: &Arc::new(Metrics::new()),
        workers: 1,
        before: None,
    };
    let upstream = Upstream::new(config.upstreams["api"].clone(), &surroundings)
        .expect("no authorities are read for plain backends");
    let wanted = Wanted::new(hash::client(CLIENT), None);
    Box::new(move || {
        black_box(upstream.lease(black_box(&wanted))).expect("there is room");
    })
}

/// Counts one request of an address.
pub(crate) fn limiter() -> Operation {
    let limit = RateLimit {
        requests: 1_000_000,
        period: Duration::from_secs(1),
        burst: 1_000_000,
        key: RateKey::Client,
    };
    let limiter = Arc::new(Limiter::new(&limit, Limiter::CAPACITY));
    let now = Instant::now();
    Box::new(move || {
        let key = limiter.address_key(black_box(CLIENT));
        black_box(limiter.check(key, now));
    })
}

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A listener, and a site with one route.
pub(crate) fn listener_and_site(handler: &str) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:8080\"\ntls = false\n\n\
         [[site]]\nhosts = [\"bench.example.com\"]\n\n[[site.route]]\npath = \"/\"\n{handler}\n"
    )
}

/// A configuration that is known to be good.
pub(crate) fn parse(text: &str) -> Config {
    match Config::parse(Path::new("/bench.toml"), text, &|_| None) {
        Ok((config, _)) => config,
        Err(report) => unreachable!("{report:?}"),
    }
}
