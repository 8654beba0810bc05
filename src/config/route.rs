//! `[[site.route]]`: a path, its policies, and one handler.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::config::{limit::RateLimit, upstream::Upstream, value::Located};

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
}

/// `route.files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Folder, absolute; joined with what follows the route's path.
    pub root: Located<PathBuf>,
    /// File in the root that answers navigations to paths nobody has; `None`: 404.
    pub fallback: Option<String>,
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
