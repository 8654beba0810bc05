//! `portcullis drain` and `undrain`: an operator takes one backend out of service.

use std::time::Duration;

use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{
    harness::{
        HOST, Proxy,
        backend::{Backend, full},
        client::Reply,
        command::{Said, portcullis},
        eventually,
        setup::Setup,
    },
    websocket,
};

/// A proxy over `backends` that commands find.
async fn proxy_over(backends: &[&Backend]) -> Proxy {
    let proxy = Setup::to(backends).threads(1).start().await;
    let admin = proxy.admin_address();
    let config = format!("[server]\nadmin = {{ address = \"{admin}\" }}\n");
    std::fs::write(proxy.dir().join("commands.toml"), config).unwrap();
    proxy
}

async fn order(proxy: &Proxy, args: &[&str]) -> Said {
    let config = proxy.dir().join("commands.toml");
    let config = ["--config", config.to_str().unwrap()];
    portcullis(&[args, &config].concat()).await
}

/// The state of the backend at `url`, by the admin listener.
async fn state(proxy: &Proxy, url: &str) -> Value {
    let page = proxy.admin("/api/upstreams").await.json();
    let backends = page["upstreams"][0]["backends"].as_array().unwrap().clone();
    backends.into_iter().find(|it| it["name"] == url).unwrap()
}

#[tokio::test]
async fn a_drained_backend_gets_no_request_until_it_is_put_back() {
    let (one, other) = (Backend::echo().await, Backend::echo().await);
    let proxy = proxy_over(&[&one, &other]).await;
    let said = order(&proxy, &["drain", "app", &one.url()]).await;
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(
        said.stdout.contains("is drained and idle"),
        "{}",
        said.stdout
    );
    let before = one.requests().len();
    let mut session = proxy.session().await;
    for _ in 0..20 {
        assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
    }
    assert_eq!(one.requests().len(), before);
    let url = one.url();
    let label = format!("backend=\"{url}\"");
    let drained = proxy.metric("portcullis_backend_drained", &[&label]).await;
    let up = proxy.metric("portcullis_backend_up", &[&label]).await;
    assert!(drained > 0.5 && up < 0.5, "{drained} {up}");
    assert_eq!(state(&proxy, &url).await["state"], "drained");

    let said = order(&proxy, &["undrain", "app", &url]).await;
    assert_eq!(said.code, Some(0), "{}", said.all());
    eventually("requests to the one that is back", async || {
        session.send(proxy.request("GET", "/")).await;
        (one.requests().len() > before).then_some(())
    })
    .await;
    assert_eq!(state(&proxy, &url).await["state"], "up");
}

#[tokio::test]
async fn drain_returns_when_what_is_in_flight_has_ended() {
    let slow = Backend::with(|_| async {
        sleep(Duration::from_secs(1)).await;
        http::Response::new(full("slow"))
    })
    .await;
    let proxy = proxy_over(&[&slow]).await;
    let waiting = tokio::spawn(proxy.request("GET", "/").send());
    let url = slow.url();
    eventually("a request in flight", async || {
        (state(&proxy, &url).await["in_flight"] == 1).then_some(())
    })
    .await;
    let said = order(&proxy, &["drain", "app", &url, "--timeout", "0s"]).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.stderr.contains("1 requests in flight"),
        "{}",
        said.stderr
    );
    let said = order(&proxy, &["drain", "app", &url]).await;
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert_eq!(waiting.await.unwrap().text(), "slow");
}

#[tokio::test]
async fn requests_wait_while_the_only_backend_is_drained() {
    let only = Backend::echo().await;
    let proxy = proxy_over(&[&only]).await;
    let url = only.url();
    assert_eq!(order(&proxy, &["drain", "app", &url]).await.code, Some(0));
    assert_eq!(proxy.admin("/health/ready").await.status, 503);
    let waiting = tokio::spawn(proxy.request("POST", "/").body("x").send());
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    assert_eq!(order(&proxy, &["undrain", "app", &url]).await.code, Some(0));
    assert_eq!(waiting.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_reload_puts_nothing_back() {
    let (one, other) = (Backend::echo().await, Backend::echo().await);
    let setup = Setup::to(&[&one, &other]);
    let proxy = setup.start().await;
    let query = format!("/api/drain?upstream=app&backend={}", one.url());
    let reply = proxy.admin_request("POST", &query).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    proxy
        .reload(&setup.clone().upstream("balance = \"round_robin\"").toml())
        .await;
    let before = one.requests().len();
    for _ in 0..6 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    assert_eq!(one.requests().len(), before);
}

#[tokio::test]
async fn says_who_there_is_when_the_name_is_wrong() {
    let one = Backend::echo().await;
    let proxy = proxy_over(&[&one]).await;
    let said = order(&proxy, &["drain", "api", "x"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("there are: `app`"), "{}", said.stderr);
    let said = order(&proxy, &["undrain", "app", "http://127.0.0.1:1"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains(&one.url()), "{}", said.stderr);
}

#[tokio::test]
async fn no_page_of_another_origin_can_drain() {
    let one = Backend::echo().await;
    let proxy = proxy_over(&[&one]).await;
    let path = format!("/api/drain?upstream=app&backend={}", one.url());
    let ask = |method: &str, field: Option<(&str, &str)>| {
        let request = proxy.admin_request(method, &path);
        match field {
            Some((name, value)) => request.header(name, value).send(),
            None => request.send(),
        }
    };
    let origin = format!("https://{HOST}");
    assert_eq!(ask("POST", Some(("origin", &origin))).await.status, 403);
    assert_eq!(
        ask("POST", Some(("sec-fetch-site", "cross-site")))
            .await
            .status,
        403
    );
    let reply = ask("GET", None).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("allow")),
        (405, "POST")
    );
    assert_eq!(state(&proxy, &one.url()).await["state"], "up");
}

/// Sends one event to each who asks, and no more.
async fn events() -> Backend {
    Backend::scripted(|mut conn| async move {
        conn.head().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        conn.write(head).await?;
        conn.write("9\r\ndata: 1\n\n\r\n").await?;
        conn.closed().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_drained_backend_loses_its_event_streams_to_another_one() {
    let (one, other) = (events().await, events().await);
    let proxy = proxy_over(&[&one, &other]).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(proxy.get_open("/events").await);
    }
    let url = one.url();
    assert_eq!(state(&proxy, &url).await["lingering"], 5);
    let said = order(&proxy, &["drain", "app", &url]).await;
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert_eq!(one.open(), 0);
    assert_eq!(other.open(), 5, "the others go on");
    let mut ended = 0;
    for stream in streams {
        let read = Reply::read(stream);
        if let Ok(reply) = tokio::time::timeout(Duration::from_millis(100), read).await {
            assert_eq!(reply.unwrap().text(), "data: 1\n\n", "a whole answer");
            ended += 1;
        }
    }
    assert_eq!(ended, 5);
}

#[tokio::test]
async fn a_drained_backend_closes_its_websockets_with_1012() {
    let (one, other) = (Backend::websocket().await, Backend::websocket().await);
    let proxy = proxy_over(&[&one, &other]).await;
    let mut sockets = Vec::new();
    for _ in 0..6 {
        sockets.push(websocket::connect(&proxy).await);
    }
    let url = one.url();
    assert_eq!(state(&proxy, &url).await["lingering"], 3);
    let drained =
        tokio::spawn(async move { (order(&proxy, &["drain", "app", &url]).await, proxy) });
    let mut restarted = 0;
    for socket in &mut sockets {
        let next = tokio::time::timeout(Duration::from_secs(12), socket.next());
        if let Ok(Some(Ok(Message::Close(frame)))) = next.await {
            assert_eq!(frame.unwrap().code, CloseCode::Restart);
            while let Some(Ok(_)) = socket.next().await {}
            restarted += 1;
        }
        if restarted == 3 {
            break;
        }
    }
    let (said, _proxy) = drained.await.unwrap();
    assert_eq!((said.code, restarted), (Some(0), 3), "{}", said.all());
    assert_eq!((one.open(), other.open()), (0, 3));
}

/// Where an event of it ends only its reader can tell.
#[tokio::test]
async fn a_compressed_event_stream_leaves_too() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        conn.write(head).await?;
        conn.write("4\r\n\0\0??\r\n").await?;
        conn.closed().await;
        Ok(())
    })
    .await;
    let proxy = proxy_over(&[&backend]).await;
    let watched = proxy.get_open("/events").await;
    let said = order(
        &proxy,
        &["drain", "app", &backend.url(), "--timeout", "14s"],
    )
    .await;
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert_eq!(Reply::read(watched).await.unwrap().body.len(), 4);
}

/// A program that asks with POST takes the end of the stream for the whole of its answer.
#[tokio::test]
async fn a_stream_that_answers_a_post_is_left_to_its_backend() {
    let backend = events().await;
    let proxy = proxy_over(&[&backend]).await;
    let mut asked = proxy.request("POST", "/ask").body("x").open().await;
    let watched = proxy.get_open("/events").await;
    let url = backend.url();
    let said = order(&proxy, &["drain", "app", &url, "--timeout", "12s"]).await;
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(
        said.stderr.contains("1 tunnels and event streams"),
        "{}",
        said.stderr
    );
    assert_eq!(Reply::read(watched).await.unwrap().text(), "data: 1\n\n");
    let first = asked.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "data: 1\n\n");
    let next = tokio::time::timeout(Duration::from_millis(300), asked.body_mut().frame());
    assert!(next.await.is_err(), "it is neither ended nor cut");
}
