//! The PROXY protocol to backends: who is named, and that no connection is used twice.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::harness::{
    Proxy,
    backend::{Backend, Serve},
    client::Stream,
    command::portcullis,
    eventually, folder,
    node::Node,
    pki::Pki,
    setup::Setup,
};

fn setup(url: String, version: &str, keys: &str) -> Setup {
    Setup::to_urls(&[url])
        .threads(1)
        .upstream(&format!("proxy_protocol = \"{version}\"\n{keys}"))
        .route("/", "proxy = { upstream = \"app\" }")
}

/// The destination, as both versions are told it here: `127.0.0.1 PORT` or `127.0.0.1 FROM PORT`.
fn port(proxy: &Proxy) -> u16 {
    proxy.https().port()
}

#[tokio::test]
async fn names_each_client_and_never_uses_a_connection_twice() {
    for version in ["v1", "v2"] {
        let backend = Node::start("proxied.mjs", &[]).await;
        let proxy = setup(backend.url("http"), version, "").start().await;
        let mut headers = Vec::new();
        for _ in 0..2 {
            let mut session = proxy.session().await;
            for _ in 0..2 {
                let said = session.send(proxy.request("GET", "/")).await.json();
                headers.push(said["header"].as_str().unwrap().to_owned());
            }
        }
        for header in &headers {
            let words: Vec<_> = header.split(' ').collect();
            assert_eq!(words[..3], ["PROXY", "TCP4", "127.0.0.1"], "{header}");
            assert!(header.ends_with(&format!(" {}", port(&proxy))), "{header}");
        }
        // One port for each client's connection, and a connection to the backend for each request.
        assert_eq!(headers[0], headers[1]);
        assert_eq!(headers[2], headers[3]);
        assert_ne!(headers[0], headers[2]);
        let last = proxy.get("/").await.json();
        let seen = last["seen"].as_array().unwrap();
        let clients = seen
            .iter()
            .filter(|it| it.as_str().unwrap().contains("TCP4"));
        assert_eq!(clients.count(), 5, "{seen:?}");
        let kept = proxy.metric("portcullis_pool_idle", &["\"app\""]).await;
        assert!(kept < 0.5, "{kept} connections are kept");
    }
}

#[tokio::test]
async fn names_the_client_that_a_trusted_proxy_names_without_a_port() {
    for (version, expected) in [
        ("v1", "PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 0 "),
        ("v2", "PROXY TCP6 2001:db8::7 0 ::ffff:127.0.0.1 "),
    ] {
        let backend = Node::start("proxied.mjs", &[]).await;
        let proxy = setup(backend.url("http"), version, "")
            .server("trusted_proxies = [\"127.0.0.1\"]")
            .start()
            .await;
        let said = proxy
            .request("GET", "/")
            .header("x-forwarded-for", "2001:db8::7")
            .send()
            .await
            .json();
        let header = said["header"].as_str().unwrap();
        assert_eq!(header, format!("{expected}{}", port(&proxy)));
    }
}

#[tokio::test]
async fn probes_name_nobody() {
    for (version, nobody) in [("v1", "PROXY UNKNOWN"), ("v2", "LOCAL")] {
        for path in ["", "path = \"/health\", "] {
            let backend = Node::start("proxied.mjs", &[]).await;
            let probe = format!("probe = {{ {path}interval = \"50ms\" }}");
            let proxy = setup(backend.url("http"), version, &probe).start().await;
            eventually("a probe", async || {
                let said = proxy.get("/").await.json();
                let has = |seen: &Value| seen.as_str() == Some(nobody);
                said["seen"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(has)
                    .then_some(())
            })
            .await;
            assert_eq!(proxy.log().count("unhealthy"), 0);
        }
    }
}

/// Takes a header of version 1 off `stream`.
async fn line(stream: &mut Box<dyn Stream>) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        match stream.read_u8().await {
            Ok(byte) => line.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(line).unwrap()
}

/// Answers one request with `text`.
async fn answer(mut stream: impl Stream, text: &str) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let length = text.len();
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
    let _ = stream.write_all(response.as_bytes()).await;
    let _ = stream.flush().await;
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn stands_in_front_of_tls() {
    let acceptor = TlsAcceptor::from(Pki::get().leaf(&["127.0.0.1"]).server());
    let serve: Serve = Arc::new(move |mut stream, _| {
        let acceptor = acceptor.clone();
        Box::pin(async move {
            let line = line(&mut stream).await;
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, &line).await;
            }
        })
    });
    let backend = Backend::listen("127.0.0.1:0".parse().unwrap(), serve).await;
    let url = backend.url().replace("http://", "https://");
    let proxy = setup(url, "v1", "tls = { ca = \"@dir/ca.pem\" }")
        .start()
        .await;
    let line = proxy.get("/").await.text();
    assert!(
        line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
        "{line}"
    );
}

#[tokio::test]
async fn stands_in_front_on_unix_sockets_too() {
    let dir = folder();
    let serve: Serve = Arc::new(|mut stream, _| {
        Box::pin(async move {
            let line = line(&mut stream).await;
            answer(stream, &line).await;
        })
    });
    let backend = Backend::listen_unix(&dir.path().join("app.sock"), serve);
    let proxy = setup(backend.url(), "v1", "").start_in(dir).await;
    let line = proxy.get("/").await.text();
    assert!(
        line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
        "{line}"
    );
}

#[tokio::test]
async fn explain_says_what_a_request_costs() {
    let proxy = setup("http://127.0.0.1:9".to_owned(), "v2", "")
        .start()
        .await;
    let file = proxy.dir().join("portcullis.toml");
    let file = file.to_str().unwrap();
    let said = portcullis(&["explain", "--config", file, "GET", "https://site.test/"]).await;
    let line = "connection  a new one per request, PROXY protocol v2\n";
    assert!(said.stdout.contains(line), "{}", said.all());
}
