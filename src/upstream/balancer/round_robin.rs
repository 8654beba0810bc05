//! Each backend in turn, as often as its weight says.
//!
//! Stride scheduling: every backend has a *pass*, the time of its next turn on a clock that only this
//! balancer knows. Whoever has the least pass is picked, and moved on by a stride, which is the shorter
//! the heavier it is. The turns of one backend are spread evenly between those of the others, and the
//! clock goes on among those that may be picked: when one is out, its share goes to all others alike
//! and not to its neighbour.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::upstream::backend::Backend;

/// From one turn of a backend of weight 1 to its next.
const STRIDE: u64 = 1 << 20;

/// A pass that is further ahead of the clock is one of the past: the clock wraps.
const FARTHEST: u64 = 4 * STRIDE;

/// Looks that are spoiled by other workers, each of which has picked then, before a turn goes uncounted.
const LOOKS: usize = 8;

/// The clock: the pass of the last pick.
#[derive(Debug, Default)]
pub struct RoundRobin(AtomicU64);

/// When a backend has its next turn.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Pass(AtomicU64);

impl RoundRobin {
    /// The next of the `backends` that are `eligible`.
    pub fn pick<'a>(
        &self,
        backends: &'a [Arc<Backend>],
        eligible: impl Fn(&Backend) -> bool,
    ) -> Option<&'a Arc<Backend>> {
        let mut picked = None;
        for _ in 0..LOOKS {
            let now = self.0.load(Ordering::Relaxed);
            let mut next = None;
            for backend in backends.iter().filter(|it| eligible(it)) {
                let (pass, wait) = backend.pass.look(now, backend.weight());
                if next.is_none_or(|(_, _, least)| wait < least) {
                    next = Some((backend, pass, wait));
                }
            }
            let (backend, pass, wait) = next?;
            picked = Some(backend);
            let turn = now.wrapping_add(wait);
            if backend.pass.move_on(pass, turn, backend.weight()) {
                self.0.store(turn, Ordering::Relaxed);
                break;
            }
        }
        picked
    }
}

impl Pass {
    /// The pass as it stands, and how far it is from `now`: nothing for a backend that was out meanwhile,
    /// so that it is not flooded with all the turns that it missed.
    fn look(&self, now: u64, weight: NonZero<u16>) -> (u64, u64) {
        let pass = self.0.load(Ordering::Relaxed);
        // A first turn comes half a stride in, or the heaviest would have all of theirs in front.
        let at = if pass == 0 { stride(weight) / 2 } else { pass };
        let wait = at.wrapping_sub(now);
        (pass, if wait > FARTHEST { 0 } else { wait })
    }

    /// The backend has its turn; false when it had one since the look at its `pass`.
    fn move_on(&self, pass: u64, turn: u64, weight: NonZero<u16>) -> bool {
        let next = turn.wrapping_add(stride(weight)).max(1);
        self.0
            .compare_exchange(pass, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

fn stride(weight: NonZero<u16>) -> u64 {
    STRIDE / u64::from(weight.get())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::upstream::balancer::tests::{backends, weighing};

    fn turns(turns: &RoundRobin, backends: &[Arc<Backend>], count: usize) -> Vec<usize> {
        (0..count)
            .map(|_| turns.pick(backends, |_| true).unwrap().id())
            .collect()
    }

    fn shares(turns: &RoundRobin, backends: &[Arc<Backend>], out: usize) -> Vec<usize> {
        let mut counts = vec![0; backends.len()];
        for _ in 0..300 {
            counts[turns.pick(backends, |it| it.id() != out).unwrap().id()] += 1;
        }
        counts
    }

    #[test]
    fn gives_each_the_same_share() {
        let (turns, backends) = (RoundRobin::default(), backends(3));
        assert_eq!(shares(&turns, &backends, 9), [100, 100, 100]);
    }

    #[test]
    fn spreads_the_share_of_one_that_is_out() {
        let (turns, backends) = (RoundRobin::default(), backends(4));
        assert_eq!(shares(&turns, &backends, 1), [100, 0, 100, 100]);
    }

    #[test]
    fn picks_nothing_from_nothing() {
        assert!(
            RoundRobin::default()
                .pick(&backends(2), |_| false)
                .is_none()
        );
        assert!(RoundRobin::default().pick(&[], |_| true).is_none());
    }

    #[test]
    fn goes_round_in_one_order_when_all_weigh_the_same() {
        for weight in [1, 3, 1000] {
            let backends = weighing(&[weight; 5]);
            let order = turns(&RoundRobin::default(), &backends, 25);
            assert_eq!(order, [0, 1, 2, 3, 4].repeat(5), "{weight}");
        }
    }

    #[test]
    fn gives_each_the_share_of_its_weight() {
        let (clock, backends) = (RoundRobin::default(), weighing(&[5, 1, 3, 1]));
        assert_eq!(shares(&clock, &backends, 9), [150, 30, 90, 30]);
        let light = weighing(&[1000, 1]);
        let order = turns(&RoundRobin::default(), &light, 10_010);
        let of_light = order.iter().filter(|id| **id == 1).count();
        assert_eq!(of_light, 10);
    }

    #[test]
    fn spreads_the_turns_of_a_heavy_one_between_those_of_the_others() {
        let backends = weighing(&[3, 1]);
        let order = turns(&RoundRobin::default(), &backends, 80);
        for window in order.windows(4) {
            assert_eq!(window.iter().filter(|id| **id == 1).count(), 1, "{order:?}");
        }
    }

    #[test]
    fn does_not_flood_a_backend_that_was_out_for_a_while() {
        for weight in [1, 4] {
            let (clock, backends) = (RoundRobin::default(), weighing(&[1, weight, 1]));
            for _ in 0..1000 {
                assert!(clock.pick(&backends, |it| it.id() != 1).is_some());
            }
            let order = turns(&clock, &backends, 6);
            let count = order.iter().filter(|id| **id == 1).count();
            let share = 6 * usize::from(weight) / (2 + usize::from(weight));
            assert!(count.abs_diff(share) <= 1, "{weight}: {order:?}");
        }
    }

    #[test]
    fn goes_on_when_the_clock_wraps() {
        let (clock, backends) = (RoundRobin::default(), weighing(&[2, 1]));
        let end = u64::MAX - 5 * STRIDE;
        clock.0.store(end, Ordering::Relaxed);
        assert_eq!(shares(&clock, &backends, 9), [200, 100]);
        assert!(clock.0.load(Ordering::Relaxed) < end);
    }

    #[test]
    fn counts_each_turn_of_several_workers() {
        let (clock, backends) = (RoundRobin::default(), weighing(&[2, 1, 1]));
        let counts: Vec<AtomicU64> = (0..3).map(|_| AtomicU64::new(0)).collect();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let id = clock.pick(&backends, |_| true).unwrap().id();
                        counts[id].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let share = |id: usize| counts[id].load(Ordering::Relaxed);
        // A worker that is stopped in the middle of a look may set the clock back by a turn.
        assert!(share(0).abs_diff(20_000) < 400, "{counts:?}");
        assert!(share(1).abs_diff(10_000) < 400, "{counts:?}");
    }
}
