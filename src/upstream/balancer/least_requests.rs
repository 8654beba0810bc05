//! The less busy of two backends picked at random.
//!
//! Two choices come close to the best of all without every worker running to the same idle backend
//! at once. Up to three backends are compared whole, where a sample would only add noise.

use std::sync::Arc;

use crate::upstream::{backend::Backend, balancer::nth};

const COMPARED_WHOLE: usize = 3;

/// A backend with few requests in flight, of those that are `eligible`.
pub fn pick(
    backends: &[Arc<Backend>],
    eligible: impl Fn(&Backend) -> bool,
) -> Option<&Arc<Backend>> {
    let count = backends.iter().filter(|it| eligible(it)).count();
    if count <= COMPARED_WHOLE {
        return least(backends.iter().filter(|it| eligible(it)));
    }
    let one = fastrand::usize(..count);
    let other = fastrand::usize(..count - 1);
    let other = if other < one { other } else { other + 1 };
    let chosen = [one, other].map(|rank| nth(backends, rank, &eligible));
    least(chosen.into_iter().flatten())
}

/// The least busy; one at random among equals.
fn least<'a>(candidates: impl Iterator<Item = &'a Arc<Backend>>) -> Option<&'a Arc<Backend>> {
    let mut best: Option<(usize, &Arc<Backend>)> = None;
    let mut equals = 0;
    for backend in candidates {
        let load = backend.load();
        match best {
            Some((lowest, _)) if load > lowest => continue,
            Some((lowest, _)) if load == lowest => equals += 1,
            Some(_) | None => equals = 1,
        }
        // The n-th of n equals replaces the pick with probability 1/n: each ends up as likely.
        if equals == 1 || fastrand::u32(..equals) == 0 {
            best = Some((load, backend));
        }
    }
    best.map(|(_, backend)| backend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::balancer::tests::backends;

    fn picked(backends: &[Arc<Backend>], eligible: impl Fn(&Backend) -> bool) -> Option<usize> {
        pick(backends, eligible).map(|it| it.id())
    }

    #[test]
    fn picks_the_least_busy_of_up_to_three() {
        for count in 1..=3_u16 {
            for idle in 0..usize::from(count) {
                let backends = backends(count);
                for backend in backends.iter().filter(|it| it.id() != idle) {
                    assert!(backend.enter(9));
                }
                for _ in 0..50 {
                    assert_eq!(picked(&backends, |_| true), Some(idle));
                }
            }
        }
    }

    #[test]
    fn breaks_ties_at_random() {
        let backends = backends(3);
        let mut counts = [0; 3];
        for _ in 0..3000 {
            counts[picked(&backends, |_| true).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|it| (800..1200).contains(it)),
            "{counts:?}"
        );
    }

    #[test]
    fn keeps_away_from_backends_that_are_slow() {
        let backends = backends(8);
        let mut served = [0_u32; 8];
        let mut running: Vec<(u32, usize)> = Vec::new();
        for now in 0..4000_u32 {
            running.retain(|(end, index)| {
                let over = *end <= now;
                if over {
                    backends[*index].leave();
                }
                !over
            });
            let index = picked(&backends, |_| true).unwrap();
            assert!(backends[index].enter(usize::MAX));
            served[index] += 1;
            let slow = index == 0;
            running.push((now + if slow { 400 } else { 4 }, index));
        }
        let others = served[1..].iter().min().copied().unwrap();
        assert!(served[0] * 10 < others, "{served:?}");
    }

    #[test]
    fn compares_two_different_ones() {
        let backends = backends(4);
        for backend in &backends[..3] {
            assert!(backend.enter(9));
        }
        let idle = (0..4000)
            .filter(|_| picked(&backends, |_| true) == Some(3))
            .count();
        // One in four, twice without putting back: half of the draws hold it.
        assert!((1800..2200).contains(&idle), "{idle}");
    }

    #[test]
    fn picks_only_what_is_eligible() {
        let backends = backends(6);
        for _ in 0..200 {
            assert_eq!(picked(&backends, |it| it.id() == 4), Some(4));
            assert_eq!(picked(&backends, |_| false), None);
        }
    }
}
