//! The thread that makes the variants of assets: one for the process, with the least share of the
//! cores.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::snapshot::Live;

/// How often new releases are looked for.
const PAUSE: Duration = Duration::from_secs(1);
/// Runs when nobody else wants to.
const NICEST: i32 = 19;

/// The thread; it ends with what it has in hand when this is dropped.
pub(super) struct Precompression {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Precompression {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(live: Arc<Live>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("precompress".into())
            .spawn(move || run(&live, &stopped))?;
        Ok(Self { stop, thread })
    }
}

impl Drop for Precompression {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
    }
}

impl fmt::Debug for Precompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Precompression").finish_non_exhaustive()
    }
}

fn run(live: &Live, stop: &AtomicBool) {
    // Linux counts this for the thread alone. Without it the work is the same, and less polite.
    if let Err(error) = rustix::process::setpriority_process(None, NICEST) {
        tracing::debug!(%error, "compression runs with the usual share of the cores");
    }
    while !stop.load(Ordering::Relaxed) {
        for store in live.load().stores() {
            store.precompress(stop);
        }
        thread::park_timeout(PAUSE);
    }
}
