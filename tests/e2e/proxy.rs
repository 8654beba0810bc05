//! What is asked reaches the backend as it was asked, and the answer comes back as it was given.

use http::Version;

use crate::harness::{
    HOST, Proxy,
    backend::{Backend, echoed, full},
    folder,
    pki::Pki,
    raw::status_of,
    setup::Setup,
};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

async fn echo() -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .route(
            "/api/",
            "proxy = { upstream = \"app\", strip_prefix = true }",
        )
        .start()
        .await;
    (backend, proxy)
}

#[tokio::test]
async fn passes_every_method() {
    let (_backend, proxy) = echo().await;
    for version in BOTH {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"] {
            let reply = proxy.request(method, "/m").version(version).send().await;
            assert_eq!(reply.json()["method"], method);
        }
    }
}

#[tokio::test]
async fn answers_head_without_a_body_and_keeps_the_length() {
    let backend = Backend::canned("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
    let proxy = Setup::to(&[&backend]).start().await;
    for version in BOTH {
        let mut session = if version == Version::HTTP_2 {
            proxy.session2().await
        } else {
            proxy.session().await
        };
        for _ in 0..2 {
            let reply = session.send(proxy.request("HEAD", "/")).await;
            assert_eq!(
                (reply.status.as_u16(), reply.header("content-length")),
                (200, "1234")
            );
            assert!(reply.body.is_empty());
        }
    }
}

#[tokio::test]
async fn answers_204_and_304_without_a_body() {
    for (canned, status) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 204),
        (
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n",
            304,
        ),
    ] {
        let backend = Backend::canned(canned).await;
        let proxy = Setup::to(&[&backend]).threads(1).start().await;
        let mut session = proxy.session().await;
        for _ in 0..2 {
            let reply = session.send(proxy.request("GET", "/")).await;
            assert_eq!(reply.status, status);
            assert!(reply.body.is_empty());
        }
        assert_eq!(backend.connections(), 1, "the connection is still in step");
    }
}

#[tokio::test]
async fn keeps_the_bytes_of_the_target() {
    let (_backend, proxy) = echo().await;
    for version in BOTH {
        for target in [
            "/a%2Fb",
            "/a//b",
            "/a;x=1/b",
            "/%7Euser/%41",
            "/q?a=%20+b&c=[1]&d='",
            "/dots/%2e%2e/x",
            "/a|b",
        ] {
            let reply = proxy.request("GET", target).version(version).send().await;
            assert_eq!(reply.json()["target"], target);
        }
    }
}

#[tokio::test]
async fn keeps_dot_segments_that_a_client_really_sends() {
    let (backend, proxy) = echo().await;
    let mut raw = proxy.raw().await;
    raw.send(format!(
        "GET /a/../b/./c HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    ))
    .await;
    assert_eq!(status_of(&raw.read_to_end().await), 200);
    assert_eq!(backend.requests(), ["GET /a/../b/./c"]);
}

#[tokio::test]
async fn strips_the_prefix_of_the_route() {
    let (_backend, proxy) = echo().await;
    for (asked, seen) in [
        ("/api/users?x=1", "/users?x=1"),
        ("/api/", "/"),
        ("/api", "/"),
        ("/api/a%2Fb", "/a%2Fb"),
        ("/api//x", "//x"),
        ("/apix", "/apix"),
        ("/api/api/x", "/api/x"),
    ] {
        assert_eq!(proxy.get(asked).await.json()["target"], seen, "{asked}");
    }
}

#[tokio::test]
async fn maps_locations_back() {
    let backend = Backend::with(|request: http::Request<hyper::body::Incoming>| async move {
        let location = request.headers()["x-location"].clone();
        http::Response::builder()
            .status(302)
            .header("location", location)
            .body(full(""))
            .unwrap()
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .route(
            "/api/",
            "proxy = { upstream = \"app\", strip_prefix = true }",
        )
        .start()
        .await;
    let own = backend.url();
    for (path, said, mapped) in [
        ("/api/x", "/login", "/api/login".to_owned()),
        (
            "/api/x",
            &*format!("{own}/login?a"),
            format!("https://{HOST}/api/login?a"),
        ),
        ("/api/x", "next", "next".to_owned()),
        (
            "/api/x",
            "https://idp.test/authorize",
            "https://idp.test/authorize".to_owned(),
        ),
        ("/x", "/login", "/login".to_owned()),
        (
            "/x",
            &*format!("{own}/login"),
            format!("https://{HOST}/login"),
        ),
    ] {
        let reply = proxy
            .request("GET", path)
            .header("x-location", said)
            .send()
            .await;
        assert_eq!(reply.header("location"), mapped, "{path} {said}");
    }
}

#[tokio::test]
async fn maps_cookie_paths_back() {
    let backend = Backend::with(|_| async move {
        http::Response::builder()
            .header("set-cookie", "a=1; Path=/auth; HttpOnly")
            .header("set-cookie", "b=2; Path=/; Secure")
            .header("set-cookie", "c=3")
            .body(full(""))
            .unwrap()
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .route(
            "/api/",
            "proxy = { upstream = \"app\", strip_prefix = true }",
        )
        .start()
        .await;
    let reply = proxy.get("/api/x").await;
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
    assert_eq!(
        cookies,
        [
            "a=1; Path=/api/auth; HttpOnly",
            "b=2; Path=/; Secure",
            "c=3"
        ]
    );
    let plain = proxy.get("/x").await;
    assert_eq!(
        plain.headers.get_all("set-cookie").iter().next().unwrap(),
        "a=1; Path=/auth; HttpOnly"
    );
}

#[tokio::test]
async fn keeps_fields_that_are_the_applications() {
    let backend = Backend::with(|_| async move {
        http::Response::builder()
            .status(418)
            .header("x-many", "1")
            .header("x-many", "2")
            .header("etag", "W/\"x\"")
            .header("vary", "origin")
            .header("access-control-allow-origin", "https://a.test")
            .body(full("teapot"))
            .unwrap()
    })
    .await;
    let proxy = Setup::to(&[&backend]).start().await;
    for version in BOTH {
        let reply = proxy.request("GET", "/").version(version).send().await;
        assert_eq!((reply.status.as_u16(), &*reply.text()), (418, "teapot"));
        assert_eq!(
            reply.headers.get_all("x-many").iter().collect::<Vec<_>>(),
            ["1", "2"]
        );
        assert_eq!(
            (reply.header("etag"), reply.header("vary")),
            ("W/\"x\"", "origin")
        );
        assert_eq!(
            reply.header("access-control-allow-origin"),
            "https://a.test"
        );
    }
}

#[tokio::test]
async fn speaks_tls_to_https_backends_and_verifies_them() {
    let leaf = Pki::get().leaf(&["api.internal"]);
    let backend = Backend::echo_tls(leaf.server()).await;
    let good =
        Setup::to(&[&backend]).upstream("tls = { ca = \"@dir/ca.pem\", name = \"api.internal\" }");
    let proxy = good.start().await;
    let echo = proxy.get("/secret").await.json();
    assert_eq!(echo["target"], "/secret");
    assert_eq!(echoed(&echo, "host"), [HOST]);
    let wrong = Setup::to(&[&backend])
        .upstream("tls = { ca = \"@dir/ca.pem\", name = \"other.internal\" }\nretry = { hold = \"100ms\" }")
        .start()
        .await;
    let status = wrong.get("/").await.status.as_u16();
    assert!([502, 503].contains(&status), "{status}");
}

#[tokio::test]
async fn speaks_to_unix_sockets() {
    let dir = folder();
    let backend = Backend::echo_unix(&dir.path().join("app.sock"));
    let proxy = Setup::to(&[&backend]).start_in(dir).await;
    let echo = proxy
        .request("POST", "/x")
        .body("over a file")
        .send()
        .await
        .json();
    assert_eq!(
        (&echo["target"], &echo["body"]),
        (&"/x".into(), &"over a file".into())
    );
}

#[tokio::test]
async fn resolves_names_of_backends() {
    let backend = Backend::echo().await;
    let url = format!("http://localhost:{}", backend.address().port());
    let proxy = Setup::to_urls(&[url])
        .route("/", "proxy = { upstream = \"app\" }")
        .start()
        .await;
    assert_eq!(proxy.get("/x").await.json()["target"], "/x");
}

#[tokio::test]
async fn errors_are_json_in_nests_shape_or_a_page() {
    let backend = Backend::canned_once("no HTTP\r\n\r\n").await;
    let proxy = Setup::to(&[&backend]).start().await;
    let json = proxy
        .request("GET", "/")
        .header("accept", "application/json")
        .send()
        .await;
    assert_eq!(json.status, 502);
    let body = json.json();
    assert_eq!(
        (&body["statusCode"], &body["error"]),
        (&502.into(), &"Bad Gateway".into())
    );
    assert!(body["message"].is_string());
    assert_eq!(body["requestId"], json.header("x-request-id"));
    let page = proxy
        .request("GET", "/")
        .header("accept", "text/html")
        .send()
        .await;
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{page:?}"
    );
    assert!(page.text().contains("502"));
}

#[tokio::test]
async fn a_request_id_is_made_passed_on_and_returned() {
    let (_backend, proxy) = echo().await;
    let reply = proxy.get("/").await;
    let id = reply.header("x-request-id").to_owned();
    assert_ne!(id, "");
    assert_eq!(echoed(&reply.json(), "x-request-id"), [&*id]);
    assert_eq!(proxy.access("/").await["request_id"], id);
}
