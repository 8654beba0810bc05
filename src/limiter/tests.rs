//! What a limiter allows, against a slow and exact model.

use proptest::prelude::*;

use super::*;
use crate::config::limit::RateKey;

fn limiter(requests: u32, period: Duration, burst: u32) -> Limiter {
    let limit = RateLimit {
        requests,
        period,
        burst,
        key: RateKey::Client,
    };
    Limiter::new(&limit, 1024)
}

fn allowed_at_once(limiter: &Limiter, key: Key, now: Instant) -> usize {
    (0..1000)
        .take_while(|_| limiter.check(key, now).allowed)
        .count()
}

#[test]
fn allows_the_burst_on_top_of_one_and_then_the_steady_rate() {
    let limiter = limiter(60, Duration::from_mins(1), 3);
    let key = limiter.address_key("192.0.2.1".parse().unwrap());
    let start = Instant::now();
    assert_eq!(allowed_at_once(&limiter, key, start), 4);
    assert_eq!(
        allowed_at_once(&limiter, key, start + Duration::from_millis(1001)),
        1
    );
    assert_eq!(
        allowed_at_once(&limiter, key, start + Duration::from_mins(1)),
        4
    );
}

#[test]
fn allows_one_when_there_is_no_burst() {
    let limiter = limiter(1, Duration::from_secs(10), 0);
    let key = limiter.value_key(b"k");
    let now = Instant::now();
    let first = limiter.check(key, now);
    assert_eq!(
        (first.allowed, first.remaining, first.reset),
        (true, 0, Duration::from_secs(10))
    );
    let second = limiter.check(key, now + Duration::from_secs(4));
    assert_eq!(
        (second.allowed, second.remaining, second.reset),
        (false, 0, Duration::from_secs(6))
    );
    assert!(limiter.check(key, now + Duration::from_secs(10)).allowed);
}

#[test]
fn says_what_remains_and_when_more_comes() {
    let limiter = limiter(10, Duration::from_secs(10), 2);
    let key = limiter.value_key(b"k");
    let now = Instant::now();
    let said: Vec<_> = (0..4)
        .map(|_| limiter.check(key, now))
        .map(|decision| {
            (
                decision.allowed,
                decision.remaining,
                decision.reset.as_secs(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [(true, 2, 1), (true, 1, 1), (true, 0, 1), (false, 0, 1)]
    );
}

#[test]
fn counts_ipv6_by_64_and_mapped_addresses_as_ipv4() {
    let limiter = limiter(1, Duration::from_secs(1), 0);
    let key = |text: &str| limiter.address_key(text.parse().unwrap());
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    assert_ne!(limiter.value_key(b"a"), limiter.value_key(b"b"));
}

#[test]
fn keeps_refused_keys_when_fresh_ones_flood_it() {
    let limiter = limiter(1, Duration::from_mins(1), 4);
    let now = Instant::now();
    let refused = limiter.value_key(b"refused");
    assert_eq!(allowed_at_once(&limiter, refused, now), 5);
    for index in 0..100_000_u32 {
        limiter.check(limiter.value_key(&index.to_be_bytes()), now);
    }
    assert!(!limiter.check(refused, now).allowed);
}

#[test]
fn counts_exactly_when_workers_share_it() {
    let limiter = limiter(1, Duration::from_hours(1), 499);
    let key = limiter.value_key(b"k");
    let now = Instant::now();
    let allowed: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| allowed_at_once(&limiter, key, now)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert_eq!(allowed, 500);
}

#[test]
fn survives_extreme_settings() {
    let limiter = limiter(u32::MAX, Duration::MAX, u32::MAX);
    let key = limiter.value_key(b"k");
    for hours in [0, 1, 1_000_000] {
        limiter.check(key, Instant::now() + Duration::from_hours(hours));
    }
    limiter.check(key, Instant::now());
}

/// A bucket of `burst + 1` tokens, refilled at the steady rate, in 1/`requests` of a nanosecond.
struct Bucket {
    level: u128,
    full: u128,
    token: u128,
    requests: u128,
    at: u64,
}

impl Bucket {
    fn take(&mut self, at: u64) -> bool {
        self.level = self
            .full
            .min(self.level + u128::from(at - self.at) * self.requests);
        self.at = at;
        let enough = self.level >= self.token;
        if enough {
            self.level -= self.token;
        }
        enough
    }
}

proptest! {
    #[test]
    fn agrees_with_a_bucket(
        interval in 1_u64..2_000_000, requests in 1_u32..50, burst in 0_u32..20,
        gaps in proptest::collection::vec(0_u64..3_000_000, 1..200),
    ) {
        let period = interval * u64::from(requests);
        let limiter = limiter(requests, Duration::from_nanos(period), burst);
        let key = limiter.value_key(b"k");
        let (token, full) = (u128::from(period), u128::from(period) * u128::from(burst + 1));
        let mut bucket = Bucket { level: full, full, token, requests: requests.into(), at: 0 };
        let start = Instant::now();
        let mut at = 0;
        for gap in gaps {
            at += gap;
            let decision = limiter.check(key, start + Duration::from_nanos(at));
            prop_assert_eq!(decision.allowed, bucket.take(at));
            if decision.allowed {
                prop_assert_eq!(u128::from(decision.remaining), bucket.level / bucket.token);
            }
        }
    }

    #[test]
    fn never_allows_more_than_burst_and_rate_in_any_window(
        period in 1_u64..5_000_000, requests in 1_u32..50, burst in 0_u32..20,
        gaps in proptest::collection::vec(0_u64..1_000_000, 1..150),
    ) {
        let limiter = limiter(requests, Duration::from_nanos(period), burst);
        let key = limiter.value_key(b"k");
        let start = Instant::now();
        let mut at = 0;
        let mut allowed = Vec::new();
        for gap in gaps {
            at += gap;
            if limiter.check(key, start + Duration::from_nanos(at)).allowed {
                allowed.push(at);
            }
        }
        for (first, from) in allowed.iter().enumerate() {
            for (last, to) in allowed.iter().enumerate().skip(first) {
                let earned = u128::from(to - from) * u128::from(requests) / u128::from(period);
                prop_assert!((last - first) as u128 <= u128::from(burst) + earned);
            }
        }
    }
}
