//! How a request waits for a backend.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use tokio::{task::yield_now, time::advance};

use crate::upstream::{
    lease::Refusal,
    tests::{one, refused, upstream, wanted},
    *,
};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test(start_paused = true)]
async fn waits_for_room_and_gets_it() {
    let upstream = one(1, 8);
    let held = upstream.lease(&wanted()).unwrap();
    let waiting = tokio::spawn({
        let upstream = Arc::clone(&upstream);
        async move { upstream.acquire(&mut wanted(), soon()).await }
    });
    yield_now().await;
    assert_eq!(upstream.waiting(), 1);
    drop(held);
    assert!(waiting.await.unwrap().is_ok());
    assert_eq!(upstream.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn lets_nobody_overtake_those_who_wait() {
    let upstream = one(1, 8);
    let held = upstream.lease(&wanted()).unwrap();
    let waiting = tokio::spawn({
        let upstream = Arc::clone(&upstream);
        async move { upstream.acquire(&mut wanted(), soon()).await }
    });
    yield_now().await;
    drop(held);
    assert_eq!(upstream.lease(&wanted()).unwrap_err(), Refusal::Full);
    assert!(waiting.await.unwrap().is_ok());
    assert!(upstream.lease(&wanted()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn gives_up_at_the_deadline_and_when_the_room_is_full() {
    let upstream = one(1, 1);
    let _held = upstream.lease(&wanted()).unwrap();
    let started = Instant::now();
    let (mut first, mut second) = (wanted(), wanted());
    let (first, second) = tokio::join!(
        upstream.acquire(&mut first, soon()),
        upstream.acquire(&mut second, soon()),
    );
    assert_eq!(first.unwrap_err(), Unavailable::Expired);
    assert_eq!(second.unwrap_err(), Unavailable::Overloaded);
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(upstream.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn passes_the_turn_of_a_request_that_left() {
    let upstream = one(1, 8);
    let held = upstream.lease(&wanted()).unwrap();
    let wait = || {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move { upstream.acquire(&mut wanted(), soon()).await })
    };
    let (left, stays) = (wait(), wait());
    yield_now().await;
    drop(held);
    left.abort();
    assert!(stays.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn holds_requests_until_a_backend_returns() {
    let upstream = one(512, 64);
    upstream.unreachable(&upstream.backends()[0], &refused());
    let tried = || {
        let mut wanted = wanted();
        wanted.tried.insert(0);
        wanted
    };
    assert_eq!(upstream.lease(&tried()).unwrap_err(), Refusal::AllTried);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (upstream, mut wanted) = (Arc::clone(&upstream), tried());
        waiting.spawn(async move { upstream.acquire(&mut wanted, soon()).await });
    }
    advance(Duration::from_millis(100)).await;
    yield_now().await;
    assert_eq!(upstream.waiting(), 50);
    upstream.reached(&upstream.backends()[0]);
    let leases = waiting.join_all().await;
    assert!(leases.iter().all(Result::is_ok));
    assert_eq!(upstream.backends()[0].in_flight(), 50);
}

#[tokio::test(start_paused = true)]
async fn sends_one_request_ahead_when_a_cooling_ends() {
    let upstream = one(512, 64);
    let started = Instant::now();
    upstream.unreachable(&upstream.backends()[0], &refused());
    let wait = || {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move {
            let mut wanted = wanted();
            wanted.tried.insert(0);
            upstream.acquire(&mut wanted, soon()).await
        })
    };
    let (ahead, behind) = (wait(), wait());
    let lease = ahead.await.unwrap().unwrap();
    assert_eq!(started.elapsed().as_millis(), 250);
    yield_now().await;
    assert!(!behind.is_finished());
    lease.reached();
    assert!(behind.await.unwrap().is_ok());
    assert_eq!(started.elapsed().as_millis(), 250);
}

#[tokio::test(start_paused = true)]
async fn keeps_the_right_to_wait_of_a_request_that_waited() {
    let upstream = one(1, 1);
    let held = upstream.lease(&wanted()).unwrap();
    let mut again = wanted();
    drop(
        tokio::join!(upstream.acquire(&mut again, soon()), async { drop(held) })
            .0
            .unwrap(),
    );
    let _held = upstream.lease(&wanted()).unwrap();
    let (mut other, later) = (wanted(), Instant::now() + Duration::from_secs(1));
    let (first, second) = tokio::join!(
        upstream.acquire(&mut other, later),
        upstream.acquire(&mut again, later),
    );
    assert_eq!(first.unwrap_err(), Unavailable::Expired);
    assert_eq!(second.unwrap_err(), Unavailable::Expired);
}

#[test]
fn loses_no_wake_up_between_workers() {
    let upstream = one(2, 1000);
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                let requests = async {
                    let mut tasks = tokio::task::JoinSet::new();
                    for _ in 0..200 {
                        let upstream = Arc::clone(&upstream);
                        tasks.spawn(async move {
                            let mut done = 0;
                            for _ in 0..20 {
                                let lease = upstream.acquire(&mut wanted(), soon()).await;
                                yield_now().await;
                                done += usize::from(lease.is_ok());
                            }
                            done
                        });
                    }
                    tasks.join_all().await.into_iter().sum::<usize>()
                };
                served.fetch_add(runtime.block_on(requests), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(served.into_inner(), 4 * 200 * 20);
    assert_eq!(upstream.waiting(), 0);
    assert_eq!(upstream.backends()[0].in_flight(), 0);
}

#[test]
fn serves_everyone_though_backends_fail_and_requests_leave() {
    let backends = ["http://127.0.0.1:3001", "http://127.0.0.1:3002"];
    let upstream = upstream(&backends, |config| config.limits.max_requests = 2);
    let expired = AtomicUsize::new(0);
    let request = |upstream: Arc<Upstream>| async move {
        let mut wanted = wanted();
        let deadline = Instant::now() + Duration::from_mins(1);
        for _ in 0..3 {
            let Ok(lease) = upstream.acquire(&mut wanted, deadline).await else {
                return 1;
            };
            yield_now().await;
            if fastrand::u8(..128) > 0 {
                lease.reached();
                return 0;
            }
            lease.unreachable(&refused());
            wanted.tried.insert(lease.backend().id());
        }
        0
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let mut stay = tokio::task::JoinSet::new();
                    let mut leave = tokio::task::JoinSet::new();
                    for _ in 0..300 {
                        stay.spawn(request(Arc::clone(&upstream)));
                        leave.spawn(request(Arc::clone(&upstream)));
                        yield_now().await;
                        if leave.len() > 5 {
                            leave.abort_all();
                        }
                    }
                    drop(leave);
                    let failures: usize = stay.join_all().await.into_iter().sum();
                    expired.fetch_add(failures, Ordering::Relaxed);
                });
            });
        }
    });
    assert_eq!(expired.into_inner(), 0);
    assert_eq!(upstream.waiting(), 0);
    assert!(upstream.backends().iter().all(|it| it.in_flight() == 0));
}
