//! A backend that fails in its own way beside two that are well.

use std::{io, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::harness::{
    Proxy,
    backend::{Backend, full},
    client::Request,
    eventually,
    load::{Load, Tally, shares},
    note,
    scripted::Conn,
    setup::Setup,
};

/// Answers of the good ones that a test waits for.
const ENOUGH: usize = 1000;

/// Share of all tries that may go to one that is ejected after twenty bad answers, before the others have a sample too
/// and while tries are under way.
const MOST: f64 = 0.25;

/// What came of a load over one bad backend and two good ones.
struct Outcome {
    tally: Tally,
    /// Of all tries, what went to the bad one.
    bad_share: f64,
    bad: String,
    proxy: Proxy,
}

impl Outcome {
    /// The metric counts tries on the bad one that ended so, and none that ended otherwise.
    async fn assert_counted_as(&self, outcome: &str) {
        let bad = format!("backend={:?}", self.bad);
        let count = async |labels: &[&str]| {
            self.proxy
                .metric("portcullis_backend_requests_total", labels)
                .await
        };
        let so = count(&[&bad, &format!("outcome={outcome:?}")]).await;
        let abandoned = count(&[&bad, "outcome=\"abandoned\""]).await;
        let all = count(&[&bad]).await;
        assert!(so > 0.5 && so + abandoned > all - 0.5, "{so} of {all}");
    }

    /// The program's log has a line about the bad one.
    async fn assert_logged(&self, class: &str) {
        let backend = format!("backend={:?}", self.bad);
        let class = format!("class={class:?}");
        let parts = ["request failed", &*class, &*backend];
        self.proxy.logged(&parts).await;
    }

    /// The access log has a line about the bad one with this value.
    async fn assert_accessed(&self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        self.proxy
            .access_where("/", |line| {
                line["backend"] == *self.bad && line[key] == value
            })
            .await;
    }
}

/// Loads `bad` and two good ones until these have served enough, and checks what holds whatever is wrong with `bad`.
async fn beside(bad: &Backend, clients: usize) -> Outcome {
    let good = [well().await, well().await];
    let proxy = Setup::to(&[bad, &good[0], &good[1]])
        .upstream("timeout = { header = \"1s\" }")
        .start()
        .await;
    let target = proxy.target();
    let start = Instant::now();
    let load = Load::start(&target.clone(), clients, Duration::ZERO, move |_| {
        Request::new(target.clone(), "GET", "/")
    });
    let served = || good[0].requests().len() + good[1].requests().len();
    eventually("answers of the good ones", async || {
        (served() > ENOUGH).then_some(())
    })
    .await;
    let tally = load.stop(Duration::from_secs(3)).await;

    let urls = [bad, &good[0], &good[1]].map(Backend::url);
    let shares = shares(&proxy, &urls).await;
    let retries = proxy.metric("portcullis_retries_total", &[]).await;
    note(format!(
        "shares of bad, good, good: {shares:.2?}; {tally}; {retries} retries"
    ));
    let answered = tally.samples.iter().filter(|it| it.body == "well").count();
    assert_eq!(
        answered,
        served(),
        "what a good one served was lost: {tally}"
    );
    let free = 10.0 + start.elapsed().as_secs_f64() + 1.0;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let earned = 0.2 * (tally.samples.len() + tally.unanswered) as f64;
    assert!(retries <= free + earned, "{retries} retries");
    Outcome {
        tally,
        bad_share: shares[0],
        bad: bad.url(),
        proxy,
    }
}

/// Takes a moment, as an application does.
async fn well() -> Backend {
    Backend::with(|_| async {
        sleep(Duration::from_millis(5)).await;
        http::Response::new(full("well"))
    })
    .await
}

/// Reads a part of the request and says a response head. What it did not read makes the end of the connection a reset.
async fn say_head_and_reset(mut conn: Conn) -> io::Result<()> {
    conn.body(1).await?;
    conn.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        .await?;
    sleep(Duration::from_millis(5)).await;
    Ok(())
}

async fn trickle(mut conn: Conn) -> io::Result<()> {
    conn.head().await;
    conn.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        .await?;
    for _ in 0..100 {
        conn.write("x").await?;
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

#[tokio::test]
async fn one_that_accepts_and_never_answers_costs_what_it_was_given() {
    let bad = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.closed().await;
        Ok(())
    })
    .await;
    let outcome = beside(&bad, 16).await;
    let (tally, bad_share) = (&outcome.tally, outcome.bad_share);
    // Whatever waits there is load, so the good ones are preferred.
    assert!(bad_share < 0.1, "{bad_share}");
    assert_eq!(
        tally.count(|status| ![200, 504].contains(&status)),
        0,
        "{tally}"
    );
    outcome.assert_counted_as("timeout").await;
    outcome.assert_logged("backend_timeout").await;
    outcome.assert_accessed("status", 504).await;
}

#[tokio::test]
async fn one_that_resets_after_the_head_is_spared() {
    let bad = Backend::scripted(say_head_and_reset).await;
    let outcome = beside(&bad, 16).await;
    let (tally, bad_share) = (&outcome.tally, outcome.bad_share);
    assert!(bad_share < MOST, "{bad_share}");
    assert_eq!(
        tally.count(|status| ![200, 0].contains(&status)),
        0,
        "{tally}"
    );
    outcome.assert_counted_as("answered").await;
    outcome.assert_accessed("aborted", true).await;
}

/// It fails faster than the others answer, and so has the fewest requests: most would come to it.
#[tokio::test]
async fn one_that_hangs_up_costs_no_more_retries_than_the_budget_has() {
    let bad = Backend::scripted(|mut conn| async move {
        conn.head().await;
        Ok(())
    })
    .await;
    let outcome = beside(&bad, 16).await;
    let (tally, bad_share) = (&outcome.tally, outcome.bad_share);
    assert!(bad_share < MOST, "{bad_share}");
    assert_eq!(
        tally.count(|status| ![200, 502].contains(&status)),
        0,
        "{tally}"
    );
    outcome.assert_counted_as("reset").await;
    // Where few requests run at once the budget is enough for all of them.
    if tally.count(|status| status == 502) > 0 {
        outcome.assert_logged("backend_reset").await;
        outcome.assert_accessed("error", "backend_reset").await;
    }
}

#[tokio::test]
async fn one_that_answers_500_is_spared() {
    let bad =
        Backend::canned("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nsick")
            .await;
    let outcome = beside(&bad, 16).await;
    let (tally, bad_share) = (&outcome.tally, outcome.bad_share);
    assert!(bad_share < MOST, "{bad_share}");
    assert_eq!(
        tally.count(|status| ![200, 500].contains(&status)),
        0,
        "{tally}"
    );
    outcome.assert_counted_as("answered").await;
    outcome.assert_accessed("status", 500).await;
}

#[tokio::test]
async fn one_that_trickles_costs_what_it_was_given() {
    let bad = Backend::scripted(trickle).await;
    let outcome = beside(&bad, 16).await;
    let (tally, bad_share) = (&outcome.tally, outcome.bad_share);
    assert!(bad_share < 0.1, "{bad_share}");
    assert_eq!(tally.count(|status| status != 200), 0, "{tally}");
    assert_ne!(tally.unanswered, 0, "nobody met the bad one");
    outcome.assert_counted_as("answered").await;
}
