//! `HUP`: the new configuration serves, or the old one goes on; nothing in flight is cut.

use std::time::Duration;

use tokio::{net::TcpStream, time::sleep};

use crate::harness::{
    HOST, Proxy,
    backend::{Backend, full},
    eventually,
    pki::Pki,
    setup::{SPA, Setup, folder_with_spa},
};

fn respond(body: &str) -> Setup {
    Setup::new().route(
        "/",
        &format!("respond = {{ status = 200, body = \"{body}\" }}"),
    )
}

#[tokio::test]
async fn swaps_the_configuration_whole() {
    let proxy = respond("old").start().await;
    let mut kept = proxy.session().await;
    assert_eq!(kept.send(proxy.request("GET", "/")).await.text(), "old");
    proxy.reload(&respond("new").toml()).await;
    assert_eq!(proxy.get("/").await.text(), "new");
    assert_eq!(
        kept.send(proxy.request("GET", "/")).await.text(),
        "new",
        "a kept connection follows"
    );
    assert!(
        proxy
            .metric("portcullis_config_reloads", &["applied"])
            .await
            >= 1.0
    );
}

#[tokio::test]
async fn takes_another_log_level() {
    let level = |level: &str| respond("x").log(&format!("level = \"{level}\"")).toml();
    let proxy = Proxy::start(&level("info")).await;
    let before = proxy.log().count("DEBUG");
    proxy.reload(&level("debug")).await;
    drop(TcpStream::connect(proxy.https()).await.unwrap());
    eventually("a line of the new level", async || {
        (proxy.log().count("DEBUG") > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refused_reload_leaves_the_certificates_of_the_metrics() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = respond("old").start().await;
    Pki::get().write_leaf(proxy.dir(), "other", &["other.test"]);
    let listener = format!(
        "\n[[listener]]\naddress = \"{}\"\n",
        taken.local_addr().unwrap()
    );
    let toml = respond("new")
        .certificate("{ chain = \"@dir/other.pem\", key = \"@dir/other.key\" }")
        .toml();
    proxy.configure(&(toml + &listener));
    proxy.signal("HUP");
    proxy.logged(&["reload refused"]).await;
    let name = |name: &str| format!("name=\"{name}\"");
    let ends = async |host: &str| {
        proxy
            .metric("portcullis_certificate_not_after_seconds", &[&name(host)])
            .await
    };
    assert!(ends(HOST).await > 1.0);
    assert!(ends("other.test").await < 1.0);
}

#[tokio::test]
async fn keeps_the_old_configuration_when_the_new_one_is_broken() {
    let proxy = respond("old").start().await;
    for broken in [
        "this is not toml".to_owned(),
        respond("new").server("no_such_key = 1").toml(),
        respond("new")
            .route("/x", "proxy = { upstream = \"nobody\" }")
            .toml(),
        respond("new")
            .certificate("{ chain = \"@dir/none.pem\", key = \"@dir/site.key\" }")
            .toml(),
    ] {
        let before = proxy.log().count("reload refused");
        proxy.configure(&broken);
        proxy.signal("HUP");
        eventually("the refusal", async || {
            (proxy.log().count("reload refused") > before).then_some(())
        })
        .await;
        assert_eq!(proxy.get("/").await.text(), "old");
    }
    assert!(proxy.log().count("no_such_key") >= 1, "says what is wrong");
    assert!(
        proxy
            .metric("portcullis_config_reloads", &["refused"])
            .await
            >= 4.0
    );
    proxy.reload(&respond("new").toml()).await;
    assert_eq!(proxy.get("/").await.text(), "new");
}

#[tokio::test]
async fn keeps_the_old_certificate_when_the_new_pair_does_not_match() {
    let proxy = respond("old").start().await;
    let before = std::fs::read(proxy.dir().join("site.key")).unwrap();
    Pki::get().write_leaf(proxy.dir(), "site", &[HOST]);
    std::fs::write(proxy.dir().join("site.key"), before).unwrap();
    proxy.signal("HUP");
    proxy.logged(&["reload refused"]).await;
    assert_eq!(proxy.get("/").await.text(), "old");
}

#[tokio::test]
async fn shows_a_renewed_certificate_and_keeps_connections() {
    let proxy = respond("here").start().await;
    let mut kept = proxy.session().await;
    kept.send(proxy.request("GET", "/")).await;
    let renewed = Pki::get().write_leaf(proxy.dir(), "site", &[HOST]);
    proxy.reload(&respond("here").toml()).await;
    let stream = proxy.target().handshake().await.unwrap();
    assert_eq!(
        stream.get_ref().1.peer_certificates().unwrap()[0].as_ref(),
        renewed.der()
    );
    assert_eq!(kept.send(proxy.request("GET", "/")).await.text(), "here");
}

#[tokio::test]
async fn an_upstream_that_did_not_change_keeps_its_connections() {
    let backend = Backend::echo().await;
    let setup = Setup::to(&[&backend]).threads(1);
    let proxy = setup.start().await;
    proxy.get("/").await;
    proxy
        .reload(
            &setup
                .clone()
                .route("/more", "respond = { status = 200, body = \"x\" }")
                .toml(),
        )
        .await;
    proxy.get("/").await;
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_changed_gets_the_requests() {
    let (old, new) = (Backend::echo().await, Backend::echo().await);
    let proxy = Setup::to(&[&old]).start().await;
    proxy.get("/").await;
    proxy.reload(&Setup::to(&[&new]).toml()).await;
    proxy.get("/after").await;
    assert_eq!((old.count("/after"), new.count("/after")), (0, 1));
    eventually("the old connections' end", async || {
        (old.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_in_flight_is_untouched() {
    let backend = Backend::with(|_| async {
        sleep(Duration::from_millis(700)).await;
        http::Response::new(full("late"))
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let request = proxy.request("GET", "/late");
    let waiting = tokio::spawn(request.send());
    eventually("the request", async || (backend.open() == 1).then_some(())).await;
    proxy.reload(&respond("new").toml()).await;
    let reply = waiting.await.unwrap();
    assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "late"));
}

#[tokio::test]
async fn no_request_is_lost_under_load() {
    let backend = Backend::echo().await;
    let setup = Setup::to(&[&backend]);
    let proxy = setup.start().await;
    let mut clients = Vec::new();
    for client in 0..4 {
        let target = proxy.target();
        let mut session = if client % 2 == 0 {
            proxy.session().await
        } else {
            proxy.session2().await
        };
        clients.push(tokio::spawn(async move {
            for _ in 0..150 {
                let request = crate::harness::client::Request::new(target.clone(), "GET", "/");
                assert_eq!(session.send(request).await.status, 200);
            }
        }));
    }
    for round in 0..5 {
        let route = format!("respond = {{ status = 200, body = \"{round}\" }}");
        proxy
            .reload(&setup.clone().route("/round", &route).toml())
            .await;
        assert_eq!(proxy.get("/round").await.text(), round.to_string());
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_listener_is_added_and_removed() {
    let proxy = respond("here").start().await;
    let more = "[[listener]]\naddress = \"127.0.0.3:0\"\n";
    proxy.reload(&respond("here").more(more).toml()).await;
    let line = proxy.logged(&["listening", "address=127.0.0.3:"]).await;
    let address = line
        .split("address=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let connects = async || TcpStream::connect(&address).await.is_ok();
    eventually("the new listener", async || connects().await.then_some(())).await;
    proxy.reload(&respond("here").toml()).await;
    eventually("its end", async || (!connects().await).then_some(())).await;
    assert_eq!(proxy.get("/").await.text(), "here");
}

#[tokio::test]
async fn a_listener_that_cannot_be_bound_keeps_the_old_ones() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more = format!(
        "[[listener]]\naddress = \"{}\"\n",
        taken.local_addr().unwrap()
    );
    let proxy = respond("old").start().await;
    proxy.configure(&respond("new").more(&more).toml());
    proxy.signal("HUP");
    proxy.logged(&["reload refused"]).await;
    assert_eq!(proxy.get("/").await.text(), "old");
}

#[tokio::test]
async fn a_rate_limit_that_did_not_change_keeps_its_counts() {
    let limited = Setup::new().route(
        "/",
        "respond = { status = 200, body = \"x\" }\nrate_limit = { rate = \"1/min\", burst = 0 }",
    );
    let proxy = limited.start().await;
    assert_eq!(proxy.get("/").await.status, 200);
    proxy
        .reload(
            &limited
                .clone()
                .route("/more", "respond = { status = 200, body = \"y\" }")
                .toml(),
        )
        .await;
    assert_eq!(proxy.get("/").await.status, 429);
}

#[tokio::test]
async fn a_new_build_is_served_without_a_reload() {
    let proxy = Setup::new()
        .route("/", SPA)
        .start_in(folder_with_spa())
        .await;
    let old = proxy.get("/").await;
    std::fs::write(
        proxy.dir().join("www/assets/index-Z9y8X7w6.js"),
        "console.log('new');\n",
    )
    .unwrap();
    let page = old.text().replace("index-B1c2D3e4", "index-Z9y8X7w6");
    std::fs::write(proxy.dir().join("www/index.html"), page).unwrap();
    std::fs::remove_file(proxy.dir().join("www/assets/index-B1c2D3e4.js")).unwrap();
    eventually("the new build", async || {
        proxy
            .get("/")
            .await
            .text()
            .contains("index-Z9y8X7w6")
            .then_some(())
    })
    .await;
    assert_eq!(proxy.get("/assets/index-Z9y8X7w6.js").await.status, 200);
    assert_eq!(
        proxy.get("/assets/index-B1c2D3e4.js").await.status,
        200,
        "open pages still load their chunks"
    );
}

#[tokio::test]
async fn says_what_needs_a_restart() {
    let proxy: Proxy = respond("x").threads(1).start().await;
    proxy.reload(&respond("x").threads(2).toml()).await;
    proxy.logged(&["server.threads", "restart"]).await;
}
