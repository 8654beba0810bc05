//! The backend with the shortest wait of two picked at random: what an answer takes there, times the
//! requests that it has already and this one, for its weight (Finagle's peak EWMA).

use std::sync::Arc;

use tokio::time::Instant;

use crate::upstream::{backend::Backend, balancer::two_choices};

/// Seconds that are longer than any deadline, for a backend that is being asked for the first time: it
/// gets one request to show what it takes, and not all of them because it seems to take nothing.
const UNKNOWN: f32 = 1e6;

/// No answer takes as few seconds: what is left of an average after two minutes without news, or of a request whose
/// client left at once, says nothing.
const NO_ANSWER: f32 = 1e-5;

/// A backend where the wait is short, of those that are `eligible`.
pub fn pick(
    backends: &[Arc<Backend>],
    eligible: impl Fn(&Backend) -> bool,
) -> Option<&Arc<Backend>> {
    let now = Instant::now();
    two_choices::pick(backends, eligible, |backend| cost(backend, now))
}

fn cost(backend: &Backend, now: Instant) -> f64 {
    let latency = match backend.latency.expected(now) {
        Some(latency) if latency > NO_ANSWER => latency,
        // Not by load: tunnels never tell.
        _ if backend.in_flight() == 0 => 0.0,
        _ => UNKNOWN,
    };
    let requests = u32::try_from(backend.load()).unwrap_or(u32::MAX);
    f64::from(latency) * (f64::from(requests) + 1.0) / f64::from(backend.weight().get())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::balancer::tests::weighing;

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_nothing_was_heard_of_for_long_is_asked_like_a_new_one() {
        let backends = weighing(&[1, 1]);
        backends[0]
            .latency
            .learn(Duration::from_millis(500), Instant::now());
        tokio::time::advance(Duration::from_mins(5)).await;
        backends[1]
            .latency
            .learn(Duration::from_millis(10), Instant::now());
        let mut asked = 0;
        for _ in 0..40 {
            let backend = pick(&backends, |_| true).unwrap();
            assert!(backend.enter(usize::MAX));
            asked += usize::from(backend.id() == 0);
        }
        assert_eq!(asked, 1);
    }

    /// What each of the backends got, of 40 requests at once until `count` were answered, where an answer of the
    /// first takes 100 ms and one of each other 10 ms.
    async fn served(weights: &[u16], count: usize) -> Vec<usize> {
        let backends = weighing(weights);
        let mut served = vec![0; weights.len()];
        let mut running: Vec<(Instant, Duration, usize)> = Vec::new();
        for _ in 0..count {
            if running.len() == 40 {
                let next = (0..40).min_by_key(|it| running[*it].0).unwrap();
                let (end, took, index) = running.swap_remove(next);
                tokio::time::advance(end.saturating_duration_since(Instant::now())).await;
                backends[index].latency.learn(took, end);
                backends[index].leave();
            }
            let index = pick(&backends, |_| true).unwrap().id();
            assert!(backends[index].enter(usize::MAX));
            served[index] += 1;
            let takes = Duration::from_millis(if index == 0 { 100 } else { 10 });
            running.push((Instant::now() + takes, takes, index));
        }
        served
    }

    #[tokio::test(start_paused = true)]
    async fn gives_a_slow_backend_much_less() {
        for count in [3, 8] {
            let served = served(&vec![1; count], 20_000).await;
            println!("of {count}: {served:?}");
            let others = served[1..].iter().min().unwrap();
            assert!(served[0] * 20 < *others, "{served:?}");
            assert!(served[0] > 0, "{served:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gives_more_to_a_heavier_one() {
        let served = served(&[1, 1, 3], 20_000).await;
        assert!(served[2] > served[1] * 5 / 2, "{served:?}");
        assert!(served[2] < served[1] * 7 / 2, "{served:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_one_request_to_whoever_has_not_shown_what_it_takes() {
        for count in [2, 3] {
            let backends = weighing(&vec![1; count]);
            for known in &backends[1..] {
                known
                    .latency
                    .learn(Duration::from_millis(10), Instant::now());
            }
            let first = pick(&backends, |_| true).unwrap();
            assert_eq!(first.id(), 0, "it has never been asked");
            assert!(first.enter(9));
            for _ in 0..100 {
                let next = pick(&backends, |_| true).unwrap();
                assert_ne!(next.id(), 0, "it has not answered");
                assert!(next.enter(1000));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn spreads_requests_by_load_until_the_first_answer() {
        let backends = weighing(&[1, 1, 2]);
        for _ in 0..400 {
            assert!(pick(&backends, |_| true).unwrap().enter(1000));
        }
        let loads: Vec<_> = backends.iter().map(|it| it.load()).collect();
        assert!(loads[0].abs_diff(100) < 4, "{loads:?}");
        assert!(loads[2].abs_diff(200) < 4, "{loads:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_with_nothing_but_tunnels_is_asked() {
        let backends = weighing(&[1, 1]);
        assert!(backends[0].enter(9));
        backends[0].linger();
        backends[1]
            .latency
            .learn(Duration::from_millis(10), Instant::now());
        assert_eq!(pick(&backends, |_| true).unwrap().id(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn asks_one_that_was_slow_again() {
        let backends = weighing(&[1, 1]);
        let learn = |index: usize, millis| {
            let time = Duration::from_millis(millis);
            backends[index].latency.learn(time, Instant::now());
        };
        learn(0, 1000);
        let mut seconds = 0;
        loop {
            learn(1, 100);
            if pick(&backends, |_| true).unwrap().id() == 0 {
                break;
            }
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
        }
        // ln(1000 / 100) times ten seconds.
        assert!((22..=25).contains(&seconds), "{seconds}");
    }
}
