//! The seed's Apache block for the API.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::{API, both, request, target};
use crate::harness::{
    Proxy,
    backend::{Backend, echoed, full},
};

async fn api() -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    (backend, proxy)
}

#[tokio::test]
async fn seed_apache_server_virtual_host_443_and_server_name() {
    let (_backend, proxy) = api().await;
    assert_eq!(
        request(&proxy, API, "GET", "/x").send().await.json()["target"],
        "/x"
    );
}

#[tokio::test]
async fn seed_apache_server_ssl_engine_and_certificate() {
    let (_backend, proxy) = api().await;
    target(&proxy, API).handshake().await.unwrap();
}

#[tokio::test]
async fn seed_apache_server_header_always_strict_transport_security() {
    let backend = Backend::canned_once("no HTTP\r\n\r\n").await;
    let proxy = both(&backend, "").await;
    // `always` means errors too.
    let broken = request(&proxy, API, "GET", "/").send().await;
    assert_eq!(broken.status, 502);
    assert_eq!(
        broken.header("strict-transport-security"),
        "max-age=63072000"
    );
}

#[tokio::test]
async fn seed_apache_server_header_always_x_content_type_options() {
    let (_backend, proxy) = api().await;
    let reply = request(&proxy, API, "GET", "/").send().await;
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn seed_apache_server_proxy_preserve_host() {
    let (_backend, proxy) = api().await;
    let reply = request(&proxy, API, "GET", "/").send().await;
    assert_eq!(echoed(&reply.json(), "host"), [API]);
    assert_eq!(echoed(&reply.json(), "x-forwarded-host"), [API]);
}

#[tokio::test]
async fn seed_apache_server_proxy_pass_root() {
    let (_backend, proxy) = api().await;
    let reply = request(&proxy, API, "PATCH", "/a/b?c")
        .body("patch")
        .send()
        .await
        .json();
    assert_eq!(
        (&reply["method"], &reply["target"], &reply["body"]),
        (&"PATCH".into(), &"/a/b?c".into(), &"patch".into())
    );
}

#[tokio::test]
async fn seed_apache_server_proxy_pass_reverse() {
    let backend = Backend::with(|request: http::Request<hyper::body::Incoming>| async move {
        // What an application says that knows only its own socket.
        let own = request.headers()["x-own"].to_str().unwrap().to_owned();
        http::Response::builder()
            .status(302)
            .header("location", format!("{own}/login"))
            .body(full(""))
            .unwrap()
    })
    .await;
    let proxy = both(&backend, "").await;
    let reply = request(&proxy, API, "GET", "/")
        .header("x-own", &backend.url())
        .send()
        .await;
    assert_eq!(reply.header("location"), format!("https://{API}/login"));
}

#[tokio::test]
async fn seed_apache_server_proxy_pass_socket_io_ws() {
    // Done otherwise: one route carries both, so their order cannot be wrong.
    let backend = Backend::websocket().await;
    let proxy = both(&backend, "").await;
    let stream = target(&proxy, API).connect().await.unwrap();
    let url = format!("wss://{API}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, response) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    assert_eq!(response.status(), 101);
    socket.send(Message::text("2probe")).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::text("2probe")
    );
}

#[tokio::test]
async fn seed_apache_server_proxy_pass_reverse_socket_io() {
    // Polling passes by the same route.
    let (_backend, proxy) = api().await;
    let reply = request(&proxy, API, "GET", "/socket.io/?EIO=4&transport=polling")
        .send()
        .await;
    assert_eq!(
        reply.json()["target"],
        "/socket.io/?EIO=4&transport=polling"
    );
}
