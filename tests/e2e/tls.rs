//! Handshakes that succeed: versions, names, key kinds, ALPN, key exchange, resumption.

use std::sync::Arc;

use rustls::{
    ClientConfig, NamedGroup, ProtocolVersion,
    client::Resumption,
    crypto::aws_lc_rs::{self, cipher_suite},
    version::{TLS12, TLS13},
};
use tokio::io::AsyncReadExt as _;

use crate::harness::{
    HOST, Proxy,
    backend::Backend,
    client::Request,
    command::run,
    folder,
    pki::{self, Leaf, Pki},
    raw::{Raw, status_of},
    setup::Setup,
};

const RESPOND: &str = "respond = { status = 200, body = \"here\" }";

async fn site() -> Proxy {
    Setup::new().route("/", RESPOND).start().await
}

/// The certificate a client is shown.
async fn shown(proxy: &Proxy, name: &str, config: ClientConfig) -> Vec<u8> {
    let stream = proxy
        .target()
        .name(name)
        .config(unverified(config))
        .handshake()
        .await
        .unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn speaks_tls_1_3_when_both_can() {
    let proxy = site().await;
    let stream = proxy.target().handshake().await.unwrap();
    assert_eq!(
        stream.get_ref().1.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
}

#[tokio::test]
async fn speaks_tls_1_2_with_a_client_that_has_no_more() {
    let proxy = site().await;
    let config = pki::client_with(aws_lc_rs::default_provider(), &[&TLS12], &[]);
    let stream = proxy.target().config(config).handshake().await.unwrap();
    assert_eq!(
        stream.get_ref().1.protocol_version(),
        Some(ProtocolVersion::TLSv1_2)
    );
}

#[tokio::test]
async fn keeps_tls_1_2_out_when_the_minimum_is_1_3() {
    let proxy = Setup::new()
        .tls("min_version = \"1.3\"")
        .route("/", RESPOND)
        .start()
        .await;
    let config = pki::client_with(aws_lc_rs::default_provider(), &[&TLS12], &[]);
    assert!(proxy.target().config(config).handshake().await.is_err());
    assert_eq!(proxy.get("/").await.text(), "here");
}

#[tokio::test]
async fn refuses_tls_1_1_with_alert_70() {
    let proxy = site().await;
    let address = proxy.https().to_string();
    let args = [
        "s_client",
        "-connect",
        &address,
        "-tls1_1",
        "-cipher",
        "ALL:@SECLEVEL=0",
        "-servername",
        HOST,
    ];
    let said = run("openssl", &args, "").await.all();
    assert!(said.contains("alert number 70"), "{said}");
    proxy
        .logged(&["handshake failed", "no_shared_version"])
        .await;
}

#[tokio::test]
async fn openssl_verifies_the_chain_and_agrees_on_h2() {
    let proxy = site().await;
    let (address, ca) = (proxy.https().to_string(), proxy.dir().join("ca.pem"));
    let ca = ca.to_str().unwrap();
    let args = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        HOST,
        "-CAfile",
        ca,
        "-verify_return_error",
        "-alpn",
        "h2,http/1.1",
    ];
    let said = run("openssl", &args, "").await.all();
    assert!(said.contains("ALPN protocol: h2"), "{said}");
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    assert!(
        said.contains("Secure Renegotiation IS") || said.contains("TLSv1.3"),
        "{said}"
    );
}

#[tokio::test]
async fn curl_talks_h1_and_h2() {
    let proxy = site().await;
    let ca = proxy.dir().join("ca.pem");
    let port = proxy.https().port();
    let resolve = format!("{HOST}:{port}:127.0.0.1");
    let url = format!("https://{HOST}:{port}/");
    for (version, wanted) in [("--http1.1", "1.1 here"), ("--http2", "2 here")] {
        let write = "%{http_version} ";
        let args = [
            version,
            "-s",
            "--cacert",
            ca.to_str().unwrap(),
            "--resolve",
            &resolve,
            "-w",
            write,
            "-o",
            "-",
            &url,
        ];
        let said = run("curl", &args, "").await;
        assert_eq!(said.code, Some(0), "{said:?}");
        let parts: Vec<_> = wanted.split(' ').collect();
        assert!(
            said.stdout.contains(parts[0]) && said.stdout.contains(parts[1]),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn picks_the_certificate_by_name_exact_before_wildcard() {
    let dir = folder();
    let wild = Pki::get().write_leaf(dir.path(), "wild", &["*.wild.test"]);
    let exact = Pki::get().write_leaf(dir.path(), "exact", &["exact.wild.test"]);
    let proxy = Setup::new()
        .route("/", RESPOND)
        .more(&other_site("*.wild.test", "wild"))
        .more(&other_site("exact.wild.test", "exact"))
        .start_in(dir)
        .await;
    assert_eq!(
        shown(&proxy, "exact.wild.test", pki::client(&[])).await,
        exact.der()
    );
    assert_eq!(
        shown(&proxy, "any.wild.test", pki::client(&[])).await,
        wild.der()
    );
    assert_eq!(
        shown(&proxy, "EXACT.wild.test", pki::client(&[])).await,
        exact.der()
    );
}

#[tokio::test]
async fn answers_a_wildcard_host_with_its_own_site() {
    let dir = folder();
    Pki::get().write_leaf(dir.path(), "wild", &["*.wild.test"]);
    let proxy = Setup::new()
        .route("/", RESPOND)
        .more(&other_site("*.wild.test", "wild"))
        .start_in(dir)
        .await;
    let target = proxy.target().name("a.wild.test");
    let reply = Request::new(target, "GET", "/")
        .host("a.wild.test")
        .send()
        .await;
    assert_eq!(reply.text(), "*.wild.test");
}

#[tokio::test]
async fn shows_the_first_sites_certificate_to_unknown_names_and_to_none() {
    let dir = folder();
    let leaf = Pki::get().write_leaf(dir.path(), "site", &[HOST]);
    Pki::get().write_leaf(dir.path(), "wild", &["*.wild.test"]);
    let proxy = Setup::new()
        .route("/", RESPOND)
        .more(&other_site("*.wild.test", "wild"))
        .start_in(dir)
        .await;
    assert_eq!(
        shown(&proxy, "unknown.test", pki::client(&[])).await,
        leaf.der()
    );
    let mut nameless = pki::client(&[]);
    nameless.enable_sni = false;
    assert_eq!(shown(&proxy, HOST, nameless).await, leaf.der());
}

#[tokio::test]
async fn a_client_without_a_name_is_served_by_its_host() {
    let proxy = site().await;
    let mut config = pki::client(&[]);
    config.enable_sni = false;
    let mut raw = Raw::connect(&proxy.target().config(config)).await.unwrap();
    raw.send(format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    ))
    .await;
    assert_eq!(status_of(&raw.read_to_end().await), 200);
}

#[tokio::test]
async fn shows_rsa_and_ecdsa_certificates_to_those_who_can_use_them() {
    let dir = folder();
    let ecdsa = Pki::get().write_leaf(dir.path(), "site", &[HOST]);
    let rsa: Leaf = Pki::get().rsa_leaf(&[HOST]).write(dir.path(), "rsa");
    let both = "[{ chain = \"@dir/rsa.pem\", key = \"@dir/rsa.key\" }, \
                { chain = \"@dir/site.pem\", key = \"@dir/site.key\" }]";
    let proxy = Setup::new()
        .certificate(both)
        .route("/", RESPOND)
        .start_in(dir)
        .await;
    assert_eq!(shown(&proxy, HOST, pki::client(&[])).await, ecdsa.der());
    let mut old = aws_lc_rs::default_provider();
    old.cipher_suites = vec![cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384];
    assert_eq!(
        shown(&proxy, HOST, pki::client_with(old, &[&TLS12], &[])).await,
        rsa.der()
    );
}

#[tokio::test]
async fn agrees_on_h2_first_and_on_http_1_1_with_those_who_have_no_more() {
    let proxy = site().await;
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = proxy
            .target()
            .config(pki::client(offered))
            .handshake()
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
    }
}

#[tokio::test]
async fn exchanges_keys_post_quantum_first() {
    let proxy = site().await;
    let stream = proxy.target().handshake().await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    let mut provider = aws_lc_rs::default_provider();
    provider
        .kx_groups
        .retain(|group| group.name() == NamedGroup::secp256r1);
    let config = pki::client_with(provider, rustls::ALL_VERSIONS, &[]);
    let stream = proxy.target().config(config).handshake().await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::secp256r1);
}

#[tokio::test]
async fn resumes_sessions_on_any_worker() {
    let proxy = Setup::new().threads(2).route("/", RESPOND).start().await;
    for version in [&TLS12, &TLS13] {
        let mut config = pki::client_with(aws_lc_rs::default_provider(), &[version], &[]);
        config.resumption = Resumption::in_memory_sessions(32);
        let target = proxy.target().config(config);
        let mut resumed = 0;
        for _ in 0..6 {
            let mut stream = target.handshake().await.unwrap();
            resumed += usize::from(
                stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            );
            // Tickets of TLS 1.3 come after the handshake.
            let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
                .await
                .unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        }
        assert_eq!(resumed, 5, "{version:?}");
    }
}

#[tokio::test]
async fn a_ticket_outlives_a_reload() {
    let setup = Setup::new().route("/", RESPOND);
    let proxy = setup.start().await;
    let mut config = pki::client_with(aws_lc_rs::default_provider(), &[&TLS12], &[]);
    config.resumption = Resumption::in_memory_sessions(32);
    let target = proxy.target().config(config);
    target.handshake().await.unwrap();
    proxy.reload(&setup.route("/more", RESPOND).toml()).await;
    let stream = target.handshake().await.unwrap();
    assert_eq!(
        stream.get_ref().1.handshake_kind(),
        Some(rustls::HandshakeKind::Resumed)
    );
}

#[tokio::test]
async fn counts_handshakes_by_version() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    proxy.get("/").await;
    assert!(
        proxy
            .metric("portcullis_tls_handshakes", &["TLSv1.3"])
            .await
            >= 1.0
    );
}

/// A site that answers with its own name.
fn other_site(host: &str, certificate: &str) -> String {
    format!(
        "[[site]]\nhosts = [\"{host}\"]\n\
         certificate = {{ chain = \"@dir/{certificate}.pem\", key = \"@dir/{certificate}.key\" }}\n\
         [[site.route]]\npath = \"/\"\nrespond = {{ status = 200, body = \"{host}\" }}\n"
    )
}

/// The same client, that takes any name of our authority: what is shown is asserted by the test.
fn unverified(mut config: ClientConfig) -> ClientConfig {
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(pki::AnyName::new()));
    config
}
