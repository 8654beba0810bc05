//! The seed's Apache block for the client.

use rustls::{
    CipherSuite, ProtocolVersion,
    crypto::aws_lc_rs::cipher_suite::{
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    },
    version::{TLS12, TLS13},
};

use super::{SITE, agreed, both, openssl_is_refused, request, target};
use crate::harness::{Proxy, backend::Backend, client::Reply};

async fn site(headers: &str) -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let proxy = both(&backend, headers).await;
    (backend, proxy)
}

/// `Header always`: a page, a miss, and an answer that has no body.
async fn replies(headers: &str) -> Vec<Reply> {
    let (_backend, proxy) = site(headers).await;
    let page = request(&proxy, SITE, "GET", "/").send().await;
    let etag = page.header("etag").to_owned();
    let unchanged = request(&proxy, SITE, "GET", "/")
        .header("if-none-match", &etag)
        .send()
        .await;
    assert_eq!(unchanged.status, 304);
    let miss = request(&proxy, SITE, "GET", "/none.css").send().await;
    assert_eq!(miss.status, 404);
    vec![page, unchanged, miss]
}

#[tokio::test]
async fn seed_apache_client_virtual_host_443_and_ssl_engine_on() {
    let (_backend, proxy) = site("").await;
    assert_eq!(request(&proxy, SITE, "GET", "/").send().await.status, 200);
}

#[tokio::test]
async fn seed_apache_client_server_name() {
    let (_backend, proxy) = site("").await;
    let reply = request(&proxy, "YOUR-domain.com", "GET", "/").send().await;
    assert!(reply.text().contains("<title>SPA"));
}

#[tokio::test]
async fn seed_apache_client_document_root() {
    let (_backend, proxy) = site("").await;
    let reply = request(&proxy, SITE, "GET", "/assets/index-B1c2D3e4.js")
        .send()
        .await;
    assert_eq!(reply.text(), "console.log('here');\n");
    assert!(
        reply.header("content-type").starts_with("text/javascript"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn seed_apache_client_ssl_certificate_file_and_key_file() {
    let (_backend, proxy) = site("").await;
    target(&proxy, SITE).handshake().await.unwrap();
}

#[tokio::test]
async fn seed_apache_client_ssl_protocol() {
    let (_backend, proxy) = site("").await;
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
async fn seed_apache_client_ssl_cipher_suite() {
    let (_backend, proxy) = site("").await;
    let ecdsa = [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384];
    let rsa = [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384];
    assert_eq!(
        agreed(&proxy, SITE, &ecdsa, &[&TLS12]).await.unwrap().1,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    );
    assert_eq!(
        agreed(&proxy, SITE, &rsa, &[&TLS12]).await.unwrap().1,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    );
}

#[tokio::test]
async fn seed_apache_client_header_always_strict_transport_security() {
    for reply in replies("").await {
        assert_eq!(
            reply.header("strict-transport-security"),
            "max-age=63072000"
        );
    }
}

#[tokio::test]
async fn seed_apache_client_header_always_x_content_type_options() {
    for reply in replies("").await {
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn seed_apache_client_header_always_x_frame_options() {
    for reply in replies("").await {
        assert_eq!(reply.header("x-frame-options"), "DENY");
    }
}

#[tokio::test]
async fn seed_apache_client_header_always_x_xss_protection() {
    // Done otherwise by default: the browsers' filter was a hole. The seed's value can be set.
    for reply in replies("").await {
        assert_eq!(reply.header("x-xss-protection"), "0");
    }
    for reply in replies("headers = { xss_protection = \"1; mode=block\" }").await {
        assert_eq!(reply.header("x-xss-protection"), "1; mode=block");
    }
}

#[tokio::test]
async fn seed_apache_client_header_always_referrer_policy() {
    for reply in replies("").await {
        assert_eq!(
            reply.header("referrer-policy"),
            "strict-origin-when-cross-origin"
        );
    }
}

#[tokio::test]
async fn seed_apache_client_header_always_content_security_policy() {
    for reply in replies("headers = { csp = { policy = \"default-src 'self'\" } }").await {
        assert_eq!(
            reply.header("content-security-policy"),
            "default-src 'self'"
        );
    }
}

#[tokio::test]
async fn seed_apache_client_rewrite_rule_index_html() {
    let (_backend, proxy) = site("").await;
    let reply = request(&proxy, SITE, "GET", "/index.html").send().await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("<title>SPA"));
}

#[tokio::test]
async fn seed_apache_client_rewrite_cond_file_is_served() {
    let (_backend, proxy) = site("").await;
    let reply = request(&proxy, SITE, "GET", "/robots.txt")
        .header("accept", "text/html")
        .send()
        .await;
    assert_eq!(reply.text(), "User-agent: *\n");
}

#[tokio::test]
async fn seed_apache_client_rewrite_cond_folder_is_not_listed() {
    let (_backend, proxy) = site("").await;
    let reply = request(&proxy, SITE, "GET", "/assets/")
        .header("accept", "text/html")
        .send()
        .await;
    assert!(
        !reply.text().contains("index-B1c2D3e4.js\">index"),
        "{reply:?}"
    );
    assert!(!reply.text().contains("Index of"), "{reply:?}");
}

#[tokio::test]
async fn seed_apache_client_rewrite_rule_to_index_html() {
    let (_backend, proxy) = site("").await;
    let reply = request(&proxy, SITE, "GET", "/deep/link")
        .header("accept", "text/html")
        .send()
        .await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("<title>SPA"));
    assert_eq!(reply.header("cache-control"), "no-cache");
}
