//! Connections are spread over the workers, whatever the kernel makes of their addresses.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::{sync::Notify, task::JoinSet};

use crate::harness::{
    Proxy,
    backend::{Backend, full},
    client::{Request, Session, Target},
    eventually,
    setup::Setup,
};

/// Requests at once on each connection.
const STREAMS: usize = 4;

/// Open connections of both workers.
async fn spread(proxy: &Proxy) -> [String; 2] {
    let of = async |worker: usize| {
        let label = format!("worker=\"{worker}\"");
        proxy
            .metric("portcullis_worker_connections_open", &[&label])
            .await
            .to_string()
    };
    [of(0).await, of(1).await]
}

async fn spread_is(proxy: &Proxy, wanted: &str) {
    eventually(&format!("{wanted} connections per worker"), async || {
        (spread(proxy).await == [wanted, wanted]).then_some(())
    })
    .await;
}

async fn given(proxy: &Proxy) -> f64 {
    proxy
        .metric("portcullis_worker_connections_given_total", &[])
        .await
}

/// A backend that answers when it is told to.
#[derive(Clone, Default)]
struct Held {
    waiting: Arc<AtomicUsize>,
    released: Arc<Notify>,
}

impl Held {
    async fn backend(&self) -> Backend {
        let held = self.clone();
        Backend::with(move |_| {
            let held = held.clone();
            async move {
                held.waiting.fetch_add(1, Relaxed);
                held.released.notified().await;
                http::Response::new(full("held"))
            }
        })
        .await
    }

    /// Waits until `count` requests wait, and lets them go after `then`.
    async fn release(&self, count: usize, then: impl Future<Output = ()>) {
        eventually("requests in flight", async || {
            (self.waiting.load(Relaxed) == count).then_some(())
        })
        .await;
        then.await;
        self.waiting.store(0, Relaxed);
        self.released.notify_waiters();
    }
}

/// Asks for `/` on each of `sessions`, several times at once.
fn ask(proxy: &Proxy, sessions: &[Session]) -> JoinSet<String> {
    let mut asking = JoinSet::new();
    for session in sessions {
        for _ in 0..STREAMS {
            let Session::Http2(sender) = session else {
                panic!("not HTTP/2");
            };
            let mut session = Session::Http2(sender.clone());
            let request = proxy.request("GET", "/");
            asking.spawn(async move { session.send(request).await.text() });
        }
    }
    asking
}

#[tokio::test]
async fn a_few_connections_with_streams_in_flight_do_not_pile_up() {
    let held = Held::default();
    let backend = held.backend().await;
    let proxy = Setup::to(&[&backend]).threads(2).start().await;
    // Even dealing by the kernel alone would be luck in each round.
    for (round, count) in [4, 8, 4, 8, 4, 8].into_iter().enumerate() {
        let mut asking = JoinSet::new();
        for _ in 0..count {
            // One after the other: the first are busy when the last come.
            asking.spawn({
                let sessions = [proxy.session2().await];
                let streams = ask(&proxy, &sessions);
                async move {
                    let _sessions = sessions;
                    streams.join_all().await
                }
            });
        }
        let each = (count / 2).to_string();
        held.release(count * STREAMS, async {
            assert_eq!(spread(&proxy).await, [each.clone(), each], "round {round}");
        })
        .await;
        for texts in asking.join_all().await {
            assert!(texts.iter().all(|text| text == "held"));
        }
        spread_is(&proxy, "0").await;
    }
}

#[tokio::test]
async fn connections_that_come_at_once_are_spread_too() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).threads(2).start().await;
    for round in 0..6 {
        let target = proxy.target();
        let mut connecting = JoinSet::new();
        for _ in 0..8 {
            let target = target.clone();
            connecting.spawn(async move { Session::http2(&target).await.unwrap() });
        }
        let sessions = connecting.join_all().await;
        for text in ask(&proxy, &sessions).join_all().await {
            assert!(!text.is_empty());
        }
        let spread = spread(&proxy).await;
        // Two workers that look at the same moment may both think that the other has less to do.
        assert!(
            spread
                .iter()
                .all(|it| ["3", "4", "5"].contains(&it.as_str())),
            "{spread:?} in round {round}"
        );
        drop(sessions);
        spread_is(&proxy, "0").await;
    }
}

#[tokio::test]
async fn one_worker_keeps_its_connections() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).threads(1).start().await;
    let sessions = [proxy.session2().await, proxy.session2().await];
    ask(&proxy, &sessions).join_all().await;
    assert_eq!(spread(&proxy).await[0], "2");
    assert!(given(&proxy).await < 1.0);
}

/// Connects and asks once, again and again. Whoever was let in must be answered; the number of
/// answers, once nobody is let in any more.
async fn come_and_go(target: Target) -> usize {
    let mut answers = 0;
    while let Ok(mut session) = Session::http1(&target).await {
        let request = Request::new(target.clone(), "GET", "/");
        let reply = session.try_send(request).await;
        assert_eq!(reply.expect("an answer").status, 200);
        answers += 1;
    }
    answers
}

#[tokio::test]
async fn no_connection_is_lost_between_workers_that_reload_and_drain() {
    let setup = |body: &str| {
        Setup::new().threads(2).route(
            "/",
            &format!("respond = {{ status = 200, body = {body:?} }}"),
        )
    };
    let mut proxy = setup("first").start().await;
    let mut clients = JoinSet::new();
    for _ in 0..12 {
        clients.spawn(come_and_go(proxy.target()));
    }
    for round in 0..3 {
        proxy.reload(&setup(&format!("{round}")).toml()).await;
        // A listener that is closed on both workers while connections are on the way between them.
        let listener = "\n[[listener]]\naddress = \"127.0.0.3:0\"\ntls = true\n";
        proxy.reload(&(setup("more").toml() + listener)).await;
    }
    eventually("connections that were given away", async || {
        (given(&proxy).await >= 50.0).then_some(())
    })
    .await;
    proxy.signal("TERM");
    let answers: usize = clients.join_all().await.into_iter().sum();
    assert!(answers >= 50, "{answers}");
    assert_eq!(proxy.ended().await.code(), Some(0));
}
