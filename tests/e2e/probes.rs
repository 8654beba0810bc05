//! Active checks of Node backends: what they ask, what counts as good, and what the log says.

use crate::harness::{Proxy, command::portcullis, eventually, node::Node, setup::Setup};

const KEY: &str = "nobody-may-read-this";

/// A proxy that probes `/health` of `backend` often, with `keys` beside.
async fn probing(backend: &Node, keys: &str) -> Proxy {
    setup(backend, keys).start().await
}

fn setup(backend: &Node, keys: &str) -> Setup {
    let probe = format!(
        "[upstream.app.probe]\npath = \"/health\"\ninterval = \"50ms\"\nrise = 1\nfall = 1\n{keys}"
    );
    Setup::to_urls(&[backend.url("http")])
        .upstream(&probe)
        .route("/", "proxy = { upstream = \"app\" }")
}

async fn is_up(proxy: &Proxy, wanted: bool) {
    eventually("the backend's state", async || {
        let up = proxy.metric("portcullis_backend_up", &["\"app\""]).await;
        ((up > 0.5) == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_body_without_the_text_is_bad_and_with_it_good_again() {
    for variables in [&[][..], &[("CHUNKED", "1")]] {
        let backend = Node::start("health.mjs", variables).await;
        let proxy = probing(&backend, "contains = '\"status\":\"ok\"'").await;
        let line = proxy.logged(&["WARN", "backend is unhealthy"]).await;
        let reason = r#"answered 200, but the body does not contain "\"status\":\"ok\"""#;
        assert!(line.contains(reason), "{line}");
        assert!(!line.contains("error"), "the body is shown: {line}");
        is_up(&proxy, false).await;
        // When all are unhealthy, all are candidates: the news gets through.
        assert_eq!(proxy.request("POST", "/status/ok").send().await.status, 200);
        proxy.logged(&["backend is healthy"]).await;
        is_up(&proxy, true).await;
        proxy.request("POST", "/status/error").send().await;
        is_up(&proxy, false).await;
    }
}

#[tokio::test]
async fn a_guarded_health_check_wants_its_header_which_nobody_shows() {
    let backend = Node::start("health.mjs", &[("HEALTH_KEY", KEY)]).await;
    let proxy = probing(&backend, "").await;
    let line = proxy.logged(&["WARN", "backend is unhealthy"]).await;
    assert!(line.contains("answered 401 Unauthorized"), "{line}");
    is_up(&proxy, false).await;
    let headers = format!("headers = {{ Authorization = \"{KEY}\" }}");
    let toml = setup(&backend, &headers).log("level = \"debug\"").toml();
    proxy.reload(&toml).await;
    is_up(&proxy, true).await;
    let file = proxy.dir().join("portcullis.toml");
    let file = file.to_str().unwrap();
    let said = portcullis(&["explain", "--config", file, "GET", "https://site.test/"]).await;
    assert!(
        said.stdout
            .contains("probe       GET /health with authorization, good is 200\n"),
        "{}",
        said.all()
    );
    // One more fault on the same line does not show it either.
    proxy.configure(&toml.replace("Authorization", "x = 1, Authorization"));
    let checked = portcullis(&["check", "--config", file]).await;
    assert!(
        checked.stderr.contains("`x` is an integer"),
        "{}",
        checked.all()
    );
    let log = proxy.log().all().join("\n");
    for text in [&said.all(), &checked.all(), &log] {
        assert!(!text.contains(KEY), "{text}");
    }
}

#[tokio::test]
async fn a_virtual_host_is_asked_by_its_name() {
    let backend = Node::start("health.mjs", &[("HEALTH_HOST", "api.test:8443")]).await;
    let proxy = probing(&backend, "").await;
    let line = proxy.logged(&["WARN", "backend is unhealthy"]).await;
    assert!(line.contains("answered 404 Not Found"), "{line}");
    is_up(&proxy, false).await;
    let toml = setup(&backend, "host = \"api.test:8443\"").toml();
    proxy.reload(&toml).await;
    is_up(&proxy, true).await;
}
