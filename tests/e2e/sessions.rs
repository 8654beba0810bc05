//! Socket.IO by polling, for clients that keep no cookies: the session is learned as it opens.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::Semaphore;

use crate::harness::{
    Proxy,
    backend::{Backend, Sent, full},
    nest::{Nest, client, proxy_to},
    node::Node,
    setup::Setup,
};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
/// What is asked for is spread evenly, so that nothing stays together by chance.
const SPREAD: &str = "balance = \"round_robin\"\nretry = { budget = 1.0 }";
/// Polls of one session.
const POLLS: usize = 9;

/// A server of Socket.IO as far as its first answers go: its handshakes open `sid`, and it knows no other session.
async fn server(sid: &'static str) -> Backend {
    framed(sid, |packet| Response::new(full(packet))).await
}

/// The same, with the `open` packet put into a response by `frame`.
async fn framed(
    sid: &'static str,
    frame: impl Fn(String) -> Response<Sent> + Send + Sync + 'static,
) -> Backend {
    let frame = Arc::new(frame);
    Backend::with(move |request: Request<Incoming>| {
        let frame = frame.clone();
        async move {
            let query = request.uri().query().unwrap_or_default();
            if !query.contains("sid=") {
                return frame(open(sid));
            }
            let known = query.ends_with(&format!("sid={sid}"));
            let mut response = Response::new(full(if known { "2" } else { "unknown" }));
            *response.status_mut() = if known { 200 } else { 400 }.try_into().unwrap();
            response
        }
    })
    .await
}

/// An `open` packet.
fn open(sid: &str) -> String {
    format!("0{{\"sid\":\"{sid}\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000}}")
}

/// A body without a length, in pieces of `size`.
fn pieces(text: &str, size: usize) -> Sent {
    let frames: Vec<io::Result<Frame<Bytes>>> = text
        .as_bytes()
        .chunks(size)
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    StreamBody::new(stream::iter(frames)).boxed()
}

/// Opens a session, and returns its id.
async fn opened(proxy: &Proxy) -> String {
    let text = proxy.get(HANDSHAKE).await.text();
    let (_, rest) = text.split_once("\"sid\":\"").expect("an open packet");
    rest.split('"').next().unwrap().to_owned()
}

async fn poll(proxy: &Proxy, sid: &str) -> u16 {
    let reply = proxy.get(&format!("{HANDSHAKE}&sid={sid}")).await;
    reply.status.as_u16()
}

/// Polls that the session's own backend answered.
async fn known_polls(proxy: &Proxy, sid: &str) -> usize {
    let mut known = 0;
    for _ in 0..POLLS {
        known += usize::from(poll(proxy, sid).await == 200);
    }
    known
}

#[tokio::test]
async fn a_session_without_cookies_stays_on_its_backend_however_it_was_opened() {
    let backends = [
        server("whole").await,
        framed("chunks", |packet| Response::new(pieces(&packet, 7))).await,
        framed("old", |packet| {
            let packet = format!("{}:{packet}2:40", packet.len());
            Response::new(pieces(&packet, 1))
        })
        .await,
    ];
    let all: Vec<_> = backends.iter().collect();
    for sticky in ["socketio", "cookie"] {
        let proxy = Setup::to(&all)
            .upstream(&format!("sticky = \"{sticky}\"\n{SPREAD}"))
            .start()
            .await;
        for _ in 0..backends.len() {
            let sid = opened(&proxy).await;
            assert_eq!(known_polls(&proxy, &sid).await, POLLS, "{sid} by {sticky}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_trickles_is_passed_on_as_it_comes() {
    let go = Arc::new(Semaphore::new(0));
    let wait = go.clone();
    let slow = Backend::scripted(move |mut conn| {
        let go = wait.clone();
        async move {
            let packet = open("slow");
            while let Some(head) = conn.head().await {
                if head.contains("sid=") {
                    conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
                        .await?;
                    continue;
                }
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    packet.len()
                );
                conn.write(&head).await?;
                for piece in [&packet[..9], &packet[9..]] {
                    go.acquire().await.unwrap().forget();
                    conn.write(piece).await?;
                }
            }
            Ok(())
        }
    })
    .await;
    let others = [server("other").await, server("another").await];
    let proxy = Setup::to(&[&slow, &others[0], &others[1]])
        .upstream(SPREAD)
        .start()
        .await;
    let mut sids = Vec::new();
    for _ in 0..3 {
        let mut body = proxy.get_open(HANDSHAKE).await.into_body();
        let is_slow = slow.count("GET") > 0 && !sids.contains(&"slow");
        if !is_slow {
            body.collect().await.unwrap();
            sids.push("fast");
            continue;
        }
        // The head is here; each piece comes before the next is sent.
        let mut text = String::new();
        for expected in [9, open("slow").len()] {
            go.add_permits(1);
            while text.len() < expected {
                let frame = body.frame().await.unwrap().unwrap();
                text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
        }
        assert_eq!(text, open("slow"));
        sids.push("slow");
    }
    assert_eq!(sids.iter().filter(|it| **it == "slow").count(), 1);
    assert_eq!(known_polls(&proxy, "slow").await, POLLS);
}

#[tokio::test]
async fn a_compressed_answer_and_one_that_is_no_handshake_teach_nothing() {
    let answer = |sid: &'static str| {
        framed(sid, |packet| {
            let response = Response::builder().header("content-encoding", "gzip");
            response.body(full(packet)).unwrap()
        })
    };
    let backends = [answer("one").await, answer("two").await];
    let proxy = Setup::to(&[&backends[0], &backends[1]])
        .upstream(SPREAD)
        .start()
        .await;
    let sid = opened(&proxy).await;
    assert!(known_polls(&proxy, &sid).await < POLLS);
    let plain = [server("three").await, server("four").await];
    let proxy = Setup::to(&[&plain[0], &plain[1]])
        .upstream(SPREAD)
        .start()
        .await;
    proxy.get("/socket.io/?transport=polling").await;
    assert!(known_polls(&proxy, "three").await < POLLS);
}

#[tokio::test]
async fn the_session_comes_before_a_cookie_that_names_another_backend() {
    let backends = [server("one").await, server("two").await];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all).upstream(SPREAD).start().await;
    let mut opened = Vec::new();
    for _ in 0..2 {
        let reply = proxy.get(HANDSHAKE).await;
        let sid = ["one", "two"]
            .into_iter()
            .find(|sid| reply.text().contains(sid));
        let cookie = reply.header("set-cookie").split(';').next().unwrap();
        opened.push((sid.unwrap(), cookie.to_owned()));
    }
    let [(first, _), (second, cookie)] = &opened[..] else {
        panic!("two sessions");
    };
    assert_ne!(first, second);
    for _ in 0..POLLS {
        let reply = proxy
            .request("GET", &format!("{HANDSHAKE}&sid={first}"))
            .header("cookie", cookie)
            .send()
            .await;
        assert_eq!(reply.status, 200);
        // Or the other session would be lost where the first is not known.
        assert_eq!(reply.count("set-cookie"), 0);
    }
}

#[tokio::test]
async fn the_session_of_a_killed_backend_is_refused_by_another_and_a_new_one_stays() {
    let mut backends = [server("one").await, server("two").await];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all).upstream(SPREAD).start().await;
    let sid = opened(&proxy).await;
    assert_eq!(poll(&proxy, &sid).await, 200);
    let home = usize::from(sid == "two");
    backends[home].kill().await;
    assert_eq!(poll(&proxy, &sid).await, 400);
    let sid = opened(&proxy).await;
    assert_eq!(sid, ["two", "one"][home]);
    assert_eq!(known_polls(&proxy, &sid).await, POLLS);
}

#[tokio::test]
async fn a_session_leaves_a_backend_that_is_drained() {
    let backends = [server("one").await, server("two").await];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all).upstream(SPREAD).start().await;
    let sid = opened(&proxy).await;
    assert_eq!(known_polls(&proxy, &sid).await, POLLS);
    let home = &backends[usize::from(sid == "two")];
    let query = format!("/api/drain?upstream=app&backend={}", home.url());
    assert_eq!(proxy.admin_request("POST", &query).send().await.status, 200);
    assert_eq!(poll(&proxy, &sid).await, 400);
}

#[tokio::test]
async fn sessions_are_known_after_a_reload_also_of_an_upstream_that_changed() {
    let backends = [
        server("one").await,
        server("two").await,
        server("three").await,
    ];
    let all: Vec<_> = backends.iter().collect();
    let setup = Setup::to(&all).upstream(SPREAD);
    let proxy = setup.start().await;
    let sid = opened(&proxy).await;
    proxy.reload(&setup.toml()).await;
    assert_eq!(known_polls(&proxy, &sid).await, POLLS);
    let changed = setup.upstream("timeout = { header = \"30s\" }");
    proxy.reload(&changed.toml()).await;
    assert_eq!(known_polls(&proxy, &sid).await, POLLS);
}

#[tokio::test]
async fn socket_io_clients_without_cookies_poll_over_three_instances_and_survive_the_loss_of_one() {
    let nest = Nest::start(3, "express", &[]).await;
    let proxy = nest.behind_proxy().await;
    let pid = nest.pid(0).to_string();
    client(
        "cookieless.mjs",
        &proxy,
        &[("VICTIM", "nest-1"), ("VICTIM_PID", &pid)],
    )
    .await;
}

#[tokio::test]
async fn a_page_of_another_site_polls_though_its_cookies_are_blocked() {
    let mut servers = Vec::new();
    for instance in ["one", "two", "three"] {
        servers.push(Node::start("socketio-backend.mjs", &[("INSTANCE", instance)]).await);
    }
    let urls: Vec<_> = servers.iter().map(|it| it.url("http")).collect();
    let proxy = proxy_to(&urls).await;
    client("foreign-page.mjs", &proxy, &[]).await;
}
