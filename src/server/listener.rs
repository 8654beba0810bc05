//! Accepting: one loop per listener and worker.

use std::{io, net::SocketAddr, pin::pin, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{
    observe::metrics::listener::ListenerMetrics,
    server::{
        connection,
        gate::{Gate, Permit},
        handover::Accepted,
        load::Used,
        worker::Worker,
    },
};

/// How long accepting rests when the process has no descriptor left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What the connections of a listener share.
#[derive(Debug)]
pub struct Listener {
    /// The address as it is configured: the listener's name in the snapshot.
    pub address: SocketAddr,
    /// Speaks TLS.
    pub tls: bool,
    /// Connections over all workers.
    pub gate: Arc<Gate>,
    /// Its counters.
    pub metrics: Arc<ListenerMetrics>,
}

/// Counts an open connection, or the tunnel that it has become.
#[derive(Debug)]
pub struct OpenConnection {
    listener: Arc<Listener>,
    worker: Rc<Worker>,
    used: Used,
    _permit: Permit,
}

impl OpenConnection {
    /// Counts a connection of `worker` until the guard is dropped.
    pub fn count(listener: &Arc<Listener>, worker: &Rc<Worker>, permit: Permit) -> Rc<Self> {
        listener.metrics.opened();
        worker.counts.opened();
        Rc::new(Self {
            listener: listener.clone(),
            worker: worker.clone(),
            used: worker.activity.enter(),
            _permit: permit,
        })
    }

    /// A request begins.
    pub fn touch(&self) {
        self.worker.activity.touch(&self.used);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.worker.activity.leave(&self.used);
        self.worker.counts.closed();
        self.listener.metrics.closed();
    }
}

/// Accepts until the worker drains or is told that the listener is closed. What
/// the kernel has queued by then is still taken.
pub async fn accept(
    socket: TcpListener,
    mut closed: watch::Receiver<()>,
    listener: Arc<Listener>,
    worker: Rc<Worker>,
) {
    let drain = worker.drain.started();
    let mut closing = pin!(async {
        tokio::select! {
            _ = closed.changed() => {}
            () = drain => {}
        }
    });
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = closing.as_mut() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest(&error).await;
                continue;
            }
        };
        // After accepting: a worker that nobody comes to must not keep a place from one that is busy.
        let permit = tokio::select! {
            biased;
            permit = listener.gate.enter() => permit,
            () = closing.as_mut() => return,
        };
        let accepted = Accepted {
            stream,
            peer,
            listener: listener.clone(),
            permit,
        };
        if let Some(accepted) = worker.others.offer(accepted, &worker.counts) {
            start(accepted, &worker);
        }
    }
    take_queued(socket, &listener, &worker);
}

/// Takes what the kernel has queued. The reactor may not know of it yet, so the socket is asked.
fn take_queued(socket: TcpListener, listener: &Arc<Listener>, worker: &Rc<Worker>) {
    let Ok(socket) = socket.into_std() else {
        return;
    };
    while let Some(permit) = listener.gate.try_enter() {
        let Ok((stream, peer)) = socket.accept() else {
            return;
        };
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            let accepted = Accepted {
                stream,
                peer,
                listener: listener.clone(),
                permit,
            };
            start(accepted, worker);
        }
    }
}

/// Serves a connection on `worker`.
pub fn start(accepted: Accepted, worker: &Rc<Worker>) {
    let Accepted {
        stream,
        peer,
        listener,
        permit,
    } = accepted;
    // Small writes are whole messages here; Nagle would hold them for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the client left before it was served");
        return;
    }
    let open = OpenConnection::count(&listener, worker, permit);
    worker.spawn(connection::serve(
        stream,
        peer,
        listener,
        worker.clone(),
        open,
    ));
}

/// A fault of one connection is that connection's; a lack of descriptors is everyone's.
async fn rest(error: &io::Error) {
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    ) {
        return;
    }
    tracing::error!(%error, "cannot accept connections; raise the descriptor limit (LimitNOFILE, ulimit -n)");
    tokio::time::sleep(EXHAUSTED).await;
}
