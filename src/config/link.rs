//! Names become references: upstreams of routes, default sites of listeners. Clashes and orphans are found here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::config::{
    Raw,
    diagnostic::Diagnostic,
    listener::{Listener, RawListener},
    reader::{Reader, quoted, suggest},
    route::{Files, Handler, Proxy, RawHandler, RawRoute, Route},
    server::Server,
    site::{RawSite, Site},
    upstream::{BackendAddress, RawUpstream, Upstream},
    value::{HostPattern, Located, host},
};

/// Everything that referred to something, now with references.
pub(crate) struct Linked {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) upstreams: BTreeMap<String, Arc<Upstream>>,
    pub(crate) sites: Vec<Site>,
}

/// Looks every name up. What a fault leaves out is missing in the result, which is then not used.
pub(crate) fn link(reader: &Reader<'_>, server: &Server, raw: Raw) -> Linked {
    report_address_clashes(reader, server, &raw.listeners);
    report_circles(reader, &raw.listeners, &raw.upstreams);
    report_host_clashes(reader, &raw.sites);
    report_missing_tls(reader, &raw.listeners, &raw.sites);
    report_unused_dns(reader, server, &raw.upstreams);
    let mut used = BTreeSet::new();
    let names: Vec<Located<String>> = raw.upstreams.iter().map(|it| it.name.clone()).collect();
    let upstreams: BTreeMap<String, Arc<Upstream>> = raw
        .upstreams
        .into_iter()
        .filter_map(|it| Some((it.name.value, Arc::new(give_dns(it.upstream?, server)))))
        .collect();
    let listeners = link_listeners(reader, raw.listeners, &raw.sites);
    let mut sites = Vec::new();
    for site in raw.sites {
        report_route_clashes(reader, &site.routes);
        report_unused_nonce(reader, &site);
        let reports = link_reports(reader, &site);
        let mut routes = Vec::new();
        for route in site.routes {
            if let Some(RawHandler::Proxy { upstream, .. }) = &route.handler {
                report_undefined(reader, upstream, &names);
                used.insert(upstream.value.clone());
            }
            routes.extend(link_route(route, &upstreams));
        }
        routes.extend(reports);
        sites.push(Site {
            hosts: site.hosts.into_iter().map(|host| host.value).collect(),
            certificates: site.certificates,
            headers: site.headers,
            routes,
        });
    }
    report_release_clashes(reader, &sites);
    for name in names.iter().filter(|name| !used.contains(&name.value)) {
        if reader.has_errors() {
            break;
        }
        let warning = Diagnostic::warning(format!("no route uses the upstream `{}`", name.value))
            .at(name.span.clone())
            .help(format!(
                "name it in a route with `proxy = {{ upstream = \"{}\" }}`, or take it out",
                name.value
            ));
        reader.push(warning);
    }
    Linked {
        listeners,
        upstreams,
        sites,
    }
}

/// An upstream that is asked for says of whom: it is another one when the servers are others.
fn give_dns(mut upstream: Upstream, server: &Server) -> Upstream {
    if upstream.backends.iter().any(|it| it.address.is_srv()) {
        upstream.dns = server.dns.iter().map(|it| it.value).collect();
    }
    upstream
}

fn report_unused_dns(reader: &Reader<'_>, server: &Server, upstreams: &[RawUpstream]) {
    let mut backends = upstreams.iter().flat_map(|upstream| &upstream.backends);
    if let Some(first) = server.dns.first()
        && !reader.has_errors()
        && !backends.any(|it| it.value.address.is_srv())
    {
        let warning = Diagnostic::warning("no backend is looked up with `server.dns`")
            .at(first.span.clone())
            .help("write one as `srv+http://NAME`, or take `dns` out; plain names are the system's matter");
        reader.push(warning);
    }
}

/// One folder has one memory of earlier builds.
fn report_release_clashes(reader: &Reader<'_>, sites: &[Site]) {
    let routes = sites.iter().flat_map(|site| &site.routes);
    let folders: Vec<_> = routes
        .filter_map(|route| match &route.handler {
            Handler::Files(files) => Some(files),
            _ => None,
        })
        .collect();
    for (place, files) in folders.iter().enumerate() {
        let same = |it: &&&Files| it.root.value == files.root.value;
        let Some(first) = folders[..place].iter().find(same) else {
            continue;
        };
        if first.releases != files.releases {
            let message = "two routes keep other `releases` of one folder";
            let fault = Diagnostic::error(message)
                .at(files.root.span.clone())
                .related(first.root.span.clone(), "the first route")
                .help("give both the same `releases`");
            reader.push(fault);
        }
    }
}

fn link_route(route: RawRoute, upstreams: &BTreeMap<String, Arc<Upstream>>) -> Option<Route> {
    let handler = match route.handler? {
        RawHandler::Done(handler) => handler,
        RawHandler::Proxy {
            upstream,
            strip_prefix,
        } => Handler::Proxy(Proxy {
            upstream: Arc::clone(upstreams.get(&upstream.value)?),
            strip_prefix,
        }),
    };
    Some(Route {
        path: route.path?.value,
        handler,
        rate_limit: route.rate_limit,
        body_limit: route.body_limit,
        compress: route.compress,
    })
}

fn report_undefined(reader: &Reader<'_>, wanted: &Located<String>, names: &[Located<String>]) {
    if names.iter().any(|name| name.value == wanted.value) {
        return;
    }
    let known = names.iter().map(|name| name.value.as_str());
    let help = match suggest::nearest(&wanted.value, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => String::from("define it with `[upstream.NAME]` and `backends = [...]`"),
    };
    let message = format!("no upstream is called {}", quoted(&wanted.value));
    reader.push(
        Diagnostic::error(message)
            .at(wanted.span.clone())
            .help(help),
    );
}

fn link_listeners(
    reader: &Reader<'_>,
    listeners: Vec<RawListener>,
    sites: &[RawSite],
) -> Vec<Listener> {
    let link = |listener: RawListener| {
        Some(Listener {
            address: listener.address?.value,
            tls: listener.tls,
            max_connections: listener.max_connections,
            default_site: listener
                .default_site
                .and_then(|wanted| find_site(reader, &wanted, sites)),
        })
    };
    listeners.into_iter().filter_map(link).collect()
}

fn find_site(reader: &Reader<'_>, wanted: &Located<String>, sites: &[RawSite]) -> Option<usize> {
    let pattern = host::parse(&wanted.value);
    let names = |site: &RawSite| {
        site.hosts
            .iter()
            .any(|it| Some(&it.value) == pattern.as_ref())
    };
    let found = sites.iter().position(names);
    if found.is_none() {
        let hosts: Vec<String> = sites
            .iter()
            .flat_map(|site| site.hosts.iter().map(|host| host.value.to_string()))
            .collect();
        let known: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let help = match suggest::nearest(&wanted.value, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => String::from("write a host as some site's `hosts` has it"),
        };
        let message = format!("no site has the host {}", quoted(&wanted.value));
        reader.push(
            Diagnostic::error(message)
                .at(wanted.span.clone())
                .help(help),
        );
    }
    found
}

fn report_address_clashes(reader: &Reader<'_>, server: &Server, listeners: &[RawListener]) {
    let addresses: Vec<&Located<SocketAddr>> = listeners
        .iter()
        .filter_map(|it| it.address.as_ref())
        .collect();
    let admin = server.admin.as_ref().map(|admin| admin.address);
    for (index, address) in addresses.iter().enumerate() {
        // Port 0 is a different port each time.
        if address.value.port() == 0 {
            continue;
        }
        let fault = Diagnostic::error(format!("{} is listened on twice", address.value))
            .at(address.span.clone());
        if let Some(first) = addresses[..index]
            .iter()
            .find(|it| it.value == address.value)
        {
            let fault = fault.related(first.span.clone(), "first here");
            reader.push(fault.help("keep one of the listeners, or change a port"));
        } else if admin == Some(address.value) {
            reader.push(fault.help("the admin listener has this address; set `server.admin`"));
        }
    }
}

/// A backend that is one of our own listeners would send each request round in a circle.
fn report_circles(reader: &Reader<'_>, listeners: &[RawListener], upstreams: &[RawUpstream]) {
    let addresses: Vec<&Located<SocketAddr>> = listeners
        .iter()
        .filter_map(|it| it.address.as_ref())
        .collect();
    for backend in upstreams.iter().flat_map(|upstream| &upstream.backends) {
        let BackendAddress::Tcp { host, port, .. } = &backend.value.address else {
            continue;
        };
        let ip: Option<IpAddr> = match host.as_str() {
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            literal => literal.parse().ok(),
        };
        let Some(ip) = ip else { continue };
        let is_own = |listener: &&&Located<SocketAddr>| {
            let own = listener.value.ip();
            *port != 0
                && listener.value.port() == *port
                && (own == ip || own.is_unspecified() && ip.is_loopback())
        };
        if let Some(listener) = addresses.iter().find(is_own) {
            let fault = Diagnostic::error("this backend is the proxy itself")
                .at(backend.span.clone())
                .related(listener.span.clone(), "this listener")
                .help("name the address that the application listens on");
            reader.push(fault);
        }
    }
}

fn report_host_clashes(reader: &Reader<'_>, sites: &[RawSite]) {
    let mut seen: BTreeMap<&HostPattern, &Located<HostPattern>> = BTreeMap::new();
    for host in sites.iter().flat_map(|site| &site.hosts) {
        match seen.get(&host.value) {
            Some(first) => {
                let fault = Diagnostic::error(format!("the host `{}` is named twice", host.value))
                    .at(host.span.clone())
                    .related(first.span.clone(), "first here")
                    .help("a host belongs to one site: take one of them out");
                reader.push(fault);
            }
            None => {
                seen.insert(&host.value, host);
            }
        }
    }
}

fn report_route_clashes(reader: &Reader<'_>, routes: &[RawRoute]) {
    let paths: Vec<_> = routes.iter().filter_map(|it| it.path.as_ref()).collect();
    for (index, path) in paths.iter().enumerate() {
        let Some(first) = paths[..index]
            .iter()
            .find(|it| it.value.is_like(&path.value))
        else {
            continue;
        };
        let (one, two) = (first.value.to_string(), path.value.to_string());
        let help = if one == two {
            String::from("keep one of them, or change a path")
        } else {
            format!("`{one}` and `{two}` match the same requests: keep one of them")
        };
        let fault = Diagnostic::error(format!("the route `{two}` is never reached"))
            .at(path.span.clone())
            .related(first.span.clone(), "this route takes its requests")
            .help(help);
        reader.push(fault);
    }
}

fn report_unused_nonce(reader: &Reader<'_>, site: &RawSite) {
    let has_nonce = site
        .headers
        .csp
        .as_ref()
        .is_some_and(|csp| csp.nonce.is_some());
    let is_files =
        |route: &RawRoute| matches!(&route.handler, Some(RawHandler::Done(Handler::Files(_))));
    if has_nonce && !reader.has_errors() && !site.routes.iter().any(is_files) {
        let warning = Diagnostic::warning("no page of the site can have a nonce")
            .at(site.span.clone())
            .help("take `nonce` out of `headers.csp`: only `files` are filled in, what a backend renders is not");
        reader.push(warning);
    }
}

/// The route that takes what browsers report of the site's policy.
fn link_reports(reader: &Reader<'_>, site: &RawSite) -> Option<Route> {
    let csp = site.headers.csp.as_ref()?;
    let path = csp.report.as_deref()?;
    let paths = site.routes.iter().filter_map(|it| it.path.as_ref());
    for route in
        paths.filter(|it| it.value.path().trim_end_matches('/') == path.trim_end_matches('/'))
    {
        let message = format!(
            "the route `{}` would take the reports of the policy",
            route.value
        );
        let fault = Diagnostic::error(message)
            .at(route.span.clone())
            .help("change its path, or the one of `headers.csp.report`, which needs no route");
        reader.push(fault);
    }
    Some(Route::of_reports(path, csp))
}

fn report_missing_tls(reader: &Reader<'_>, listeners: &[RawListener], sites: &[RawSite]) {
    let Some(tls) = listeners.iter().find(|listener| listener.tls) else {
        if let Some(first) = listeners.first()
            && !reader.has_errors()
        {
            let warning = Diagnostic::warning("no listener speaks TLS")
                .at(first.span.clone())
                .help("set `tls = true` on one; a plain listener only redirects to https");
            reader.push(warning);
        }
        return;
    };
    for site in sites.iter().filter(|site| !site.has_certificate) {
        let fault = Diagnostic::error("the site has no certificate, but a listener speaks TLS")
            .at(site.span.clone())
            .related(tls.span.clone(), "this listener")
            .help("add `certificate = { chain = \"...\", key = \"...\" }`, or `certificate = { dev = true }` to try it out");
        reader.push(fault);
    }
}
