//! A bounded table of times, shared by the workers.
//!
//! Keys fall into sets of eight; a set never grows. When one is full, the key whose time is the nearest is
//! forgotten: one whose time has passed loses nothing, one that is refused goes after all that are not.
//! What gives under attack: whoever owns more addresses than the table has places (many IPv6 /64, each of them
//! spent to refusal) makes some of them forgotten, and those get one burst anew. Memory stays as it is, and
//! a client that sends nothing unusual is never refused because of others.

use std::sync::{Mutex, PoisonError};

/// Enough that workers seldom meet.
const SHARDS: usize = 64;
/// Keys, or times, of a set fill one cache line.
const WAYS: usize = 8;

/// Times by key, `0` for keys it does not know.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// In every shard.
    sets: usize,
}

/// Keys and times at the same index belong together.
#[derive(Debug)]
struct Shard {
    keys: Vec<[u64; WAYS]>,
    times: Vec<[u64; WAYS]>,
}

impl Table {
    /// A table of `capacity` places, rounded up to whole sets in every shard.
    pub(super) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(SHARDS * WAYS).max(1);
        let shard = || {
            Mutex::new(Shard {
                keys: vec![[0; WAYS]; sets],
                times: vec![[0; WAYS]; sets],
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            sets,
        }
    }

    /// Shows `change` the time of `key` and stores the one it gives, if any. The lock is held meanwhile.
    ///
    /// `key` must be evenly spread: its low bits choose the place.
    pub(super) fn update<T>(&self, key: u64, change: impl FnOnce(u64) -> (Option<u64>, T)) -> T {
        let (shard, set) = self.place(key);
        // A worker that panicked here left whole numbers behind.
        let mut shard = self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = shard.keys[set].iter().position(|known| *known == key);
        let (time, result) = change(known.map_or(0, |way| shard.times[set][way]));
        if let Some(time) = time {
            let way = known.unwrap_or_else(|| nearest(&shard.times[set]));
            shard.keys[set][way] = key;
            shard.times[set][way] = time;
        }
        result
    }

    fn place(&self, key: u64) -> (usize, usize) {
        let low = usize::try_from(key & u64::from(u32::MAX)).unwrap_or(0);
        (low % SHARDS, low / SHARDS % self.sets)
    }
}

fn nearest(times: &[u64; WAYS]) -> usize {
    times
        .iter()
        .enumerate()
        .min_by_key(|(_, time)| **time)
        .map_or(0, |(way, _)| way)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(table: &Table, key: u64, time: u64) {
        table.update(key, |_| (Some(time), ()));
    }

    fn load(table: &Table, key: u64) -> u64 {
        table.update(key, |time| (None, time))
    }

    /// Keys of one and the same set.
    fn keys() -> impl Iterator<Item = u64> {
        (1..).map(|index| index * SHARDS as u64)
    }

    #[test]
    fn remembers_a_full_set() {
        let table = Table::new(1);
        for (key, time) in keys().zip(1..=8) {
            store(&table, key, time);
        }
        for (key, time) in keys().zip(1..=8) {
            assert_eq!(load(&table, key), time);
        }
    }

    #[test]
    fn forgets_the_nearest_time_first() {
        let table = Table::new(1);
        for (key, time) in keys().zip([50, 90, 20, 70, 60, 80, 30, 40]) {
            store(&table, key, time);
        }
        for key in keys().skip(8).take(1000) {
            store(&table, key, 21);
        }
        let left: Vec<_> = keys().take(8).map(|key| load(&table, key)).collect();
        assert_eq!(left, [50, 90, 0, 70, 60, 80, 30, 40]);
    }

    #[test]
    fn spreads_its_places_over_the_shards() {
        let table = Table::new(65_536);
        assert_eq!(table.sets * SHARDS * WAYS, 65_536);
        let last = table.place(u64::MAX);
        assert_eq!(last, (SHARDS - 1, 127));
    }
}
