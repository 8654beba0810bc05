//! The less busy of two backends picked at random: load for its weight.

use std::{cmp::Ordering, sync::Arc};

use crate::upstream::{backend::Backend, balancer::two_choices};

/// A backend with few requests in flight for its weight, of those that are `eligible`.
pub fn pick(
    backends: &[Arc<Backend>],
    eligible: impl Fn(&Backend) -> bool,
) -> Option<&Arc<Backend>> {
    two_choices::pick(backends, eligible, Busyness::of)
}

/// Load divided by weight, without the division.
#[derive(Debug, Clone, Copy)]
struct Busyness {
    load: usize,
    weight: usize,
}

impl Busyness {
    fn of(backend: &Backend) -> Self {
        Self {
            load: backend.load(),
            weight: backend.weight().get().into(),
        }
    }
}

impl PartialOrd for Busyness {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let one = self.load.saturating_mul(other.weight);
        Some(one.cmp(&other.load.saturating_mul(self.weight)))
    }
}

impl PartialEq for Busyness {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::balancer::tests::{backends, weighing};

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

    #[test]
    fn loads_each_as_its_weight_says() {
        for count in [3, 8] {
            let mut weights = vec![1; count];
            weights[0] = 4;
            let backends = weighing(&weights);
            for _ in 0..100 * (count + 3) {
                let index = picked(&backends, |_| true).unwrap();
                assert!(backends[index].enter(usize::MAX));
            }
            let loads: Vec<_> = backends.iter().map(|it| it.load()).collect();
            assert!(loads[0].abs_diff(400) < 12, "{loads:?}");
            assert!(
                loads[1..].iter().all(|it| it.abs_diff(100) < 12),
                "{loads:?}"
            );
        }
    }

    #[test]
    fn spreads_requests_one_after_another_by_weight() {
        let backends = weighing(&[3, 1]);
        let heavy = (0..4000)
            .filter(|_| picked(&backends, |_| true) == Some(0))
            .count();
        assert!((2850..3150).contains(&heavy), "{heavy}");
    }
}
