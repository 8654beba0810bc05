//! Bounds how often requests are sent again, so that retries cannot double the load on backends
//! that are going under.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Tokens for retries: each request earns a share of one, each retry costs one.
///
/// It starts with [`FREE`] tokens, and one retry per second is granted even when it is empty:
/// otherwise a quiet upstream could never retry. A share of nothing means no retries at all.
#[derive(Debug)]
pub struct Budget {
    /// What a request earns, in thousandths of a retry.
    earning: u64,
    most: u64,
    /// In thousandths of a retry.
    balance: AtomicU64,
    epoch: Instant,
    /// Second after `epoch` from which the next retry is granted on an empty budget.
    next_grant: AtomicU64,
}

/// Retries that need not be earned.
pub const FREE: u64 = 10;

const RETRY: u64 = 1000;
/// Requests whose earnings are kept at most.
const MEMORY: u64 = 1000;
const GRANT_EVERY: Duration = Duration::from_secs(1);

impl Budget {
    /// Allows retries up to `share` of the requests, 0.0 to 1.0.
    pub fn new(share: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=1000 just before"
        )]
        let earning = (share.clamp(0.0, 1.0) * 1000.0).round() as u64;
        Self {
            earning,
            most: FREE * RETRY + earning * MEMORY,
            balance: AtomicU64::new(FREE * RETRY),
            epoch: Instant::now(),
            next_grant: AtomicU64::new(0),
        }
    }

    /// Counts one request (not its retries).
    pub fn deposit(&self) {
        let balance = self.balance.load(Ordering::Relaxed);
        if balance < self.most {
            // May overshoot by a request per worker; `most` is no exact figure.
            self.balance.fetch_add(self.earning, Ordering::Relaxed);
        }
    }

    /// Asks for one retry; true when it may be made.
    pub fn withdraw(&self) -> bool {
        if self.earning == 0 {
            return false;
        }
        let paid = self
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                balance.checked_sub(RETRY)
            });
        paid.is_ok() || self.is_granted()
    }

    fn is_granted(&self) -> bool {
        let now = self.epoch.elapsed().as_secs();
        let next = self.next_grant.load(Ordering::Relaxed);
        now >= next
            && self
                .next_grant
                .compare_exchange(
                    next,
                    now + GRANT_EVERY.as_secs(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdrawals(budget: &Budget) -> usize {
        (0..10_000).take_while(|_| budget.withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn starts_with_free_retries() {
        let budget = Budget::new(0.2);
        assert_eq!(withdrawals(&budget), 11);
        assert!(!budget.withdraw());
    }

    #[tokio::test(start_paused = true)]
    async fn earns_a_share_of_the_requests() {
        let budget = Budget::new(0.2);
        withdrawals(&budget);
        (0..50).for_each(|_| budget.deposit());
        assert_eq!(withdrawals(&budget), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_a_bounded_reserve() {
        let budget = Budget::new(0.2);
        (0..100_000).for_each(|_| budget.deposit());
        assert_eq!(withdrawals(&budget), 211);
    }

    #[tokio::test(start_paused = true)]
    async fn grants_one_retry_a_second_when_empty() {
        let budget = Budget::new(0.1);
        withdrawals(&budget);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(withdrawals(&budget), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn allows_nothing_on_a_share_of_nothing() {
        let budget = Budget::new(0.0);
        budget.deposit();
        assert!(!budget.withdraw());
    }
}
