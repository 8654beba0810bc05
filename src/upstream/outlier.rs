//! Backends whose answers are far worse than those of their neighbours are spared for a while.
//!
//! An answer is bad when it is a 5xx, does not come in time, is not HTTP, or breaks off. One bad answer says nothing, and a
//! route that fails on every backend says nothing about a backend: what counts is the share over a sliding window with
//! enough requests, and that the others do far better in the same time. Never more than half of the backends that
//! would serve are ejected, since the rest has to carry their load; so the last one never is.

use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, interval},
};

use crate::{
    config,
    upstream::{Upstream, backend::Backend, report::show},
};

/// Time between two looks at the windows and at who may return.
const TICK: Duration = Duration::from_secs(1);
/// An ejection is at most this many times as long as the first one.
const LONGEST: u32 = 8;

/// Answers of a backend, counted for ever; the window is what came after its start.
#[derive(Debug, Default)]
pub struct Tally {
    good: AtomicU64,
    bad: AtomicU64,
    good_before: AtomicU64,
    bad_before: AtomicU64,
}

/// Answers of some time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sample {
    good: u64,
    bad: u64,
}

impl Tally {
    /// One good answer.
    pub(in crate::upstream) fn good(&self) {
        self.good.fetch_add(1, Relaxed);
    }

    /// What was counted as a good answer was none.
    pub(in crate::upstream) fn not_good(&self) {
        self.good.fetch_sub(1, Relaxed);
    }

    fn total(&self) -> Sample {
        Sample {
            good: self.good.load(Relaxed),
            bad: self.bad.load(Relaxed),
        }
    }

    fn window(&self) -> Sample {
        let total = self.total();
        Sample {
            good: total.good.saturating_sub(self.good_before.load(Relaxed)),
            bad: total.bad.saturating_sub(self.bad_before.load(Relaxed)),
        }
    }

    /// The window begins where the counts were `before`.
    fn begin(&self, before: Sample) {
        self.good_before.store(before.good, Relaxed);
        self.bad_before.store(before.bad, Relaxed);
    }
}

impl Sample {
    fn count(self) -> u64 {
        self.good + self.bad
    }

    /// Share of bad ones; 0 without a sample.
    #[expect(
        clippy::cast_precision_loss,
        reason = "no window has 2^52 requests, and a share needs no exactness"
    )]
    fn failures(self) -> f64 {
        self.bad as f64 / self.count().max(1) as f64
    }

    fn add(self, other: Self) -> Self {
        Self {
            good: self.good + other.good,
            bad: self.bad + other.bad,
        }
    }
}

impl Upstream {
    /// A backend gave a bad answer, or none.
    pub(in crate::upstream) fn answered_badly(&self, backend: &Backend) {
        backend.tally.bad.fetch_add(1, Relaxed);
        if let Some(policy) = &self.config.outlier
            && !backend.health.is_ejected()
        {
            self.compare(backend, policy);
        }
    }

    fn compare(&self, backend: &Backend, policy: &config::upstream::Outlier) {
        let own = backend.tally.window();
        if own.count() < policy.requests || own.failures() < policy.failures {
            return;
        }
        let backends = self.backends();
        // Those that would carry its load, and those of their rank that are spared already.
        let peers = || {
            backends
                .iter()
                .filter(|it| it.rank() == backend.rank() && !it.is_drained())
        };
        let others = peers()
            .filter(|it| it.id() != backend.id() && it.is_up())
            .map(|it| it.tally.window())
            .fold(Sample::default(), Sample::add);
        if others.count() < policy.requests || others.failures() > own.failures() / 2.0 {
            return;
        }
        let is_news = {
            let _ejecting = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
            let ejected = peers().filter(|it| it.health.is_ejected()).count();
            let serving = ejected + peers().filter(|it| it.is_up()).count();
            ejected < (serving / 2).max(1) && backend.health.set_ejected(true)
        };
        if is_news {
            backend.metrics().ejected();
            tracing::warn!(
                upstream = %self.name,
                backend = %backend.name(),
                bad = own.bad,
                requests = own.count(),
                others_bad = others.bad,
                others_requests = others.count(),
                "backend is ejected: its answers are far worse than those of the others"
            );
            show(backend);
            self.queue.announce();
        }
    }

    fn take_back(&self, backend: &Backend) {
        if backend.health.set_ejected(false) {
            tracing::info!(upstream = %self.name, backend = %backend.name(), "backend is taken back after its ejection");
            self.returned(backend);
        }
    }
}

/// Moves the windows of one upstream on and ends ejections, until it is dropped.
#[derive(Debug)]
pub struct Outliers {
    _tasks: JoinSet<()>,
}

impl Outliers {
    /// Starts one task on `runtime`; none where nothing is ejected.
    pub fn start(upstream: &Arc<Upstream>, runtime: &Handle) -> Self {
        let mut tasks = JoinSet::new();
        if let Some(policy) = &upstream.config.outlier {
            tasks.spawn_on(watch(Arc::clone(upstream), policy.clone()), runtime);
        }
        Self { _tasks: tasks }
    }
}

async fn watch(upstream: Arc<Upstream>, policy: config::upstream::Outlier) {
    let mut records: Vec<Record> = Vec::new();
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        let backends = upstream.backends().clone();
        records.retain(|record| backends.iter().any(|it| Arc::ptr_eq(it, &record.backend)));
        for backend in backends.iter() {
            if !records.iter().any(|it| Arc::ptr_eq(&it.backend, backend)) {
                records.push(Record::new(Arc::clone(backend)));
            }
        }
        for record in &mut records {
            record.tick(&upstream, &policy);
        }
    }
}

/// What the task knows of one backend.
#[derive(Debug)]
struct Record {
    backend: Arc<Backend>,
    phase: Phase,
    /// In a row.
    ejections: u32,
}

#[derive(Debug)]
enum Phase {
    Watched {
        /// Counts at the last ticks, the oldest in front.
        history: VecDeque<Sample>,
        /// When a return from an ejection has gone well.
        trial: Option<Instant>,
    },
    Ejected {
        until: Instant,
    },
}

impl Record {
    fn new(backend: Arc<Backend>) -> Self {
        Self {
            backend,
            phase: Phase::Watched {
                history: VecDeque::new(),
                trial: None,
            },
            ejections: 0,
        }
    }

    fn tick(&mut self, upstream: &Upstream, policy: &config::upstream::Outlier) {
        let (now, backend) = (Instant::now(), &self.backend);
        match &mut self.phase {
            Phase::Watched { .. } if backend.health.is_ejected() => {
                let times = 2_u32.saturating_pow(self.ejections).min(LONGEST);
                self.ejections += 1;
                self.phase = Phase::Ejected {
                    until: now + policy.eject * times,
                };
            }
            Phase::Watched { history, trial } => {
                if trial.is_some_and(|end| now >= end) {
                    (self.ejections, *trial) = (0, None);
                }
                slide(history, &backend.tally, policy.window);
            }
            Phase::Ejected { until } if now >= *until => {
                backend.tally.begin(backend.tally.total());
                self.phase = Phase::Watched {
                    history: VecDeque::new(),
                    trial: Some(now + policy.window),
                };
                upstream.take_back(backend);
            }
            Phase::Ejected { .. } => {}
        }
    }
}

/// The window begins where the counts were one window ago.
fn slide(history: &mut VecDeque<Sample>, tally: &Tally, window: Duration) {
    let ticks = usize::try_from(window.as_secs()).unwrap_or(usize::MAX);
    history.push_back(tally.total());
    while history.len() > ticks {
        history.pop_front();
    }
    if let Some(oldest) = history.front() {
        tally.begin(*oldest);
    }
}

#[cfg(test)]
mod tests;
