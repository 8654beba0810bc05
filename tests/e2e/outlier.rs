//! A backend whose answers are bad while those of the others are good.

use crate::harness::{
    Proxy,
    backend::{Backend, full},
    client::Reply,
    eventually,
    scripted::Conn,
    setup::Setup,
};

/// Two good backends and a bad one.
async fn over(bad: &Backend, keys: &str) -> (Proxy, [Backend; 2]) {
    let good = [Backend::echo().await, Backend::echo().await];
    let proxy = Setup::to(&[bad, &good[0], &good[1]])
        .threads(1)
        .upstream("balance = \"round_robin\"")
        .upstream(keys)
        .start()
        .await;
    (proxy, good)
}

async fn failing() -> Backend {
    Backend::with(|_| async {
        let mut response = http::Response::new(full("no database"));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
    .await
}

#[tokio::test]
async fn a_backend_that_answers_500_to_everything_is_spared() {
    let bad = failing().await;
    let (proxy, good) = over(&bad, "").await;
    let mut session = proxy.session().await;
    let mut failed = 0;
    for _ in 0..300 {
        let reply = session.send(proxy.request("GET", "/")).await;
        failed += usize::from(reply.status == 500);
    }
    println!(
        "of 300 requests the bad one got {}, the good ones {} and {}",
        bad.requests().len(),
        good[0].requests().len(),
        good[1].requests().len()
    );
    assert_eq!(failed, 20, "as many as the sample has");
    proxy.logged(&["backend is ejected", "bad=20"]).await;
    let label = format!("backend=\"{}\"", bad.url());
    let is = async |name| proxy.metric(name, &[&label]).await > 0.5;
    assert!(is("portcullis_backend_ejected").await);
    assert!(is("portcullis_backend_ejections_total").await);
    assert!(!is("portcullis_backend_up").await);
    let page = proxy.admin("/api/upstreams").await.json();
    assert_eq!(page["upstreams"][0]["backends"][0]["state"], "ejected");
}

#[tokio::test]
async fn a_backend_that_resets_after_the_head_is_spared() {
    let bad = Backend::scripted(|mut conn: Conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nthe first")
            .await?;
        Ok(())
    })
    .await;
    let (proxy, _good) = over(&bad, "").await;
    let mut broken = 0;
    for _ in 0..150 {
        let whole = match proxy.request("GET", "/").try_open().await {
            Ok(response) => Reply::read(response).await.is_ok(),
            Err(_) => false,
        };
        broken += usize::from(!whole);
    }
    assert!((20..24).contains(&broken), "{broken} of 150");
    proxy.logged(&["backend is ejected"]).await;
}

#[tokio::test]
async fn a_backend_is_taken_back_and_ejected_again_if_it_is_no_better() {
    let bad = failing().await;
    let (proxy, _good) = over(
        &bad,
        "outlier = { requests = 5, window = \"2s\", eject = \"1s\" }",
    )
    .await;
    let mut session = proxy.session().await;
    let label = format!("backend=\"{}\"", bad.url());
    eventually("a second ejection", async || {
        session.send(proxy.request("GET", "/")).await;
        let times = proxy
            .metric("portcullis_backend_ejections_total", &[&label])
            .await;
        (times > 1.5).then_some(())
    })
    .await;
    proxy.logged(&["taken back"]).await;
}

#[tokio::test]
async fn a_route_that_fails_everywhere_ejects_nobody() {
    let (one, other) = (failing().await, failing().await);
    let proxy = Setup::to(&[&one, &other]).threads(1).start().await;
    let mut session = proxy.session().await;
    for _ in 0..200 {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 500);
    }
    assert!(one.requests().len() > 40 && other.requests().len() > 40);
    assert!(proxy.metric("portcullis_backend_up", &[]).await > 1.5);
}
