//! A worker: one thread, one runtime, its connections, and its view of the snapshot.

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::LocalSet,
};

use crate::{
    message::notice::Notice,
    middleware::compression::encoder::Encoders,
    observe::metrics::{Metrics, listener::Protocol, worker::WorkerMetrics},
    server::{
        drain::{Drain, Stage},
        gate::Gate,
        handover::{Others, Seat},
        listener::{self, Listener},
        load::Activity,
        pulse::Pulse,
    },
    snapshot::{Live, services::Services},
};

/// A listener for a worker to accept on.
#[derive(Debug)]
pub struct Listen {
    /// Bound and listening.
    pub socket: std::net::TcpListener,
    /// The address as it is configured.
    pub address: SocketAddr,
    /// Speaks TLS.
    pub tls: bool,
    /// Bound on connections over all workers.
    pub gate: Arc<Gate>,
    /// The listener closes when this is told, or its sender dropped.
    pub closed: watch::Receiver<()>,
}

/// How a worker hears of the end of the process.
#[derive(Debug, Clone)]
pub struct Ending {
    /// How far it has come.
    pub stages: watch::Receiver<Stage>,
    /// For its tunnels.
    pub notice: Arc<Notice>,
}

/// State that the connections of one worker share.
#[derive(Debug)]
pub struct Worker {
    /// Counted from 0.
    pub index: usize,
    /// Counters of the whole process.
    pub metrics: Arc<Metrics>,
    /// Its own counters.
    pub counts: Arc<WorkerMetrics>,
    /// Whether to finish.
    pub drain: Drain,
    /// What its tunnels heed.
    pub notice: Arc<Notice>,
    /// Its connections that are in use.
    pub activity: Activity,
    /// Whom it may give connections to.
    pub others: Others,
    live: Arc<Live>,
    services: RefCell<Rc<Services>>,
    /// Whatever the snapshot: responses of one before may still be under way.
    encoders: Rc<Encoders>,
    /// Every connection and tunnel holds a clone; the worker ends when all are gone.
    alive: mpsc::Sender<()>,
}

impl Worker {
    /// The services of the newest snapshot.
    pub fn services(&self) -> Rc<Services> {
        let newest = self.live.generation();
        let mut services = self.services.borrow_mut();
        if services.snapshot().generation() != newest {
            *services = Rc::new(Services::new(self.live.load(), self.encoders.clone()));
        }
        services.clone()
    }

    /// Runs `future` on this worker; it is waited for at the end, and cut at the deadline.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let alive = self.alive.clone();
        let over = self.drain.over();
        tokio::task::spawn_local(async move {
            tokio::select! {
                biased;
                () = future => {}
                () = over => {}
            }
            drop(alive);
        });
    }
}

/// Runs a worker on the calling thread until it has drained.
///
/// # Errors
/// The runtime cannot be made.
pub fn run(
    seat: Seat,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    ending: Ending,
    commands: mpsc::UnboundedReceiver<Listen>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(work(seat, live, metrics, ending, commands)));
    Ok(())
}

async fn work(
    seat: Seat,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    ending: Ending,
    mut commands: mpsc::UnboundedReceiver<Listen>,
) {
    let (alive, mut all_gone) = mpsc::channel(1);
    let drain = Drain::default();
    let encoders = Rc::<Encoders>::default();
    let services = RefCell::new(Rc::new(Services::new(live.load(), encoders.clone())));
    let Seat { mut inbox, others } = seat;
    let Ending { mut stages, notice } = ending;
    let index = others.own();
    let worker = Rc::new(Worker {
        index,
        counts: metrics.worker(index),
        metrics,
        drain: drain.clone(),
        notice,
        activity: Activity::new(others.loads().clone(), index),
        others,
        live,
        services,
        encoders,
        alive,
    });
    let mut pulse = Pulse::default();
    loop {
        tokio::select! {
            Some(listen) = commands.recv() => open(listen, &worker),
            Some(given) = inbox.recv() => given.arrive(|accepted| listener::start(accepted, &worker)),
            () = pulse.next() => pulse.beat(&worker),
            stage = next(&mut stages) => {
                drain.advance(stage);
                if stage > Stage::Serving {
                    break;
                }
            }
        }
    }
    // The others keep what they accept from now on; what they have given already is served.
    inbox.close();
    while let Some(given) = inbox.recv().await {
        given.arrive(|accepted| listener::start(accepted, &worker));
    }
    // Connections hold the worker too, so its own sender goes with the last of them.
    drop(worker);
    loop {
        tokio::select! {
            _ = all_gone.recv() => return,
            stage = next(&mut stages), if !drain.is_over() => drain.advance(stage),
        }
    }
}

/// The next stage. A sender that is gone means that the process ends at once.
async fn next(stages: &mut watch::Receiver<Stage>) -> Stage {
    match stages.changed().await {
        Ok(()) => *stages.borrow_and_update(),
        Err(_) => Stage::Over,
    }
}

fn open(listen: Listen, worker: &Rc<Worker>) {
    let Listen {
        socket,
        address,
        tls,
        gate,
        closed,
    } = listen;
    match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => {
            let protocol = if tls { Protocol::Tls } else { Protocol::Plain };
            let metrics = worker.metrics.listener(&address.to_string(), protocol);
            let listener = Arc::new(Listener {
                address,
                tls,
                gate,
                metrics,
            });
            worker.spawn(listener::accept(socket, closed, listener, worker.clone()));
        }
        Err(error) => tracing::error!(%address, %error, "a listener cannot be used"),
    }
}
