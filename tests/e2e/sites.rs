//! Which site, and which route of it, a request meets.

use crate::harness::{
    HOST, Proxy, backend::Backend, client::Request, folder, pki::Pki, raw::status_of, setup::Setup,
};

const MINE: &str = "respond = { status = 200, body = \"mine\" }";

#[tokio::test]
async fn routes_exact_before_longest_prefix_on_segment_borders() {
    let backend = Backend::echo().await;
    let respond = |body: &str| format!("respond = {{ status = 200, body = \"{body}\" }}");
    let proxy = Setup::to(&[&backend])
        .route("/a/", &respond("a"))
        .route("/a/b/", &respond("ab"))
        .route("=/a/b/exact", &respond("exact"))
        .start()
        .await;
    for (path, body) in [
        ("/a/x", "a"),
        ("/a/b/x", "ab"),
        ("/a/b/exact", "exact"),
        ("/a/b/exact/x", "ab"),
        ("/a/bc", "a"),
    ] {
        assert_eq!(proxy.get(path).await.text(), body, "{path}");
    }
    assert_eq!(proxy.get("/ab").await.json()["target"], "/ab");
}

async fn asked(proxy: &Proxy, host: &str) -> (u16, String) {
    let reply = proxy.request("GET", "/").host(host).send().await;
    (reply.status.as_u16(), reply.text())
}

#[tokio::test]
async fn a_host_is_one_however_it_is_written() {
    let proxy = Setup::new().route("/", MINE).start().await;
    for host in [
        HOST,
        "SITE.test",
        "site.test.",
        "site.test:443",
        "site.test:1",
        "Site.Test.:8443",
    ] {
        assert_eq!(asked(&proxy, host).await, (200, "mine".into()), "{host}");
    }
    for host in [
        "other.test",
        "xsite.test",
        "a.site.test",
        "test",
        "127.0.0.1",
    ] {
        assert_eq!(asked(&proxy, host).await.0, 404, "{host}");
    }
}

#[tokio::test]
async fn a_wildcard_holds_any_depth_and_not_its_own_name() {
    let dir = folder();
    Pki::get().write_leaf(dir.path(), "site", &[HOST, "*.wild.test"]);
    let wild = "[[site]]\nhosts = [\"*.wild.test\"]\n\
                certificate = { chain = \"@dir/site.pem\", key = \"@dir/site.key\" }\n\
                [[site.route]]\npath = \"/\"\nrespond = { status = 200, body = \"wild\" }\n";
    let proxy = Setup::new().route("/", MINE).more(wild).start_in(dir).await;
    assert_eq!(asked(&proxy, "a.wild.test").await, (200, "wild".into()));
    assert_eq!(asked(&proxy, "a.b.wild.test").await, (200, "wild".into()));
    assert_eq!(asked(&proxy, "wild.test").await.0, 404);
    assert_eq!(asked(&proxy, "awild.test").await.0, 404);
}

#[tokio::test]
async fn a_listener_may_have_a_site_for_unknown_hosts() {
    let proxy = Setup::new()
        .listener("default_site = \"site.test\"")
        .route("/", MINE)
        .start()
        .await;
    assert_eq!(asked(&proxy, "unknown.test").await, (200, "mine".into()));
    assert_eq!(asked(&proxy, "127.0.0.1").await, (200, "mine".into()));
}

#[tokio::test]
async fn one_h2_connection_may_ask_for_several_hosts_of_its_certificate() {
    let dir = folder();
    Pki::get().write_leaf(dir.path(), "site", &[HOST, "second.test"]);
    let second = "[[site]]\nhosts = [\"second.test\"]\n\
                  certificate = { chain = \"@dir/site.pem\", key = \"@dir/site.key\" }\n\
                  [[site.route]]\npath = \"/\"\nrespond = { status = 200, body = \"second\" }\n";
    let proxy = Setup::new()
        .route("/", MINE)
        .more(second)
        .start_in(dir)
        .await;
    let mut session = proxy.session2().await;
    for (host, body) in [(HOST, "mine"), ("second.test", "second"), (HOST, "mine")] {
        let request = Request::new(proxy.target(), "GET", "/").host(host);
        assert_eq!(session.send(request).await.text(), body);
    }
}

#[tokio::test]
async fn an_encoded_slash_is_no_border() {
    let proxy = Setup::new()
        .route("/api/", "respond = { status = 200, body = \"api\" }")
        .route("/", MINE)
        .start()
        .await;
    for (path, body) in [
        ("/api/x", "api"),
        ("/api%2Fx", "mine"),
        ("/%61pi/x", "mine"),
        ("//api/x", "mine"),
    ] {
        assert_eq!(proxy.get(path).await.text(), body, "{path}");
    }
}

#[tokio::test]
async fn options_for_the_whole_server_is_answered() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    ))
    .await;
    let status = status_of(&raw.read_to_end().await);
    assert!([200, 204, 400, 404, 405].contains(&status), "{status}");
}

#[tokio::test]
async fn a_site_answers_as_it_is_told() {
    let proxy = Setup::new()
        .route(
            "=/teapot",
            "respond = { status = 418, body = \"{}\", content_type = \"application/json\" }",
        )
        .start()
        .await;
    let reply = proxy.get("/teapot").await;
    assert_eq!((reply.status.as_u16(), &*reply.text()), (418, "{}"));
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(proxy.request("HEAD", "/teapot").send().await.body.len(), 0);
}
