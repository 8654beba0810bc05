//! `portcullis explain`: what a request would meet, without sending it.

use std::{fmt::Write as _, path::Path};

use http::{Method, Uri};

use crate::{
    cli::{Exit, complain, say, show},
    config::{
        Config,
        limit::RateKey,
        listener::Listener,
        route::{Handler, PathPattern, Route},
        site::Site,
        upstream::{Balance, ProxyProtocol, Sticky, Upstream},
    },
    message::host::Host,
    router::{Found, Router},
};

mod compress;
mod files;
mod headers;

/// Says what a `method` request for `url` meets under the configuration at `path`.
pub fn explain(path: &Path, method: &str, url: &str) -> Exit {
    let config = match Config::load(path) {
        Ok((config, _)) => config,
        Err(report) => {
            show(&report);
            return Exit::Config;
        }
    };
    match Question::parse(method, url) {
        Ok(question) => {
            let (exit, text) = question.answer(&config);
            say(&text);
            exit
        }
        Err(error) => {
            complain(&error);
            Exit::Usage
        }
    }
}

/// A request that could come.
#[derive(Debug)]
struct Question {
    method: Method,
    tls: bool,
    host: Host,
    port: u16,
    path: String,
    query: bool,
}

impl Question {
    fn parse(method: &str, url: &str) -> anyhow::Result<Self> {
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())?;
        let uri: Uri = url.parse()?;
        let example = "write a whole address, as in https://your-domain.com/api/todos";
        let tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => anyhow::bail!(example),
        };
        let host = uri
            .authority()
            .and_then(|authority| Host::parse(authority.as_str()));
        let host = host.ok_or_else(|| anyhow::anyhow!(example))?;
        let port = host.port().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            method,
            tls,
            host,
            port,
            path: uri.path().to_owned(),
            query: uri.query().is_some(),
        })
    }

    fn answer(&self, config: &Config) -> (Exit, String) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let exit = self.write(config, &mut text).unwrap_or(Exit::Bad);
        (exit, text)
    }

    fn write(&self, config: &Config, text: &mut String) -> Result<Exit, std::fmt::Error> {
        let Some(listener) = self.listener(config) else {
            let kind = if self.tls { "a TLS" } else { "a plain" };
            writeln!(text, "listener    none: no [[listener]] is {kind} one")?;
            return Ok(Exit::Bad);
        };
        let mapped = if listener.address.port() == self.port {
            ""
        } else {
            " (if that port is mapped to it)"
        };
        writeln!(
            text,
            "listener    {}, {}{mapped}",
            listener.address,
            if listener.tls { "TLS" } else { "plain" }
        )?;
        let router = router(config);
        let default = listener.default_site.filter(|_| listener.tls);
        let site = match router.find(self.host.name(), || default, &self.path) {
            Found::NoSite => {
                writeln!(
                    text,
                    "site        none: no [[site]] has the host {}, the answer is 404",
                    self.host.name()
                )?;
                return Ok(Exit::Bad);
            }
            Found::NoRoute { site } | Found::Route { site, .. } => site,
        };
        let by_default = if router.site(self.host.name()).is_some() {
            ""
        } else {
            " (the listener's default_site)"
        };
        writeln!(
            text,
            "site        {}{by_default}",
            hosts(&config.sites[site])
        )?;
        if !listener.tls {
            writeln!(
                text,
                "answer      308 to https, where `explain` goes on with the https address"
            )?;
            return Ok(Exit::Good);
        }
        headers::write(text, &config.sites[site].headers)?;
        let Some(route) = router
            .route(site, &self.path)
            .map(|index| &config.sites[site].routes[*index])
        else {
            writeln!(
                text,
                "route       none: no route of the site matches {}, the answer is 404",
                self.path
            )?;
            return Ok(Exit::Bad);
        };
        self.route(text, route)?;
        Ok(Exit::Good)
    }

    /// The listener at the port, or else the first of the kind: ports may be mapped.
    fn listener<'a>(&self, config: &'a Config) -> Option<&'a Listener> {
        let mut of_kind = config
            .listeners
            .iter()
            .filter(|listener| listener.tls == self.tls);
        let first = of_kind.clone().next();
        of_kind
            .find(|listener| listener.address.port() == self.port)
            .or(first)
    }

    fn route(&self, text: &mut String, route: &Route) -> std::fmt::Result {
        let pattern = match &route.path {
            PathPattern::Exact(path) => format!("={path} (this path alone)"),
            PathPattern::Prefix(path) => format!("{path} (and what lies below)"),
        };
        writeln!(text, "route       {pattern}")?;
        match &route.rate_limit {
            None => writeln!(text, "rate limit  none")?,
            Some(limit) => writeln!(
                text,
                "rate limit  {} requests per {:?} by {}, {} more at once",
                limit.requests,
                limit.period,
                counted_by(&limit.key),
                limit.burst
            )?,
        }
        writeln!(text, "body limit  {} bytes, more is 413", route.body_limit)?;
        compress::write(text, route)?;
        match &route.handler {
            Handler::Files(files) => {
                files::explain(text, files)?;
                if !matches!(self.method, Method::GET | Method::HEAD) {
                    writeln!(text, "answer      405: files know GET and HEAD")?;
                }
                Ok(())
            }
            Handler::Redirect(redirect) => {
                writeln!(text, "redirect    {} to {}", redirect.status, redirect.to)
            }
            Handler::Respond(respond) => {
                writeln!(
                    text,
                    "respond     {}, {} bytes",
                    respond.status,
                    respond.body.len()
                )
            }
            Handler::CspReport(_) => {
                writeln!(
                    text,
                    "reports     of the content security policy, into metrics and log"
                )?;
                let answer = if self.method == Method::POST {
                    "204: nothing is sent back"
                } else {
                    "405: reports come by POST"
                };
                writeln!(text, "answer      {answer}")
            }
            Handler::Proxy(proxy) => {
                let (path, query) = (self.path.as_str(), if self.query { "?..." } else { "" });
                let prefix = match &route.path {
                    PathPattern::Prefix(prefix) if proxy.strip_prefix => {
                        prefix.trim_end_matches('/')
                    }
                    _ => "",
                };
                let rest = path.strip_prefix(prefix).unwrap_or(path);
                let slash = if rest.starts_with('/') { "" } else { "/" };
                writeln!(text, "sent as     {} {slash}{rest}{query}", self.method)?;
                upstream(text, &proxy.upstream)
            }
        }
    }
}

fn counted_by(key: &RateKey) -> String {
    match key {
        RateKey::Client => "client".to_owned(),
        RateKey::Header(name) => format!("header:{name}"),
    }
}

fn balance(balance: &Balance) -> String {
    match balance {
        Balance::RoundRobin => "round_robin".to_owned(),
        Balance::LeastRequests => "least_requests".to_owned(),
        Balance::PeakEwma => "peak_ewma".to_owned(),
        Balance::Hash(key) => format!("hash by {key}"),
    }
}

fn sticky(sticky: Sticky) -> &'static str {
    match sticky {
        Sticky::Off => "off",
        Sticky::Cookie => "cookie",
        Sticky::SocketIo => "socketio",
    }
}

fn router(config: &Config) -> Router<usize> {
    Router::new(config.sites.iter().map(|site| {
        let routes = site
            .routes
            .iter()
            .enumerate()
            .map(|(index, route)| (route.path.clone(), index));
        (site.hosts.as_slice(), routes.collect())
    }))
}

fn hosts(site: &Site) -> String {
    site.hosts
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn upstream(text: &mut String, upstream: &Upstream) -> std::fmt::Result {
    let backends: Vec<_> = upstream.backends.iter().map(ToString::to_string).collect();
    writeln!(
        text,
        "upstream    {} ({})",
        upstream.name,
        backends.join(", ")
    )?;
    writeln!(
        text,
        "balance     {}, sticky {}",
        balance(&upstream.balance),
        sticky(upstream.sticky)
    )?;
    if let Some(version) = upstream.proxy_protocol {
        let version = match version {
            ProxyProtocol::V1 => "v1",
            ProxyProtocol::V2 => "v2",
        };
        writeln!(
            text,
            "connection  a new one per request, PROXY protocol {version}"
        )?;
    }
    tls(text, upstream)?;
    probe(text, upstream)?;
    match &upstream.outlier {
        None => writeln!(text, "outlier     none is ejected")?,
        Some(outlier) => writeln!(
            text,
            "outlier     ejected for {:?} when {:.0} % of {} requests or more fail in {:?}",
            outlier.eject,
            outlier.failures * 100.0,
            outlier.requests,
            outlier.window
        )?,
    }
    writeln!(text, "slow start  {:?}", upstream.slow_start)?;
    let timeout = &upstream.timeout;
    writeln!(
        text,
        "timeouts    connect {:?}, header {:?}, idle {:?}",
        timeout.connect, timeout.header, timeout.idle
    )?;
    let (limits, retry) = (&upstream.limits, &upstream.retry);
    writeln!(
        text,
        "limits      {} requests per backend, {} may wait",
        limits.max_requests, limits.queue
    )?;
    writeln!(
        text,
        "retry       up to {:.0} % of requests; waits {:?} for a backend",
        retry.budget * 100.0,
        retry.hold
    )
}

fn tls(text: &mut String, upstream: &Upstream) -> std::fmt::Result {
    let Some(tls) = &upstream.tls else {
        return Ok(());
    };
    let authorities = match &tls.ca {
        Some(file) => file.value.display().to_string(),
        None => "the system".to_owned(),
    };
    let name = tls.name.as_deref().unwrap_or("the backend's host");
    write!(text, "tls         trusts {authorities} for {name}")?;
    if let Some(files) = &tls.certificate {
        write!(text, ", shows {}", files.chain.value.display())?;
    }
    writeln!(text)
}

/// Names of its headers alone: their values are secrets.
fn probe(text: &mut String, upstream: &Upstream) -> std::fmt::Result {
    let Some(probe) = &upstream.probe.http else {
        return writeln!(text, "probe       connects");
    };
    write!(text, "probe       GET {}", probe.path)?;
    if let Some(host) = &probe.host {
        write!(text, " of {host}")?;
    }
    if !probe.headers.is_empty() {
        let names: Vec<_> = probe
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        write!(text, " with {}", names.join(", "))?;
    }
    let codes: Vec<_> = probe.expect.iter().map(http::StatusCode::as_str).collect();
    write!(text, ", good is {}", codes.join(", "))?;
    if let Some(contained) = &probe.contains {
        write!(text, " with {contained:?} in the body")?;
    }
    writeln!(text)
}
