//! How much each worker has to do, as every worker sees it, and whose a new connection should be.
//!
//! The kernel deals connections by a hash of their addresses. That is even over thousands and a
//! gamble over four, so a worker looks at the others before it keeps what it has accepted. What
//! counts is connections that are *active*: new, or with a request a short while ago. Ten thousand
//! idle ones weigh nothing, and a request costs a comparison, no atomic.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

/// A connection is active for one to two of these after its last request has begun.
pub const EPOCH: Duration = Duration::from_secs(5);
/// Active connections that a worker may have beyond another, however many they are. The kernel's
/// dealing strays further than that now and then only, so that few connections move.
const SLACK: u32 = 16;
/// Per mille of its time that a worker is busier than another, before equal counts do not say equal.
const BUSIER: u32 = 250;

/// What the workers tell each other.
#[derive(Debug, Clone)]
pub struct Loads(Arc<[Slot]>);

/// What one worker tells; on a cache line of its own, and on its neighbour's prefetch.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    /// Written by its worker alone.
    active: AtomicU32,
    /// Connections on their way to it from other workers.
    coming: AtomicU32,
    /// Written by its worker alone.
    busy: AtomicU32,
}

/// One worker, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    /// Active connections.
    pub active: u32,
    /// Per mille of its time that it was not waiting.
    pub busy: u32,
}

/// A connection on its way to a worker, which counts there until this is dropped.
#[derive(Debug)]
pub struct Coming {
    loads: Loads,
    worker: usize,
}

impl Loads {
    /// Of `count` workers that have nothing to do yet.
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| Slot::default()).collect())
    }

    /// The worker that should have a new connection more than `own`, which has accepted it.
    pub fn other_for(&self, own: usize) -> Option<usize> {
        if self.0.len() < 2 {
            return None;
        }
        // A hash of the kernel has chosen `own`; equals would all choose the first.
        let others = (own + 1..self.0.len()).chain(0..own);
        let other = others.min_by_key(|worker| self.of(*worker))?;
        self.of(own).should_give(self.of(other)).then_some(other)
    }

    /// Counts a connection that is given to `worker`.
    pub fn coming(&self, worker: usize) -> Coming {
        self.0[worker].coming.fetch_add(1, Relaxed);
        Coming {
            loads: self.clone(),
            worker,
        }
    }

    fn of(&self, worker: usize) -> Load {
        let slot = &self.0[worker];
        Load {
            active: slot.active.load(Relaxed) + slot.coming.load(Relaxed),
            busy: slot.busy.load(Relaxed),
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.loads.0[self.worker].coming.fetch_sub(1, Relaxed);
    }
}

impl Load {
    /// Whether a new connection should rather go to `other`. A few are dealt exactly; many are not
    /// moved for the sake of a few.
    fn should_give(self, other: Self) -> bool {
        let slack = (other.active / 4).min(SLACK);
        self.active > other.active + slack
            || (self.active >= other.active && self.busy >= other.busy + BUSIER)
    }
}

/// The active connections of one worker.
#[derive(Debug)]
pub struct Activity {
    loads: Loads,
    worker: usize,
    epoch: Cell<u32>,
    /// Connections whose last request began in this epoch, and in the one before.
    this: Cell<u32>,
    last: Cell<u32>,
}

/// When a connection was used last.
#[derive(Debug)]
pub struct Used(Cell<u32>);

impl Activity {
    /// Of `worker`, told in `loads`.
    pub fn new(loads: Loads, worker: usize) -> Self {
        Self {
            loads,
            worker,
            epoch: Cell::new(1),
            this: Cell::new(0),
            last: Cell::new(0),
        }
    }

    /// A connection that is new.
    pub fn enter(&self) -> Used {
        self.this.set(self.this.get() + 1);
        self.publish();
        Used(Cell::new(self.epoch.get()))
    }

    /// A request begins on a connection.
    pub fn touch(&self, used: &Used) {
        if used.0.get() != self.epoch.get() {
            self.leave(used);
            used.0.set(self.epoch.get());
            self.this.set(self.this.get() + 1);
            self.publish();
        }
    }

    /// A connection is gone.
    pub fn leave(&self, used: &Used) {
        let count = match self.epoch.get() - used.0.get() {
            0 => &self.this,
            1 => &self.last,
            _ => return,
        };
        count.set(count.get() - 1);
        self.publish();
    }

    /// An epoch is over.
    pub fn turn(&self) {
        self.epoch.set(self.epoch.get() + 1);
        self.last.set(self.this.take());
        self.publish();
    }

    /// The worker was busy for so many thousandths of the time.
    pub fn was_busy(&self, per_mille: u32) {
        self.loads.0[self.worker].busy.store(per_mille, Relaxed);
    }

    fn publish(&self) {
        let active = self.this.get() + self.last.get();
        self.loads.0[self.worker].active.store(active, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(active: u32, busy: u32) -> Load {
        Load { active, busy }
    }

    /// Connections of each of `workers`, when `count` came by the hash `accepted`.
    fn dealt(workers: usize, accepted: &[usize]) -> Vec<u32> {
        let loads = Loads::new(workers);
        let activities: Vec<_> = (0..workers)
            .map(|worker| Activity::new(loads.clone(), worker))
            .collect();
        for own in accepted {
            let worker = loads.other_for(*own).unwrap_or(*own);
            activities[worker].enter();
        }
        (0..workers).map(|worker| loads.of(worker).active).collect()
    }

    #[test]
    fn one_worker_gives_nothing_away() {
        let loads = Loads::new(1);
        Activity::new(loads.clone(), 0).enter();
        assert_eq!(loads.other_for(0), None);
    }

    #[test]
    fn connections_on_their_way_count_where_they_go() {
        let loads = Loads::new(2);
        let activity = Activity::new(loads.clone(), 0);
        activity.enter();
        assert_eq!(loads.other_for(0), Some(1));
        let coming = loads.coming(1);
        assert_eq!(loads.other_for(0), None);
        drop(coming);
        assert_eq!(loads.other_for(0), Some(1));
    }

    #[test]
    fn an_idle_connection_weighs_nothing_and_a_used_one_does() {
        let loads = Loads::new(2);
        let activity = Activity::new(loads.clone(), 0);
        let (idle, used) = (activity.enter(), activity.enter());
        for _ in 0..3 {
            activity.turn();
            activity.touch(&used);
        }
        assert_eq!(loads.of(0).active, 1);
        activity.leave(&idle);
        assert_eq!(loads.of(0).active, 1);
        activity.leave(&used);
        assert_eq!(loads.of(0).active, 0);
    }

    #[test]
    fn a_connection_stays_active_through_the_epoch_after_its_last_request() {
        let loads = Loads::new(2);
        let activity = Activity::new(loads.clone(), 0);
        let used = activity.enter();
        activity.turn();
        assert_eq!(loads.of(0).active, 1);
        activity.touch(&used);
        activity.touch(&used);
        assert_eq!(loads.of(0).active, 1);
        activity.turn();
        activity.turn();
        assert_eq!(loads.of(0).active, 0);
        activity.touch(&used);
        assert_eq!(loads.of(0).active, 1);
    }

    #[test]
    fn a_worker_that_works_gives_to_one_that_idles_where_counts_are_equal() {
        assert!(load(0, 900).should_give(load(0, 100)));
        assert!(load(40, 900).should_give(load(38, 100)));
        assert!(!load(38, 900).should_give(load(40, 100)));
        assert!(!load(40, 900).should_give(load(38, 800)));
    }

    #[test]
    fn many_are_not_moved_for_the_sake_of_a_few() {
        assert!(!load(10, 0).should_give(load(8, 0)));
        assert!(load(11, 0).should_give(load(8, 0)));
        assert!(!load(4016, 0).should_give(load(4000, 0)));
        assert!(load(4017, 0).should_give(load(4000, 0)));
    }

    proptest! {
        #[test]
        fn few_are_dealt_exactly(accepted in proptest::collection::vec(0..2_usize, 8)) {
            prop_assert_eq!(dealt(2, &accepted), [4, 4]);
            prop_assert_eq!(dealt(2, &accepted[..4]), [2, 2]);
        }

        #[test]
        fn many_are_dealt_evenly(accepted in proptest::collection::vec(0..3_usize, 500)) {
            let dealt = dealt(3, &accepted);
            let (least, most) = (dealt.iter().min().unwrap(), dealt.iter().max().unwrap());
            prop_assert!(most - least <= SLACK + 1, "{dealt:?}");
        }
    }
}
