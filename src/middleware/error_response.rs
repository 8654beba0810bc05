//! `ProxyError` to response: the only place.
//!
//! JSON in the shape that NestJS answers errors in, or a small page for a browser that navigates.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, HeaderValue, Method, Version,
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER,
        VARY,
    },
};
use tower::Service;

use crate::message::{
    Call, Response,
    body::Body,
    context::RequestContext,
    error::{ErrorKind, ProxyError},
    host::Host,
};

mod accept;
mod page;

/// Answers every error of the inner service.
#[derive(Debug, Clone)]
pub struct ErrorResponse<S> {
    inner: S,
}

impl<S> ErrorResponse<S> {
    /// Wraps `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Call> for ErrorResponse<S>
where
    S: Service<Call, Response = Response, Error = ProxyError>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ErrorResponseFuture<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Layers and handlers are always ready: they wait inside their futures, where an error finds its request.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        ErrorResponseFuture {
            context: call.context.clone(),
            inner: self.inner.call(call),
        }
    }
}

/// The inner response, or the one that stands for its error.
#[derive(Debug)]
pub struct ErrorResponseFuture<F> {
    inner: F,
    context: Rc<RequestContext>,
}

impl<F> Future for ErrorResponseFuture<F>
where
    F: Future<Output = Result<Response, ProxyError>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.inner).poll(cx));
        Poll::Ready(Ok(
            result.unwrap_or_else(|error| answer(&error, &self.context))
        ))
    }
}

/// The response that stands for `error`. Logs it once and notes its class in `context`.
pub fn answer(error: &ProxyError, context: &RequestContext) -> Response {
    context.error.set(Some(error.kind.class()));
    log(error, context);
    let status = error.kind.status();
    let id = request_id(context).unwrap_or_default();
    let (content_type, text) = if accept::prefers_html(context.accept.as_ref()) {
        ("text/html; charset=utf-8", page::html(error.kind, id))
    } else {
        (
            "application/json; charset=utf-8",
            page::json(error.kind, id),
        )
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    add_fields_of_kind(headers, error.kind, context);
    if context.method == Method::HEAD {
        // Over HTTP/2 nobody else takes the body off.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    } else {
        *response.body_mut() = Body::full(text);
    }
    response
}

fn add_fields_of_kind(headers: &mut HeaderMap, kind: ErrorKind, context: &RequestContext) {
    if let Some(after) = kind.retry_after() {
        let seconds = u64::try_from(after.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if let ErrorKind::Method(allowed) = kind {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    if let ErrorKind::Range(length) = kind {
        let range = HeaderValue::try_from(format!("bytes */{length}"));
        headers.insert(CONTENT_RANGE, range.expect("a number is visible ASCII"));
    }
    // The rest of the body will not be read, or cannot be told from the next request, so the connection
    // cannot go on; say so while it can be heard. What follows a CONNECT is meant for a tunnel.
    let is_last = context.method == Method::CONNECT
        || matches!(
            kind,
            ErrorKind::BodyTooLarge
                | ErrorKind::ClientTimeout
                | ErrorKind::ClientLeft
                | ErrorKind::BadRequest(_)
        );
    if is_last && context.version <= Version::HTTP_11 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

fn log(error: &ProxyError, context: &RequestContext) {
    let class = error.kind.class();
    let id = request_id(context);
    let host = context.host.as_ref().map(Host::name);
    let path = context.uri.path();
    let cause = Chain(error);
    let backend = context.backend.borrow();
    let backend = backend.as_ref().map(|name| &*name.backend);
    if matches!(error.kind, ErrorKind::Internal(_)) {
        tracing::error!(
            class,
            request_id = id,
            host,
            path,
            backend,
            "request failed: {cause}"
        );
    } else if error.kind.status().is_server_error() {
        tracing::warn!(
            class,
            request_id = id,
            host,
            path,
            backend,
            "request failed: {cause}"
        );
    } else {
        tracing::debug!(
            class,
            request_id = id,
            host,
            path,
            backend,
            "request refused: {cause}"
        );
    }
}

fn request_id(context: &RequestContext) -> Option<&str> {
    context.request_id.get()?.to_str().ok()
}

/// An error and all its causes.
struct Chain<'a>(&'a ProxyError);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if let ErrorKind::Internal(why) | ErrorKind::BackendProtocol(why) = self.0.kind {
            write!(f, ": {why}")?;
        }
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
