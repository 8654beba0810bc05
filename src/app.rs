//! Life and death of the process: start, reload, drain.
//!
//! The calling thread is the control thread: signals, probes, admin and reloads live on its
//! runtime, and no request ever does.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{
    admin,
    app::{
        listeners::Listeners,
        precompress::Precompression,
        signals::{Signal, Signals},
        source::Source,
        workers::Workers,
    },
    config::{self, Config, diagnostic::Report, route::Handler, server::State},
    message::notice::Notice,
    observe::{Overrides, ProgramLog, log_file::LogFile, metrics::Metrics},
    server::{bind, drain::Stage, worker::Ending},
    snapshot::{Live, build::Shared},
};

pub mod listeners;
mod precompress;
mod refresh;
pub mod reload;
pub mod signals;
pub mod source;
pub mod state;
pub mod workers;

/// Why the process could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has faults.
    #[error("the configuration has faults")]
    Config(Report),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system refuses something else.
    #[error("the process cannot go on")]
    System(#[from] io::Error),
}

/// Serves `source` until a signal ends it; `started` is told the bound addresses.
///
/// # Errors
/// See [`RunError`]. Nothing is left running.
pub fn run(source: &Source, started: impl FnOnce(&Started<'_>)) -> Result<(), RunError> {
    let (config, report) = source.load().map_err(RunError::Config)?;
    let program_log =
        ProgramLog::install(config.log.level, &Overrides::from_env()).map_err(io::Error::other)?;
    reload::tell(&report);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        // Before anything is opened: the first process of a container has no default that would end
        // it, so that a `TERM` during the start would be lost.
        let signals = Signals::new()?;
        let app = App::start(source, config, report, program_log)?;
        started(&Started {
            addresses: &app.listeners.addresses(),
        });
        app.serve(signals).await
    });
    // A probe or a look-up that still hangs must not hold the end up.
    runtime.shutdown_background();
    result
}

/// What runs now.
#[derive(Debug)]
pub struct Started<'a> {
    /// Bound addresses, and whether they speak TLS.
    pub addresses: &'a [(SocketAddr, bool)],
}

/// The running process.
struct App<'a> {
    source: &'a Source,
    program_log: ProgramLog,
    /// Looks for new builds.
    refresh: JoinHandle<()>,
    precompression: Precompression,
    live: Arc<Live>,
    shared: Arc<Shared>,
    listeners: Listeners,
    workers: Workers,
    stage: watch::Sender<Stage>,
    /// What all tunnels heed.
    notice: Arc<Notice>,
    access_log: LogFile,
    admin: Option<Admin>,
}

/// The operator's listener.
struct Admin {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl<'a> App<'a> {
    fn start(
        source: &'a Source,
        config: Config,
        report: Report,
        program_log: ProgramLog,
    ) -> Result<Self, RunError> {
        tell_of_state(&config);
        let metrics = Arc::new(Metrics::new());
        let workers = config.server.threads;
        let admin = config.server.admin.clone();
        let admin_socket = admin
            .as_ref()
            .map(|admin| listen(admin.address, 1))
            .transpose()?;
        let listeners = Listeners::open(&config, workers)?;
        let log_path = config
            .log
            .access
            .as_ref()
            .and_then(|access| access.path.as_deref());
        let access_log = LogFile::open(log_path, workers, metrics.dropped_lines())?;
        let shared = Arc::new(Shared::new(metrics.clone(), access_log.lines(), workers)?);
        let snapshot = shared
            .build(config, None)
            .map_err(|faults| RunError::Config(report.with(faults)))?;
        shared.announce(&snapshot);
        let live = Arc::new(Live::new(snapshot));
        let (stage, stages) = watch::channel(Stage::Serving);
        let notice = Arc::new(Notice::default());
        let ending = Ending {
            stages: stages.clone(),
            notice: notice.clone(),
        };
        let workers = Workers::spawn(&live, &metrics, &ending)?;
        listeners.give_to(&workers);
        let state = Arc::new(state::State::new(live.clone(), stages));
        let admin = admin
            .zip(admin_socket)
            .map(|(config, sockets)| Admin::serve(config, sockets, metrics, state));
        Ok(Self {
            source,
            program_log,
            refresh: tokio::spawn(refresh::follow(live.clone())),
            precompression: Precompression::start(live.clone())?,
            live,
            shared,
            listeners,
            workers,
            stage,
            notice,
            access_log,
            admin,
        })
    }

    async fn serve(mut self, mut signals: Signals) -> Result<(), RunError> {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Reload => self.reload().await,
                    Signal::Reopen => self.reopen(),
                    Signal::Stop => break,
                },
                () = self.workers.lost() => {
                    return Err(io::Error::other("a worker thread has ended").into());
                }
            }
        }
        self.drain(&mut signals).await;
        Ok(())
    }

    /// Opens the access log anew, after a rotation.
    fn reopen(&self) {
        let snapshot = self.live.load();
        let path = snapshot
            .config()
            .log
            .access
            .as_ref()
            .and_then(|access| access.path.as_deref());
        match self.access_log.reopen(path) {
            Ok(()) => tracing::info!("log files opened anew"),
            Err(error) => {
                tracing::error!(%error, "the access log cannot be opened anew, the old file stays in use");
            }
        }
    }

    /// Finishes what is in flight, up to the deadline or a second signal.
    async fn drain(mut self, signals: &mut Signals) {
        let timeout = self.live.load().config().server.drain_timeout;
        tracing::info!(timeout_s = timeout.as_secs(), "draining");
        let deadline = Instant::now() + timeout;
        self.stage.send_replace(Stage::Draining);
        self.notice.set(Some(deadline));
        self.refresh.abort();
        drop(self.precompression);
        self.listeners.close();
        let deadline = tokio::time::sleep_until(deadline);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                () = self.workers.finished() => break,
                () = &mut deadline => {
                    tracing::warn!("the drain deadline has passed, cutting what is left");
                    break;
                }
                signal = signals.next() => if signal == Signal::Stop {
                    tracing::warn!("stopping at once");
                    break;
                },
            }
        }
        self.stage.send_replace(Stage::Over);
        self.workers.finished().await;
        if let Some(admin) = self.admin {
            admin.end().await;
        }
        tracing::info!("stopped");
    }
}

impl Admin {
    fn serve(
        config: config::server::Admin,
        sockets: Vec<TcpListener>,
        metrics: Arc<Metrics>,
        state: Arc<state::State>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            for socket in sockets {
                if let Ok(address) = socket.local_addr() {
                    tracing::info!(%address, "admin listening");
                }
                admin::serve(
                    socket,
                    config.clone(),
                    metrics.clone(),
                    state.clone(),
                    stopped.clone(),
                )
                .await;
            }
        });
        Self { task, stop }
    }

    /// It answers until the very end, so that a drain can be watched.
    async fn end(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the admin listener failed");
        }
    }
}

/// Says it when what should outlive a restart does not.
fn tell_of_state(config: &Config) {
    let mut routes = config.sites.iter().flat_map(|site| &site.routes);
    let has_files = routes.any(|route| matches!(route.handler, Handler::Files(_)));
    let state = &config.server.state;
    if has_files && *state == State::Default && state.folder().is_none() {
        tracing::info!(
            "no state folder, so nothing of files outlives a restart: make one, or say `server.state = false`"
        );
    }
}

fn listen(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, RunError> {
    bind::listen(address, count).map_err(|source| RunError::Bind { address, source })
}
