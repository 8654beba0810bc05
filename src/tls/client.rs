//! TLS towards backends.

use std::{fs, io, path::Path, sync::Arc};

use rustls::{
    CertificateError, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::{config::upstream::BackendTls, tls::TlsError};

pub use rustls::{ClientConfig, pki_types::ServerName};
pub use tokio_rustls::client::TlsStream;

/// Why a backend's TLS was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its authority is unknown.
    #[error("the backend's certificate is not from a trusted authority: set the upstream's tls.ca")]
    Untrusted,
    /// Its certificate is for other names.
    #[error("the backend's certificate is not for \"{0}\": set the upstream's tls.name")]
    WrongName(String),
    /// Its certificate's time is over, or has not come.
    #[error(
        "the backend's certificate has expired or is not yet valid: renew it, or set the clock"
    )]
    Expired,
    /// It speaks no TLS.
    #[error("the backend does not speak TLS on this port: is it an http backend?")]
    NotTls,
    /// Anything else that TLS found.
    #[error("TLS with the backend failed: {0}")]
    Tls(rustls::Error),
    /// The connection broke.
    #[error(transparent)]
    Io(io::Error),
}

/// Client side for the backends of one upstream. Sessions are resumed; ALPN asks for HTTP/1.1.
///
/// # Errors
/// The file of authorities cannot be used, or the system has none.
pub fn client_config(tls: &BackendTls) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match &tls.ca {
        Some(file) => read_authorities(&file.value)?,
        None => system_authorities()?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Policy)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The name that a backend on `host` must prove: `tls.name`, else `host`, which may be an address.
///
/// # Errors
/// It is neither a DNS name nor an address.
pub fn server_name(tls: &BackendTls, host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = tls.name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))
}

/// Performs the handshake with a backend. The caller bounds the time.
///
/// # Errors
/// The backend does not prove `name`, or the connection breaks.
pub async fn connect<IO>(
    stream: IO,
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<TlsStream<IO>, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let connector = TlsConnector::from(Arc::clone(config));
    let connected = connector.connect(name.clone(), stream).await;
    connected.map_err(|error| classify(error, &name))
}

fn classify(error: io::Error, name: &ServerName<'_>) -> ConnectError {
    use CertificateError as Certificate;
    use rustls::Error as Tls;
    let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Tls>())
    else {
        return ConnectError::Io(error);
    };
    match tls {
        Tls::InvalidCertificate(reason) => match reason {
            Certificate::UnknownIssuer | Certificate::BadSignature => ConnectError::Untrusted,
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                ConnectError::WrongName(name.to_str().into_owned())
            }
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => ConnectError::Expired,
            _ => ConnectError::Tls(tls.clone()),
        },
        Tls::InvalidMessage(_) => ConnectError::NotTls,
        _ => ConnectError::Tls(tls.clone()),
    }
}

fn read_authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let failed = |reason: String| TlsError::Authorities {
        path: path.into(),
        reason,
    };
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it holds no certificate in PEM form".to_owned()));
    }
    Ok(roots)
}

/// What the system trusts. Single entries that cannot be read are common and do no harm.
fn system_authorities() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason = found
            .errors
            .first()
            .map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(TlsError::NoSystemAuthorities(reason));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use rustls::HandshakeKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::{
        certs::testing::{Kind, Pki},
        config::value::Located,
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
            name: None,
        }
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
        let config = client_config(&trusting(&dir, &server.pki.root_pem)).unwrap();
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
        let config = client_config(&trusting(&dir, &server.pki.root_pem)).unwrap();
        let error = dial(server, &config, "c.example").await.unwrap_err();
        assert!(
            matches!(&error, ConnectError::WrongName(name) if name == "c.example"),
            "{error}"
        );
        let stranger = client_config(&trusting(&dir, &Pki::new().root_pem)).unwrap();
        let error = dial(server, &stranger, "a.example").await.unwrap_err();
        assert!(matches!(error, ConnectError::Untrusted), "{error}");
    }

    #[tokio::test]
    async fn says_that_a_backend_is_past_its_time() {
        let server = Server::new();
        let leaf = server.pki.leaf_until(Kind::Ecdsa, &["a.example"], 2010);
        let chain = leaf.leaf_pem.clone() + &server.pki.intermediate_pem;
        let pair = crate::certs::testing::parse(&chain, &leaf.key_pem()).unwrap();
        let table = Arc::new(CertTable::build([(Vec::new(), vec![pair])]).unwrap());
        let server = Server { table, ..server };
        let dir = tempfile::tempdir().unwrap();
        let config = client_config(&trusting(&dir, &server.pki.root_pem)).unwrap();
        let error = dial(&server, &config, "a.example").await.unwrap_err();
        assert!(matches!(error, ConnectError::Expired), "{error}");
    }

    #[tokio::test]
    async fn says_that_a_backend_speaks_no_tls() {
        let (ours, mut theirs) = connection().await;
        let dir = tempfile::tempdir().unwrap();
        let config = client_config(&trusting(&dir, &Pki::new().root_pem)).unwrap();
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
        let message = client_config(&trusting(&dir, "nothing"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("ca.pem") && message.contains("no certificate"),
            "{message}"
        );
        let named = BackendTls {
            ca: None,
            name: Some("api.internal".to_owned()),
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
        client_config(&BackendTls::default()).unwrap();
    }
}
