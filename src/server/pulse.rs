//! What a worker does every second beside its connections.

use std::time::Duration;

use tokio::{
    runtime::Handle,
    time::{Instant, Interval, interval},
};

use crate::server::{load::EPOCH, worker::Worker};

const SECOND: Duration = Duration::from_secs(1);

/// Beats every second while its worker runs.
#[derive(Debug)]
pub(super) struct Pulse {
    interval: Interval,
    last: Instant,
    turned: Instant,
    /// Time that the worker has spent not waiting, up to the last beat.
    busy: Duration,
}

impl Default for Pulse {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            interval: interval(SECOND),
            last: now,
            turned: now,
            busy: Duration::ZERO,
        }
    }
}

impl Pulse {
    /// Waits for the next beat.
    pub(super) async fn next(&mut self) {
        self.interval.tick().await;
    }

    /// Looks through idle backend connections, and says how much there was to do.
    pub(super) fn beat(&mut self, worker: &Worker) {
        worker.services().snapshot().sweep(worker.index);
        let now = Instant::now();
        let busy = Handle::current().metrics().worker_total_busy_duration(0);
        worker
            .activity
            .was_busy(per_mille(busy.saturating_sub(self.busy), now - self.last));
        (self.busy, self.last) = (busy, now);
        if now - self.turned >= EPOCH {
            worker.activity.turn();
            self.turned = now;
        }
    }
}

fn per_mille(part: Duration, whole: Duration) -> u32 {
    let whole = whole.as_millis().max(1);
    let per_mille = part.as_micros() / whole;
    u32::try_from(per_mille).map_or(1000, |share| share.min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_more_than_the_whole() {
        assert_eq!(per_mille(SECOND / 4, SECOND), 250);
        assert_eq!(per_mille(SECOND * 2, SECOND), 1000);
        assert_eq!(per_mille(SECOND, Duration::ZERO), 1000);
    }
}
