//! The client against our own server, and what is read from files.

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    certs::testing::{Kind, Pki},
    config::{tls::CertificateFiles, value::Located},
    tls::{
        handshake::{Protocol, accept},
        resolver::CertTable,
        tests::{LIMIT, Server, connection, policy},
    },
};

/// Writes `pem` where `tls.ca` can name it.
fn trusting(dir: &tempfile::TempDir, pem: &str) -> BackendTls {
    let path = dir.path().join("ca.pem");
    fs::write(&path, pem).unwrap();
    BackendTls {
        ca: Some(Located {
            value: path,
            span: 0..0,
        }),
        ..BackendTls::default()
    }
}

fn client(tls: &BackendTls) -> Arc<ClientConfig> {
    Client::new(tls).unwrap().config
}

/// One connection that says "hello", over which the client reads to the end.
async fn dial(
    server: &Server,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<(Protocol, HandshakeKind), ConnectError> {
    let (ours, theirs) = connection().await;
    let backend = server.config(&policy());
    let serve = async {
        let mut accepted = accept(theirs, &backend, LIMIT).await.ok()?;
        accepted.stream.write_all(b"hello").await.ok()?;
        accepted.stream.shutdown().await.ok()?;
        Some(accepted.protocol)
    };
    let name = server_name(&BackendTls::default(), name).unwrap();
    let client = async {
        let mut stream = connect(ours, config, name).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        Ok(stream.get_ref().1.handshake_kind().unwrap())
    };
    let (protocol, kind) = tokio::join!(serve, client);
    kind.map(|kind| (protocol.unwrap(), kind))
}

#[tokio::test]
async fn trusts_its_own_authority_for_names_and_addresses_and_resumes() {
    let server = Server::shared();
    let dir = tempfile::tempdir().unwrap();
    let config = client(&trusting(&dir, &server.pki.root_pem));
    let full = (Protocol::Http1, HandshakeKind::Full);
    assert_eq!(dial(server, &config, "a.example").await.unwrap(), full);
    assert_eq!(dial(server, &config, "127.0.0.1").await.unwrap(), full);
    let resumed = dial(server, &config, "a.example").await.unwrap();
    assert_eq!(resumed.1, HandshakeKind::Resumed);
}

#[tokio::test]
async fn says_why_a_backend_is_not_trusted() {
    let server = Server::shared();
    let dir = tempfile::tempdir().unwrap();
    let config = client(&trusting(&dir, &server.pki.root_pem));
    let error = dial(server, &config, "c.example").await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::WrongName(name) if name == "c.example"),
        "{error}"
    );
    let stranger = client(&trusting(&dir, &Pki::new().root_pem));
    let error = dial(server, &stranger, "a.example").await.unwrap_err();
    assert!(matches!(error, ConnectError::Untrusted), "{error}");
}

#[tokio::test]
async fn says_that_a_backend_is_past_its_time() {
    let server = Server::new();
    let leaf = server.pki.leaf_until(Kind::Ecdsa, &["a.example"], 2010);
    let chain = leaf.leaf_pem.clone() + &server.pki.intermediate_pem;
    let pair = certs::testing::parse(&chain, &leaf.key_pem()).unwrap();
    let table = Arc::new(CertTable::build([(Vec::new(), vec![pair])]).unwrap());
    let server = Server { table, ..server };
    let dir = tempfile::tempdir().unwrap();
    let config = client(&trusting(&dir, &server.pki.root_pem));
    let error = dial(&server, &config, "a.example").await.unwrap_err();
    assert!(matches!(error, ConnectError::Expired), "{error}");
}

#[tokio::test]
async fn says_that_a_backend_speaks_no_tls() {
    let (ours, mut theirs) = connection().await;
    let dir = tempfile::tempdir().unwrap();
    let config = client(&trusting(&dir, &Pki::new().root_pem));
    theirs
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    let name = server_name(&BackendTls::default(), "a.example").unwrap();
    let error = connect(ours, &config, name).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotTls), "{error}");
}

#[test]
fn wants_authorities_and_a_name_that_can_be_proved() {
    let dir = tempfile::tempdir().unwrap();
    let message = Client::new(&trusting(&dir, "nothing"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("ca.pem") && message.contains("no certificate"),
        "{message}"
    );
    let named = BackendTls {
        name: Some("api.internal".to_owned()),
        ..BackendTls::default()
    };
    assert_eq!(
        server_name(&named, "10.0.0.1").unwrap().to_str(),
        "api.internal"
    );
    assert_eq!(
        server_name(&BackendTls::default(), "::1").unwrap().to_str(),
        "::1"
    );
    assert!(server_name(&BackendTls::default(), "a b").is_err());
}

#[test]
fn trusts_what_the_system_trusts_unless_told_otherwise() {
    Client::new(&BackendTls::default()).unwrap();
}

#[test]
fn tells_files_that_changed_from_files_that_were_touched() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (Pki::new(), Pki::new());
    let first = Client::new(&trusting(&dir, &one.root_pem)).unwrap();
    let touched = format!("# a comment\n{}", one.root_pem);
    assert!(first.is_like(&Client::new(&trusting(&dir, &touched)).unwrap()));
    assert!(!first.is_like(&Client::new(&trusting(&dir, &other.root_pem)).unwrap()));
    let system = || Client::new(&BackendTls::default()).unwrap();
    assert!(system().is_like(&system()));
    let leaf = one.leaf(Kind::Ecdsa, &["client.example"]);
    let shows = |leaf_pem: &str, key: &str| {
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            Located {
                value: path,
                span: 0..0,
            }
        };
        let certificate = CertificateFiles {
            chain: file("client.pem", leaf_pem),
            key: file("client.key", key),
        };
        Client::new(&BackendTls {
            certificate: Some(certificate),
            ..trusting(&dir, &one.root_pem)
        })
    };
    let shown = shows(&leaf.leaf_pem, &leaf.key_pem()).unwrap();
    assert!(!shown.is_like(&first));
    assert!(shown.is_like(&shows(&leaf.leaf_pem, &leaf.key_pem()).unwrap()));
    let renewed = one.leaf(Kind::Ecdsa, &["client.example"]);
    assert!(!shown.is_like(&shows(&renewed.leaf_pem, &renewed.key_pem()).unwrap()));
    let error = shows(&renewed.leaf_pem, &leaf.key_pem()).unwrap_err();
    assert!(matches!(error, TlsError::ClientCertificate(_)), "{error}");
}

#[test]
fn says_in_words_that_a_certificate_is_wanted() {
    let received = |alert| {
        let error = rustls::Error::AlertReceived(alert);
        explain(io::Error::new(io::ErrorKind::InvalidData, error))
    };
    let wanted = received(AlertDescription::CertificateRequired);
    assert!(
        wanted
            .to_string()
            .contains("set the upstream's tls.certificate")
    );
    assert_eq!(wanted.kind(), io::ErrorKind::InvalidData);
    let refused = received(AlertDescription::UnknownCA);
    assert!(refused.to_string().contains("(UnknownCA)"), "{refused}");
    let other = received(AlertDescription::InternalError);
    assert!(other.to_string().contains("InternalError"), "{other}");
    let plain = explain(io::ErrorKind::ConnectionReset.into());
    assert_eq!(plain.kind(), io::ErrorKind::ConnectionReset);
}
