//! How long a backend takes for an answer: a moving average that believes bad news at once.
//!
//! A longer time than the average is the new average. A shorter one pulls it down by the time that has
//! passed since the last: good news is believed after ten seconds of it. Without news it fades too, so
//! that a backend that was slow is asked again.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// In this time the old counts for a third (1/e): long enough to bridge a pause of the garbage collector,
/// short enough that a backend which recovered has its share back within half a minute.
const MEMORY: Duration = Duration::from_secs(10);

/// A time that is no time at all would look like none.
const SHORTEST: f32 = 1e-9;

/// The average of one backend.
#[derive(Debug)]
pub struct Latency {
    epoch: Instant,
    /// A [`Known`], so that it changes whole.
    known: AtomicU64,
}

/// What was known at some time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    /// Average in seconds; 0 for none.
    average: f32,
    /// Milliseconds since the epoch; wraps after 49 days.
    at: u32,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            known: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// What an answer is likely to take, in seconds; `None` before the first one.
    pub fn expected(&self, now: Instant) -> Option<f32> {
        let known = Known::unpack(self.known.load(Ordering::Relaxed));
        (known.average > 0.0).then(|| known.average * known.weight(self.millis(now)))
    }

    /// An answer took `time`.
    pub fn learn(&self, time: Duration, now: Instant) {
        let (time, at) = (time.as_secs_f32().max(SHORTEST), self.millis(now));
        self.change(|known| {
            if time >= known.average {
                return Some(Known { average: time, at });
            }
            let old = known.weight(at);
            let average = known.average * old + time * (1.0 - old);
            Some(Known { average, at })
        });
    }

    /// A request took `time` and had no answer, or none that counts: it would have taken at least that long.
    pub fn endure(&self, time: Duration, now: Instant) {
        let (time, at) = (time.as_secs_f32().max(SHORTEST), self.millis(now));
        self.change(|known| {
            let is_news = time > known.average * known.weight(at);
            is_news.then_some(Known { average: time, at })
        });
    }

    fn change(&self, change: impl Fn(Known) -> Option<Known>) {
        // An error says that there was nothing to change.
        let _ = self
            .known
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
                change(Known::unpack(known)).map(Known::pack)
            });
    }

    fn millis(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.epoch).as_millis();
        u32::try_from(since & u128::from(u32::MAX)).unwrap_or(0)
    }
}

impl Known {
    /// What is left of the average at a time: 1 at first, then ever less.
    fn weight(self, now: u32) -> f32 {
        let passed = now.wrapping_sub(self.at);
        // Another worker may have been here a moment later.
        if passed > u32::MAX / 2 {
            return 1.0;
        }
        let passed = Duration::from_millis(passed.into());
        (-passed.div_duration_f32(MEMORY)).exp()
    }

    fn pack(self) -> u64 {
        u64::from(self.average.to_bits()) << 32 | u64::from(self.at)
    }

    fn unpack(packed: u64) -> Self {
        let [a, b, c, d, at @ ..] = packed.to_be_bytes();
        Self {
            average: f32::from_be_bytes([a, b, c, d]),
            at: u32::from_be_bytes(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// The average in milliseconds, `later` than the epoch.
    fn expected(latency: &Latency, later: Duration) -> Option<f32> {
        let expected = latency.expected(latency.epoch + later);
        expected.map(|seconds| seconds * 1000.0)
    }

    fn is_near(one: Option<f32>, other: f32) -> bool {
        one.is_some_and(|one| (one / other - 1.0).abs() < 0.01)
    }

    #[test]
    fn knows_nothing_before_the_first_answer() {
        let latency = Latency::default();
        assert_eq!(expected(&latency, MS(60_000)), None);
        latency.learn(Duration::ZERO, latency.epoch);
        assert!(expected(&latency, MS(0)).is_some_and(|it| it > 0.0));
    }

    #[test]
    fn jumps_up_at_once_and_comes_down_in_ten_seconds() {
        let latency = Latency::default();
        let learn = |time, at| latency.learn(MS(time), latency.epoch + MS(at));
        learn(10, 0);
        learn(100, 1);
        assert!(is_near(expected(&latency, MS(1)), 100.0));
        // A thousand quick answers within a moment change little: what counts is time.
        for _ in 0..1000 {
            learn(10, 100);
        }
        assert!(expected(&latency, MS(100)).unwrap() > 95.0);
        for at in (100..=10_100).step_by(7) {
            learn(10, at);
        }
        let third = 10.0 + 90.0 / std::f32::consts::E;
        assert!(
            is_near(expected(&latency, MS(10_100)), third),
            "{latency:?}"
        );
        for at in (10_100..=60_100).step_by(7) {
            learn(10, at);
        }
        assert!(expected(&latency, MS(60_100)).unwrap() < 11.0);
    }

    #[test]
    fn fades_while_nothing_is_heard() {
        let latency = Latency::default();
        latency.learn(MS(100), latency.epoch);
        assert!(is_near(expected(&latency, MS(10_000)), 36.8));
        assert!(is_near(expected(&latency, MS(20_000)), 13.5));
        assert!(expected(&latency, MS(3_600_000)).unwrap() >= 0.0);
    }

    #[test]
    fn a_request_without_an_answer_only_makes_it_longer() {
        let latency = Latency::default();
        let endure = |time, at| latency.endure(MS(time), latency.epoch + MS(at));
        endure(20, 0);
        assert!(is_near(expected(&latency, MS(0)), 20.0));
        endure(1, 1);
        assert!(is_near(expected(&latency, MS(1)), 20.0));
        endure(500, 2);
        assert!(is_near(expected(&latency, MS(2)), 500.0));
        // Longer than what is left of it.
        endure(200, 20_002);
        assert!(is_near(expected(&latency, MS(20_002)), 200.0));
    }

    #[test]
    fn goes_on_when_its_clock_wraps() {
        let latency = Latency::default();
        let end = MS(u64::from(u32::MAX) - 1000);
        latency.learn(MS(100), latency.epoch + end);
        assert!(is_near(expected(&latency, end + MS(10_000)), 36.8));
        latency.learn(MS(50), latency.epoch + end + MS(10_000));
        assert!(is_near(expected(&latency, end + MS(10_000)), 68.4));
    }

    #[test]
    fn an_older_time_changes_nothing() {
        let latency = Latency::default();
        latency.learn(MS(100), latency.epoch + MS(5000));
        assert!(is_near(expected(&latency, MS(4000)), 100.0));
    }
}
