//! Access log and metrics: one line and one sample per request, when its response has left.
//!
//! A request is over when the last byte of its response was handed to the connection, when its
//! tunnel has ended, when its body was dropped before that, or when nobody waits for its answer any more: the client left,
//! which is 499 in log and metrics. One record is made in each case and never two, since it is
//! made where the last owner of the exchange lets go.

use std::{
    cell::Cell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Method, StatusCode, header::CONTENT_LENGTH};
use http_body::Body as _;
use tower::Service;

use crate::{
    message::{
        Call, Response,
        body::{End, Watch},
        context::{Relay, RequestContext},
        error::ErrorKind,
    },
    observe::{
        access_log::{AccessLog, Record},
        metrics::route::{RouteMetrics, Sample},
    },
};

/// nginx's status for a client that left before it got an answer. It is never sent.
const CLIENT_LEFT: u16 = 499;

/// Class of a request whose handling panicked; the client's connection is gone with it.
const PANICKED: &str = "internal";

/// Class of a response whose source broke off, when no other is known.
const BROKEN: &str = "response_broken";

/// Who is told of a finished request.
#[derive(Debug)]
pub struct Observers {
    /// `None` when the access log is off.
    pub log: Option<AccessLog>,
    /// Counts of the route.
    pub metrics: Arc<RouteMetrics>,
}

/// A service whose requests are seen.
#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    observers: Rc<Observers>,
}

/// The answer to come.
#[derive(Debug)]
pub struct ObserveFuture<F> {
    inner: F,
    exchange: Option<Exchange>,
}

/// A request that is not over. Dropping it makes the record.
#[derive(Debug)]
struct Exchange {
    context: Rc<RequestContext>,
    observers: Rc<Observers>,
    /// [`CLIENT_LEFT`] until there is a response.
    status: u16,
    bytes: Cell<u64>,
    /// Bytes after which the body is whole, even when nobody asks it for its end.
    expected: Option<u64>,
    /// How the body ended; `None` while it goes on.
    end: Cell<Option<End>>,
}

impl<S> Observe<S> {
    /// Wraps `inner`; its requests are reported to `observers`.
    pub fn new(observers: Rc<Observers>, inner: S) -> Self {
        Self { inner, observers }
    }
}

impl<S> Service<Call> for Observe<S>
where
    S: Service<Call, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let exchange = Exchange::new(&call.context, &self.observers);
        ObserveFuture {
            inner: self.inner.call(call),
            exchange: Some(exchange),
        }
    }
}

impl<F> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.inner).poll(cx));
        let response = match self.exchange.take() {
            Some(exchange) => exchange.watch(response),
            None => response,
        };
        Poll::Ready(Ok(response))
    }
}

impl Exchange {
    fn new(context: &Rc<RequestContext>, observers: &Rc<Observers>) -> Self {
        Self {
            context: Rc::clone(context),
            observers: Rc::clone(observers),
            status: CLIENT_LEFT,
            bytes: Cell::new(0),
            expected: None,
            end: Cell::new(None),
        }
    }

    /// Goes with the response's body from here on, or with the tunnel that follows it.
    fn watch(mut self, response: Response) -> Response {
        // Whoever left in the middle of a body is answered too, but nobody hears it.
        if self.context.error.get() != Some(ErrorKind::ClientLeft.class()) {
            self.status = response.status().as_u16();
        }
        let tunnel = self.context.tunnel.take();
        if let Some(tunnel) = tunnel {
            self.expected = Some(0);
            let context = self.context.clone();
            context.tunnel.replace(Some(Box::new(|notice| {
                Box::pin(self.follow(tunnel(notice)))
            })));
            return response;
        }
        self.expected = expected_length(&self.context.method, &response);
        response.map(|body| body.watched(Rc::new(self)))
    }

    async fn follow(self, relay: Relay) -> u64 {
        let bytes = relay.await;
        self.bytes.set(bytes);
        bytes
    }

    fn is_whole(&self) -> bool {
        match self.end.get() {
            Some(End::Complete) => true,
            Some(End::Failed) => false,
            // A connection need not ask for the end of a body whose length it knows.
            Some(End::Abandoned) | None => self.expected.is_some_and(|all| self.bytes.get() >= all),
        }
    }
}

impl Watch for Exchange {
    fn asked(&self) {
        self.context.flow.asked();
    }

    fn sent(&self, count: usize) {
        self.context.flow.handed();
        self.bytes.set(self.bytes.get() + count as u64);
    }

    fn ended(&self, end: End) {
        self.end.set(Some(end));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let context = &*self.context;
        if self.status == CLIENT_LEFT && std::thread::panicking() {
            self.status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
            context.error.set(Some(PANICKED));
        }
        let aborted = self.status != CLIENT_LEFT && !self.is_whole();
        if self.end.get() == Some(End::Failed) && context.error.get().is_none() {
            context.error.set(Some(BROKEN));
        }
        let duration = context.started.elapsed();
        self.observers.metrics.record(&Sample {
            status: self.status,
            duration,
            bytes: self.bytes.get(),
            limited: context.limited.get(),
            error: context.error.get(),
        });
        if let Some(log) = &self.observers.log {
            log.write(&Record {
                context,
                status: self.status,
                bytes: self.bytes.get(),
                duration,
                aborted,
            });
        }
    }
}

/// Bytes of the body that are going to be sent, if that is known. The body of some responses is
/// thrown away (RFC 9110 section 6.4.1).
fn expected_length(method: &Method, response: &Response) -> Option<u64> {
    let status = response.status();
    if method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    {
        return Some(0);
    }
    let announced = || {
        let length = response.headers().get(CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    };
    response.body().size_hint().exact().or_else(announced)
}

#[cfg(test)]
mod tests;
