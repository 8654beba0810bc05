use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use rustls::{
    ClientConfig, NamedGroup, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

use super::*;
use crate::{
    certs::testing::{Kind, Pki},
    config::value::HostPattern,
    tls::handshake::{Accepted, HandshakeError, Protocol, accept},
};

mod openssl;

pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The policy that an empty `[tls]` means.
pub(super) fn policy() -> Tls {
    use CipherSuite as Suite;
    Tls {
        min_version: Version::Tls12,
        ciphers: vec![
            Suite::Tls13Aes128GcmSha256,
            Suite::Tls13Aes256GcmSha384,
            Suite::Tls13Chacha20Poly1305Sha256,
            Suite::EcdheEcdsaAes128GcmSha256,
            Suite::EcdheEcdsaAes256GcmSha384,
            Suite::EcdheEcdsaChacha20Poly1305Sha256,
            Suite::EcdheRsaAes128GcmSha256,
            Suite::EcdheRsaAes256GcmSha384,
            Suite::EcdheRsaChacha20Poly1305Sha256,
        ],
        groups: vec![
            Group::X25519MlKem768,
            Group::X25519,
            Group::Secp256r1,
            Group::Secp384r1,
        ],
        handshake_timeout: LIMIT,
    }
}

/// Certificates for `a.example` (RSA and ECDSA; the default) and `*.b.example` (ECDSA).
pub(super) struct Server {
    pub(super) pki: Pki,
    pub(super) table: Arc<CertTable>,
    pub(super) tickets: Tickets,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::new);

impl Server {
    /// The one that tests share; RSA keys take long to make.
    pub(super) fn shared() -> &'static Self {
        &SERVER
    }

    pub(super) fn new() -> Self {
        let pki = Pki::new();
        let a = [Kind::Rsa, Kind::Ecdsa].map(|kind| pki.pair(kind, &["a.example", "127.0.0.1"]));
        let b = pki.pair(Kind::Ecdsa, &["*.b.example"]);
        let table = CertTable::build([
            (
                vec![HostPattern::Exact("a.example".to_owned())],
                Vec::from(a),
            ),
            (vec![HostPattern::Wildcard("b.example".to_owned())], vec![b]),
        ]);
        let table = Arc::new(table.unwrap());
        Self {
            pki,
            table,
            tickets: Tickets::new().unwrap(),
        }
    }

    pub(super) fn config(&self, policy: &Tls) -> Arc<ServerConfig> {
        server_config(policy, Arc::clone(&self.table), &self.tickets).unwrap()
    }

    /// A client that trusts the test root.
    fn client(&self, alpn: &[&str]) -> ClientConfig {
        self.client_of(aws_lc_rs::default_provider(), &[&TLS13, &TLS12], alpn)
    }

    fn client_of(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pki.root_pem.as_bytes()).unwrap())
            .unwrap();
        let mut client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        client
    }
}

/// Both ends of a connection over loopback.
pub(super) async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

/// A handshake of `client`, seen from the server.
async fn shake(
    config: &Arc<ServerConfig>,
    client: ClientConfig,
    name: &str,
) -> Result<Accepted, HandshakeError> {
    let (ours, theirs) = connection().await;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connect = TlsConnector::from(Arc::new(client)).connect(name, ours);
    let (accepted, _client) = tokio::join!(accept(theirs, config, LIMIT), connect);
    accepted
}

/// What the server makes of bytes that are no handshake, and what it answers.
async fn send(bytes: &[u8]) -> (&'static str, Vec<u8>) {
    let server = Server::shared();
    let config = server.config(&policy());
    let (mut client, theirs) = connection().await;
    let talk = async {
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let (accepted, answer) = tokio::join!(accept(theirs, &config, LIMIT), talk);
    (accepted.unwrap_err().class(), answer)
}

#[tokio::test]
async fn tells_version_suite_and_name() {
    let server = Server::shared();
    let config = server.config(&policy());
    let accepted = shake(&config, server.client(&["h2"]), "x.B.example")
        .await
        .unwrap();
    assert_eq!(accepted.info.version, "TLSv1.3");
    assert_eq!(accepted.info.cipher, "TLS_AES_128_GCM_SHA256");
    assert_eq!(accepted.info.server_name.as_deref(), Some("x.b.example"));
    let old = server.client_of(aws_lc_rs::default_provider(), &[&TLS12], &[]);
    let accepted = shake(&config, old, "a.example").await.unwrap();
    assert_eq!(accepted.info.version, "TLSv1.2");
    assert_eq!(
        accepted.info.cipher,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    );
}

#[tokio::test]
async fn a_client_without_a_name_gets_the_default_site() {
    let server = Server::shared();
    let accepted = shake(&server.config(&policy()), server.client(&[]), "127.0.0.1")
        .await
        .unwrap();
    assert_eq!(accepted.info.server_name, None);
}

#[tokio::test]
async fn agrees_on_the_protocol_by_alpn() {
    let server = Server::shared();
    let config = server.config(&policy());
    for (offered, expected) in [
        (&["http/1.1", "h2"][..], Protocol::Http2),
        (&["h2"], Protocol::Http2),
        (&["http/1.1"], Protocol::Http1),
        (&[], Protocol::Http1),
    ] {
        let accepted = shake(&config, server.client(offered), "a.example")
            .await
            .unwrap();
        assert_eq!(accepted.protocol, expected, "{offered:?}");
    }
    let refused = shake(&config, server.client(&["imap"]), "a.example")
        .await
        .unwrap_err();
    assert_eq!(refused.class(), "no_shared_alpn");
}

#[tokio::test]
async fn exchanges_keys_post_quantum_first() {
    let server = Server::shared();
    let config = server.config(&policy());
    let classic = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let classic = server.client_of(classic, &[&TLS13], &[]);
    for (client, expected) in [
        (server.client(&[]), NamedGroup::X25519MLKEM768),
        (classic, NamedGroup::X25519),
    ] {
        let accepted = shake(&config, client, "a.example").await.unwrap();
        let group = accepted.stream.get_ref().1.negotiated_key_exchange_group();
        assert_eq!(group.unwrap().name(), expected);
    }
}

#[tokio::test]
async fn the_lowest_version_is_a_floor() {
    let server = Server::shared();
    let config = server.config(&Tls {
        min_version: Version::Tls13,
        ..policy()
    });
    let old = server.client_of(aws_lc_rs::default_provider(), &[&TLS12], &[]);
    let refused = shake(&config, old, "a.example").await.unwrap_err();
    assert_eq!(refused.class(), "no_shared_version");
    shake(&config, server.client(&[]), "a.example")
        .await
        .unwrap();
}

#[tokio::test]
async fn names_what_is_not_shared_and_what_the_client_refused() {
    let server = Server::shared();
    let config = server.config(&policy());
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::SECP384R1],
        ..aws_lc_rs::default_provider()
    };
    let client = server.client_of(provider, &[&TLS13], &[]);
    let narrow = server.config(&Tls {
        groups: vec![Group::X25519],
        ..policy()
    });
    let refused = shake(&narrow, client, "a.example").await.unwrap_err();
    assert_eq!(refused.class(), "no_shared_group");
    let stranger = Server::new().client(&[]);
    let refused = shake(&config, stranger, "a.example").await.unwrap_err();
    assert_eq!(refused.class(), "certificate_refused", "{refused}");
}

#[tokio::test(start_paused = true)]
async fn gives_up_at_the_deadline() {
    let server = Server::shared();
    let config = server.config(&policy());
    for beginning in [&[][..], &[22, 3, 1, 2, 0, 1]] {
        let (mut client, theirs) = connection().await;
        client.write_all(beginning).await.unwrap();
        let refused = accept(theirs, &config, LIMIT).await.unwrap_err();
        assert_eq!(refused.class(), "timeout");
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn answers_plain_http_in_words() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
    ] {
        // Longer than one read, so that bytes are left when the answer is sent.
        let request = format!("{request}{}", "x".repeat(40_000));
        let (class, answer) = send(request.as_bytes()).await;
        assert_eq!(class, "plain_http");
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head}"
        );
        assert!(body.contains("https://"), "{body}");
    }
}

#[tokio::test]
async fn tells_garbage_from_tls_gone_wrong() {
    let (class, _) = send(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    assert_eq!(class, "not_tls");
    let (class, _) = send(&[0; 64]).await;
    assert_eq!(class, "not_tls");
    let (class, answer) = send(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0]).await;
    assert_eq!(class, "broken");
    assert_eq!(answer.first(), Some(&21), "an alert");
    let (class, _) = send(b"").await;
    assert_eq!(class, "silent");
    let (class, _) = send(&[22, 3, 1]).await;
    assert_eq!(class, "closed");
}

#[test]
fn refuses_a_policy_that_contradicts_itself() {
    let server = Server::shared();
    let build = |policy: Tls| {
        let table = Arc::clone(&server.table);
        server_config(&policy, table, &server.tickets)
            .unwrap_err()
            .to_string()
    };
    let only = |suite| Tls {
        ciphers: vec![suite],
        ..policy()
    };
    let message = build(only(CipherSuite::Tls13Aes128GcmSha256));
    assert!(message.contains("tls.min_version"), "{message}");
    let message = build(only(CipherSuite::EcdheRsaAes128GcmSha256));
    assert!(message.contains("TLS 1.3"), "{message}");
    let message = build(Tls {
        groups: Vec::new(),
        ..policy()
    });
    assert!(message.contains("tls.groups"), "{message}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn never_panics_on_what_clients_send(mut bytes: Vec<u8>, like_tls: bool) {
        if like_tls {
            bytes.splice(0..0, [22, 3, 1]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(send(&bytes));
    }
}
