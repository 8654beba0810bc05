//! Without a file: `serve`, development certificates, and `status`.

use std::net::TcpListener;

use crate::harness::{
    HOST, Proxy,
    backend::Backend,
    client::{Request, Target},
    command::portcullis,
    folder, pki,
    setup::{Setup, folder_with_spa},
};

/// A request to `localhost`, whose certificate the development authority has signed.
fn request(proxy: &Proxy, path: &str) -> Request {
    let config = pki::client_of(&proxy.dir().join("dev/ca.pem"));
    let target = Target::tls(proxy.https()).name("localhost").config(config);
    let host = format!("localhost:{}", proxy.https().port());
    Request::new(target, "GET", path).host(&host)
}

#[tokio::test]
async fn shows_a_start_page_when_there_is_nothing_to_serve() {
    let proxy = Proxy::serve(folder(), &[]).await;
    for http2 in [false, true] {
        let request = request(&proxy, "/").header("accept", "text/html");
        let reply = if http2 { request.h2() } else { request }.send().await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").starts_with("text/html"));
        assert!(reply.text().contains("--files"), "says what to do next");
        assert_ne!(reply.header("content-security-policy"), "");
    }
    proxy.output().wait_for(&["https://localhost"]).await;
}

#[tokio::test]
async fn serves_a_folder_and_proxies_a_path() {
    let backend = Backend::echo().await;
    let strips = format!("/api/={}/", backend.url());
    let keeps = format!("/socket.io/={}", backend.url());
    let args = ["--files", "www", "--proxy", &strips, "--proxy", &keeps];
    let proxy = Proxy::serve(folder_with_spa(), &args).await;
    let deep = request(&proxy, "/deep/link").header("accept", "text/html");
    assert!(deep.send().await.text().contains("<title>SPA"));
    let api = request(&proxy, "/api/users").send().await.json();
    assert_eq!(api["target"], "/users");
    let socket = request(&proxy, "/socket.io/?EIO=4").send().await.json();
    assert_eq!(socket["target"], "/socket.io/?EIO=4");
}

#[tokio::test]
async fn balances_over_a_path_that_is_given_twice() {
    let (first, second) = (Backend::echo().await, Backend::echo().await);
    let (a, b) = (format!("/={}", first.url()), format!("/={}", second.url()));
    let proxy = Proxy::serve(folder(), &["--proxy", &a, "--proxy", &b]).await;
    for _ in 0..20 {
        assert_eq!(request(&proxy, "/x").send().await.status, 200);
    }
    assert!(!first.requests().is_empty() && !second.requests().is_empty());
}

#[tokio::test]
async fn refuses_what_it_cannot_read() {
    for args in [
        &["serve", "--proxy", "nonsense"][..],
        &["serve", "--port", "99999"],
        &["serve", "--files"],
    ] {
        assert_eq!(portcullis(args).await.code, Some(64), "{args:?}");
    }
}

#[tokio::test]
async fn a_site_may_have_a_development_certificate() {
    let proxy = Setup::new()
        .certificate("{ dev = true }")
        .route("/", "respond = { status = 200, body = \"dev\" }")
        .start()
        .await;
    let config = pki::client_of(&proxy.dir().join("dev/ca.pem"));
    let target = proxy.target().config(config);
    let reply = Request::new(target, "GET", "/").host(HOST).send().await;
    assert_eq!(reply.text(), "dev");
}

#[tokio::test]
async fn status_tells_whether_it_is_ready() {
    // Chosen by the system, given back, and taken again at once.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut proxy = Setup::new()
        .admin(&format!("{{ address = \"{free}\" }}"))
        .route("/", "respond = { status = 200, body = \"x\" }")
        .start()
        .await;
    let file = proxy.dir().join("portcullis.toml");
    let args = ["status", "--config", file.to_str().unwrap()];
    let said = portcullis(&args).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    proxy.signal("TERM");
    proxy.ended().await;
    assert_eq!(portcullis(&args).await.code, Some(1));
}
