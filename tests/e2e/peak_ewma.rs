//! `balance = "peak_ewma"`: a slow backend among quick ones.

use std::time::Duration;

use http::Response;
use tokio::time::sleep;

use crate::harness::{
    Proxy,
    backend::{Backend, full},
    setup::Setup,
};

const SLOW: Duration = Duration::from_millis(400);

async fn slow() -> Backend {
    Backend::with(|_| async {
        sleep(SLOW).await;
        Response::new(full("slow"))
    })
    .await
}

/// One proxy in front of a slow backend and two quick ones.
async fn proxy(balance: &str, slow: &Backend, quick: &[Backend; 2]) -> Proxy {
    Setup::to(&[slow, &quick[0], &quick[1]])
        .upstream(&format!("balance = \"{balance}\""))
        .start()
        .await
}

/// What each backend got of 60 requests, one after another.
async fn shares(balance: &str, method: &str, body: &str) -> [usize; 3] {
    let (slow, quick) = (slow().await, [Backend::echo().await, Backend::echo().await]);
    let proxy = proxy(balance, &slow, &quick).await;
    let mut session = proxy.session().await;
    for _ in 0..60 {
        let request = proxy.request(method, "/").body(body.to_owned());
        assert_eq!(session.send(request).await.status, 200);
    }
    [&slow, &quick[0], &quick[1]].map(|it| it.requests().len())
}

#[tokio::test]
async fn a_slow_backend_gets_little_even_where_it_is_never_busy() {
    let by_load = shares("least_requests", "GET", "").await;
    let by_latency = shares("peak_ewma", "GET", "").await;
    let posted = shares("peak_ewma", "POST", "order").await;
    println!(
        "slow and two quick ones, of 60: least_requests {by_load:?}, peak_ewma {by_latency:?}, by POST {posted:?}"
    );
    // A third each, less luck: nobody is busy when the next request comes.
    assert!(by_load[0] >= 6, "{by_load:?}");
    for served in [by_latency, posted] {
        assert!((1..6).contains(&served[0]), "{served:?}");
    }
}

#[tokio::test]
async fn a_slow_backend_gets_little_from_many_clients() {
    let (slow, quick) = (slow().await, [Backend::echo().await, Backend::echo().await]);
    let proxy = proxy("peak_ewma", &slow, &quick).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let (mut session, target) = (proxy.session2().await, proxy.target());
        clients.push(tokio::spawn(async move {
            for _ in 0..50 {
                let request = crate::harness::client::Request::new(target.clone(), "GET", "/");
                assert_eq!(session.send(request).await.status, 200);
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let counts = [&slow, &quick[0], &quick[1]].map(|it| it.requests().len());
    println!("slow and two quick ones, of 400 by 8 clients: {counts:?}");
    assert!((1..40).contains(&counts[0]), "{counts:?}");
}

/// Nest sends the head of an event stream with its first event, which says nothing about other requests.
#[tokio::test]
async fn a_late_event_stream_does_not_make_its_backend_slow() {
    let quick = Backend::scripted(|mut conn| async move {
        while let Some(head) = conn.head().await {
            if head.starts_with("GET /events") {
                sleep(3 * SLOW).await;
                conn.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await?;
            } else {
                conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
            }
        }
        Ok(())
    })
    .await;
    let slow = slow().await;
    let proxy = Setup::to(&[&quick, &slow])
        .upstream("balance = \"peak_ewma\"")
        .start()
        .await;
    let mut session = proxy.session().await;
    for (round, accept) in ["text/event-stream", "*/*"].into_iter().enumerate() {
        // Both have shown by then what they take.
        for _ in 0..3 {
            session.send(proxy.request("GET", "/")).await;
        }
        let events = proxy.request("GET", "/events").header("accept", accept);
        let stream = events.open().await;
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        assert_eq!(quick.count("/events"), round + 1, "the quick one has it");
        let before = slow.requests().len();
        for _ in 0..10 {
            session.send(proxy.request("GET", "/")).await;
        }
        let more = slow.requests().len() - before;
        assert!(more <= 2, "{accept}: {more} of 10");
        drop(stream);
    }
}
