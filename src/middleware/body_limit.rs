//! No request body is larger than its route allows.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::Body as _;
use tower::Service;

use crate::message::{
    Call, Response,
    error::{ErrorKind, ProxyError},
};

/// Refuses a body that says it is too large before a byte of it is read; one that does not say fails with
/// [`BodyError::TooLarge`](crate::message::body::BodyError::TooLarge) where it crosses the limit.
#[derive(Debug, Clone)]
pub struct BodyLimit<S> {
    limit: u64,
    inner: S,
}

impl<S> BodyLimit<S> {
    /// Wraps `inner`; `limit` is in bytes.
    pub fn new(limit: u64, inner: S) -> Self {
        Self { limit, inner }
    }
}

impl<S> Service<Call> for BodyLimit<S>
where
    S: Service<Call, Response = Response, Error = ProxyError>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = ProxyError;
    type Future = BodyLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        if call.request.body().is_end_stream() {
            return BodyLimitFuture::Passed(self.inner.call(call));
        }
        if announced(call.request.headers()).is_some_and(|length| length > self.limit) {
            return BodyLimitFuture::Refused;
        }
        call.request = call.request.map(|body| body.limited(self.limit));
        BodyLimitFuture::Passed(self.inner.call(call))
    }
}

/// The inner answer, or the refusal.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum BodyLimitFuture<F> {
    Passed(F),
    Refused,
}

impl<F> Future for BodyLimitFuture<F>
where
    F: Future<Output = Result<Response, ProxyError>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Passed(inner) => Pin::new(inner).poll(cx),
            Self::Refused => Poll::Ready(Err(ErrorKind::BodyTooLarge.into())),
        }
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
