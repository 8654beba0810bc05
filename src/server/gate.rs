//! How many connections a listener holds, over all workers; given back by `Drop`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// A bound on open connections.
#[derive(Debug)]
pub struct Gate {
    open: AtomicUsize,
    limit: AtomicUsize,
    freed: Notify,
}

/// One open connection.
#[derive(Debug)]
pub struct Permit(Arc<Gate>);

impl Gate {
    /// A gate that lets `limit` in.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            freed: Notify::new(),
        })
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Another bound, for connections from now on.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Waits until one more may open.
    pub async fn enter(self: &Arc<Self>) -> Permit {
        loop {
            let freed = self.freed.notified();
            if let Some(permit) = self.try_enter() {
                return permit;
            }
            freed.await;
        }
    }

    /// Enters if one more may open at once.
    pub fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if before < self.limit.load(Ordering::Relaxed) {
            return Some(Permit(self.clone()));
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.0.open.fetch_sub(1, Ordering::Relaxed);
        if before >= self.0.limit.load(Ordering::Relaxed) {
            // Every worker may wait; those that come too late wait again.
            self.0.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lets_the_next_in_when_one_has_left() {
        let gate = Gate::new(1);
        let first = gate.enter().await;
        let second = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!second.is_finished());
        drop(first);
        let permit = second.await.unwrap();
        assert_eq!(gate.open(), 1);
        drop(permit);
        assert_eq!(gate.open(), 0);
    }
}
