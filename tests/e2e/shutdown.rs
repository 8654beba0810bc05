//! `TERM`: what is in flight finishes, nothing new is taken, the deadline ends it.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::harness::{
    HOST, Proxy,
    backend::{Backend, full},
    eventually,
    setup::Setup,
};

async fn late(after: Duration) -> Backend {
    Backend::with(move |_| async move {
        sleep(after).await;
        http::Response::new(full("late"))
    })
    .await
}

async fn in_flight(backend: &Backend, count: usize) {
    eventually("requests in flight", async || {
        (backend.open() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ends_at_once_and_well_when_nothing_is_in_flight() {
    for signal in ["TERM", "INT"] {
        let backend = Backend::echo().await;
        let mut proxy = Setup::to(&[&backend]).start().await;
        proxy.get("/").await;
        let start = Instant::now();
        proxy.signal(signal);
        assert_eq!(proxy.ended().await.code(), Some(0));
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "{:?}",
            start.elapsed()
        );
        proxy.logged(&["stopped"]).await;
    }
}

#[tokio::test]
async fn requests_in_flight_finish() {
    let backend = late(Duration::from_millis(700)).await;
    let mut proxy = Setup::to(&[&backend]).start().await;
    let mut waiting = Vec::new();
    for http2 in [false, true] {
        let request = proxy.request("GET", "/late");
        waiting.push(tokio::spawn(
            if http2 { request.h2() } else { request }.send(),
        ));
    }
    in_flight(&backend, 2).await;
    proxy.signal("TERM");
    for reply in waiting {
        let reply = reply.await.unwrap();
        assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "late"));
    }
    assert_eq!(proxy.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_body_in_flight_finishes() {
    let (finish, finished) = oneshot::channel::<()>();
    let finished = std::sync::Mutex::new(Some(finished));
    let backend = Backend::scripted(move |mut conn| {
        let finished = finished.lock().unwrap().take();
        async move {
            conn.head().await;
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
                .await?;
            let _ = finished.unwrap().await;
            conn.write("after").await
        }
    })
    .await;
    let mut proxy = Setup::to(&[&backend]).start().await;
    let mut response = proxy.get_open("/").await;
    response.body_mut().frame().await.unwrap().unwrap();
    proxy.signal("TERM");
    proxy.logged(&["draining"]).await;
    finish.send(()).unwrap();
    let rest = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(rest, "after");
    assert_eq!(proxy.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_upload_in_flight_finishes() {
    let backend = Backend::echo().await;
    let mut proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nfirst"
    ))
    .await;
    in_flight(&backend, 1).await;
    proxy.signal("TERM");
    proxy.logged(&["draining"]).await;
    raw.send("after").await;
    let (head, body) = raw.response().await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(body.contains("firstafter"), "{body}");
    assert_eq!(proxy.ended().await.code(), Some(0));
}

#[tokio::test]
async fn new_connections_are_refused_while_draining() {
    let backend = late(Duration::from_secs(3)).await;
    let mut proxy = Setup::to(&[&backend])
        .server("drain_timeout = \"2s\"")
        .start()
        .await;
    let waiting = tokio::spawn(proxy.request("GET", "/").try_open());
    in_flight(&backend, 1).await;
    proxy.signal("TERM");
    for address in [proxy.https(), proxy.http()] {
        eventually("the closed listener", async || {
            TcpStream::connect(address).await.err()
        })
        .await;
    }
    assert!(proxy.is_running());
    waiting.abort();
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let backend = Backend::echo().await;
    let mut proxy = Setup::to(&[&backend]).start().await;
    let mut kept = (proxy.session().await, proxy.session2().await);
    kept.0.send(proxy.request("GET", "/")).await;
    kept.1.send(proxy.request("GET", "/")).await;
    let start = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn the_answer_while_draining_closes_its_connection() {
    let backend = late(Duration::from_millis(500)).await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    in_flight(&backend, 1).await;
    proxy.signal("TERM");
    let (head, _) = raw.response().await;
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(raw.read_to_end().await, "");
}

#[tokio::test]
async fn the_deadline_cuts_what_is_left() {
    let backend = late(Duration::from_mins(1)).await;
    let mut proxy = Setup::to(&[&backend])
        .server("drain_timeout = \"700ms\"")
        .start()
        .await;
    let waiting = tokio::spawn(proxy.request("GET", "/").try_open());
    in_flight(&backend, 1).await;
    let start = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert!(
        (Duration::from_millis(600)..Duration::from_secs(5)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let backend = late(Duration::from_mins(1)).await;
    let mut proxy: Proxy = Setup::to(&[&backend])
        .server("drain_timeout = \"60s\"")
        .start()
        .await;
    let waiting = tokio::spawn(proxy.request("GET", "/").try_open());
    in_flight(&backend, 1).await;
    proxy.signal("TERM");
    proxy.logged(&["draining"]).await;
    let start = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    waiting.abort();
}

#[tokio::test]
async fn the_last_lines_of_the_access_log_are_written() {
    let backend = Backend::echo().await;
    let mut proxy = Setup::to(&[&backend]).start().await;
    for _ in 0..50 {
        proxy.get("/last").await;
    }
    proxy.signal("TERM");
    proxy.ended().await;
    eventually("50 lines", async || {
        (proxy.output().count("\"/last\"") == 50).then_some(())
    })
    .await;
}
