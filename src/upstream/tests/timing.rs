//! What is measured of a request, and what is not.

use tokio::time::advance;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn timed(balance: Balance) -> Arc<Upstream> {
    upstream(&["http://127.0.0.1:3001"], |config| {
        config.balance = balance;
    })
}

/// What an answer of the one backend is likely to take, in milliseconds.
fn expected(upstream: &Upstream) -> Option<u128> {
    let expected = upstream.backends()[0].latency.expected(Instant::now());
    expected.map(|seconds| Duration::from_secs_f32(seconds + 0.0005).as_millis())
}

#[tokio::test(start_paused = true)]
async fn counts_from_the_lease_to_the_answer() {
    let upstream = timed(Balance::PeakEwma);
    let mut lease = upstream.lease(&wanted()).unwrap();
    advance(MS(30)).await;
    lease.answered(StatusCode::OK);
    advance(MS(1)).await;
    drop(lease);
    assert_eq!(expected(&upstream), Some(30));
}

#[tokio::test(start_paused = true)]
async fn counts_nothing_where_no_balancer_asks() {
    for balance in [Balance::LeastRequests, Balance::RoundRobin] {
        let upstream = timed(balance);
        let mut lease = upstream.lease(&wanted()).unwrap();
        assert!(!lease.stopwatch().hold());
        advance(MS(30)).await;
        lease.answered(StatusCode::OK);
        drop(lease);
        assert_eq!(expected(&upstream), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_abandoned_counts_when_it_took_longer() {
    let upstream = timed(Balance::PeakEwma);
    let abandoned = async |millis| {
        let lease = upstream.lease(&wanted()).unwrap();
        advance(MS(millis)).await;
        drop(lease);
    };
    abandoned(30).await;
    assert_eq!(expected(&upstream), Some(30));
    abandoned(1).await;
    assert_eq!(expected(&upstream), Some(30));
    abandoned(500).await;
    assert_eq!(expected(&upstream), Some(500));
}

#[tokio::test(start_paused = true)]
async fn a_failing_server_is_not_praised_for_its_haste() {
    let upstream = timed(Balance::PeakEwma);
    for (status, millis, then) in [
        (StatusCode::OK, 100, 100),
        (StatusCode::SERVICE_UNAVAILABLE, 1, 100),
        (StatusCode::SERVICE_UNAVAILABLE, 300, 300),
    ] {
        let mut lease = upstream.lease(&wanted()).unwrap();
        advance(MS(millis)).await;
        lease.answered(status);
        assert_eq!(expected(&upstream), Some(then), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_connects_and_what_lasts_do_not_count() {
    let upstream = timed(Balance::PeakEwma);
    let failed = upstream.lease(&wanted()).unwrap();
    advance(MS(2000)).await;
    failed.unreachable(&refused());
    upstream.reached(failed.backend());
    drop(failed);
    let mut tunnel = upstream.lease(&wanted()).unwrap();
    advance(MS(2000)).await;
    tunnel.linger();
    drop(tunnel);
    let waits_for_an_event = upstream.lease(&wanted()).unwrap();
    waits_for_an_event.untimed();
    advance(MS(2000)).await;
    drop(waits_for_an_event);
    assert_eq!(expected(&upstream), None);
}

#[tokio::test(start_paused = true)]
async fn does_not_count_while_the_client_has_more_to_send() {
    let upstream = timed(Balance::PeakEwma);
    let broken_off = upstream.lease(&wanted()).unwrap();
    assert!(broken_off.stopwatch().hold());
    advance(MS(60_000)).await;
    drop(broken_off);
    assert_eq!(expected(&upstream), None);
    let mut sent = upstream.lease(&wanted()).unwrap();
    assert!(sent.stopwatch().hold());
    advance(MS(60_000)).await;
    sent.stopwatch().resume();
    advance(MS(20)).await;
    sent.stopwatch().resume();
    sent.answered(StatusCode::OK);
    assert_eq!(expected(&upstream), Some(20));
}
