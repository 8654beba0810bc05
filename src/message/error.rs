//! `ProxyError`: why a request could not be served, and the status that says so.

use std::time::Duration;

use http::StatusCode;

/// A cause, kept for the log.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a request could not be served. Made anywhere below the stack, answered in one place.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.kind.message())]
pub struct ProxyError {
    /// What happened.
    pub kind: ErrorKind,
    /// What caused it.
    #[source]
    pub source: Option<Source>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is malformed; the text says how.
    BadRequest(&'static str),
    /// No site has this host.
    NoSite,
    /// The site has no route for this path.
    NoRoute,
    /// No such file.
    NoFile,
    /// The handler does not know the method; the text is the value of `Allow`.
    Method(&'static str),
    /// The host belongs to another TLS policy than the connection.
    Misdirected,
    /// The body is larger than the route allows.
    BodyTooLarge,
    /// The client stalled in its body.
    ClientTimeout,
    /// The client left in its body.
    ClientLeft,
    /// The rate limit refuses; try again after this time.
    RateLimited(Duration),
    /// A precondition of the request does not hold (RFC 9110 section 13).
    Precondition,
    /// No byte range of the request can be served; the complete length.
    Range(u64),
    /// No backend could be connected to in time.
    NoBackend(Duration),
    /// Every backend and the waiting room are full.
    Overloaded(Duration),
    /// The listener has as many connections and tunnels as it may have.
    NoPlace(Duration),
    /// The backend did not answer in time.
    BackendTimeout,
    /// The backend broke off before its answer.
    BackendReset,
    /// The backend's answer is not HTTP, or its head is too large.
    BackendProtocol(&'static str),
    /// An upgrade that is not a WebSocket, or one that the backend refused wrongly.
    Upgrade(&'static str),
    /// A fault of this proxy.
    Internal(&'static str),
}

impl ProxyError {
    /// An error with its cause.
    pub fn caused(kind: ErrorKind, source: impl Into<Source>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }
}

impl From<ErrorKind> for ProxyError {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl ErrorKind {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::Upgrade(_) | Self::ClientLeft => StatusCode::BAD_REQUEST,
            Self::NoSite | Self::NoRoute | Self::NoFile => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ClientTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::Range(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::NoBackend(_) | Self::Overloaded(_) | Self::NoPlace(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::BackendTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::BackendReset | Self::BackendProtocol(_) => StatusCode::BAD_GATEWAY,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One sentence for the client. Tells nothing about the inside.
    pub fn message(self) -> &'static str {
        match self {
            Self::BadRequest(why) | Self::Upgrade(why) => why,
            Self::NoSite => "no site answers to this host",
            Self::NoRoute | Self::NoFile => "nothing is here",
            Self::Method(_) => "this method is not allowed here",
            Self::Misdirected => "this host is not served on this connection",
            Self::BodyTooLarge => "the request body is too large",
            Self::ClientTimeout => "the request body did not arrive in time",
            Self::ClientLeft => "the request body broke off",
            Self::RateLimited(_) => "too many requests, try again later",
            Self::Precondition => "a precondition does not hold",
            Self::Range(_) => "the requested range cannot be served",
            Self::NoBackend(_) => "the application is not available",
            Self::Overloaded(_) => "the application is busy, try again later",
            Self::NoPlace(_) => {
                "there are too many connections for another WebSocket, try again later"
            }
            Self::BackendTimeout => "the application did not answer in time",
            Self::BackendReset => "the application closed the connection before it answered",
            Self::BackendProtocol(_) => "the application sent an answer that is not valid HTTP",
            Self::Internal(_) => "the proxy failed",
        }
    }

    /// Name in log and metrics.
    pub fn class(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::NoSite => "no_site",
            Self::NoRoute => "no_route",
            Self::NoFile => "no_file",
            Self::Method(_) => "method",
            Self::Misdirected => "misdirected",
            Self::BodyTooLarge => "body_too_large",
            Self::ClientTimeout => "client_timeout",
            Self::ClientLeft => "client_left",
            Self::RateLimited(_) => "rate_limited",
            Self::Precondition => "precondition",
            Self::Range(_) => "range",
            Self::NoBackend(_) => "no_backend",
            Self::Overloaded(_) => "overloaded",
            Self::NoPlace(_) => "no_place",
            Self::BackendTimeout => "backend_timeout",
            Self::BackendReset => "backend_reset",
            Self::BackendProtocol(_) => "backend_protocol",
            Self::Upgrade(_) => "upgrade",
            Self::Internal(_) => "internal",
        }
    }

    /// Value of `Retry-After`, where the answer has one.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::RateLimited(after)
            | Self::NoBackend(after)
            | Self::Overloaded(after)
            | Self::NoPlace(after) => Some(after),
            Self::BadRequest(_)
            | Self::NoSite
            | Self::NoRoute
            | Self::NoFile
            | Self::Method(_)
            | Self::Misdirected
            | Self::BodyTooLarge
            | Self::ClientTimeout
            | Self::ClientLeft
            | Self::Precondition
            | Self::Range(_)
            | Self::BackendTimeout
            | Self::BackendReset
            | Self::BackendProtocol(_)
            | Self::Upgrade(_)
            | Self::Internal(_) => None,
        }
    }
}
