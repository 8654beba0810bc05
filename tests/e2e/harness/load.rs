//! Clients that send one request after the other, and what came of it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::harness::{
    Proxy,
    client::{Request, Session, Target},
};

/// Requests under way, until it is stopped. Half of the clients speak HTTP/1.1, the others HTTP/2.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    is_over: AtomicBool,
    sent: AtomicUsize,
    samples: Mutex<Vec<Sample>>,
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// What the request was made from.
    pub(crate) number: usize,
    /// 0 when no whole answer came.
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

/// What all clients saw.
pub(crate) struct Tally {
    pub(crate) samples: Vec<Sample>,
    /// Requests that had no answer when the load was over.
    pub(crate) unanswered: usize,
}

impl Load {
    /// Starts `clients`, each with a connection of its own, that `rest` between two requests.
    /// `request` is given numbers, each of them once.
    pub(crate) fn start(
        target: &Target,
        clients: usize,
        rest: Duration,
        request: impl Fn(usize) -> Request + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            is_over: AtomicBool::new(false),
            sent: AtomicUsize::new(0),
            samples: Mutex::default(),
        });
        let request: Make = Arc::new(request);
        let mut load = Self {
            shared,
            clients: JoinSet::new(),
        };
        for client in 0..clients {
            let (shared, request) = (load.shared.clone(), request.clone());
            let target = target.clone();
            load.clients.spawn(async move {
                run(&shared, &target, client % 2 == 1, rest, &*request).await;
            });
        }
        load
    }

    /// Answers so far.
    pub(crate) fn answered(&self) -> usize {
        self.shared.samples.lock().unwrap().len()
    }

    /// Ends it. Requests under way are given `grace` to be answered.
    pub(crate) async fn stop(mut self, grace: Duration) -> Tally {
        self.shared.is_over.store(true, Relaxed);
        let all = async {
            while let Some(client) = self.clients.join_next().await {
                client.unwrap();
            }
        };
        // Who is late is counted as unanswered.
        let _ = timeout(grace, all).await;
        self.clients.shutdown().await;
        let samples = std::mem::take(&mut *self.shared.samples.lock().unwrap());
        Tally {
            unanswered: self.shared.sent.load(Relaxed) - samples.len(),
            samples,
        }
    }
}

type Make = Arc<dyn Fn(usize) -> Request + Send + Sync>;

async fn run(
    shared: &Shared,
    target: &Target,
    http2: bool,
    rest: Duration,
    make: &(dyn Fn(usize) -> Request + Send + Sync),
) {
    let mut session = connect(target, http2).await;
    while !shared.is_over.load(Relaxed) {
        let number = shared.sent.fetch_add(1, Relaxed);
        let start = Instant::now();
        let answer = session.try_send(make(number)).await;
        let took = start.elapsed();
        let is_broken = answer.is_err();
        let (status, body) = answer.map_or((0, String::new()), |reply| {
            (reply.status.as_u16(), reply.text())
        });
        shared.samples.lock().unwrap().push(Sample {
            number,
            status,
            body,
            took,
        });
        if is_broken && !http2 || session.is_closed() {
            session = connect(target, http2).await;
        }
        sleep(rest).await;
    }
}

async fn connect(target: &Target, http2: bool) -> Session {
    let session = if http2 {
        Session::http2(target).await
    } else {
        Session::http1(target).await
    };
    session.expect("the proxy accepts connections")
}

impl Tally {
    /// Answers by status; 0 counts what was no whole answer.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, usize> {
        let mut statuses = BTreeMap::new();
        for sample in &self.samples {
            *statuses.entry(sample.status).or_insert(0) += 1;
        }
        statuses
    }

    /// Answers whose status `wanted` takes.
    pub(crate) fn count(&self, wanted: impl Fn(u16) -> bool) -> usize {
        self.samples.iter().filter(|it| wanted(it.status)).count()
    }

    /// Fails unless all were answered with a status that `wanted` takes.
    pub(crate) fn assert_all(&self, wanted: impl Fn(u16) -> bool) {
        let bad = self.samples.iter().find(|it| !wanted(it.status));
        assert!(bad.is_none() && self.unanswered == 0, "{self}: {bad:?}");
        assert!(!self.samples.is_empty(), "no requests");
    }

    /// Of all answers that took longest, how long the quickest of the slowest `share` took.
    fn slowest(&self, share: f64) -> Duration {
        let mut times: Vec<_> = self.samples.iter().map(|it| it.took).collect();
        times.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a few thousand samples"
        )]
        let place = (times.len() as f64 * (1.0 - share)) as usize;
        times.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers (", self.samples.len())?;
        for (place, (status, count)) in self.statuses().into_iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match status {
                0 => write!(f, "{comma}{count} broken off")?,
                _ => write!(f, "{comma}{count} x {status}")?,
            }
        }
        write!(
            f,
            "), {} unanswered, p50 {:?}, p99 {:?}",
            self.unanswered,
            self.slowest(0.5),
            self.slowest(0.01)
        )
    }
}

/// The share of all tries that each backend had, 0.0 to 1.0, in the order of `urls`.
pub(crate) async fn shares(proxy: &Proxy, urls: &[String]) -> Vec<f64> {
    let mut tries = Vec::new();
    for url in urls {
        let label = format!("backend=\"{url}\"");
        tries.push(
            proxy
                .metric("portcullis_backend_requests_total", &[&label])
                .await,
        );
    }
    let all: f64 = tries.iter().sum();
    tries.into_iter().map(|it| it / all).collect()
}
