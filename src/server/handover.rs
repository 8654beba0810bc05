//! Connections that one worker has accepted and another serves.

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::TcpStream, sync::mpsc};

use crate::{
    observe::metrics::worker::WorkerMetrics,
    server::{
        gate::Permit,
        listener::Listener,
        load::{Coming, Loads},
    },
};

/// Connections on their way to one worker. More than this wait only where it is stuck, and then the
/// one that accepted them serves them itself.
const QUEUE: usize = 256;

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub stream: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// Where it came in. Its socket may be closed by the time that the connection is served.
    pub listener: Arc<Listener>,
    /// The place that it takes.
    pub permit: Permit,
}

/// A connection between two workers; its socket is registered with neither.
#[derive(Debug)]
pub struct Given {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    listener: Arc<Listener>,
    permit: Permit,
    coming: Coming,
}

/// What a worker needs to give connections to others, and to get theirs.
#[derive(Debug)]
pub struct Seat {
    /// Connections that others give.
    pub inbox: mpsc::Receiver<Given>,
    /// The way to the others.
    pub others: Others,
}

/// The other workers.
#[derive(Debug)]
pub struct Others {
    own: usize,
    loads: Loads,
    /// By index; the worker's own stays unused.
    outboxes: Vec<mpsc::Sender<Given>>,
}

/// One seat for each of `count` workers.
pub fn seats(count: usize) -> Vec<Seat> {
    let loads = Loads::new(count);
    let (outboxes, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(QUEUE)).unzip();
    inboxes
        .into_iter()
        .enumerate()
        .map(|(own, inbox)| Seat {
            inbox,
            others: Others {
                own,
                loads: loads.clone(),
                outboxes: outboxes.clone(),
            },
        })
        .collect()
}

impl Others {
    /// The index of the worker whose seat it is.
    pub fn own(&self) -> usize {
        self.own
    }

    /// Where every worker says how much it has to do.
    pub fn loads(&self) -> &Loads {
        &self.loads
    }

    /// Gives a connection to the worker that has less to do, or back. `given` is counted for each that left.
    pub fn offer(&self, accepted: Accepted, given: &WorkerMetrics) -> Option<Accepted> {
        let Some(other) = self.loads.other_for(self.own) else {
            return Some(accepted);
        };
        // Asked for before the socket leaves this runtime; a worker that drains takes nothing.
        let Ok(place) = self.outboxes[other].try_reserve() else {
            return Some(accepted);
        };
        match accepted.leave(self.loads.coming(other)) {
            Ok(connection) => {
                place.send(connection);
                given.gave();
            }
            // Lost, which cannot be helped.
            Err(error) => tracing::error!(%error, "a connection cannot be given to a worker"),
        }
        None
    }
}

impl Accepted {
    fn leave(self, coming: Coming) -> std::io::Result<Given> {
        Ok(Given {
            stream: self.stream.into_std()?,
            peer: self.peer,
            listener: self.listener,
            permit: self.permit,
            coming,
        })
    }
}

impl Given {
    /// Registers the connection with the runtime of the caller, which `serve`s it.
    pub fn arrive(self, serve: impl FnOnce(Accepted)) {
        let peer = self.peer;
        match TcpStream::from_std(self.stream) {
            Ok(stream) => serve(Accepted {
                stream,
                peer,
                listener: self.listener,
                permit: self.permit,
            }),
            Err(error) => tracing::error!(%peer, %error, "a connection given by a worker is lost"),
        }
        // Until here, so that it counts without a gap.
        drop(self.coming);
    }
}
