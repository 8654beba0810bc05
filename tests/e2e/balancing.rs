//! Several backends: spread, death, return, and clients that stay where they were.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::harness::{
    backend::{Backend, full},
    setup::Setup,
};

#[tokio::test]
async fn round_robin_spreads_evenly() {
    let backends = [
        Backend::echo().await,
        Backend::echo().await,
        Backend::echo().await,
    ];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all)
        .threads(1)
        .upstream("balance = \"round_robin\"")
        .start()
        .await;
    for _ in 0..30 {
        proxy.get("/").await;
    }
    for backend in &backends {
        assert_eq!(backend.requests().len(), 10);
    }
}

#[tokio::test]
async fn weights_share_requests_out_whatever_the_balance() {
    for (balance, spread) in [("round_robin", 0), ("least_requests", 40)] {
        let (light, heavy) = (Backend::echo().await, Backend::echo().await);
        let proxy = Setup::new()
            .route("/", "proxy = { upstream = \"app\" }")
            .more(&format!(
                "[upstream.app]\nbalance = \"{balance}\"\nbackends = [\"{}\", {{ address = \"{}\", weight = 3 }}]",
                light.url(),
                heavy.url(),
            ))
            .threads(1)
            .start()
            .await;
        let mut session = proxy.session().await;
        for _ in 0..200 {
            assert_eq!(session.send(proxy.request("GET", "/")).await.status, 200);
        }
        let counts = [light.requests().len(), heavy.requests().len()];
        assert!(counts[1].abs_diff(150) <= spread, "{balance}: {counts:?}");
        assert_eq!(counts[0] + counts[1], 200);
    }
}

#[tokio::test]
async fn least_requests_goes_round_a_busy_backend() {
    let slow = Backend::with(|_| async {
        sleep(Duration::from_secs(5)).await;
        http::Response::new(full("slow"))
    })
    .await;
    let fast = Backend::echo().await;
    let proxy = Setup::to(&[&slow, &fast])
        .threads(1)
        .upstream("balance = \"least_requests\"")
        .start()
        .await;
    let mut waiting = Vec::new();
    // Until the slow one is busy.
    while slow.requests().len() < 2 {
        let request = proxy.request("GET", "/");
        waiting.push(tokio::spawn(
            async move { request.try_open().await.is_ok() },
        ));
        sleep(Duration::from_millis(20)).await;
    }
    let before = slow.requests().len();
    for _ in 0..20 {
        proxy.get("/").await;
    }
    assert!(
        slow.requests().len() <= before + 1,
        "{} of 20",
        slow.requests().len() - before
    );
}

#[tokio::test]
async fn hash_keeps_a_client_on_its_backend() {
    let backends = [
        Backend::echo().await,
        Backend::echo().await,
        Backend::echo().await,
    ];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all).upstream("balance = \"hash\"").start().await;
    for _ in 0..12 {
        proxy.get("/").await;
    }
    let counts: Vec<_> = backends
        .iter()
        .map(|backend| backend.requests().len())
        .collect();
    assert!(counts.contains(&12), "{counts:?}");
}

/// How many requests with this key each backend has seen, after some by every way: two proxies, HTTP/1.1 and HTTP/2,
/// the cookie in one field and in several.
async fn homes(hash_key: &str, keys: usize) -> Vec<Vec<usize>> {
    let backends = [
        Backend::echo().await,
        Backend::echo().await,
        Backend::echo().await,
    ];
    let all: Vec<_> = backends.iter().collect();
    let setup = Setup::to(&all).upstream(&format!("balance = \"hash\"\nhash_key = \"{hash_key}\""));
    for proxy in [setup.start().await, setup.start().await] {
        for key in 0..keys {
            let request = || {
                let request = proxy.request("GET", &format!("/{key}/"));
                request.header("x-tenant", &format!("tenant-{key}"))
            };
            let sid = format!("sid=session-{key}");
            let whole = format!("theme=dark; {sid}; z=1");
            for request in [
                request().header("cookie", &whole),
                request().header("cookie", &sid),
                request().h2().header("cookie", &whole),
                request()
                    .h2()
                    .header("cookie", "theme=dark")
                    .header("cookie", &sid)
                    .header("cookie", "z=1"),
            ] {
                assert_eq!(request.send().await.status, 200);
            }
        }
    }
    let seen = |key: usize| {
        let path = format!("/{key}/");
        backends.iter().map(|it| it.count(&path)).collect()
    };
    (0..keys).map(seen).collect()
}

#[tokio::test]
async fn hash_keeps_what_a_header_or_a_cookie_says_on_one_backend() {
    for hash_key in ["header:x-tenant", "cookie:sid"] {
        let homes = homes(hash_key, 12).await;
        println!("{hash_key}: {homes:?}");
        assert!(homes.iter().all(|it| it.contains(&8)), "{homes:?}");
        for backend in 0..3 {
            assert!(homes.iter().any(|it| it[backend] == 8), "{homes:?}");
        }
    }
    let by_client = homes("header:x-absent", 12).await;
    assert!(
        by_client.iter().all(|it| *it == by_client[0]),
        "{by_client:?}"
    );
    assert!(by_client[0].contains(&8), "{by_client:?}");
}

#[tokio::test]
async fn a_backend_that_dies_costs_no_idempotent_request() {
    let mut dies = Backend::echo().await;
    let stays = Backend::echo().await;
    let proxy = Setup::to(&[&dies, &stays])
        .upstream("retry = { budget = 1.0 }")
        .start()
        .await;
    let mut session = proxy.session().await;
    for round in 0..60 {
        if round == 20 {
            dies.kill().await;
        }
        let reply = session.send(proxy.request("GET", "/")).await;
        assert_eq!(reply.status, 200, "request {round}");
    }
    assert!(stays.requests().len() >= 40);
}

#[tokio::test]
async fn a_backend_that_dies_under_load_costs_no_idempotent_request() {
    let mut dies = Backend::with(|_| async {
        sleep(Duration::from_millis(30)).await;
        http::Response::new(full("x"))
    })
    .await;
    let stays = Backend::echo().await;
    let third = Backend::echo().await;
    let proxy = Setup::to(&[&dies, &stays, &third]).start().await;
    let mut clients = Vec::new();
    for client in 0..8 {
        let mut session = if client % 2 == 0 {
            proxy.session().await
        } else {
            proxy.session2().await
        };
        let target = proxy.target();
        clients.push(tokio::spawn(async move {
            for _ in 0..50 {
                let request = crate::harness::client::Request::new(target.clone(), "GET", "/load");
                assert_eq!(session.send(request).await.status, 200);
            }
        }));
    }
    crate::harness::eventually("some load", async || {
        (dies.count("/load") > 10).then_some(())
    })
    .await;
    dies.kill().await;
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn requests_that_nobody_saw_go_elsewhere_whatever_their_method() {
    let mut dies = Backend::echo().await;
    let stays = Backend::echo().await;
    let proxy = Setup::to(&[&dies, &stays])
        .upstream("retry = { budget = 1.0 }")
        .start()
        .await;
    dies.kill().await;
    for _ in 0..10 {
        let reply = proxy.request("POST", "/").body("order").send().await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["body"]),
            (200, &"order".into())
        );
    }
    assert_eq!(stays.requests().len(), 10, "none twice");
}

#[tokio::test]
async fn a_post_that_a_backend_took_is_never_sent_again() {
    let swallows = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.body(5).await.map(drop)
    })
    .await;
    let proxy = Setup::to(&[&swallows]).start().await;
    assert_eq!(
        proxy.request("POST", "/").body("order").send().await.status,
        502
    );
    assert_eq!(swallows.count("POST"), 1);
}

#[tokio::test]
async fn all_dead_is_held_then_503_with_retry_after() {
    let mut backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .upstream("retry = { hold = \"500ms\" }")
        .start()
        .await;
    backend.kill().await;
    let start = Instant::now();
    let reply = proxy.get("/").await;
    assert_eq!(reply.status, 503);
    assert!(start.elapsed() >= Duration::from_millis(400), "not held");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 1);
}

#[tokio::test]
async fn a_held_request_is_answered_when_a_backend_returns() {
    let mut backend = Backend::echo().await;
    let address = backend.address();
    let proxy = Setup::to(&[&backend])
        .upstream("retry = { hold = \"10s\" }")
        .start()
        .await;
    backend.kill().await;
    let request = proxy.request("POST", "/held").body("patience");
    let waiting = tokio::spawn(request.send());
    // Long enough for a first try to fail.
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "not held");
    let returned = Backend::echo_at(address).await;
    let reply = waiting.await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["body"]),
        (200, &"patience".into())
    );
    assert_eq!(returned.requests(), ["POST /held"]);
}

#[tokio::test]
async fn a_backend_that_returns_gets_its_share_again() {
    let mut dies = Backend::echo().await;
    let address = dies.address();
    let stays = Backend::echo().await;
    let proxy = Setup::to(&[&dies, &stays])
        .upstream("balance = \"round_robin\"\nprobe = { interval = \"100ms\", rise = 1, fall = 1 }")
        .start()
        .await;
    dies.kill().await;
    for _ in 0..4 {
        assert_eq!(proxy.get("/").await.status, 200);
    }
    let returned = Backend::echo_at(address).await;
    crate::harness::eventually("the backend's share", async || {
        proxy.get("/").await;
        (!returned.requests().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_slow_or_broken_request_ejects_nobody() {
    let backend = Backend::scripted(|mut conn| async move {
        while let Some(head) = conn.head().await {
            if head.starts_with("GET /breaks") {
                return Ok(());
            }
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await?;
        }
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    for _ in 0..5 {
        assert_eq!(proxy.get("/breaks").await.status, 502);
        assert_eq!(proxy.get("/works").await.status, 200);
    }
}

#[tokio::test]
async fn fails_open_when_every_probe_fails() {
    let backend =
        Backend::canned("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nsick")
            .await;
    let proxy = Setup::to(&[&backend])
        .upstream("probe = { path = \"/health\", interval = \"100ms\", fall = 1 }")
        .start()
        .await;
    crate::harness::eventually("a probe", async || {
        (backend.count("GET /health") > 3).then_some(())
    })
    .await;
    assert_eq!(proxy.get("/").await.text(), "sick");
}

#[tokio::test]
async fn a_backend_whose_probe_fails_gets_no_requests() {
    let sick =
        Backend::canned("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nsick")
            .await;
    let well = Backend::canned("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell").await;
    let proxy = Setup::to(&[&sick, &well])
        .upstream("probe = { path = \"/health\", interval = \"50ms\", fall = 1 }")
        .start()
        .await;
    crate::harness::eventually("only the well one", async || {
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(proxy.get("/").await.text());
        }
        answers.iter().all(|answer| answer == "well").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_waiting_room_is_503_at_once() {
    let backend = Backend::with(|_| async {
        sleep(Duration::from_secs(2)).await;
        http::Response::new(full("x"))
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .upstream("limits = { max_requests = 1, queue = 1 }\nretry = { hold = \"10s\" }")
        .start()
        .await;
    let start = Instant::now();
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let request = proxy.request("GET", "/");
        all.spawn(async move { (request.send().await.status.as_u16(), start.elapsed()) });
    }
    let answers = all.join_all().await;
    let refused: Vec<_> = answers
        .iter()
        .filter(|(status, _)| *status == 503)
        .collect();
    assert_eq!(refused.len(), 4, "{answers:?}");
    assert!(
        refused
            .iter()
            .all(|(_, after)| *after < Duration::from_secs(2)),
        "{answers:?}"
    );
    assert_eq!(backend.requests().len(), 2);
}
