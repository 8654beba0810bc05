//! The worker threads.

use std::{io, sync::Arc, thread};

use tokio::sync::mpsc;

use crate::{
    observe::metrics::Metrics,
    server::{
        handover,
        worker::{self, Ending, Listen},
    },
    snapshot::Live,
};

/// The worker threads of the process.
#[derive(Debug)]
pub struct Workers {
    inboxes: Vec<mpsc::UnboundedSender<Listen>>,
    running: usize,
    ended: mpsc::UnboundedReceiver<()>,
}

/// Says on `Drop` that a thread has ended, also by a panic.
struct Gone(mpsc::UnboundedSender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        // Nobody listens any more when the process is being left.
        let _ = self.0.send(());
    }
}

impl Workers {
    /// One thread per configured worker.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn(live: &Arc<Live>, metrics: &Arc<Metrics>, end: &Ending) -> io::Result<Self> {
        let count = live.load().config().server.threads;
        let (gone, ended) = mpsc::unbounded_channel();
        let mut inboxes = Vec::with_capacity(count);
        for (index, seat) in handover::seats(count).into_iter().enumerate() {
            let (inbox, listens) = mpsc::unbounded_channel();
            let (live, metrics) = (live.clone(), metrics.clone());
            let end = end.clone();
            let gone = Gone(gone.clone());
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    let _gone = gone;
                    if let Err(error) = worker::run(seat, live, metrics, end, listens) {
                        tracing::error!(worker = index, %error, "a worker cannot run");
                    }
                })?;
            inboxes.push(inbox);
        }
        Ok(Self {
            inboxes,
            running: count,
            ended,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.inboxes.len()
    }

    /// Hands a socket to worker `index`.
    pub fn listen(&self, index: usize, listen: Listen) {
        // A worker that is gone ends the process, see `lost`.
        let _ = self.inboxes[index].send(listen);
    }

    /// Ready when a worker has ended that should run.
    pub async fn lost(&mut self) {
        if self.ended.recv().await.is_some() {
            self.running -= 1;
        }
    }

    /// Waits until every worker has ended.
    pub async fn finished(&mut self) {
        while self.running > 0 {
            self.lost().await;
        }
    }
}
