//! Whether a backend is worth a request: what probes say, and what connecting to it said.
//!
//! Three things are kept apart. *Health* moves only by several probes in a row. *Ejection* needs many
//! answers that are worse than those of the neighbours (`src/upstream/outlier.rs`). *Cooling* is short:
//! it starts when a connection cannot be made, other backends are preferred while it lasts, and any
//! connection that is made ends it. One slow or broken request moves none of them.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

pub mod probe;

/// State of one backend.
#[derive(Debug)]
pub struct Health {
    unhealthy: AtomicBool,
    /// Probes in a row that speak against the current state.
    against: AtomicU32,
    probed: AtomicBool,
    ejected: AtomicBool,
    connect_failures: AtomicU64,
    cooling: Cooling,
}

/// What one probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It answered, but not well.
    Bad,
}

/// A change of health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was unhealthy and is healthy.
    Up,
    /// It was healthy and is not.
    Down,
}

/// How many probes in a row change the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Good ones until healthy.
    pub rise: u32,
    /// Bad ones until unhealthy.
    pub fall: u32,
}

impl Health {
    pub(in crate::upstream) fn new() -> Self {
        Self {
            unhealthy: AtomicBool::new(false),
            against: AtomicU32::new(0),
            probed: AtomicBool::new(false),
            ejected: AtomicBool::new(false),
            connect_failures: AtomicU64::new(0),
            cooling: Cooling::new(),
        }
    }

    /// Nothing speaks against it: neither probes nor the answers it gave.
    pub fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::SeqCst) && !self.is_ejected()
    }

    /// Its answers were so much worse than those of others that it is spared.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::SeqCst)
    }

    /// Spares it or takes it back; true when that is news.
    pub(in crate::upstream) fn set_ejected(&self, ejected: bool) -> bool {
        self.ejected.swap(ejected, Ordering::SeqCst) != ejected
    }

    /// The last connection could not be made, and that was a moment ago.
    pub fn is_cooling(&self) -> bool {
        self.cooling.is_on()
    }

    /// Some probe was made.
    pub fn is_probed(&self) -> bool {
        self.probed.load(Ordering::Relaxed)
    }

    /// Connections that could not be made, by traffic and by probes, since the start.
    pub fn connect_failures(&self) -> u64 {
        self.connect_failures.load(Ordering::Relaxed)
    }

    /// Takes a probe's verdict. The first one ever counts alone, so that a backend that is dead at
    /// the start is known at once.
    pub(in crate::upstream) fn judge(
        &self,
        verdict: Verdict,
        thresholds: Thresholds,
    ) -> Option<Change> {
        let first = !self.probed.swap(true, Ordering::Relaxed);
        let unhealthy = self.unhealthy.load(Ordering::SeqCst);
        let (contradicts, needed, change) = match verdict {
            Verdict::Good => (unhealthy, thresholds.rise, Change::Up),
            Verdict::Bad => (!unhealthy, thresholds.fall, Change::Down),
        };
        if !contradicts {
            self.against.store(0, Ordering::Relaxed);
            return None;
        }
        let seen = self.against.fetch_add(1, Ordering::Relaxed) + 1;
        if seen < needed && !first {
            return None;
        }
        self.against.store(0, Ordering::Relaxed);
        self.unhealthy
            .store(change == Change::Down, Ordering::SeqCst);
        Some(change)
    }

    /// Good probes were seen, but not yet enough of them.
    pub(in crate::upstream) fn is_rising(&self) -> bool {
        self.unhealthy.load(Ordering::SeqCst) && self.against.load(Ordering::Relaxed) > 0
    }

    /// A connection could not be made; true when that is news.
    pub(in crate::upstream) fn unreachable(&self) -> bool {
        self.connect_failures.fetch_add(1, Ordering::Relaxed);
        self.leaving()
    }

    /// It said that it is about to end; true when that is news.
    pub(in crate::upstream) fn leaving(&self) -> bool {
        let fresh = !self.cooling.was_started();
        self.cooling.start();
        fresh
    }

    /// A connection was made; true when that is news.
    pub(in crate::upstream) fn reachable(&self) -> bool {
        self.cooling.end()
    }

    /// Leave to send a request: always, but after a cooling only to one request per period, so that
    /// not everyone runs into a backend that is still dead.
    pub(in crate::upstream) fn admit(&self) -> bool {
        !self.cooling.was_started() || self.cooling.start()
    }

    /// When the cooling is over, if it is on.
    pub(in crate::upstream) fn ready_at(&self) -> Option<Instant> {
        self.cooling.until()
    }
}

/// A pause that grows with each period that did not end in a connection.
#[derive(Debug)]
struct Cooling {
    epoch: Instant,
    /// On the clock of `now`; 0: off.
    until: AtomicU64,
    periods: AtomicU32,
}

const FIRST_PERIOD: Duration = Duration::from_millis(250);
const LONGEST_PERIOD: Duration = Duration::from_secs(5);

impl Cooling {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            until: AtomicU64::new(0),
            periods: AtomicU32::new(0),
        }
    }

    fn was_started(&self) -> bool {
        self.until.load(Ordering::SeqCst) != 0
    }

    fn is_on(&self) -> bool {
        let until = self.until.load(Ordering::SeqCst);
        until != 0 && self.now() < until
    }

    fn until(&self) -> Option<Instant> {
        let until = self.until.load(Ordering::SeqCst);
        (until != 0).then(|| self.epoch + Duration::from_millis(until - 1))
    }

    /// Starts the next period unless one is running; true when it did. Of several callers at the
    /// end of a period one wins.
    fn start(&self) -> bool {
        let until = self.until.load(Ordering::SeqCst);
        let now = self.now();
        if until != 0 && now < until {
            return false;
        }
        let doublings = self.periods.load(Ordering::SeqCst).min(8);
        let period = (FIRST_PERIOD * 2_u32.pow(doublings)).min(LONGEST_PERIOD);
        let next = now + millis(period);
        let won = self
            .until
            .compare_exchange(until, next, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if won {
            self.periods.fetch_add(1, Ordering::SeqCst);
        }
        won
    }

    fn end(&self) -> bool {
        if self.until.load(Ordering::SeqCst) == 0 {
            return false;
        }
        self.periods.store(0, Ordering::SeqCst);
        self.until.swap(0, Ordering::SeqCst) != 0
    }

    /// Milliseconds after `epoch`, counted from 1 since 0 means off.
    fn now(&self) -> u64 {
        millis(self.epoch.elapsed()).saturating_add(1)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { rise: 2, fall: 3 };

    fn judge(health: &Health, verdicts: &[Verdict]) -> Vec<Change> {
        verdicts
            .iter()
            .filter_map(|it| health.judge(*it, THRESHOLDS))
            .collect()
    }

    #[test]
    fn falls_after_bad_probes_in_a_row() {
        use Verdict::{Bad, Good};
        let health = Health::new();
        assert!(judge(&health, &[Good, Bad, Bad, Good, Bad, Bad]).is_empty());
        assert!(health.is_healthy());
        assert_eq!(judge(&health, &[Bad]), [Change::Down]);
        assert!(!health.is_healthy());
        assert!(judge(&health, &[Bad, Bad]).is_empty());
    }

    #[test]
    fn rises_after_good_probes_in_a_row() {
        use Verdict::{Bad, Good};
        let health = Health::new();
        judge(&health, &[Bad]);
        assert!(judge(&health, &[Good, Bad, Good]).is_empty());
        assert!(health.is_rising());
        assert_eq!(judge(&health, &[Good]), [Change::Up]);
        assert!(!health.is_rising());
    }

    #[test]
    fn believes_the_first_probe() {
        let health = Health::new();
        assert!(health.is_healthy());
        assert_eq!(judge(&health, &[Verdict::Bad]), [Change::Down]);
    }

    #[tokio::test(start_paused = true)]
    async fn cools_for_longer_each_time_up_to_five_seconds() {
        let health = Health::new();
        for expected in [250, 500, 1000, 2000, 4000, 5000, 5000] {
            health.unreachable();
            advance(Duration::from_millis(expected - 1)).await;
            assert!(health.is_cooling(), "{expected}");
            advance(Duration::from_millis(1)).await;
            assert!(!health.is_cooling(), "{expected}");
        }
        assert_eq!(health.connect_failures(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn counts_failures_at_the_same_time_as_one() {
        let health = Health::new();
        assert!(health.unreachable());
        for _ in 0..100 {
            assert!(!health.unreachable());
        }
        advance(FIRST_PERIOD).await;
        assert!(!health.is_cooling());
    }

    #[tokio::test(start_paused = true)]
    async fn is_cleared_by_one_success() {
        let health = Health::new();
        health.unreachable();
        assert!(health.reachable());
        assert!(!health.reachable());
        assert!(!health.is_cooling());
        assert!(health.admit());
        assert!(health.admit());
        health.unreachable();
        advance(FIRST_PERIOD).await;
        assert!(!health.is_cooling());
    }

    #[tokio::test(start_paused = true)]
    async fn admits_one_request_per_period_until_one_succeeds() {
        let health = Health::new();
        health.unreachable();
        advance(FIRST_PERIOD).await;
        assert!(health.admit());
        assert!(!health.admit());
        advance(FIRST_PERIOD * 2).await;
        assert!(health.admit());
        health.reachable();
        assert!(health.admit());
        assert!(health.admit());
    }
}
