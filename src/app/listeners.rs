//! Listening sockets by configured address: opened at start, opened and closed by reloads.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use crate::{
    app::{RunError, listen, workers::Workers},
    config::Config,
    server::{bind, gate::Gate, worker::Listen},
};

/// How long a reload waits for the workers to close a listener.
const CLOSING: Duration = Duration::from_secs(1);

/// The listeners of the process.
#[derive(Debug, Default)]
pub struct Listeners {
    open: BTreeMap<SocketAddr, Open>,
    /// Of those that workers were told to close.
    closing: Vec<watch::Sender<()>>,
}

/// One listener.
#[derive(Debug)]
struct Open {
    /// Differs from the configured address where that has port 0.
    bound: SocketAddr,
    tls: bool,
    gate: Arc<Gate>,
    /// Told, or dropped, to close the listener on every worker; each lets go of its end then.
    close: watch::Sender<()>,
    /// Until a worker takes them.
    sockets: Mutex<Vec<TcpListener>>,
}

impl Listeners {
    /// Binds every listener of `config`, one socket for each of `workers`.
    ///
    /// # Errors
    /// The first address that is refused; nothing stays bound then.
    pub fn open(config: &Config, workers: usize) -> Result<Self, RunError> {
        let mut listeners = Self::default();
        listeners.follow(config, workers)?;
        Ok(listeners)
    }

    /// Opens what `config` has anew, and only when all of that is bound, closes what it has no more.
    ///
    /// # Errors
    /// The first address that is refused; nothing has changed then.
    pub fn follow(&mut self, config: &Config, workers: usize) -> Result<(), RunError> {
        let mut fresh = BTreeMap::new();
        for listener in &config.listeners {
            let sockets = match self.open.get(&listener.address) {
                Some(open) if open.tls == listener.tls => continue,
                // The same address with another protocol: the old sockets go when all is bound.
                Some(open) => {
                    bind::listen_beside(open.bound, workers).map_err(|source| RunError::Bind {
                        address: open.bound,
                        source,
                    })?
                }
                None => listen(listener.address, workers)?,
            };
            let bound = sockets
                .first()
                .and_then(|socket| socket.local_addr().ok())
                .unwrap_or(listener.address);
            let (close, _) = watch::channel(());
            let gate = Gate::new(listener.max_connections);
            fresh.insert(
                listener.address,
                Open {
                    bound,
                    tls: listener.tls,
                    gate,
                    close,
                    sockets: Mutex::new(sockets),
                },
            );
        }
        let stays = |address: &SocketAddr| {
            let mut listeners = config.listeners.iter();
            !fresh.contains_key(address) && listeners.any(|listener| listener.address == *address)
        };
        for (_, open) in self.open.extract_if(.., |address, _| !stays(address)) {
            open.close.send_replace(());
            self.closing.push(open.close);
        }
        self.open.append(&mut fresh);
        for listener in &config.listeners {
            if let Some(open) = self.open.get(&listener.address) {
                open.gate.set_limit(listener.max_connections);
            }
        }
        Ok(())
    }

    /// Hands sockets that nobody has yet to the workers.
    pub fn give_to(&self, workers: &Workers) {
        for (address, open) in &self.open {
            let mut sockets = open.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            if !sockets.is_empty() {
                tracing::info!(address = %open.bound, tls = open.tls, "listening");
            }
            for (index, socket) in sockets.drain(..).enumerate().take(workers.count()) {
                let listen = Listen {
                    socket,
                    address: *address,
                    tls: open.tls,
                    gate: open.gate.clone(),
                    closed: open.close.subscribe(),
                };
                workers.listen(index, listen);
            }
        }
    }

    /// Waits until the workers have closed what [`Self::follow`] closed: until then the kernel still gives
    /// them connections.
    pub async fn closed(&mut self) {
        let closing = std::mem::take(&mut self.closing);
        // A worker that is this late is stuck in something else.
        let _ = timeout(CLOSING, async {
            for close in &closing {
                close.closed().await;
            }
        })
        .await;
    }

    /// Bound addresses, and whether they speak TLS.
    pub fn addresses(&self) -> Vec<(SocketAddr, bool)> {
        self.open
            .values()
            .map(|open| (open.bound, open.tls))
            .collect()
    }

    /// Closes all.
    pub fn close(&mut self) {
        self.open.clear();
    }
}
