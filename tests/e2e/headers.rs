//! Security headers: on every response, once, and with helmet in charge of what it sets.

use http::Version;

use crate::harness::{
    Proxy,
    backend::{Backend, full},
    client::Reply,
    setup::{SPA, Setup, folder_with_spa},
};

const LIST: [(&str, &str); 5] = [
    ("strict-transport-security", "max-age=63072000"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "0"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];

fn assert_secure(reply: &Reply) {
    for (name, value) in LIST {
        assert_eq!(reply.header(name), value, "{name} of {reply:?}");
        assert_eq!(reply.count(name), 1, "{name} of {reply:?}");
    }
    assert!(
        reply
            .header("content-security-policy")
            .contains("default-src 'self'"),
        "{reply:?}"
    );
    assert_eq!(reply.count("content-security-policy"), 1);
    assert_ne!(reply.header("x-request-id"), "");
}

async fn spa() -> Proxy {
    Setup::new()
        .route("/", SPA)
        .start_in(folder_with_spa())
        .await
}

#[tokio::test]
async fn on_200() {
    let proxy = spa().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for path in ["/", "/assets/index-B1c2D3e4.js", "/robots.txt"] {
            let reply = proxy.request("GET", path).version(version).send().await;
            assert_eq!((reply.status.as_u16(), reply.version), (200, version));
            assert_secure(&reply);
        }
    }
}

#[tokio::test]
async fn on_304() {
    let proxy = spa().await;
    let first = proxy.get("/").await;
    let reply = proxy
        .request("GET", "/")
        .header("if-none-match", first.header("etag"))
        .send()
        .await;
    assert_eq!(reply.status, 304);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_404() {
    let proxy = spa().await;
    let reply = proxy.get("/assets/gone.js").await;
    assert_eq!(reply.status, 404);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_404_without_a_route() {
    let proxy = Setup::new()
        .route("/only/", SPA)
        .start_in(folder_with_spa())
        .await;
    let reply = proxy.get("/elsewhere").await;
    assert_eq!(reply.status, 404);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_405() {
    let proxy = spa().await;
    let reply = proxy.request("POST", "/").body("x").send().await;
    assert_eq!(reply.status, 405);
    assert!(reply.header("allow").contains("GET"));
    assert_secure(&reply);
}

#[tokio::test]
async fn on_413() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .route(
            "/small/",
            "proxy = { upstream = \"app\" }\nbody_limit = \"10b\"",
        )
        .start()
        .await;
    let reply = proxy
        .request("POST", "/small/")
        .body("more than ten bytes")
        .send()
        .await;
    assert_eq!(reply.status, 413);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_429() {
    let proxy = Setup::new()
        .route("/", "respond = { status = 200, body = \"x\" }\nrate_limit = { rate = \"1/min\", burst = 0 }")
        .start()
        .await;
    proxy.get("/").await;
    let reply = proxy.get("/").await;
    assert_eq!(reply.status, 429);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_502() {
    let backend = Backend::canned_once("this is not HTTP\r\n\r\n").await;
    let proxy = Setup::to(&[&backend]).start().await;
    let reply = proxy.get("/").await;
    assert_eq!(reply.status, 502);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_503() {
    let mut backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .upstream("retry = { hold = \"100ms\" }")
        .start()
        .await;
    backend.kill().await;
    let reply = proxy.get("/").await;
    assert_eq!(reply.status, 503);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_504() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.closed().await;
        Ok(())
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .upstream("timeout = { header = \"200ms\" }")
        .start()
        .await;
    let reply = proxy.get("/").await;
    assert_eq!(reply.status, 504);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_a_redirect_of_a_route() {
    let proxy = Setup::new()
        .route("/", "redirect = { to = \"https://other.test{path}\" }")
        .start()
        .await;
    let reply = proxy.get("/x").await;
    assert_eq!(reply.status, 308);
    assert_secure(&reply);
}

#[tokio::test]
async fn on_400() {
    let proxy = spa().await;
    let mut raw = proxy.raw().await;
    raw.send("GET / HTTP/1.1\r\nHost: site.test\r\nHost: site.test\r\nConnection: close\r\n\r\n")
        .await;
    let answer = raw.read_to_end().await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 400"), "{answer}");
    assert!(
        answer.contains("x-content-type-options: nosniff"),
        "{answer}"
    );
}

#[tokio::test]
async fn on_the_redirect_to_https_without_hsts() {
    let proxy = spa().await;
    let reply = proxy.plain("GET", "/").send().await;
    assert_eq!(reply.status, 308);
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(reply.header("strict-transport-security"), "");
}

#[tokio::test]
async fn a_backend_that_sets_none_gets_all() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    assert_secure(&proxy.get("/").await);
}

#[tokio::test]
async fn helmet_stays_in_charge_and_nothing_is_doubled() {
    let helmet = [
        (
            "content-security-policy",
            "default-src 'self';base-uri 'self'",
        ),
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-xss-protection", "0"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ];
    let backend = Backend::with(move |_| async move {
        let mut response = http::Response::builder();
        for (name, value) in helmet {
            response = response.header(name, value);
        }
        response.body(full("helmet")).unwrap()
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    let reply = proxy.get("/").await;
    for (name, value) in helmet {
        assert_eq!(
            (reply.header(name), reply.count(name)),
            (value, 1),
            "{name}"
        );
    }
}

#[tokio::test]
async fn each_can_be_set_or_left_out() {
    let headers = "headers = { hsts = { max_age = \"365d\", include_subdomains = true, preload = true }, \
                   frame_options = \"SAMEORIGIN\", xss_protection = \"1; mode=block\", \
                   referrer_policy = \"no-referrer\", content_type_options = \"off\", \
                   csp = { policy = \"default-src 'none'\" } }";
    let proxy = Setup::new()
        .site(headers)
        .route("/", SPA)
        .start_in(folder_with_spa())
        .await;
    let reply = proxy.get("/").await;
    assert_eq!(
        reply.header("strict-transport-security"),
        "max-age=31536000; includeSubDomains; preload"
    );
    assert_eq!(reply.header("x-frame-options"), "SAMEORIGIN");
    assert_eq!(reply.header("x-xss-protection"), "1; mode=block");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert_eq!(reply.count("x-content-type-options"), 0);
    assert_eq!(
        reply.header("content-security-policy"),
        "default-src 'none'"
    );
}

#[tokio::test]
async fn says_nothing_about_the_server() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .route("/files/", SPA)
        .start_in(folder_with_spa())
        .await;
    for path in ["/", "/files/", "/files/none.js"] {
        let reply = proxy.get(path).await;
        assert_eq!(reply.header("server"), "", "{path}");
    }
}
