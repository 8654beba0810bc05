//! One request: the newest snapshot, the host, the route, its service.

use std::{
    cell::Cell,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Method, Request, Response, header};
use hyper::body::Incoming;

use crate::{
    message::{
        Call,
        body::Body,
        context::{ConnectionInfo, RequestContext},
        error::ErrorKind,
        host::Host,
    },
    observe::metrics::{Metrics, listener::ListenerMetrics},
    server::{framing::Ambiguous, listener::Listener, worker::Worker},
    snapshot::services::Answering,
};

/// The requests of one connection.
#[derive(Debug)]
pub struct Requests {
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    connection: Rc<ConnectionInfo>,
    /// Requests so far.
    count: Cell<u64>,
    ambiguous: Ambiguous,
}

impl Requests {
    /// Requests that come by `connection`.
    pub fn new(worker: Rc<Worker>, listener: Rc<Listener>, connection: ConnectionInfo) -> Self {
        Self {
            worker,
            listener,
            connection: Rc::new(connection),
            count: Cell::new(0),
            ambiguous: Ambiguous::default(),
        }
    }

    /// Where the stream of an HTTP/1.1 connection says which request is ambiguous.
    pub fn ambiguous(&self) -> Ambiguous {
        self.ambiguous.clone()
    }

    /// The worker.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// The socket's other end.
    pub fn peer(&self) -> SocketAddr {
        self.connection.peer
    }

    /// Counters of the listener.
    pub fn metrics(&self) -> Arc<ListenerMetrics> {
        self.listener.metrics.clone()
    }

    /// Time for a request head, and its largest size.
    pub fn head_bounds(&self) -> (Duration, usize) {
        let services = self.worker.services();
        let server = &services.snapshot().config().server;
        (server.head_timeout, server.head_limit)
    }

    /// What hyper lets through and no backend should see.
    fn screen(&self, request: &Request<Body>) -> Result<(), ErrorKind> {
        if request.method() == Method::CONNECT {
            return Err(ErrorKind::Method(
                "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            ));
        }
        let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
        let Some(coding) = codings.next() else {
            return Ok(());
        };
        if self.ambiguous.is(self.count.get()) {
            return Err(ErrorKind::BadRequest(
                "both Content-Length and Transfer-Encoding",
            ));
        }
        // hyper undoes the last coding only, and the backend would never hear of the others.
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(ErrorKind::BadRequest(
                "a transfer coding other than chunked",
            ));
        }
        Ok(())
    }
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Served;

    fn call(&self, request: Request<Incoming>) -> Served {
        let request = request.map(Body::from);
        self.count.set(self.count.get() + 1);
        let host = self
            .screen(&request)
            .and_then(|()| Host::of(request.uri(), request.headers()));
        let known = host.as_ref().ok().cloned();
        let context = Rc::new(RequestContext::new(
            self.connection.clone(),
            &request,
            known,
        ));
        let call = Call {
            request,
            context: context.clone(),
        };
        let services = self.worker.services();
        let answering = match host {
            Err(fault) => services.refuse(fault, call),
            Ok(_) if self.listener.tls => services.answer(self.listener.address, call),
            Ok(_) => services.redirect_to_https(call),
        };
        Served {
            answering,
            context,
            worker: self.worker.clone(),
            ambiguous: self.ambiguous.clone(),
        }
    }
}

/// Counts an open tunnel until it is dropped.
struct OpenTunnel(Arc<Metrics>);

impl OpenTunnel {
    fn count(metrics: Arc<Metrics>) -> Self {
        metrics.tunnel_opened();
        Self(metrics)
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.tunnel_closed();
    }
}

/// A request on its way; starts the tunnel that an upgrade leaves behind.
pub struct Served {
    answering: Answering,
    context: Rc<RequestContext>,
    worker: Rc<Worker>,
    ambiguous: Ambiguous,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl Future for Served {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.answering).poll(cx));
        if let Some(tunnel) = self.context.tunnel.take() {
            self.ambiguous.upgraded();
            let open = OpenTunnel::count(self.worker.metrics.clone());
            self.worker.spawn(async move {
                tunnel.await;
                drop(open);
            });
        }
        Poll::Ready(response)
    }
}
