//! `Limiter`: how many requests a client may make, in bounded memory.
//!
//! GCRA: one number per key, the time at which its bucket is full again. A key whose time has passed need not
//! be remembered, so the table forgets those first and costs nothing at rest.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    time::Duration,
};

use tokio::time::Instant;

use crate::{config::limit::RateLimit, limiter::table::Table};

mod table;

/// Counts the requests of every key of one policy. Shared by all workers.
#[derive(Debug)]
pub struct Limiter {
    /// Nanoseconds that one request is worth.
    interval: u64,
    /// Nanoseconds that a key may be ahead of the steady rate.
    tolerance: u64,
    table: Table,
    /// Secret, so that nobody can choose keys that fall together.
    seed: RandomState,
    epoch: Instant,
}

/// Who is counted, as a number that says nothing outside this limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u64);

/// What a limiter says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go on. One that may not is not counted.
    pub allowed: bool,
    /// Requests that may follow at once.
    pub remaining: u32,
    /// Time until one more may follow than `remaining` says; on refusal the time to wait.
    pub reset: Duration,
}

impl Limiter {
    /// Keys that a limiter remembers when nothing else is said: 1 MiB.
    pub const CAPACITY: usize = 65_536;

    /// A limiter for about `capacity` keys at 16 bytes each.
    ///
    /// `burst + 1` requests may come at once: the one that the steady rate allows, and the burst on top.
    pub fn new(limit: &RateLimit, capacity: usize) -> Self {
        let period = u64::try_from(limit.period.as_nanos()).unwrap_or(u64::MAX);
        // Rounded up: never more than the rate that was asked for.
        let interval = period.div_ceil(u64::from(limit.requests.max(1))).max(1);
        Self {
            interval,
            tolerance: interval.saturating_mul(u64::from(limit.burst)),
            table: Table::new(capacity),
            seed: RandomState::new(),
            epoch: Instant::now(),
        }
    }

    /// The key of a client address: IPv6 by /64, since that is what one subscriber gets; IPv4 mapped into
    /// IPv6 as IPv4.
    pub fn address_key(&self, address: IpAddr) -> Key {
        Key(match address.to_canonical() {
            IpAddr::V4(address) => self.seed.hash_one((4_u8, address.to_bits())),
            IpAddr::V6(address) => self.seed.hash_one((6_u8, address.to_bits() >> 64)),
        })
    }

    /// The key of a header value. Only its hash is kept.
    pub fn value_key(&self, value: &[u8]) -> Key {
        Key(self.seed.hash_one((0_u8, value)))
    }

    /// Counts one request of `key` at `now`, or refuses it.
    pub fn check(&self, key: Key, now: Instant) -> Decision {
        let now = now.saturating_duration_since(self.epoch).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.table.update(key.0, |full_at| {
            let ahead = full_at.saturating_sub(now);
            let decision = self.decide(ahead);
            let full_at = now.saturating_add(ahead).saturating_add(self.interval);
            (decision.allowed.then_some(full_at), decision)
        })
    }

    /// What holds for a key that is `ahead` nanoseconds ahead of the steady rate.
    fn decide(&self, ahead: u64) -> Decision {
        let Some(room) = self.tolerance.checked_sub(ahead) else {
            return Decision {
                allowed: false,
                remaining: 0,
                reset: Duration::from_nanos(ahead - self.tolerance),
            };
        };
        Decision {
            allowed: true,
            remaining: u32::try_from(room / self.interval).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(self.interval - room % self.interval),
        }
    }
}

#[cfg(test)]
mod tests;
