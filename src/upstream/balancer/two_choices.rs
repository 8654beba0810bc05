//! The cheaper of two backends drawn at random, by their weights.
//!
//! Two choices come close to the best of all without every worker running to the same idle backend
//! at once. Up to three backends are compared whole, where a sample would only add noise.

use std::sync::Arc;

use crate::upstream::backend::Backend;

const COMPARED_WHOLE: usize = 3;

/// A backend that costs little, of those that are `eligible`.
pub(super) fn pick<C: PartialOrd>(
    backends: &[Arc<Backend>],
    eligible: impl Fn(&Backend) -> bool,
    cost: impl Fn(&Backend) -> C,
) -> Option<&Arc<Backend>> {
    let (mut count, mut weight) = (0, 0);
    for backend in backends.iter().filter(|it| eligible(it)) {
        count += 1;
        weight += weight_of(backend);
    }
    if count <= COMPARED_WHOLE {
        return cheapest(backends.iter().filter(|it| eligible(it)), cost);
    }
    let one = draw(backends.iter().filter(|it| eligible(it)), weight)?;
    let others = || {
        let is_other = |it: &&Arc<Backend>| it.id() != one.id() && eligible(it);
        backends.iter().filter(is_other)
    };
    let other = draw(others(), weight.saturating_sub(weight_of(one)));
    // The first stays among equals: it is drawn as often as its weight says, the better of two is not.
    Some(other.filter(|it| cost(it) < cost(one)).unwrap_or(one))
}

fn weight_of(backend: &Backend) -> u32 {
    backend.weight().get().into()
}

/// One at random, each as likely as its weight says, where all weigh `weight` together; the last one
/// when others have dropped out since they were weighed.
fn draw<'a>(
    candidates: impl Iterator<Item = &'a Arc<Backend>>,
    weight: u32,
) -> Option<&'a Arc<Backend>> {
    let mut left = fastrand::u32(..weight.max(1));
    let mut last = None;
    for backend in candidates {
        last = Some(backend);
        let weight = weight_of(backend);
        if left < weight {
            break;
        }
        left -= weight;
    }
    last
}

/// The cheapest; among equals one at random, each as likely as its weight says.
fn cheapest<'a, C: PartialOrd>(
    candidates: impl Iterator<Item = &'a Arc<Backend>>,
    cost: impl Fn(&Backend) -> C,
) -> Option<&'a Arc<Backend>> {
    let mut best: Option<(C, &Arc<Backend>)> = None;
    let mut equals = 0;
    for backend in candidates {
        let cost = cost(backend);
        let weight = weight_of(backend);
        match &best {
            Some((lowest, _)) if cost > *lowest => continue,
            Some((lowest, _)) if cost == *lowest => equals += weight,
            Some(_) | None => equals = weight,
        }
        // Of equals that weigh w together, the one that comes last replaces the pick with its share of
        // w: each ends up as likely as its weight says.
        if equals == weight || fastrand::u32(..equals) < weight {
            best = Some((cost, backend));
        }
    }
    best.map(|(_, backend)| backend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::balancer::tests::weighing;

    /// How often each of the backends is picked in 4000 times where all cost the same.
    fn counts(weights: &[u16]) -> Vec<usize> {
        let backends = weighing(weights);
        let mut counts = vec![0; weights.len()];
        for _ in 0..4000 {
            counts[pick(&backends, |_| true, |_| 0).unwrap().id()] += 1;
        }
        counts
    }

    #[test]
    fn breaks_ties_by_weight() {
        let of_two = counts(&[3, 1]);
        assert!((2850..3150).contains(&of_two[0]), "{of_two:?}");
        let of_three = counts(&[2, 1, 1]);
        assert!((1850..2150).contains(&of_three[0]), "{of_three:?}");
    }

    #[test]
    fn draws_by_weight() {
        let counts = counts(&[1, 1, 1, 1, 12]);
        assert!((2850..3150).contains(&counts[4]), "{counts:?}");
        assert!(
            counts[..4].iter().all(|it| (190..310).contains(it)),
            "{counts:?}"
        );
    }

    #[test]
    fn draws_two_different_ones() {
        let backends = weighing(&[1000, 1, 1, 1]);
        // The heavy one is drawn nearly always, and costs more than whoever is drawn beside it.
        let light = (0..1000)
            .filter(|_| {
                let cost = |it: &Backend| it.weight().get();
                pick(&backends, |_| true, cost).unwrap().id() != 0
            })
            .count();
        assert_eq!(light, 1000);
    }

    #[test]
    fn picks_something_when_what_is_eligible_changes_meanwhile() {
        let backends = weighing(&[1, 1, 1, 1, 1000]);
        for round in 0..1000 {
            let looks = std::cell::Cell::new(0);
            let eligible = |it: &Backend| {
                looks.set(looks.get() + 1);
                looks.get() <= 4 || (it.id() + round).is_multiple_of(3) || it.id() == 4
            };
            assert!(pick(&backends, eligible, |_| 0).is_some());
        }
    }
}
