//! Node closes an idle connection at the moment at which the next request is sent.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::harness::{
    Proxy,
    client::{Request, Session, Target},
    nest::{Nest, Plain},
    note,
    setup::Setup,
};

/// Groups of clients. The clients of a group ask at once, and again after about as long as Node keeps an idle
/// connection. Each group has an upstream of its own, so that in between nobody uses its connections.
#[derive(Clone, Copy)]
struct Race {
    groups: u32,
    /// Clients of a group: half of them post, and every fifth has an HTTP/1.1 connection of its own. The others share
    /// one over HTTP/2.
    clients: u32,
    /// How often each of them waits and asks again.
    gaps: u32,
    /// The gaps of the first client. Those of each other are a little longer.
    shortest: Duration,
    /// By how much those of the last client are.
    spread: Duration,
}

impl Race {
    /// A proxy with the upstream of each group. Its patience is for a machine that has much else to do.
    async fn proxy(self, urls: &[String]) -> Proxy {
        let mut upstreams = String::new();
        let mut setup = Setup::new()
            .server("head_timeout = \"1m\"")
            .log("access = false");
        for group in 0..self.groups {
            let keys = format!("proxy = {{ upstream = \"group{group}\", strip_prefix = true }}");
            setup = setup.route(&format!("/{group}/"), &keys);
            writeln!(
                upstreams,
                "[upstream.group{group}]\nbackends = {urls:?}\ntimeout = {{ connect = \"15s\" }}"
            )
            .unwrap();
        }
        setup.more(&upstreams).start().await
    }

    /// Counts the answers by status; 0 is none.
    async fn run(self, target: &Target, path: &str) -> BTreeMap<u16, u32> {
        let mut ready = Vec::new();
        for _ in 0..self.groups {
            ready.push(self.connect(target).await);
        }
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for (group, sessions) in (0..).zip(ready) {
            // The groups take turns, so that the machine has about as much to do at any time.
            let first = start + self.shortest * group / self.groups;
            for (client, session) in (0..).zip(sessions) {
                let path = format!("/{group}{path}");
                clients.spawn(self.ask(client, session, first, target.clone(), path));
            }
        }
        let mut counts = BTreeMap::new();
        for status in clients.join_all().await.into_iter().flatten() {
            *counts.entry(status).or_default() += 1;
        }
        counts
    }

    async fn connect(self, target: &Target) -> Vec<Session> {
        let shared = Session::http2(target).await.unwrap();
        let mut sessions = Vec::new();
        for client in 0..self.clients {
            sessions.push(if client.is_multiple_of(5) {
                Session::http1(target).await.unwrap()
            } else {
                shared.share()
            });
        }
        sessions
    }

    async fn ask(
        self,
        client: u32,
        mut session: Session,
        first: Instant,
        target: Target,
        path: String,
    ) -> Vec<u16> {
        let gap = self.shortest + self.spread * client / (self.clients - 1);
        let method = ["GET", "POST"][usize::from(client.is_multiple_of(2))];
        sleep_until(first).await;
        let mut statuses = Vec::new();
        for round in 0..=self.gaps {
            if round > 0 {
                sleep(gap).await;
            }
            let request = Request::new(target.clone(), method, &path);
            let answer = session.try_send(request).await;
            statuses.push(answer.map_or(0, |reply| reply.status.as_u16()));
        }
        statuses
    }

    fn all_well(self) -> BTreeMap<u16, u32> {
        BTreeMap::from([(200, self.groups * self.clients * (self.gaps + 1))])
    }

    async fn report(self, proxy: &Proxy, statuses: &BTreeMap<u16, u32>) {
        let connects = proxy.metric("portcullis_pool_connects_total", &[]).await;
        let reused = proxy.metric("portcullis_pool_reused_total", &[]).await;
        let retries = proxy.metric("portcullis_retries_total", &[]).await;
        note(format!(
            "{:?} to {:?} apart: {statuses:?}; {connects} connections, {reused} requests on used ones, {retries} sent again",
            self.shortest,
            self.shortest + self.spread
        ));
    }
}

#[tokio::test]
async fn ten_thousand_requests_spaced_around_nodes_keep_alive_see_no_error() {
    let race = Race {
        groups: 25,
        clients: 100,
        gaps: 4,
        shortest: Duration::from_millis(4_900),
        spread: Duration::from_millis(200),
    };
    let nest = Nest::start(2, "express", &[("KEEP_ALIVE_MS", "5000")]).await;
    let proxy = race.proxy(&nest.urls()).await;
    let statuses = race.run(&proxy.target(), "/echo").await;
    race.report(&proxy, &statuses).await;
    assert_eq!(statuses, race.all_well());
}

#[tokio::test]
async fn ten_thousand_requests_spaced_around_a_keep_alive_of_a_second_see_no_error() {
    let race = Race {
        groups: 10,
        clients: 100,
        gaps: 10,
        shortest: Duration::from_millis(900),
        spread: Duration::from_millis(200),
    };
    let servers = [Plain::start(1_000).await, Plain::start(1_000).await];
    let proxy = race.proxy(&servers.each_ref().map(Plain::url)).await;
    let statuses = race.run(&proxy.target(), "/").await;
    race.report(&proxy, &statuses).await;
    assert_eq!(statuses, race.all_well());
}
