//! A route of the application that never answers, and an instance that stands still.

use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::harness::{
    Proxy, client::Request, eventually, load::Load, nest::Nest, note, setup::Setup,
};

const CALLS: usize = 200;

async fn proxy(nest: &Nest) -> Proxy {
    Setup::to_urls(&nest.urls())
        .route("/", "proxy = { upstream = \"app\" }")
        .start()
        .await
}

/// Clients that read, over both protocols.
fn readers(proxy: &Proxy) -> Load {
    let target = proxy.target();
    Load::start(&target.clone(), 12, Duration::from_millis(10), move |_| {
        Request::new(target.clone(), "GET", "/whoami")
    })
}

async fn answers(load: &Load, count: usize) {
    let before = load.answered();
    eventually("answers", async || {
        (load.answered() >= before + count).then_some(())
    })
    .await;
}

async fn ups(proxy: &Proxy) -> f64 {
    proxy.metric("portcullis_backend_up", &[]).await
}

#[tokio::test]
async fn a_route_that_never_answers_is_in_nobodys_way() {
    let folder = TempDir::new().unwrap();
    let nest = Nest::with_orders(3, "express", &folder.path().join("journal")).await;
    let proxy = proxy(&nest).await;
    let load = readers(&proxy);
    answers(&load, 1000).await;
    let before = load.stop(Duration::from_secs(10)).await;

    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        calls.spawn(proxy.request("GET", "/never").try_open());
    }
    eventually("the calls", async || {
        let waiting = proxy.metric("portcullis_backend_in_flight", &[]).await;
        (waiting > 199.5).then_some(())
    })
    .await;
    let load = readers(&proxy);
    answers(&load, 1000).await;
    let during = load.stop(Duration::from_secs(10)).await;

    note(format!("without hanging calls: {before}"));
    note(format!("beside {CALLS} hanging calls: {during}"));
    before.assert_all(|status| status == 200);
    during.assert_all(|status| status == 200);
    assert!(calls.try_join_next().is_none(), "a call came back");
    assert!((ups(&proxy).await - 3.0).abs() < 0.5, "one was ejected");
}

/// The kernel still accepts for a process that is stopped, as for one whose event loop is blocked.
#[tokio::test]
async fn an_instance_that_stands_still_loses_nothing_and_the_others_go_on() {
    let nest = Nest::start(3, "express", &[]).await;
    let proxy = proxy(&nest).await;
    let load = readers(&proxy);
    answers(&load, 300).await;
    nest.signal(1, "STOP");
    answers(&load, 300).await;
    nest.signal(1, "CONT");
    answers(&load, 300).await;
    let tally = load.stop(Duration::from_secs(10)).await;
    note(format!("an instance stood still: {tally}"));
    tally.assert_all(|status| status == 200);
    assert!((ups(&proxy).await - 3.0).abs() < 0.5, "one was ejected");
}
