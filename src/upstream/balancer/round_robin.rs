//! Each backend in turn.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::upstream::{backend::Backend, balancer::nth};

/// Counts the turns.
///
/// The turn is taken among the backends that may be picked, not among all: when one is out, its
/// share goes to all others alike and not to its neighbour.
#[derive(Debug, Default)]
pub struct RoundRobin(AtomicUsize);

impl RoundRobin {
    /// The next of the `backends` that are `eligible`.
    pub fn pick<'a>(
        &self,
        backends: &'a [Arc<Backend>],
        eligible: impl Fn(&Backend) -> bool,
    ) -> Option<&'a Arc<Backend>> {
        let count = backends.iter().filter(|it| eligible(it)).count();
        if count == 0 {
            return None;
        }
        let turn = self.0.fetch_add(1, Ordering::Relaxed);
        nth(backends, turn % count, eligible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::balancer::tests::backends;

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
}
