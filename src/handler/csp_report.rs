//! Where browsers send what a content security policy made them block: counted, and said in the log.
//!
//! Anybody can send anything here, so nothing of it is believed: sizes, rates and words are bounded.

use std::{net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use crate::{
    config::limit::{RateKey, RateLimit},
    handler::csp_report::violation::Violation,
    limiter::Limiter,
    message::{
        Call, Response,
        body::{Body, BodyError},
        error::{ErrorKind, ProxyError},
    },
    observe::metrics::csp::{CspMetrics, Disposition, EXTENSION},
};

mod violation;

/// A browser sends a report in one piece.
const PATIENCE: Duration = Duration::from_secs(10);

/// A page that breaks its policy says so once for each place; another visitor's page says the same.
const CLIENT_LINES: RateLimit = RateLimit {
    requests: 6,
    period: Duration::from_mins(1),
    burst: 10,
    key: RateKey::Client,
};
/// With lines of at most 1 KiB these are less than 200 MB a day, whoever sends them.
const ALL_LINES: RateLimit = RateLimit {
    requests: 2,
    period: Duration::from_secs(1),
    burst: 50,
    key: RateKey::Client,
};
/// Clients that are told apart.
const CLIENTS: usize = 4096;

/// Takes the reports of one site.
#[derive(Debug)]
pub struct CspReport {
    site: Box<str>,
    /// For reports that do not say it.
    disposition: Disposition,
    counts: Arc<CspMetrics>,
    log: Arc<LogLimits>,
}

/// How many lines the log gets, of all sites: so many from one client, and so many from all.
#[derive(Debug)]
pub struct LogLimits {
    client: Limiter,
    all: Limiter,
}

impl LogLimits {
    /// Bounds of a process.
    pub fn new() -> Self {
        Self {
            client: Limiter::new(&CLIENT_LINES, CLIENTS),
            all: Limiter::new(&ALL_LINES, 1),
        }
    }

    fn allow(&self, client: IpAddr) -> bool {
        let now = Instant::now();
        let of_client = self.client.check(self.client.address_key(client), now);
        of_client.allowed && self.all.check(self.all.value_key(b""), now).allowed
    }
}

impl Default for LogLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl CspReport {
    /// Counts in `counts`, and says in the log as many as `log` allows.
    pub fn new(
        site: &str,
        disposition: Disposition,
        counts: Arc<CspMetrics>,
        log: Arc<LogLimits>,
    ) -> Self {
        Self {
            site: site.into(),
            disposition,
            counts,
            log,
        }
    }

    /// Takes the reports of one request. Its body is bounded by the layer above.
    ///
    /// # Errors
    /// [`ErrorKind::Method`] for all but POST, [`ErrorKind::BadRequest`] for what is not JSON, and those of
    /// a body that does not come.
    pub async fn answer(self: Rc<Self>, call: Call) -> Result<Response, ProxyError> {
        if *call.request.method() != Method::POST {
            return Err(ErrorKind::Method("POST").into());
        }
        let client = call.context.client_address();
        let body = timeout(PATIENCE, collect(call.request.into_body()))
            .await
            .map_err(|_| ErrorKind::ClientTimeout)??;
        let violations =
            violation::read(&body).ok_or(ErrorKind::BadRequest("the report is not JSON"))?;
        for violation in &violations {
            self.take(violation, client);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    fn take(&self, violation: &Violation, client: IpAddr) {
        let disposition = violation.disposition.unwrap_or(self.disposition);
        if violation.by_extension {
            self.counts.count(EXTENSION, disposition);
            return;
        }
        let directive = self.counts.count(&violation.directive, disposition);
        if !self.log.allow(client) {
            return;
        }
        // No warning: whoever wants to can send it.
        tracing::info!(
            site = &*self.site,
            directive,
            disposition = disposition.as_str(),
            page = violation.page,
            blocked = violation.blocked,
            source = violation.source,
            line = violation.line,
            sample = violation.sample,
            "a browser reports what the policy forbids"
        );
    }
}

async fn collect(mut body: Body) -> Result<Vec<u8>, ProxyError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error {
            BodyError::TooLarge => ErrorKind::BodyTooLarge.into(),
            error if error.is_departure() => ProxyError::caused(ErrorKind::ClientLeft, error),
            error => ProxyError::caused(ErrorKind::BadRequest("the report broke off"), error),
        })?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}
