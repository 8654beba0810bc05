//! Slow start: a backend that returns gets fewer requests at first, so that a process that has just started can compile
//! its hot code and open its database connections before the full load comes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Least share of its requests that a backend gets: it must work to get warm.
const LEAST: f64 = 0.1;

/// Whether a backend is warming up, and since when.
#[derive(Debug)]
pub(in crate::upstream) struct WarmUp {
    epoch: Instant,
    /// Milliseconds after `epoch`, counted from 1; 0: it is warm.
    since: AtomicU64,
}

impl WarmUp {
    /// Warm.
    pub(in crate::upstream) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            since: AtomicU64::new(0),
        }
    }

    /// It has just returned.
    pub(in crate::upstream) fn begin(&self) {
        self.since.store(self.now(), Ordering::Relaxed);
    }

    /// It may still have to warm up.
    pub(in crate::upstream) fn is_on(&self) -> bool {
        self.since.load(Ordering::Relaxed) != 0
    }

    /// Whether it leaves its turn to others: often right after the return, ever less over `period`, never after that.
    pub(in crate::upstream) fn sits_out(&self, period: Duration) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        if since == 0 {
            return false;
        }
        let warm_for = Duration::from_millis(self.now().saturating_sub(since));
        if warm_for >= period {
            self.since.store(0, Ordering::Relaxed);
            return false;
        }
        let share = warm_for.div_duration_f64(period).max(LEAST);
        fastrand::f64() >= share
    }

    fn now(&self) -> u64 {
        let elapsed = self.epoch.elapsed().as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    fn turns(warm_up: &WarmUp) -> usize {
        (0..1000).filter(|_| !warm_up.sits_out(PERIOD)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn takes_more_turns_as_time_goes_on() {
        let warm_up = WarmUp::new();
        assert_eq!(turns(&warm_up), 1000);
        warm_up.begin();
        assert!((60..150).contains(&turns(&warm_up)));
        advance(PERIOD / 2).await;
        assert!((430..570).contains(&turns(&warm_up)));
        assert!(warm_up.is_on());
        advance(PERIOD / 2).await;
        assert_eq!(turns(&warm_up), 1000);
        assert!(!warm_up.is_on());
    }

    #[tokio::test]
    async fn a_period_of_zero_is_none() {
        let warm_up = WarmUp::new();
        warm_up.begin();
        assert!(!warm_up.sits_out(Duration::ZERO));
    }
}
