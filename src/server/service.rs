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

use http::{Method, Request, Response, Version, header};
use hyper::body::Incoming;

use crate::{
    handler::websocket::extended,
    message::{
        Call,
        body::Body,
        context::{ConnectionInfo, RequestContext},
        error::ErrorKind,
        host,
    },
    observe::metrics::{Metrics, listener::ListenerMetrics},
    server::{
        framing::Marks,
        gate::Permit,
        listener::{Listener, OpenConnection},
        stream::Answered,
        worker::Worker,
    },
    snapshot::services::Answering,
};

/// What `Retry-After` says when there is no place for another tunnel: tunnels come and go all the time.
const COME_BACK: Duration = Duration::from_secs(5);

/// The requests of one connection.
#[derive(Debug, Clone)]
pub struct Requests(Rc<Shared>);

/// What the requests of a connection share.
#[derive(Debug)]
struct Shared {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    connection: Rc<ConnectionInfo>,
    open: Rc<OpenConnection>,
    /// Requests so far.
    count: Cell<u64>,
    marks: Marks,
    answered: Answered,
    /// The host of the last request, which is mostly that of the next.
    host: host::Memory,
}

impl Requests {
    /// Requests that come by `connection`, which counts as `open`.
    pub fn new(
        worker: Rc<Worker>,
        listener: Arc<Listener>,
        connection: ConnectionInfo,
        open: Rc<OpenConnection>,
    ) -> Self {
        Self(Rc::new(Shared {
            worker,
            listener,
            connection: Rc::new(connection),
            open,
            count: Cell::new(0),
            marks: Marks::default(),
            answered: Answered::default(),
            host: host::Memory::default(),
        }))
    }

    /// Where a stream of an HTTP/2 connection leaves its request once it is answered.
    pub fn answered(&self) -> &Answered {
        &self.0.answered
    }

    /// What the stream of an HTTP/1.1 connection says about its requests.
    pub fn marks(&self) -> Marks {
        self.0.marks.clone()
    }

    /// The worker.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.0.worker
    }

    /// The socket's other end.
    pub fn peer(&self) -> SocketAddr {
        self.0.connection.peer
    }

    /// Counters of the listener.
    pub fn metrics(&self) -> &ListenerMetrics {
        &self.0.listener.metrics
    }

    /// Requests so far.
    pub fn count(&self) -> u64 {
        self.0.count.get()
    }

    /// Whether no request is under way. What was answered may still wait for the client.
    pub fn are_done(&self) -> bool {
        // Each request's context holds the connection's.
        Rc::strong_count(&self.0.connection) == 1
    }

    /// Time for a request head, and its largest size.
    pub fn head_bounds(&self) -> (Duration, usize) {
        let services = self.0.worker.services();
        let server = &services.snapshot().config().server;
        (server.head_timeout, server.head_limit)
    }

    /// The place that a tunnel of HTTP/2 takes, asked for before its backend is. A connection has one of its own,
    /// which over HTTP/1.1 is the tunnel's, but over HTTP/2 it would be that of a hundred tunnels.
    fn place(&self, request: &Request<Incoming>) -> Result<Option<Permit>, ErrorKind> {
        if !extended::is_asked_by(request) {
            return Ok(None);
        }
        let place = self.0.listener.gate.try_enter();
        place.map(Some).ok_or(ErrorKind::NoPlace(COME_BACK))
    }

    /// What hyper lets through and no backend should see.
    fn screen(&self, request: &Request<Incoming>) -> Result<(), ErrorKind> {
        if request.method() == Method::CONNECT && !extended::is_asked_by(request) {
            return Err(ErrorKind::Method(
                "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            ));
        }
        let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
        let Some(coding) = codings.next() else {
            return Ok(());
        };
        if self.0.marks.is_ambiguous(self.count()) {
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
        self.0.count.set(self.count() + 1);
        self.0.open.touch();
        let host = self
            .screen(&request)
            .and_then(|()| self.0.host.of(request.uri(), request.headers()));
        let known = host.as_ref().ok().cloned();
        let place = host.and_then(|_| self.place(&request));
        let context = Rc::new(RequestContext::new(
            self.0.connection.clone(),
            &request,
            known,
        ));
        let request = request.map(|body| match context.version {
            Version::HTTP_2 => Body::from(body).left_to(&context),
            _ => Body::from(body),
        });
        let call = Call {
            request,
            context: context.clone(),
        };
        let services = self.0.worker.services();
        let (place, fault) = match place {
            Ok(place) => (place, None),
            Err(fault) => (None, Some(fault)),
        };
        let answering = match fault {
            Some(fault) => services.refuse(fault, call),
            None if self.0.listener.tls => services.answer(self.0.listener.address, call),
            None => services.redirect_to_https(call),
        };
        Served {
            answering,
            context,
            place,
            requests: self.clone(),
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
    /// Given back when no tunnel comes of it.
    place: Option<Permit>,
    requests: Requests,
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
        let place = self.place.take();
        if let Some(tunnel) = self.context.tunnel.take() {
            let Shared {
                worker,
                marks,
                open,
                ..
            } = &*self.requests.0;
            marks.upgraded();
            let open = (
                open.clone(),
                place,
                OpenTunnel::count(worker.metrics.clone()),
            );
            let relay = tunnel(worker.notice.heed());
            worker.spawn(async move {
                relay.await;
                drop(open);
            });
        }
        // HTTP/1.1 has no streams; its writes wait where `Unstalled` sees them.
        if self.context.version == Version::HTTP_2 {
            self.requests.0.answered.leave(&self.context);
        }
        Poll::Ready(response)
    }
}
