//! One request: the newest snapshot, the host, the route, its service.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, Version, header};
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
    server::{listener::Listener, worker::Worker},
    snapshot::services::Answering,
};

/// The requests of one connection.
#[derive(Debug)]
pub struct Requests {
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    connection: Rc<ConnectionInfo>,
}

impl Requests {
    /// Requests that come by `connection`.
    pub fn new(worker: Rc<Worker>, listener: Rc<Listener>, connection: ConnectionInfo) -> Self {
        Self {
            worker,
            listener,
            connection: Rc::new(connection),
        }
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
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Served;

    fn call(&self, request: Request<Incoming>) -> Served {
        let request = request.map(Body::from);
        let host = screen(&request).and_then(|()| Host::of(request.uri(), request.headers()));
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
        // Who sent one ambiguous request may mean its body, or what follows, as another.
        let last = host.is_err() && context.version <= Version::HTTP_11;
        let answering = match host {
            Err(fault) => services.refuse(fault, call),
            Ok(_) if self.listener.tls => services.answer(self.listener.address, call),
            Ok(_) => services.redirect_to_https(call),
        };
        Served {
            answering,
            context,
            worker: self.worker.clone(),
            last,
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

/// What hyper lets through and no backend should see.
fn screen(request: &Request<Body>) -> Result<(), ErrorKind> {
    if request.method() == Method::CONNECT {
        return Err(ErrorKind::Method(
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ));
    }
    let headers = request.headers();
    if request.version() <= Version::HTTP_11
        && headers.contains_key(header::TRANSFER_ENCODING)
        && headers.contains_key(header::CONTENT_LENGTH)
    {
        return Err(ErrorKind::BadRequest(
            "both Content-Length and Transfer-Encoding",
        ));
    }
    Ok(())
}

/// A request on its way; starts the tunnel that an upgrade leaves behind.
pub struct Served {
    answering: Answering,
    context: Rc<RequestContext>,
    worker: Rc<Worker>,
    /// The connection ends with this answer.
    last: bool,
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
        let mut response = ready!(Pin::new(&mut self.answering).poll(cx));
        if let Ok(response) = &mut response
            && self.last
        {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        if let Some(tunnel) = self.context.tunnel.take() {
            let open = OpenTunnel::count(self.worker.metrics.clone());
            self.worker.spawn(async move {
                tunnel.await;
                drop(open);
            });
        }
        Poll::Ready(response)
    }
}
