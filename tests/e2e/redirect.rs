//! The plain listener: 308 to https for known hosts, 404 for others, nothing else.

use std::net::TcpListener;

use crate::harness::{
    HOST, Proxy,
    backend::Backend,
    client::Target,
    raw::{Raw, status_of},
    setup::Setup,
};

async fn site() -> Proxy {
    Setup::new()
        .route("/", "respond = { status = 200, body = \"here\" }")
        .start()
        .await
}

#[tokio::test]
async fn redirects_with_host_path_and_query_kept() {
    let proxy = site().await;
    let reply = proxy.plain("GET", "/a%2Fb//c;d?x=%20y&z").send().await;
    assert_eq!(reply.status, 308);
    let location = reply.header("location");
    assert!(
        location.starts_with(&format!("https://{HOST}")),
        "{location}"
    );
    assert!(location.ends_with("/a%2Fb//c;d?x=%20y&z"), "{location}");
}

#[tokio::test]
async fn keeps_the_method_whatever_it_is() {
    let proxy = site().await;
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        assert_eq!(
            proxy.plain(method, "/").send().await.status,
            308,
            "{method}"
        );
    }
}

#[tokio::test]
async fn answers_404_to_hosts_it_does_not_have() {
    let proxy = site().await;
    let reply = proxy.plain("GET", "/").host("evil.test").send().await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.header("location"), "");
}

#[tokio::test]
async fn redirects_hosts_of_a_wildcard_site() {
    let dir = crate::harness::folder();
    crate::harness::pki::Pki::get().write_leaf(dir.path(), "wild", &["*.wild.test"]);
    let proxy = Setup::new()
        .route("/", "respond = { status = 200, body = \"here\" }")
        .more(
            "[[site]]\nhosts = [\"*.wild.test\"]\n\
             certificate = { chain = \"@dir/wild.pem\", key = \"@dir/wild.key\" }\n\
             [[site.route]]\npath = \"/\"\nrespond = { status = 200, body = \"wild\" }\n",
        )
        .start_in(dir)
        .await;
    let reply = proxy.plain("GET", "/x").host("A.wild.test").send().await;
    assert_eq!(reply.status, 308);
    assert!(
        reply.header("location").starts_with("https://a.wild.test"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn never_reaches_a_backend_without_tls() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    assert_eq!(
        proxy
            .plain("POST", "/login")
            .body("secret")
            .send()
            .await
            .status,
        308
    );
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn drops_the_port_of_the_plain_listener() {
    let proxy = site().await;
    let reply = proxy
        .plain("GET", "/x")
        .host(&format!("{HOST}:8080"))
        .send()
        .await;
    assert_eq!(reply.status, 308);
    assert!(!reply.header("location").contains(":8080"), "{reply:?}");
}

#[tokio::test]
async fn names_the_port_of_the_tls_listener() {
    // Chosen by the system, given back, and taken again at once.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let toml = Setup::new()
        .route("/", "respond = { status = 200, body = \"here\" }")
        .toml()
        .replacen("127.0.0.1:0\"\ntls", &format!("127.0.0.1:{port}\"\ntls"), 1);
    let proxy = Proxy::start(&toml).await;
    // A client that came to the very port finds TLS at its port too.
    let host = format!("{HOST}:{}", proxy.http().port());
    let reply = proxy.plain("GET", "/x").host(&host).send().await;
    assert_eq!(reply.header("location"), format!("https://{HOST}:{port}/x"));
    // One that came by another is behind a mapping of ports, of which nothing is known.
    let reply = proxy.plain("GET", "/x").send().await;
    assert_eq!(reply.header("location"), format!("https://{HOST}/x"));
}

#[tokio::test]
async fn never_sends_hsts_in_the_clear() {
    let proxy = site().await;
    for host in [HOST, "evil.test"] {
        let reply = proxy.plain("GET", "/").host(host).send().await;
        assert_eq!(reply.header("strict-transport-security"), "");
    }
}

#[tokio::test]
async fn refuses_a_request_without_a_host() {
    let proxy = site().await;
    let mut raw = Raw::connect(&Target::plain(proxy.http())).await.unwrap();
    raw.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status_of(&raw.read_to_end().await), 400);
}

#[tokio::test]
async fn tells_a_tls_client_on_the_plain_port_that_it_is_wrong() {
    let proxy = site().await;
    let mut raw = Raw::connect(&Target::plain(proxy.http())).await.unwrap();
    raw.send([0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x00])
        .await;
    let answer = raw.read_to_end().await;
    assert!(answer.is_empty() || status_of(&answer) == 400, "{answer}");
}

#[tokio::test]
async fn a_route_redirects_as_it_is_told() {
    let proxy = Setup::new()
        .route(
            "/old/",
            "redirect = { to = \"https://{host}/new{path}{query}\", status = 301 }",
        )
        .route("/", "respond = { status = 200, body = \"here\" }")
        .start()
        .await;
    let reply = proxy.get("/old/a?b=c").await;
    assert_eq!(reply.status, 301);
    assert_eq!(
        reply.header("location"),
        format!("https://{HOST}/new/old/a?b=c")
    );
}
