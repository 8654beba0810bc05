//! Counts of a route: requests by status, their time, bytes and errors.

use std::{
    array, fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use crate::observe::metrics::{
    histogram::Histogram,
    table::{Entries, Families, counters},
};

const FIRST_CODE: u16 = 100;
const CODES: usize = 500;

/// Statuses that are on the page before they happen, so that `rate` sees their first event.
const EXPECTED: [u16; 8] = [200, 404, 429, 499, 500, 502, 503, 504];

/// Classes of errors, as `message::error` and the observing layer name them.
const CLASSES: [&str; 22] = [
    "bad_request",
    "no_site",
    "no_route",
    "no_file",
    "method",
    "misdirected",
    "body_too_large",
    "client_timeout",
    "client_left",
    "rate_limited",
    "precondition",
    "range",
    "no_backend",
    "overloaded",
    "no_place",
    "backend_timeout",
    "backend_reset",
    "backend_protocol",
    "upgrade",
    "internal",
    "response_broken",
    "other",
];

/// Counts of one route of one site.
#[derive(Debug)]
pub struct RouteMetrics {
    duration: Histogram,
    bytes: AtomicU64,
    limited: AtomicU64,
    codes: Box<[AtomicU64; CODES]>,
    errors: Box<[AtomicU64; CLASSES.len()]>,
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Status sent, or 499 when the client left before it.
    pub status: u16,
    /// From the complete request head to the last byte of the response.
    pub duration: Duration,
    /// Bytes of the response body.
    pub bytes: u64,
    /// The rate limit refused it.
    pub limited: bool,
    /// Class of the error that was answered.
    pub error: Option<&'static str>,
}

impl Default for RouteMetrics {
    fn default() -> Self {
        Self {
            duration: Histogram::default(),
            bytes: AtomicU64::new(0),
            limited: AtomicU64::new(0),
            codes: Box::new(array::from_fn(|_| AtomicU64::new(0))),
            errors: Box::new(array::from_fn(|_| AtomicU64::new(0))),
        }
    }
}

impl RouteMetrics {
    /// Counts a request that is over.
    pub fn record(&self, sample: &Sample) {
        // A backend may send any three digits; what RFC 9110 does not know is no more than a 5xx.
        let code = usize::from(sample.status.saturating_sub(FIRST_CODE)).min(CODES - 1);
        self.codes[code].fetch_add(1, Relaxed);
        self.duration.observe(sample.duration);
        self.bytes.fetch_add(sample.bytes, Relaxed);
        if sample.limited {
            self.limited.fetch_add(1, Relaxed);
        }
        if let Some(class) = sample.error {
            let known = CLASSES.iter().position(|known| *known == class);
            self.errors[known.unwrap_or(CLASSES.len() - 1)].fetch_add(1, Relaxed);
        }
    }

    fn seen_codes(&self) -> impl Iterator<Item = (u16, u64)> {
        (FIRST_CODE..)
            .zip(self.codes.iter())
            .map(|(code, count)| (code, count.load(Relaxed)))
            .filter(|(code, count)| *count > 0 || EXPECTED.contains(code))
    }

    fn seen_errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES
            .into_iter()
            .zip(self.errors.iter())
            .map(|(class, count)| (class, count.load(Relaxed)))
            .filter(|(_, count)| *count > 0)
    }
}

type RouteLabels<'a> = [(&'static str, &'a str); 2];

impl Families for RouteMetrics {
    fn encode(entries: &Entries<Self>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = || entries.iter().map(|(key, route)| (labels(key), route));
        counters(
            encoder,
            "requests",
            "Requests by the status that was sent",
            routes().flat_map(|(labels, route)| {
                let codes = route.seen_codes();
                codes.map(move |(code, count)| ((labels, [("code", code)]), count))
            }),
        )?;
        counters(
            encoder,
            "request_errors",
            "Requests that the proxy answered with an error of its own, by class",
            routes().flat_map(|(labels, route)| {
                let errors = route.seen_errors();
                errors.map(move |(class, count)| ((labels, [("class", class)]), count))
            }),
        )?;
        counters(
            encoder,
            "response_bytes",
            "Bytes of response bodies",
            routes().map(|(labels, route)| (labels, route.bytes.load(Relaxed))),
        )?;
        counters(
            encoder,
            "rate_limited",
            "Requests that the rate limit refused",
            routes().map(|(labels, route)| (labels, route.limited.load(Relaxed))),
        )?;
        let mut family = encoder.encode_descriptor(
            "request_duration_seconds",
            "Time from the request's head to the last byte of its response",
            None,
            MetricType::Histogram,
        )?;
        for (labels, route) in routes() {
            route.duration.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn labels([site, route]: &[String; 2]) -> RouteLabels<'_> {
    [("site", site), ("route", route)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::error::ErrorKind;

    #[test]
    fn knows_the_class_of_every_error() {
        let after = Duration::ZERO;
        let kinds = [
            ErrorKind::BadRequest(""),
            ErrorKind::NoSite,
            ErrorKind::NoRoute,
            ErrorKind::NoFile,
            ErrorKind::Method(""),
            ErrorKind::Misdirected,
            ErrorKind::BodyTooLarge,
            ErrorKind::ClientTimeout,
            ErrorKind::ClientLeft,
            ErrorKind::RateLimited(after),
            ErrorKind::Precondition,
            ErrorKind::Range(0),
            ErrorKind::NoBackend(after),
            ErrorKind::Overloaded(after),
            ErrorKind::NoPlace(after),
            ErrorKind::BackendTimeout,
            ErrorKind::BackendReset,
            ErrorKind::BackendProtocol(""),
            ErrorKind::Upgrade(""),
            ErrorKind::Internal(""),
        ];
        for kind in kinds {
            assert!(CLASSES.contains(&kind.class()), "{}", kind.class());
        }
    }

    #[test]
    fn survives_a_status_that_does_not_exist() {
        let route = RouteMetrics::default();
        let sample = |status| Sample {
            status,
            duration: Duration::ZERO,
            bytes: 0,
            limited: false,
            error: Some("news"),
        };
        route.record(&sample(0));
        route.record(&sample(999));
        let seen: Vec<_> = route.seen_codes().filter(|(_, n)| *n > 0).collect();
        assert_eq!(seen, [(100, 1), (599, 1)]);
        assert_eq!(route.seen_errors().collect::<Vec<_>>(), [("other", 2)]);
    }
}
