//! Who is ejected, for how long, and who never is.

use http::StatusCode;
use tokio::time::sleep;

use super::*;
use crate::upstream::tests::{upstream, wanted};

const NAMES: [&str; 4] = [
    "http://127.0.0.1:3001",
    "http://127.0.0.1:3002",
    "http://127.0.0.1:3003",
    "http://127.0.0.1:3004",
];

fn four() -> Arc<Upstream> {
    upstream(&NAMES, |config| config.slow_start = Duration::ZERO)
}

/// Each of `backends` answers so many requests well and badly.
fn answers(upstream: &Upstream, index: usize, good: u32, bad: u32) {
    let backend = Arc::clone(&upstream.backends()[index]);
    for _ in 0..good {
        backend.tally.good();
    }
    for _ in 0..bad {
        upstream.answered_badly(&backend);
    }
}

fn ejected(upstream: &Upstream) -> Vec<usize> {
    let backends = upstream.backends();
    let ejected = backends.iter().filter(|it| it.health.is_ejected());
    ejected.map(|it| it.id()).collect()
}

#[tokio::test]
async fn ejects_a_backend_that_fails_where_the_others_do_not() {
    let upstream = four();
    answers(&upstream, 0, 30, 0);
    answers(&upstream, 1, 0, 19);
    assert!(ejected(&upstream).is_empty(), "too few requests to say");
    answers(&upstream, 1, 0, 1);
    assert_eq!(ejected(&upstream), [1]);
    assert!((0..50).all(|_| upstream.lease(&wanted()).unwrap().backend().id() != 1));
}

#[tokio::test]
async fn one_failure_in_three_is_not_enough() {
    let upstream = four();
    answers(&upstream, 0, 100, 0);
    answers(&upstream, 1, 40, 20);
    assert!(ejected(&upstream).is_empty());
    answers(&upstream, 1, 0, 20);
    assert_eq!(ejected(&upstream), [1]);
}

#[tokio::test]
async fn a_route_that_fails_everywhere_ejects_nobody() {
    let upstream = four();
    for _ in 0..100 {
        (0..4).for_each(|index| answers(&upstream, index, 1, 9));
    }
    assert!(ejected(&upstream).is_empty());
}

#[tokio::test]
async fn ejects_nobody_of_whom_there_is_nothing_to_compare() {
    let upstream = four();
    answers(&upstream, 1, 0, 500);
    assert!(ejected(&upstream).is_empty(), "the others had no requests");
    let alone = upstream_of_one();
    answers(&alone, 0, 10, 500);
    assert!(ejected(&alone).is_empty());
}

fn upstream_of_one() -> Arc<Upstream> {
    upstream(&NAMES[..1], |_| {})
}

#[tokio::test]
async fn ejects_half_of_the_backends_at_the_most() {
    let upstream = four();
    answers(&upstream, 0, 10_000, 0);
    for index in 1..4 {
        answers(&upstream, index, 0, 40);
    }
    assert_eq!(ejected(&upstream), [1, 2]);
}

#[tokio::test]
async fn counts_half_of_those_that_would_serve() {
    let upstream = four();
    upstream.drain(upstream.backends()[3].name());
    answers(&upstream, 0, 10_000, 0);
    for index in 1..3 {
        answers(&upstream, index, 0, 40);
    }
    assert_eq!(
        ejected(&upstream),
        [1],
        "three serve, and one of them is half of them"
    );
}

#[tokio::test]
async fn one_of_two_may_be_ejected() {
    let upstream = upstream(&NAMES[..2], |_| {});
    answers(&upstream, 0, 40, 0);
    answers(&upstream, 1, 0, 40);
    assert_eq!(ejected(&upstream), [1]);
    answers(&upstream, 0, 0, 400);
    assert_eq!(ejected(&upstream), [1], "never the last one");
}

#[tokio::test]
async fn nobody_is_ejected_when_it_is_off() {
    let upstream = upstream(&NAMES, |config| config.outlier = None);
    answers(&upstream, 0, 100, 0);
    answers(&upstream, 1, 0, 100);
    assert!(ejected(&upstream).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_ejection_ends_and_the_next_one_is_longer() {
    let upstream = four();
    let _outliers = Outliers::start(&upstream, &Handle::current());
    let mut lasted = Vec::new();
    for _ in 0..3 {
        answers(&upstream, 0, 100, 0);
        answers(&upstream, 1, 0, 20);
        assert_eq!(ejected(&upstream), [1]);
        let began = Instant::now();
        while !ejected(&upstream).is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
        lasted.push(began.elapsed().as_secs_f64());
    }
    for (lasted, expected) in lasted.iter().zip([10.0, 20.0, 40.0]) {
        assert!((lasted - expected).abs() < 1.5, "{lasted} for {expected}");
    }
    // It stays well for a while: the next one is short again.
    sleep(Duration::from_secs(15)).await;
    answers(&upstream, 0, 100, 0);
    answers(&upstream, 1, 0, 20);
    let began = Instant::now();
    while !ejected(&upstream).is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(12));
}

#[tokio::test(start_paused = true)]
async fn forgets_what_is_older_than_the_window() {
    let upstream = four();
    let _outliers = Outliers::start(&upstream, &Handle::current());
    sleep(Duration::from_millis(500)).await;
    answers(&upstream, 1, 0, 19);
    sleep(Duration::from_secs(12)).await;
    answers(&upstream, 0, 100, 0);
    answers(&upstream, 1, 0, 10);
    assert!(ejected(&upstream).is_empty());
    answers(&upstream, 1, 0, 10);
    assert_eq!(ejected(&upstream), [1]);
}

#[tokio::test]
async fn a_body_that_breaks_off_turns_a_good_answer_into_a_bad_one() {
    let upstream = four();
    answers(&upstream, 0, 100, 0);
    for _ in 0..20 {
        let mut lease = loop {
            let lease = upstream.lease(&wanted()).unwrap();
            if lease.backend().id() == 1 {
                break lease;
            }
        };
        lease.answered(StatusCode::OK);
        lease.broke_off();
    }
    assert_eq!(ejected(&upstream), [1]);
}

#[tokio::test]
async fn a_body_of_a_bad_answer_counts_once() {
    let upstream = four();
    let mut lease = upstream.lease(&wanted()).unwrap();
    lease.answered(StatusCode::BAD_GATEWAY);
    lease.broke_off();
    let expected = Sample { good: 0, bad: 1 };
    assert_eq!(lease.backend().tally.window(), expected);
}
