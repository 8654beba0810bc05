//! `route.rate_limit`.

use std::time::Duration;

/// `route.rate_limit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per `period`, at least 1.
    pub requests: u32,
    /// Length of the window that `requests` is said for.
    pub period: Duration,
    /// Requests that may come at once on top of the steady rate.
    pub burst: u32,
    /// Who is counted.
    pub key: RateKey,
}

/// `rate_limit.key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// The client address, IPv6 by /64.
    Client,
    /// The value of a request header (`"header:x-api-key"`); the client address without it.
    Header(http::HeaderName),
}
