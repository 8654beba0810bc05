//! Instances that are restarted one after the other, under load.

use std::{collections::HashMap, path::Path, time::Duration};

use tempfile::TempDir;

use crate::harness::{
    Proxy,
    client::Request,
    eventually,
    load::{Load, Sample, Tally},
    nest::Nest,
    note,
    setup::Setup,
};

/// Requests in flight that a restart may hold up are answered within `retry.hold`.
const GRACE: Duration = Duration::from_secs(14);

/// How an instance is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Term,
    Kill,
}

#[tokio::test]
async fn a_rolling_restart_on_express_loses_no_get_and_does_no_post_twice() {
    restart_all("express").await;
}

#[tokio::test]
async fn a_rolling_restart_on_fastify_loses_no_get_and_does_no_post_twice() {
    restart_all("fastify").await;
}

async fn restart_all(adapter: &str) {
    let folder = TempDir::new().unwrap();
    let journal = folder.path().join("journal");
    let mut nest = Nest::with_orders(3, adapter, &journal).await;
    let proxy = Setup::to_urls(&nest.urls())
        .route("/", "proxy = { upstream = \"app\" }")
        .start()
        .await;
    for end in [End::Term, End::Kill] {
        let [gets, posts] = load(&proxy, end);
        for index in 0..3 {
            some_answers(&gets).await;
            match end {
                End::Term => nest.terminate(index).await,
                End::Kill => nest.kill(index).await,
            }
            nest.restart(index).await;
        }
        some_answers(&gets).await;
        let (gets, posts) = tokio::join!(gets.stop(GRACE), posts.stop(GRACE));
        note(format!("{adapter}, {end:?}: GET {gets}"));
        note(format!("{adapter}, {end:?}: POST {posts}"));
        gets.assert_all(|status| status == 200);
        assert_done_once(end, &posts, &journal);
    }
    note(tries(&proxy).await);
}

/// Two kinds of clients: those that read, and those that order.
fn load(proxy: &Proxy, end: End) -> [Load; 2] {
    let rest = Duration::from_millis(20);
    let target = proxy.target();
    let gets = Load::start(&target.clone(), 6, rest, move |number| {
        let path = ["/whoami", "/slow?ms=15"][number % 2];
        Request::new(target.clone(), "GET", path)
    });
    let target = proxy.target();
    let posts = Load::start(&target.clone(), 6, rest, move |number| {
        let order = serde_json::json!({ "id": order(end, number) });
        Request::new(target.clone(), "POST", "/orders")
            .header("content-type", "application/json")
            .body(order.to_string())
    });
    [gets, posts]
}

fn order(end: End, number: usize) -> String {
    format!("{end:?}-{number}")
}

async fn some_answers(load: &Load) {
    let before = load.answered();
    eventually("answers", async || {
        (load.answered() > before + 100).then_some(())
    })
    .await;
}

/// What was answered well was done once, and nothing was done twice.
fn assert_done_once(end: End, posts: &Tally, journal: &Path) {
    let mut done: HashMap<String, usize> = HashMap::new();
    for line in std::fs::read_to_string(journal).unwrap().lines() {
        *done.entry(line.to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = done.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "done twice: {twice:?}");
    let (well, failed): (Vec<_>, Vec<_>) = posts
        .samples
        .iter()
        .partition(|it| (200..300).contains(&it.status));
    let is_done = |it: &&&Sample| done.contains_key(&order(end, it.number));
    let lost = well.iter().find(|it| !is_done(it));
    assert!(lost.is_none(), "answered well and not done: {lost:?}");
    assert!(well.len() > 100, "{posts}");
    note(format!(
        "{} orders answered well, {} not, of which {} were done",
        well.len(),
        failed.len(),
        failed.iter().filter(is_done).count()
    ));
}

async fn tries(proxy: &Proxy) -> String {
    let mut text = Vec::new();
    for outcome in ["answered", "connect_failed", "reset", "timeout", "protocol"] {
        let label = format!("outcome=\"{outcome}\"");
        let count = proxy
            .metric("portcullis_backend_requests_total", &[&label])
            .await;
        text.push(format!("{count} {outcome}"));
    }
    let retries = proxy.metric("portcullis_retries_total", &[]).await;
    format!("tries: {}; {retries} retries", text.join(", "))
}
