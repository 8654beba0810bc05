//! `[[site.route]]`: a path, its policies, and one handler.

use std::{fmt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::config::{
    compress::Compress,
    defaults,
    diagnostic::Diagnostic,
    headers::Csp,
    limit::{self, RateLimit},
    reader::{
        Read, Value, quoted,
        table::{Shape, Table},
    },
    upstream::Upstream,
    value::{Located, path, unit::Size},
};

mod files;
mod handler;
mod releases;

pub(crate) use handler::{FILES, PROXY, REDIRECT, RESPOND};
pub use releases::Releases;
pub(crate) use releases::SHAPE as RELEASES;

/// `[[site.route]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// What it matches.
    pub path: PathPattern,
    /// What answers.
    pub handler: Handler,
    /// Requests per client.
    pub rate_limit: Option<RateLimit>,
    /// Largest request body in bytes; above it the answer is 413.
    pub body_limit: u64,
    /// How responses are compressed on their way; `None`: they are not.
    pub compress: Option<Arc<Compress>>,
}

/// `route.path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathPattern {
    /// `"=/x"`: this path and no other.
    Exact(String),
    /// `"/x/"` or `"/x"`: this path and what lies below it, on segment borders.
    Prefix(String),
}

/// The one handler of a route.
#[derive(Debug, Clone, PartialEq)]
pub enum Handler {
    /// `files`.
    Files(Files),
    /// `proxy`.
    Proxy(Proxy),
    /// `redirect`.
    Redirect(Redirect),
    /// `respond`.
    Respond(Respond),
    /// What `headers.csp.report` asks for; no route is written for it.
    CspReport(CspReport),
}

/// `route.files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Folder, absolute; joined with what follows the route's path.
    pub root: Located<PathBuf>,
    /// File in the root that answers navigations to paths nobody has; `None`: 404.
    pub fallback: Option<String>,
    /// What is appended to a path, in the order in which files are looked for.
    pub suffixes: Vec<String>,
    /// Variables of the environment that pages and scripts are told, with their values.
    pub env: Vec<(String, String)>,
    /// Serve source maps; else they are 404.
    pub source_maps: bool,
    /// Send `Link` headers for what a page loads first.
    pub preload: bool,
    /// Send a file as its difference from an earlier build of it.
    pub dictionaries: bool,
    /// What stays of earlier builds.
    pub releases: Releases,
}

/// `route.proxy`.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Where requests go.
    pub upstream: Arc<Upstream>,
    /// Take the route's path off before sending; `Location` and cookie `Path` are mapped back.
    pub strip_prefix: bool,
}

/// `route.redirect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Target; `{host}`, `{path}` and `{query}` (with its `?`) stand for the request's own.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

/// `route.respond`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// Status.
    pub status: StatusCode,
    /// Body.
    pub body: Bytes,
    /// `Content-Type`.
    pub content_type: HeaderValue,
}

/// The route of `headers.csp.report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CspReport {
    /// The policy only reports.
    pub report_only: bool,
}

impl Route {
    /// The route that takes the reports of a policy.
    pub(crate) fn of_reports(path: &str, csp: &Csp) -> Self {
        Self {
            path: PathPattern::Exact(path.to_owned()),
            handler: Handler::CspReport(CspReport {
                report_only: csp.report_only,
            }),
            rate_limit: Some(defaults::REPORT_LIMIT),
            body_limit: defaults::REPORT_BODY_LIMIT,
            compress: None,
        }
    }
}

/// `[[site.route]]`.
pub(crate) static SHAPE: Shape = Shape {
    name: "site.route",
    keys: &[
        "path",
        "files",
        "proxy",
        "redirect",
        "respond",
        "rate_limit",
        "body_limit",
        "compress",
    ],
    reserved: &["cache", "cors_errors"],
};

const HANDLERS: [&str; 4] = ["files", "proxy", "redirect", "respond"];

/// `[[site.route]]` before its upstream is looked up.
pub(crate) struct RawRoute {
    /// What it matches.
    pub(crate) path: Option<Located<PathPattern>>,
    /// What answers.
    pub(crate) handler: Option<RawHandler>,
    /// Requests per client.
    pub(crate) rate_limit: Option<RateLimit>,
    /// Largest request body.
    pub(crate) body_limit: u64,
    /// How responses are compressed.
    pub(crate) compress: Option<Arc<Compress>>,
}

/// A handler before its upstream is looked up.
pub(crate) enum RawHandler {
    /// `proxy`.
    Proxy {
        /// The name of an upstream.
        upstream: Located<String>,
        /// Take the route's path off.
        strip_prefix: bool,
    },
    /// Any other, which refers to nothing.
    Done(Handler),
}

impl RawRoute {
    /// Reads one `[[site.route]]`.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let rate_limit = table.child("rate_limit", &limit::SHAPE);
        let body_limit = table.take_or("body_limit", Size(defaults::BODY_LIMIT));
        let handler = read_handler(table);
        let route = Self {
            path: table.require("path", "\"/\""),
            compress: read_compress(table, handler.as_ref()),
            handler,
            rate_limit: rate_limit.and_then(|table| RateLimit::read(&table)),
            body_limit: body_limit.0,
        };
        table.finish();
        route
    }
}

fn read_handler(table: &Table<'_>) -> Option<RawHandler> {
    let given: Vec<_> = HANDLERS.iter().filter_map(|key| table.value(key)).collect();
    match given.as_slice() {
        [] => {
            let fault = Diagnostic::error("the route has no handler")
                .at(table.span.clone())
                .help("add one of `files`, `proxy`, `redirect` and `respond`");
            table.reader.push(fault);
        }
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                let message = format!(
                    "the route has two handlers, `{}` and `{}`",
                    first.key, other.key
                );
                let fault = Diagnostic::error(message)
                    .at(other.span())
                    .related(first.span(), "the first handler")
                    .help("keep one, and put the other into a route of its own");
                table.reader.push(fault);
            }
        }
    }
    // All are read, so that the faults inside each are said too.
    let mut handlers = [
        handler::read_files(table),
        handler::read_proxy(table),
        handler::read_redirect(table),
        handler::read_respond(table),
    ];
    handlers.iter_mut().find_map(Option::take)
}

/// Files have their codings ready-made, and a redirect has no body.
fn read_compress(table: &Table<'_>, handler: Option<&RawHandler>) -> Option<Arc<Compress>> {
    match handler {
        Some(RawHandler::Done(Handler::Files(_))) => {
            let why =
                "a route with `files` does not compress: files are, before they are asked for";
            Compress::reject(table, why);
            None
        }
        Some(RawHandler::Done(Handler::Redirect(_))) => {
            Compress::reject(table, "a redirect has nothing to compress");
            None
        }
        _ => Compress::read(table),
    }
}

impl PathPattern {
    /// The path itself, without the `=` of an exact one.
    pub fn path(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) => path,
        }
    }

    /// Whether both match the same requests: `/x` and `/x/` do, as prefixes.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(two)) => one == two,
            (Self::Prefix(one), Self::Prefix(two)) => stem(one) == stem(two),
            (Self::Exact(_), Self::Prefix(_)) | (Self::Prefix(_), Self::Exact(_)) => false,
        }
    }
}

/// A prefix without its final slash; `/` becomes empty.
fn stem(prefix: &str) -> &str {
    prefix.strip_suffix('/').unwrap_or(prefix)
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => write!(f, "={path}"),
            Self::Prefix(path) => f.write_str(path),
        }
    }
}

impl Read for PathPattern {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a path", "\"/api/\"")?;
        let exact = text.strip_prefix('=').map(str::trim_start);
        let path = exact.unwrap_or(&text);
        if path.starts_with(['~', '^']) {
            return value.reject(
                format!("the path {} is a regular expression", quoted(&text)),
                "write a prefix like `\"/api/\"`, or one exact path like `\"=/ping\"`",
            );
        }
        if let Some(prefix) = path.strip_suffix('*') {
            return value.reject(
                format!("the path {} has a wildcard", quoted(&text)),
                format!("write `\"{prefix}\"`: a path matches everything below it"),
            );
        }
        if let Err((fault, help)) = path::check(path) {
            return value.reject(format!("the path {} {fault}", quoted(&text)), help);
        }
        let path = path.to_owned();
        Some(match exact {
            Some(_) => Self::Exact(path),
            None => Self::Prefix(path),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_with_and_without_a_slash_are_alike() {
        let prefix = |path: &str| PathPattern::Prefix(path.to_owned());
        let exact = |path: &str| PathPattern::Exact(path.to_owned());
        assert!(prefix("/x").is_like(&prefix("/x/")));
        assert!(prefix("/").is_like(&prefix("/")));
        assert!(!prefix("/x").is_like(&prefix("/xy")));
        assert!(!prefix("/x").is_like(&exact("/x")));
        assert!(!exact("/x").is_like(&exact("/x/")));
    }
}
