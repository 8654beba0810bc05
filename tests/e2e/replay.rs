//! Requests that a backend loses, and which of them are sent again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::harness::{backend::Backend, client::Request, setup::Setup};

/// Hangs up on its first connection when a whole request has come, and answers the others with its body.
async fn forgetful(length: usize) -> Backend {
    let connections = Arc::new(AtomicUsize::new(0));
    Backend::scripted(move |mut conn| {
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            conn.head().await;
            let body = conn.body(length).await?;
            if is_first {
                return Ok(());
            }
            let body = String::from_utf8_lossy(&body);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            conn.write(&answer).await
        }
    })
    .await
}

/// What a backend that forgets its first request makes of this one, and how often it saw it.
async fn sent(body: String, request: impl FnOnce(Request) -> Request) -> (u16, usize) {
    let backend = forgetful(body.len()).await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    let request = request(proxy.request("POST", "/").body(body.clone()));
    let reply = request.send().await;
    if reply.status == 200 {
        assert!(reply.text() == body, "another body than was sent");
    }
    (reply.status.as_u16(), backend.requests().len())
}

#[tokio::test]
async fn a_post_that_may_have_been_done_is_not_sent_again() {
    assert_eq!(sent("once".to_owned(), |it| it).await, (502, 1));
}

#[tokio::test]
async fn a_post_with_an_idempotency_key_is_sent_again_with_its_body() {
    let keyed = |it: Request| {
        it.header(
            "idempotency-key",
            "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
        )
    };
    assert_eq!(sent("twice".to_owned(), keyed).await, (200, 2));
    assert_eq!(sent("x".repeat(64 * 1024), keyed).await, (200, 2));
}

#[tokio::test]
async fn a_body_that_is_too_large_to_be_kept_is_not_sent_again() {
    let keyed = |it: Request| it.header("idempotency-key", "\"1\"");
    assert_eq!(sent("x".repeat(100 * 1024), keyed).await, (502, 1));
}

#[tokio::test]
async fn a_put_is_sent_again_with_its_body_over_either_protocol() {
    for h2 in [false, true] {
        let backend = forgetful(4).await;
        let proxy = Setup::to(&[&backend]).threads(1).start().await;
        let request = proxy.request("PUT", "/").body("both");
        let reply = if h2 { request.h2() } else { request }.send().await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "both".into()));
        assert_eq!(backend.requests().len(), 2);
    }
}

/// As Fastify while it closes.
const LEAVING: &str =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbye!";

#[tokio::test]
async fn a_backend_that_says_it_ends_is_spared_and_nobody_hears_of_it() {
    let leaving = Backend::canned_once(LEAVING).await;
    let staying = Backend::echo().await;
    let proxy = Setup::to(&[&leaving, &staying])
        .threads(1)
        .upstream("balance = \"round_robin\"")
        .start()
        .await;
    let mut session = proxy.session().await;
    for _ in 0..10 {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    }
    // Once by turns, and once more after each probe that finds it there: five times if nobody listened.
    let asked = leaving.requests().len();
    assert!((1..5).contains(&asked), "asked {asked} times");
    let retries = proxy
        .metric("portcullis_retries_total", &["reason=\"draining\""])
        .await;
    assert!(retries > 0.5, "{retries}");
}

#[tokio::test]
async fn a_post_hears_that_its_backend_ends() {
    let leaving = Backend::canned_once(LEAVING).await;
    let proxy = Setup::to(&[&leaving]).threads(1).start().await;
    let reply = proxy.request("POST", "/").body("x").send().await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "bye!".into()));
    assert_eq!(leaving.requests().len(), 1);
}

#[tokio::test]
async fn the_answer_of_the_last_backend_stands_and_nobody_waits() {
    let leaving = Backend::canned_once(LEAVING).await;
    let proxy = Setup::to(&[&leaving]).threads(1).start().await;
    for asked in 1..=3 {
        let reply = tokio::time::timeout(Duration::from_secs(8), proxy.get("/"))
            .await
            .unwrap();
        assert_eq!((reply.status.as_u16(), reply.text()), (503, "bye!".into()));
        assert_eq!(leaving.requests().len(), asked);
    }
}

#[tokio::test]
async fn a_backend_that_is_well_again_gets_its_share() {
    let connections = Arc::new(AtomicUsize::new(0));
    let restarting = Backend::scripted(move |mut conn| {
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            while conn.head().await.is_some() {
                if is_first {
                    return conn.write(LEAVING).await;
                }
                conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    .await?;
            }
            Ok(())
        }
    })
    .await;
    let other = Backend::echo().await;
    let proxy = Setup::to(&[&restarting, &other])
        .threads(1)
        .upstream("balance = \"round_robin\"")
        .start()
        .await;
    for _ in 0..4 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    // A probe finds it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = restarting.requests().len();
    for _ in 0..20 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    let share = restarting.requests().len() - before;
    assert!((9..=11).contains(&share), "{share} of 20");
}

/// Answers the first request of each connection, and hangs up at the second.
async fn tired() -> Backend {
    Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntired")
            .await?;
        conn.head().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_on_a_connection_that_died_goes_to_another_backend() {
    let (tired, well) = (tired().await, Backend::echo().await);
    let proxy = Setup::to(&[&tired, &well])
        .threads(1)
        .upstream("balance = \"round_robin\"")
        .start()
        .await;
    for _ in 0..3 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    let stale = &["reason=\"stale_connection\""];
    assert!((proxy.metric("portcullis_retries_total", stale).await - 1.0).abs() < 0.1);
    assert_eq!((tired.connections(), well.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_session_stays_with_its_backend_when_a_connection_died() {
    let (tired, well) = (tired().await, Backend::echo().await);
    let proxy = Setup::to(&[&tired, &well])
        .threads(1)
        .upstream("sticky = \"cookie\"\nbalance = \"round_robin\"")
        .start()
        .await;
    let first = proxy.get("/").await;
    assert_eq!(first.text(), "tired");
    let cookie = first.header("set-cookie").split(';').next().unwrap();
    let second = proxy
        .request("GET", "/")
        .header("cookie", cookie)
        .send()
        .await;
    assert_eq!(second.text(), "tired");
    assert_eq!((tired.connections(), well.requests().len()), (2, 0));
}
