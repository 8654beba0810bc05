//! Who really asked, through trusted proxies only.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use tower::Service;

use crate::message::{
    Call,
    forwarded::{self, TrustedProxies},
};

/// Sets `client` of the context.
#[derive(Debug, Clone)]
pub struct ClientAddress<S> {
    trusted: Rc<TrustedProxies>,
    inner: S,
}

impl<S> ClientAddress<S> {
    /// Wraps `inner`.
    pub fn new(trusted: Rc<TrustedProxies>, inner: S) -> Self {
        Self { trusted, inner }
    }
}

impl<S: Service<Call>> Service<Call> for ClientAddress<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let connection = &call.context.connection;
        call.context
            .client
            .get_or_init(|| forwarded::read(call.request.headers(), connection, &self.trusted));
        self.inner.call(call)
    }
}
