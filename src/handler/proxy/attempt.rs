//! One try on a backend: how it is counted, and what the client hears when it was the last.

use std::sync::Arc;

use crate::{
    handler::proxy::{event_stream, replay},
    message::{
        body::BodyError,
        error::{ErrorKind, ProxyError},
    },
    observe::metrics::backend::{BackendMetrics, Outcome},
    upstream::{
        client::{Answer, Cause, Failure},
        lease::Lease,
    },
};

/// One try on a backend, counted until it is over; one that is dropped was abandoned by its client.
pub(super) struct Attempt {
    metrics: Arc<BackendMetrics>,
    pub(super) outcome: Outcome,
}

impl Attempt {
    /// On the backend of `lease`.
    pub(super) fn on(lease: &Lease) -> Self {
        let metrics = lease.backend().metrics().clone();
        metrics.started();
        Self {
            metrics,
            outcome: Outcome::Abandoned,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.metrics.finished(self.outcome);
    }
}

/// How an attempt ended that failed. The backend of `lease` is held to account for it, but not for a used connection
/// that was closed under the request: that says only that it was idle for long.
pub(super) fn outcome(lease: &Lease, failure: &Failure) -> Outcome {
    let outcome = match failure.cause {
        Cause::Backend(_) => Outcome::Reset,
        Cause::HeaderTimeout | Cause::BackendStalled => Outcome::Timeout,
        Cause::Malformed(_) => Outcome::Protocol,
        Cause::Client(_) | Cause::ClientStalled => Outcome::Abandoned,
    };
    let was_stale = outcome == Outcome::Reset && failure.reused && !failure.answered;
    if outcome != Outcome::Abandoned && !was_stale {
        lease.not_answered();
    }
    outcome
}

/// Whether `answer` says that the backend of `lease` is about to end: others are preferred from then on, until it can
/// be connected to. Any other answer counts for or against it.
pub(super) fn is_farewell(lease: &mut Lease, answer: &Answer) -> bool {
    if replay::is_leaving(answer.head()) {
        lease.leaving();
        return true;
    }
    if event_stream::lasts(answer) {
        lease.linger();
    }
    lease.answered(answer.head().status);
    false
}

/// What the client hears of a `failure`.
pub(super) fn give_up(failure: Failure) -> ProxyError {
    match failure.cause {
        Cause::Backend(error) => ProxyError::caused(ErrorKind::BackendReset, error),
        Cause::HeaderTimeout | Cause::BackendStalled => ErrorKind::BackendTimeout.into(),
        Cause::ClientStalled => ErrorKind::ClientTimeout.into(),
        Cause::Malformed(malformed) => {
            ProxyError::caused(ErrorKind::BackendProtocol(malformed.0), malformed)
        }
        Cause::Client(BodyError::TooLarge) => ErrorKind::BodyTooLarge.into(),
        Cause::Client(error) if error.is_departure() => {
            ProxyError::caused(ErrorKind::ClientLeft, error)
        }
        Cause::Client(error) => {
            ProxyError::caused(ErrorKind::BadRequest("the request body broke off"), error)
        }
    }
}
