//! Active checks: each backend is asked at an interval whether it is well.
//!
//! A backend that could not be connected to, and one on its way back, is asked sooner, so that
//! requests that wait for it lose no time.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    config::upstream::HttpProbe,
    upstream::{
        Upstream,
        backend::Backend,
        health::{
            Health, Verdict,
            probe::dial::{Connect, Direct, Stream},
        },
    },
};

pub mod dial;
pub mod exchange;

/// Checks the backends of one upstream until it is dropped. Keep it as long as the upstream.
#[derive(Debug)]
pub struct Probes {
    _tasks: JoinSet<()>,
}

impl Probes {
    /// Starts one task per backend on `runtime`; the first check is at once. HTTP checks go over
    /// `connect`, which must not outlast the deadline by blocking.
    pub fn start(upstream: &Arc<Upstream>, connect: &Arc<dyn Connect>, runtime: &Handle) -> Self {
        let mut tasks = JoinSet::new();
        let all = watch_all(Arc::clone(upstream), Arc::clone(connect));
        tasks.spawn_on(all, runtime);
        Self { _tasks: tasks }
    }
}

/// Watches each backend that the upstream has, as they come and go.
async fn watch_all(upstream: Arc<Upstream>, connect: Arc<dyn Connect>) {
    let mut changes = upstream.members.changes();
    // Aborted when this future is dropped.
    let mut tasks = JoinSet::new();
    let mut watched = HashMap::new();
    loop {
        let backends = upstream.backends().clone();
        watched.retain(|id, task: &mut AbortHandle| {
            let stays = backends.iter().any(|it| it.id() == *id);
            if !stays {
                task.abort();
            }
            stays && !task.is_finished()
        });
        for backend in backends.iter() {
            watched.entry(backend.id()).or_insert_with(|| {
                let (upstream, connect) = (Arc::clone(&upstream), Arc::clone(&connect));
                tasks.spawn(watch(upstream, Arc::clone(backend), connect))
            });
        }
        drop(backends);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(_) = tasks.join_next() => {}
        }
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
    /// A good status, and another body than expected. The body is not kept: it may say anything.
    #[error("answered {}, but the body does not contain {text:?}", .status.as_u16())]
    Body {
        /// The status.
        status: StatusCode,
        /// What was looked for.
        text: String,
    },
    /// It accepted the connection and did not answer in time, or not to the end.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
}

/// Least time between two checks of one backend, however often requests fail.
const PAUSE: Duration = Duration::from_millis(250);
/// Time between two checks of a backend that may be about to return.
const SOON: Duration = Duration::from_millis(500);

async fn watch(upstream: Arc<Upstream>, backend: Arc<Backend>, connect: Arc<dyn Connect>) {
    loop {
        match check(&upstream, &backend, &*connect).await {
            Ok(()) => upstream.judge(&backend, Verdict::Good, &"as expected"),
            Err(fault) => {
                // The log hears of it when the state changes.
                if matches!(fault, Fault::Connect(_)) {
                    upstream.cool(&backend);
                }
                upstream.judge(&backend, Verdict::Bad, &fault);
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
async fn check(upstream: &Upstream, backend: &Backend, connect: &dyn Connect) -> Result<(), Fault> {
    let config = &upstream.config.probe;
    let deadline = Instant::now() + config.timeout;
    let connecting = async {
        if config.http.is_some() {
            return connect.connect(backend).await;
        }
        let mut stream = Direct.connect(backend).await?;
        // A backend that waits for it would complain about a connection that ends without.
        upstream.connector.introduce(&mut stream, None).await?;
        Ok(stream)
    };
    let mut stream = timeout_at(deadline, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(Fault::Connect)?;
    upstream.reached(backend);
    let Some(probe) = &config.http else {
        return Ok(());
    };
    timeout_at(deadline, exchange(&mut *stream, probe, backend.authority()))
        .await
        .unwrap_or(Err(Fault::Timeout(config.timeout)))
}

/// Asks, and judges the answer.
async fn exchange(
    stream: &mut dyn Stream,
    probe: &HttpProbe,
    authority: &str,
) -> Result<(), Fault> {
    let request = exchange::request(probe, authority);
    let answer = exchange::ask(stream, &request)
        .await
        .map_err(Fault::Exchange)?;
    let status = answer.status();
    if !probe.expect.contains(&status) {
        return Err(Fault::Status(status));
    }
    let Some(text) = &probe.contains else {
        return Ok(());
    };
    let body = answer.body(stream).await.map_err(Fault::Exchange)?;
    match memchr::memmem::find(&body, text.as_bytes()) {
        Some(_) => Ok(()),
        None => Err(Fault::Body {
            status,
            text: text.clone(),
        }),
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
