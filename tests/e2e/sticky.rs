//! Clients that stay where they were, by cookie.

use crate::harness::{
    Proxy,
    backend::{Backend, full},
    folder,
    setup::Setup,
};

#[tokio::test]
async fn socket_io_sessions_stay_on_their_backend() {
    let backends = [
        Backend::echo().await,
        Backend::echo().await,
        Backend::echo().await,
    ];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all)
        .upstream("sticky = \"socketio\"\nbalance = \"round_robin\"")
        .start()
        .await;
    let first = proxy.get("/socket.io/?EIO=4&transport=polling").await;
    let cookie = first.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("Secure") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap().to_owned();
    for _ in 0..9 {
        let request = proxy
            .request("GET", "/socket.io/?EIO=4&transport=polling&sid=abc")
            .header("cookie", &pair);
        assert_eq!(request.send().await.status, 200);
    }
    let counts: Vec<_> = backends
        .iter()
        .map(|backend| backend.count("sid=abc"))
        .collect();
    assert!(counts.contains(&9), "{counts:?}");
    // What is no Socket.IO gets no cookie.
    assert_eq!(proxy.get("/other").await.count("set-cookie"), 0);
}

#[tokio::test]
async fn a_sticky_client_moves_when_its_backend_dies() {
    let mut backends = [Backend::echo().await, Backend::echo().await];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all)
        .upstream("sticky = \"cookie\"\nretry = { budget = 1.0 }")
        .start()
        .await;
    let first = proxy.get("/").await;
    let pair = first
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert_ne!(pair, "");
    let home = usize::from(backends[0].requests().is_empty());
    backends[home].kill().await;
    let reply = proxy
        .request("GET", "/")
        .header("cookie", &pair)
        .send()
        .await;
    assert_eq!(reply.status, 200);
    assert_ne!(
        reply.header("set-cookie"),
        "",
        "a new home has a new cookie"
    );
}

#[tokio::test]
async fn the_applications_own_cookies_stay() {
    let backend = Backend::with(|_| async {
        let response = http::Response::builder().header("set-cookie", "session=1; Path=/");
        response.body(full("x")).unwrap()
    })
    .await;
    let other = Backend::echo().await;
    let proxy = Setup::to(&[&backend, &other])
        .upstream("sticky = \"cookie\"\nbalance = \"round_robin\"")
        .start()
        .await;
    let replies = [proxy.get("/").await, proxy.get("/").await];
    let cookies: Vec<_> = replies
        .iter()
        .flat_map(|reply| reply.headers.get_all("set-cookie"))
        .collect();
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    assert!(cookies.iter().any(|cookie| *cookie == "session=1; Path=/"));
}

#[tokio::test]
async fn the_backend_does_not_see_the_cookie_of_the_proxy() {
    let backends = [Backend::echo().await, Backend::echo().await];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all)
        .upstream("sticky = \"cookie\"")
        .start()
        .await;
    let first = proxy.get("/").await;
    let pair = first
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    // It tells nothing that helps an attacker: neither address nor port.
    for backend in &backends {
        let address = backend.address();
        assert!(!pair.contains(&address.port().to_string()), "{pair}");
    }
    let echo = proxy
        .request("GET", "/")
        .header("cookie", &format!("a=1; {pair}"))
        .send()
        .await
        .json();
    assert!(echo.to_string().contains("a=1"), "{echo}");
}

#[tokio::test]
async fn a_forged_cookie_is_no_error() {
    let backends = [Backend::echo().await, Backend::echo().await];
    let all: Vec<_> = backends.iter().collect();
    let proxy = Setup::to(&all)
        .upstream("sticky = \"cookie\"")
        .start()
        .await;
    let first = proxy.get("/").await;
    let (name, value) = first
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .split_once('=')
        .unwrap();
    for forged in [
        "",
        "x",
        "999999",
        "../../etc",
        &value.repeat(50),
        &format!("{value}x"),
    ] {
        let request = proxy
            .request("GET", "/")
            .header("cookie", &format!("{name}={forged}"));
        assert_eq!(request.send().await.status, 200, "{forged}");
    }
}

/// Long enough, as written in the configuration.
const SECRET: &str = "secret = \"a secret of the end-to-end tests, 32 bytes and more\"";

/// The cookie that a client without one gets, as it sends it.
async fn cookie(proxy: &Proxy) -> String {
    let reply = proxy.get("/").await;
    reply
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

/// Whether the backend that a cookie names is known: then it is not set anew.
async fn is_known(proxy: &Proxy, cookie: &str) -> bool {
    let request = proxy.request("GET", "/").header("cookie", cookie);
    request.send().await.count("set-cookie") == 0
}

#[tokio::test]
async fn proxies_with_the_same_secret_know_each_others_cookies() {
    let backends = [
        Backend::echo().await,
        Backend::echo().await,
        Backend::echo().await,
    ];
    let all: Vec<_> = backends.iter().collect();
    let setup = Setup::to(&all).upstream("sticky = \"cookie\"\nbalance = \"round_robin\"");
    let one = setup.clone().server(SECRET).start().await;
    let dir = folder();
    let secret = SECRET.split('"').nth(1).unwrap();
    std::fs::write(dir.path().join("cookie.secret"), format!("{secret}\n")).unwrap();
    let other = setup
        .clone()
        .server("secret_file = \"cookie.secret\"")
        .start_in(dir)
        .await;
    let stranger = setup.start().await;
    for _ in 0..backends.len() {
        let cookie = cookie(&one).await;
        let home = backends.iter().find(|it| it.count("GET /") > 0).unwrap();
        home.forget();
        for _ in 0..5 {
            assert!(is_known(&other, &cookie).await);
        }
        assert_eq!(home.count("GET /"), 5);
        assert!(!is_known(&stranger, &cookie).await);
        backends.iter().for_each(Backend::forget);
    }
}

#[tokio::test]
async fn another_secret_begins_with_a_reload_and_the_same_one_goes_on() {
    let backends = [Backend::echo().await, Backend::echo().await];
    let all: Vec<_> = backends.iter().collect();
    let setup = Setup::to(&all).upstream("sticky = \"cookie\"");
    let toml = setup.clone().server(SECRET).toml();
    let proxy = Proxy::start(&toml).await;
    let first = cookie(&proxy).await;
    proxy.reload(&toml).await;
    assert!(is_known(&proxy, &first).await);
    let other = SECRET.replace("a secret", "another secret");
    proxy.reload(&setup.server(&other).toml()).await;
    assert!(!is_known(&proxy, &first).await);
    proxy.reload(&toml).await;
    assert!(is_known(&proxy, &first).await);
    assert_eq!(proxy.log().count("end-to-end tests"), 0);
}
