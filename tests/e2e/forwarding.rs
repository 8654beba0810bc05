//! Fields that tell who asks, and fields that stop here.

use crate::harness::{
    HOST, Proxy,
    backend::{Backend, echoed, full},
    client::Request,
    setup::Setup,
};

async fn echo(server: &str) -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).server(server).start().await;
    (backend, proxy)
}

fn forged(proxy: &Proxy) -> Request {
    proxy
        .request("GET", "/")
        .header("x-forwarded-for", "6.6.6.6, 7.7.7.7")
        .header("x-forwarded-proto", "http")
        .header("x-forwarded-host", "evil.test")
        .header("x-forwarded-port", "1")
        .header("x-real-ip", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6;proto=http;host=evil.test")
}

#[tokio::test]
async fn overwrites_what_a_stranger_claims() {
    let (_backend, proxy) = echo("").await;
    let echo = forged(&proxy).send().await.json();
    assert_eq!(echoed(&echo, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(echoed(&echo, "x-forwarded-proto"), ["https"]);
    assert_eq!(echoed(&echo, "x-forwarded-host"), [HOST]);
    assert_eq!(echoed(&echo, "x-real-ip"), ["127.0.0.1"]);
    assert!(!echo.to_string().contains("6.6.6.6"), "{echo}");
    assert!(!echo.to_string().contains("evil.test"), "{echo}");
}

#[tokio::test]
async fn says_the_port_that_the_client_asked_for() {
    let (_backend, proxy) = echo("").await;
    let host = format!("{HOST}:8443");
    let echo = proxy.request("GET", "/").host(&host).send().await.json();
    assert_eq!(echoed(&echo, "host"), [&*host]);
    assert_eq!(echoed(&echo, "x-forwarded-port"), ["8443"]);
}

#[tokio::test]
async fn writes_forwarded_too() {
    let (_backend, proxy) = echo("").await;
    let echo = proxy.get("/").await.json();
    let forwarded = echoed(&echo, "forwarded").join(",").to_ascii_lowercase();
    assert!(
        forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=https"),
        "{forwarded}"
    );
}

#[tokio::test]
async fn believes_a_trusted_proxy_and_walks_right_to_left() {
    let (_backend, proxy) = echo("trusted_proxies = [\"127.0.0.0/8\", \"7.7.7.7\"]").await;
    let echo = forged(&proxy).send().await.json();
    assert_eq!(echoed(&echo, "x-real-ip"), ["6.6.6.6"]);
    assert_eq!(echoed(&echo, "x-forwarded-proto"), ["http"]);
    let line = proxy.access("/").await;
    assert_eq!(line["client"], "6.6.6.6");
}

#[tokio::test]
async fn stops_at_the_first_address_that_is_not_trusted() {
    let (_backend, proxy) = echo("trusted_proxies = [\"127.0.0.0/8\"]").await;
    let echo = proxy
        .request("GET", "/")
        .header("x-forwarded-for", "1.1.1.1, 8.8.8.8")
        .send()
        .await
        .json();
    assert_eq!(echoed(&echo, "x-real-ip"), ["8.8.8.8"]);
}

#[tokio::test]
async fn hop_by_hop_fields_stop_here() {
    let (_backend, proxy) = echo("").await;
    let echo = proxy
        .request("GET", "/")
        .header("connection", "close, x-private")
        .header("x-private", "1")
        .header("keep-alive", "timeout=5")
        .header("te", "gzip")
        .header("proxy-authorization", "Basic eDp5")
        .header("proxy-connection", "keep-alive")
        .header("x-public", "2")
        .send()
        .await
        .json();
    for name in [
        "x-private",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
    ] {
        assert!(echoed(&echo, name).is_empty(), "{name} in {echo}");
    }
    assert!(!echoed(&echo, "connection").contains(&"close, x-private"));
    assert_eq!(echoed(&echo, "x-public"), ["2"]);
}

#[tokio::test]
async fn connection_cannot_strip_what_the_proxy_writes() {
    let (_backend, proxy) = echo("").await;
    let named = "close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Real-IP, Forwarded, X-Request-Id, Host";
    let echo = proxy
        .request("GET", "/")
        .header("connection", named)
        .send()
        .await
        .json();
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
        "host",
    ] {
        assert_eq!(echoed(&echo, name).len(), 1, "{name} in {echo}");
    }
}

#[tokio::test]
async fn connection_cannot_strip_what_the_application_needs() {
    let (_backend, proxy) = echo("").await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close, Content-Length\r\nContent-Length: 5\r\n\r\nhello"
    ))
    .await;
    let answer = raw.read_to_end().await;
    // Either refused or passed with its length: never a body without one.
    assert!(
        answer.contains("\"length\":5") || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
}

#[tokio::test]
async fn hop_by_hop_fields_of_the_answer_stop_here() {
    let backend = Backend::canned(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Public: 2\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    for reply in [
        proxy.get("/").await,
        proxy.request("GET", "/").h2().send().await,
    ] {
        for name in ["keep-alive", "x-private", "proxy-authenticate", "upgrade"] {
            assert_eq!(reply.header(name), "", "{name}");
        }
        assert_eq!((reply.header("x-public"), &*reply.text()), ("2", "ok"));
    }
}

#[tokio::test]
async fn keeps_the_host_of_both_protocols() {
    let (_backend, proxy) = echo("").await;
    for http2 in [false, true] {
        let request = proxy.request("GET", "/").host(HOST);
        let request = if http2 { request.h2() } else { request };
        let echo = request.send().await.json();
        assert_eq!(echoed(&echo, "host"), [HOST]);
    }
}

#[tokio::test]
async fn merges_cookie_crumbs_of_h2() {
    let (_backend, proxy) = echo("").await;
    let request = proxy.request("GET", "/").h2();
    let echo = request
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("cookie", "c=3")
        .send()
        .await
        .json();
    assert_eq!(echoed(&echo, "cookie"), ["a=1; b=2; c=3"]);
}

#[tokio::test]
async fn keeps_repeated_fields_in_order() {
    let backend = Backend::with(|request: http::Request<hyper::body::Incoming>| async move {
        let values: Vec<_> = request
            .headers()
            .get_all("x-many")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        http::Response::new(full(values.join("|")))
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let reply = proxy
        .request("GET", "/")
        .header("x-many", "b")
        .header("x-many", "a")
        .send()
        .await;
    assert_eq!(reply.text(), "b|a");
}

#[tokio::test]
async fn keeps_credentials_and_latin_1() {
    let (_backend, proxy) = echo("").await;
    let echo = proxy
        .request("GET", "/")
        .header("authorization", "Bearer a.b.c")
        .header("x-name", "caf\u{e9}")
        .send()
        .await
        .json();
    assert_eq!(echoed(&echo, "authorization"), ["Bearer a.b.c"]);
    assert_eq!(echoed(&echo, "x-name").len(), 1);
}
