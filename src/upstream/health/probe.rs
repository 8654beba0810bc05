//! Active checks: each backend is asked at an interval whether it is well.
//!
//! A backend that could not be connected to, and one on its way back, is asked sooner, so that
//! requests that wait for it lose no time.

use std::{io, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    config::upstream::HttpProbe,
    upstream::{
        Upstream,
        health::{
            Health, Verdict,
            probe::dial::{Connect, Direct},
        },
    },
};

pub mod dial;
pub mod exchange;

/// Checks the backends of one upstream until it is dropped. Keep it as long as the upstream.
#[derive(Debug)]
pub struct Probes {
    tasks: JoinSet<()>,
}

impl Probes {
    /// Starts one task per backend on `runtime`; the first check is at once. HTTP checks go over
    /// `connect`, which must not outlast the deadline by blocking.
    pub fn start(upstream: &Arc<Upstream>, connect: &Arc<dyn Connect>, runtime: &Handle) -> Self {
        let mut tasks = JoinSet::new();
        for index in 0..upstream.backends().len() {
            let (upstream, connect) = (Arc::clone(upstream), Arc::clone(connect));
            tasks.spawn_on(watch(upstream, index, connect), runtime);
        }
        Self { tasks }
    }

    /// How many backends it checks.
    pub fn backends(&self) -> usize {
        self.tasks.len()
    }
}

/// What was wrong with a backend.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection could be made.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke, or what came was not HTTP.
    #[error("no valid response: {0}")]
    Exchange(#[source] io::Error),
    /// Another status than expected.
    #[error("answered {0}")]
    Status(StatusCode),
    /// It accepted the connection and did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Least time between two checks of one backend, however often requests fail.
const PAUSE: Duration = Duration::from_millis(250);
/// Time between two checks of a backend that may be about to return.
const SOON: Duration = Duration::from_millis(500);

async fn watch(upstream: Arc<Upstream>, index: usize, connect: Arc<dyn Connect>) {
    let backend = &upstream.backends[index];
    loop {
        match check(&upstream, index, &*connect).await {
            Ok(()) => upstream.judge(index, Verdict::Good, &"as expected"),
            Err(fault) => {
                if let Fault::Connect(error) = &fault {
                    upstream.cool(index, error);
                }
                upstream.judge(index, Verdict::Bad, &fault);
            }
        }
        let wait = until_next(backend.health(), upstream.config.probe.interval);
        let pause = wait.min(PAUSE);
        sleep(pause).await;
        // Whichever comes first is a reason to look again.
        let _ = timeout(wait.saturating_sub(pause), backend.suspected.notified()).await;
    }
}

/// One check, within one deadline.
async fn check(upstream: &Upstream, index: usize, connect: &dyn Connect) -> Result<(), Fault> {
    let config = &upstream.config.probe;
    let backend = &upstream.backends[index];
    let deadline = Instant::now() + config.timeout;
    let connecting = match config.http {
        Some(_) => connect.connect(backend),
        None => Direct.connect(backend),
    };
    let mut stream = timeout_at(deadline, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(Fault::Connect)?;
    upstream.reached(index);
    let Some(HttpProbe { path, expect }) = &config.http else {
        return Ok(());
    };
    let status = timeout_at(
        deadline,
        exchange::ask(&mut stream, path, backend.authority()),
    )
    .await
    .map_err(|_| Fault::Timeout(config.timeout))?
    .map_err(Fault::Exchange)?;
    if expect.contains(&status) {
        Ok(())
    } else {
        Err(Fault::Status(status))
    }
}

/// The interval give or take a tenth, so that the checks of many proxies and backends do not fall
/// on the same moment.
fn until_next(health: &Health, interval: Duration) -> Duration {
    if health.ready_at().is_some() || health.is_rising() {
        return interval.min(SOON);
    }
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests;
