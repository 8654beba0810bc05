//! Notice to tunnels that they have to end: given by a drain, of the process or of a backend, and heeded by each
//! tunnel that it concerns.

use std::future::pending;

use tokio::{sync::watch, time::Instant};

/// Who gives it has one for all tunnels that it may end.
#[derive(Debug, Default)]
pub struct Notice(watch::Sender<Option<Instant>>);

/// One tunnel's ear.
#[derive(Debug, Clone)]
pub struct Heed(watch::Receiver<Option<Instant>>);

impl Notice {
    /// Tells everyone who heeds it, now or later, to have ended by `deadline`; `None` takes it back, for whoever has
    /// not begun to end.
    pub fn set(&self, deadline: Option<Instant>) {
        self.0.send_replace(deadline);
    }

    /// For one more tunnel.
    pub fn heed(&self) -> Heed {
        Heed(self.0.subscribe())
    }
}

impl Heed {
    /// When the tunnel has to have ended, if it has to.
    pub fn deadline(&mut self) -> Option<Instant> {
        *self.0.borrow_and_update()
    }

    /// Ready when the deadline is another than the last that was asked for.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could change it.
            pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_heard_by_who_came_before_and_after_and_can_be_taken_back() {
        let notice = Notice::default();
        let mut early = notice.heed();
        assert_eq!(early.deadline(), None);
        let deadline = Instant::now() + Duration::from_secs(30);
        notice.set(Some(deadline));
        early.changed().await;
        assert_eq!(early.deadline(), Some(deadline));
        assert_eq!(notice.heed().deadline(), Some(deadline));
        notice.set(None);
        early.changed().await;
        assert_eq!(early.deadline(), None);
        drop(notice);
        let changed = timeout(Duration::from_secs(1), early.changed()).await;
        assert!(changed.is_err());
    }
}
