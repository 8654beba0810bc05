//! Answers that take their time, end early, or break; clients that leave.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::{sync::mpsc, time::timeout};

use crate::harness::{
    HOST, PATIENCE, Proxy, backend::Backend, client::Reply, eventually, raw::status_of,
    setup::Setup,
};

/// A backend that sends an event for each unit it is given.
async fn events() -> (Backend, mpsc::UnboundedSender<()>) {
    let (next, given) = mpsc::unbounded_channel();
    let given = std::sync::Arc::new(tokio::sync::Mutex::new(given));
    let backend = Backend::scripted(move |mut conn| {
        let given = given.clone();
        async move {
            conn.head().await;
            conn.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let mut given = given.lock().await;
            let mut count = 0;
            while given.recv().await.is_some() {
                let event = format!("data: {count}\n\n");
                conn.write(&format!("{:x}\r\n{event}\r\n", event.len())).await?;
                count += 1;
            }
            conn.write("0\r\n\r\n").await
        }
    })
    .await;
    (backend, next)
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    for http2 in [false, true] {
        let (backend, next) = events().await;
        let proxy = Setup::to(&[&backend]).start().await;
        let request = proxy
            .request("GET", "/")
            .header("accept", "text/event-stream");
        let mut response = if http2 { request.h2() } else { request }.open().await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        for count in 0..5 {
            next.send(()).unwrap();
            // The backend sends nothing more until this one has come.
            let frame = timeout(PATIENCE, response.body_mut().frame())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            assert_eq!(frame.into_data().unwrap(), format!("data: {count}\n\n"));
        }
        drop(next);
        let rest = response.into_body().collect().await.unwrap();
        assert!(rest.to_bytes().is_empty());
    }
}

#[tokio::test]
async fn event_streams_are_exempt_from_the_header_timeout() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        // Nest sends no head before the first event.
        tokio::time::sleep(Duration::from_millis(600)).await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: 1\n\n").await
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .upstream("timeout = { header = \"200ms\" }")
        .start()
        .await;
    let quiet = proxy
        .request("GET", "/")
        .header("accept", "text/event-stream")
        .send()
        .await;
    assert_eq!(
        (quiet.status.as_u16(), &*quiet.text()),
        (200, "data: 1\n\n")
    );
    assert_eq!(proxy.get("/").await.status, 504);
}

#[tokio::test]
async fn an_event_stream_may_be_as_silent_as_a_tunnel() {
    for (kind, is_whole) in [("text/event-stream", true), ("text/plain", false)] {
        let backend = Backend::scripted(move |mut conn| async move {
            conn.head().await;
            conn.write(&format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 12\r\n\r\nfirst;"
            ))
            .await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            conn.write("second").await
        })
        .await;
        let proxy = Setup::to(&[&backend])
            .server("tunnel_timeout = \"10s\"")
            .upstream("timeout = { idle = \"300ms\" }")
            .start()
            .await;
        let reply = Reply::read(proxy.get_open("/").await).await;
        assert_eq!(reply.is_ok(), is_whole, "{kind}");
    }
}

#[tokio::test]
async fn an_event_stream_that_is_silent_for_longer_ends() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n")
            .await?;
        conn.closed().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .server("tunnel_timeout = \"300ms\"")
        .start()
        .await;
    let reply = timeout(PATIENCE, Reply::read(proxy.get_open("/").await)).await;
    assert!(reply.expect("a silent event stream stays open").is_err());
}

#[tokio::test]
async fn a_client_that_resets_its_stream_cancels_the_backends_request() {
    let (backend, next) = events().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut response = proxy.request("GET", "/stream").h2().open().await;
    next.send(()).unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    eventually("the backend's end", async || {
        // A backend that only writes notices at its next writes.
        let _ = next.send(());
        (backend.open() == 0).then_some(())
    })
    .await;
    assert_eq!(proxy.access("/stream").await["status"], 200);
}

#[tokio::test]
async fn a_backend_that_dies_in_its_body_breaks_the_answer_off() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ] {
        let backend = Backend::canned_once(answer).await;
        let proxy = Setup::to(&[&backend]).start().await;
        for http2 in [false, true] {
            let request = proxy.request("GET", "/dies");
            // The break may overtake the head.
            if let Ok(response) = if http2 { request.h2() } else { request }.try_open().await {
                assert_eq!(response.status(), 200);
                assert!(
                    Reply::read(response).await.is_err(),
                    "a cut answer must not look whole"
                );
            }
        }
        proxy.access("/dies").await;
    }
}

#[tokio::test]
async fn a_backend_that_closes_without_an_answer_is_502() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    assert_eq!(
        proxy.request("POST", "/").body("x").send().await.status,
        502
    );
}

#[tokio::test]
async fn a_backend_that_closes_in_its_head_is_502() {
    let backend = Backend::canned_once("HTTP/1.1 200 OK\r\nContent-Le").await;
    let proxy = Setup::to(&[&backend]).start().await;
    assert_eq!(
        proxy.request("POST", "/").body("x").send().await.status,
        502
    );
}

#[tokio::test]
async fn an_early_answer_is_passed_on_while_the_body_still_comes() {
    let backend = Backend::canned_once(
        "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig",
    )
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100000\r\n\r\nfirst bytes"
    ))
    .await;
    let (head, body) = raw.response().await;
    assert!(head.starts_with("http/1.1 413"), "{head}");
    assert_eq!(body, "big");
}

#[tokio::test]
async fn interim_answers_do_not_stand_for_the_answer() {
    let backend = Backend::canned(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    for _ in 0..3 {
        let reply = proxy.get("/").await;
        assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "ok"));
    }
}

#[tokio::test]
async fn a_response_head_over_64_kib_is_502_and_one_below_passes() {
    for (size, status) in [(60 << 10, 200), (70 << 10, 502)] {
        let backend = Backend::scripted(move |mut conn| async move {
            conn.head().await;
            let field = format!("X-Large: {}\r\n", "x".repeat(1000));
            let fields = field.repeat(size / field.len());
            conn.write(&format!(
                "HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"
            ))
            .await
        })
        .await;
        let proxy = Setup::to(&[&backend]).start().await;
        let mut raw = proxy.raw().await;
        raw.send(format!(
            "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        ))
        .await;
        assert_eq!(status_of(&raw.read_to_end().await), status, "{size}");
    }
}

#[tokio::test]
async fn answers_that_are_not_http_are_502() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Field: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    ] {
        let backend = Backend::canned_once(answer).await;
        let proxy = Setup::to(&[&backend]).start().await;
        assert_eq!(proxy.get("/").await.status, 502, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_cut() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await?;
        conn.closed().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .upstream("timeout = { idle = \"300ms\" }")
        .start()
        .await;
    let response = proxy.get_open("/").await;
    assert!(Reply::read(response).await.is_err());
    eventually("the backend's end", async || {
        (backend.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_does_not_make_the_proxy_hold_the_answer() {
    let proxy: Proxy = {
        let backend = Backend::scripted(|mut conn| async move {
            conn.head().await;
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
                .await?;
            let piece = "x".repeat(1 << 16);
            loop {
                conn.write(&piece).await?;
            }
        })
        .await;
        let proxy = Setup::to(&[&backend]).start().await;
        let mut response = proxy.get_open("/").await;
        response.body_mut().frame().await.unwrap().unwrap();
        // Whoever would buffer takes what it can get in this time.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(proxy.resident_mib() < 200, "{} MiB", proxy.resident_mib());
        proxy
    };
    drop(proxy);
}
