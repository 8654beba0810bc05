//! The operator's listener: health, metrics, and who may ask.

use crate::harness::{
    backend::Backend,
    eventually,
    setup::{SPA, Setup, folder_with_spa},
};

#[tokio::test]
async fn is_live_and_ready() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    assert_eq!(proxy.admin("/health/live").await.status, 200);
    assert_eq!(proxy.admin("/health/ready").await.status, 200);
}

#[tokio::test]
async fn is_live_but_not_ready_while_draining() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.closed().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let request = proxy.request("GET", "/slow");
    let waiting = tokio::spawn(request.try_open());
    eventually("a request in flight", async || {
        (backend.open() == 1).then_some(())
    })
    .await;
    proxy.signal("TERM");
    proxy.logged(&["draining"]).await;
    assert_eq!(proxy.admin("/health/ready").await.status, 503);
    assert_eq!(proxy.admin("/health/live").await.status, 200);
    waiting.abort();
}

#[tokio::test]
async fn metrics_are_prometheus() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    proxy.get("/").await;
    let page = proxy.admin("/metrics").await;
    assert!(
        page.header("content-type").starts_with("text/plain"),
        "{page:?}"
    );
    for line in page
        .text()
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        assert!(line.starts_with("portcullis_"), "{line}");
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok() || value == "+Inf", "{line}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .route("/spa/", SPA)
        .start_in(folder_with_spa())
        .await;
    for _ in 0..3 {
        proxy.get("/x").await;
    }
    proxy.get("/spa/none.js").await;
    eventually("the counts", async || {
        let good = proxy.metric("portcullis_requests_total", &["\"2"]).await;
        let missed = proxy.metric("portcullis_requests_total", &["\"4"]).await;
        (good >= 3.0 && missed >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn labels_do_not_grow_with_what_clients_send() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut session = proxy.session().await;
    session.send(proxy.request("GET", "/")).await;
    let before = proxy.admin("/metrics").await.text().lines().count();
    for index in 0..50 {
        session
            .send(
                proxy
                    .request("GET", &format!("/{index}"))
                    .host(&format!("{index}.test")),
            )
            .await;
        session
            .send(proxy.request("GET", &format!("/{index}")))
            .await;
    }
    let page = proxy.admin("/metrics").await.text();
    assert!(
        page.lines().count() < before + 60,
        "{} to {}",
        before,
        page.lines().count()
    );
    assert!(!page.contains("49.test") && !page.contains("/49"));
}

#[tokio::test]
async fn a_token_is_asked_for_when_there_is_one() {
    let proxy = Setup::new()
        .admin("{ address = \"127.0.0.1:0\", token = \"sesame-open\" }")
        .route("/", "respond = { status = 200, body = \"x\" }")
        .start()
        .await;
    assert_eq!(proxy.admin("/metrics").await.status, 401);
    let wrong = proxy
        .admin_request("GET", "/metrics")
        .header("authorization", "Bearer sesame-close");
    assert_eq!(wrong.send().await.status, 401);
    let right = proxy
        .admin_request("GET", "/metrics")
        .header("authorization", "Bearer sesame-open");
    assert_eq!(right.send().await.status, 200);
    assert!(!proxy.log().all().join("\n").contains("sesame"));
}

#[tokio::test]
async fn other_pages_and_methods_are_refused() {
    let proxy = Setup::new()
        .route("/", "respond = { status = 200, body = \"x\" }")
        .start()
        .await;
    assert_eq!(proxy.admin("/none").await.status, 404);
    assert_eq!(
        proxy.admin_request("POST", "/metrics").send().await.status,
        405
    );
    let reply = proxy
        .admin_request("GET", "/metrics")
        .header("origin", "https://evil.test")
        .send()
        .await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn backends_are_shown_as_they_are() {
    let mut backend = Backend::echo().await;
    let stays = Backend::echo().await;
    let proxy = Setup::to(&[&backend, &stays])
        .upstream("probe = { interval = \"50ms\", rise = 1, fall = 1 }")
        .start()
        .await;
    let address = backend.address().to_string();
    let health = async || proxy.metric("portcullis_backend_up", &[&address]).await;
    eventually("a healthy backend", async || {
        (health().await > 0.5).then_some(())
    })
    .await;
    backend.kill().await;
    eventually("an unhealthy backend", async || {
        (health().await < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn certificates_tell_when_they_expire() {
    let proxy = Setup::new()
        .route("/", "respond = { status = 200, body = \"x\" }")
        .start()
        .await;
    assert!(
        proxy
            .metric("portcullis_certificate_", &["site.test"])
            .await
            > 1.0e9
    );
}
