//! What answers a route.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use http::Method;
use tower::Service;

use crate::{
    handler::{
        csp_report::CspReport,
        files::Files,
        proxy::Proxy,
        redirect::{Redirect, RedirectToHttps},
        respond::{Refuse, Respond},
    },
    message::{
        Call, Response,
        error::{ErrorKind, ProxyError},
    },
};

pub mod csp_report;
pub mod files;
pub mod proxy;
pub mod redirect;
pub mod respond;
pub mod websocket;

/// The one boxed future of a request.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Response, ProxyError>>>>;

/// The leaf that answers a route.
#[derive(Debug, Clone)]
pub enum Handler {
    /// `files`.
    Files(Rc<Files>),
    /// `proxy`.
    Proxy(Rc<Proxy>),
    /// `redirect`.
    Redirect(Redirect),
    /// `respond`.
    Respond(Respond),
    /// `headers.csp.report`.
    CspReport(Rc<CspReport>),
    /// The plain listener's way to https.
    RedirectToHttps(RedirectToHttps),
    /// No site, no route, or a request that nobody should see.
    Refuse(Refuse),
}

impl Service<Call> for Handler {
    type Response = Response;
    type Error = ProxyError;
    type Future = HandlerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> HandlerFuture {
        if *call.request.method() == Method::CONNECT
            && !matches!(self, Self::Proxy(_) | Self::Refuse(_))
        {
            // A WebSocket over HTTP/2, which none of these opens; a success would mean that it is open.
            return Refuse(ErrorKind::NoRoute).call(call);
        }
        match self {
            Self::Files(files) => files.answer(&call),
            Self::Proxy(proxy) => Box::pin(proxy.clone().answer(call)),
            Self::Redirect(redirect) => redirect.call(call),
            Self::Respond(respond) => respond.call(call),
            Self::CspReport(report) => Box::pin(report.clone().answer(call)),
            Self::RedirectToHttps(redirect) => redirect.call(call),
            Self::Refuse(refuse) => refuse.call(call),
        }
    }
}
