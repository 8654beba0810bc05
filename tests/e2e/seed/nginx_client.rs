//! The seed's nginx block for the client, and its redirect block.

use rustls::{
    CipherSuite, ProtocolVersion,
    crypto::aws_lc_rs::cipher_suite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    },
    version::{TLS12, TLS13},
};

use super::{API, SITE, agreed, both, openssl_is_refused, request, target, tls};
use crate::harness::{backend::Backend, command::portcullis, folder, setup::Setup};

/// The header lines of the block, with the values as they are written there.
const LITERAL: &str = "headers = { hsts = { max_age = 63072000 }, content_type_options = \"nosniff\", \
    frame_options = \"DENY\", xss_protection = \"1; mode=block\", \
    referrer_policy = \"strict-origin-when-cross-origin\", \
    csp = { policy = \"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';\" } }";

async fn header(name: &str) -> Vec<String> {
    let backend = Backend::echo().await;
    let proxy = both(&backend, LITERAL).await;
    let mut values = Vec::new();
    // The seed says `always` once; here it is so for all.
    for path in ["/", "/assets/gone.js"] {
        let reply = request(&proxy, SITE, "GET", path).send().await;
        assert_eq!(reply.count(name), 1, "{reply:?}");
        values.push(reply.header(name).to_owned());
    }
    values
}

#[tokio::test]
async fn seed_nginx_client_listen_443_ssl_http2() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    let stream = target(&proxy, SITE)
        .config(tls(&[], &[&TLS13]))
        .handshake()
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let reply = request(&proxy, SITE, "GET", "/").h2().send().await;
    assert_eq!(
        (reply.status.as_u16(), reply.version),
        (200, http::Version::HTTP_2)
    );
}

#[tokio::test]
async fn seed_nginx_client_server_name() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    assert!(
        request(&proxy, SITE, "GET", "/")
            .send()
            .await
            .text()
            .contains("<title>SPA")
    );
    assert_eq!(
        request(&proxy, API, "GET", "/").send().await.json()["target"],
        "/"
    );
}

#[tokio::test]
async fn seed_nginx_client_ssl_certificate_and_key() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    // Verified against the authority and the name.
    target(&proxy, SITE).handshake().await.unwrap();
    assert!(
        target(&proxy, "another-domain.com")
            .handshake()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn seed_nginx_client_ssl_protocols() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    assert_eq!(
        agreed(&proxy, SITE, &[], &[&TLS12]).await.unwrap().0,
        ProtocolVersion::TLSv1_2
    );
    assert_eq!(
        agreed(&proxy, SITE, &[], &[&TLS13]).await.unwrap().0,
        ProtocolVersion::TLSv1_3
    );
    assert!(openssl_is_refused(&proxy, SITE, "-tls1").await);
    assert!(openssl_is_refused(&proxy, SITE, "-tls1_1").await);
}

#[tokio::test]
async fn seed_nginx_client_ssl_ciphers() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    let suites = [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384];
    let (_, suite) = agreed(&proxy, SITE, &suites, &[&TLS12]).await.unwrap();
    assert_eq!(suite, CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384);
    // Two of the seed's names are no suites, and DHE is not offered: said aloud, never ignored.
    let dir = folder();
    for name in [
        "ECDHE-RSA-AES256-GCM-SHA512",
        "DHE-RSA-AES256-GCM-SHA512",
        "DHE-RSA-AES256-GCM-SHA384",
    ] {
        let toml = Setup::new()
            .tls(&format!("ciphers = [\"{name}\"]"))
            .route("/", "respond = { status = 200, body = \"x\" }")
            .toml()
            .replace("@dir", dir.path().to_str().unwrap());
        let file = dir.path().join("seed.toml");
        std::fs::write(&file, toml).unwrap();
        let said = portcullis(&["check", "--config", file.to_str().unwrap()]).await;
        assert_eq!(said.code, Some(78), "{said:?}");
        assert!(said.all().contains(name), "{said:?}");
    }
}

#[tokio::test]
async fn seed_nginx_client_ssl_prefer_server_ciphers_off() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    let (small, large) = (
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    );
    // Done otherwise: every suite here is strong, so the cheapest that both have is taken.
    for order in [[small, large], [large, small]] {
        let (_, suite) = agreed(&proxy, SITE, &order, &[&TLS12]).await.unwrap();
        assert_eq!(suite, small.suite());
    }
}

#[tokio::test]
async fn seed_nginx_client_add_header_strict_transport_security() {
    assert_eq!(
        header("strict-transport-security").await,
        ["max-age=63072000"; 2]
    );
}

#[tokio::test]
async fn seed_nginx_client_add_header_x_content_type_options() {
    assert_eq!(header("x-content-type-options").await, ["nosniff"; 2]);
}

#[tokio::test]
async fn seed_nginx_client_add_header_x_frame_options() {
    assert_eq!(header("x-frame-options").await, ["DENY"; 2]);
}

#[tokio::test]
async fn seed_nginx_client_add_header_x_xss_protection() {
    assert_eq!(header("x-xss-protection").await, ["1; mode=block"; 2]);
}

#[tokio::test]
async fn seed_nginx_client_add_header_referrer_policy() {
    assert_eq!(
        header("referrer-policy").await,
        ["strict-origin-when-cross-origin"; 2]
    );
}

#[tokio::test]
async fn seed_nginx_client_add_header_content_security_policy() {
    let policy =
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';";
    assert_eq!(header("content-security-policy").await, [policy; 2]);
}

#[tokio::test]
async fn seed_nginx_client_location_root() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    let reply = request(&proxy, SITE, "GET", "/robots.txt").send().await;
    assert_eq!(reply.text(), "User-agent: *\n");
}

#[tokio::test]
async fn seed_nginx_client_try_files() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    let navigate = request(&proxy, SITE, "GET", "/users/42")
        .header("accept", "text/html,*/*")
        .send()
        .await;
    assert_eq!(navigate.status, 200);
    assert!(navigate.text().contains("<title>SPA"));
    // Done otherwise: a missing script is 404, not a page of HTML.
    let script = request(&proxy, SITE, "GET", "/assets/old-a1b2c3d4.js")
        .header("accept", "*/*")
        .send()
        .await;
    assert_eq!(script.status, 404);
}

#[tokio::test]
async fn seed_nginx_client_redirect_listen_80() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    for host in [SITE, API] {
        let reply = proxy.plain("GET", "/a?b=c").host(host).send().await;
        // Done otherwise: 308 keeps the method, and the API host is redirected too.
        assert_eq!(reply.status, 308);
    }
}

#[tokio::test]
async fn seed_nginx_client_redirect_return_301_server_name_request_uri() {
    let backend = Backend::echo().await;
    let proxy = both(&backend, "").await;
    let location = proxy
        .plain("GET", "/a?b=c")
        .host(SITE)
        .send()
        .await
        .header("location")
        .to_owned();
    assert!(
        location.starts_with(&format!("https://{SITE}")) && location.ends_with("/a?b=c"),
        "{location}"
    );
    // Done otherwise: a host that is not ours is no redirect.
    assert_eq!(
        proxy
            .plain("GET", "/")
            .host("evil.test")
            .send()
            .await
            .status,
        404
    );
}
