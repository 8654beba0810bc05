//! TLS towards backends.

use std::{fs, io, path::Path, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::{certs, config::upstream::BackendTls, tls::TlsError};

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
    /// It wants to know who asks.
    #[error("the backend wants a client certificate: set the upstream's tls.certificate")]
    CertificateWanted,
    /// It does not trust what it was shown.
    #[error(
        "the backend refuses the client certificate ({0:?}): see the upstream's tls.certificate"
    )]
    CertificateRefused(AlertDescription),
    /// Anything else that TLS found.
    #[error("TLS with the backend failed: {0}")]
    Tls(rustls::Error),
    /// The connection broke.
    #[error(transparent)]
    Io(io::Error),
}

/// Client side for the backends of one upstream. Sessions are resumed; ALPN asks for HTTP/1.1.
#[derive(Debug, Clone)]
pub struct Client {
    /// For [`connect`].
    pub config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    /// What is shown to a backend that asks.
    chain: Arc<[CertificateDer<'static>]>,
}

impl Client {
    /// Reads the files that `tls` names.
    ///
    /// # Errors
    /// A file cannot be used, or the system trusts no authority.
    pub fn new(tls: &BackendTls) -> Result<Self, TlsError> {
        let roots = Arc::new(match &tls.ca {
            Some(file) => read_authorities(&file.value)?,
            None => system_authorities()?,
        });
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Policy)?
            .with_root_certificates(Arc::clone(&roots));
        let (mut config, chain) = match &tls.certificate {
            None => (builder.with_no_client_auth(), Vec::new()),
            Some(files) => {
                let pair = certs::pem::load(&files.chain.value, &files.key.value)?;
                let config = builder
                    .with_client_auth_cert(pair.chain.clone(), pair.key)
                    .map_err(TlsError::ClientCertificateRefused)?;
                (config, pair.chain)
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            roots,
            chain: chain.into(),
        })
    }

    /// Whether it trusts the same authorities as `other` and shows the same certificate. The key needs no look: it was
    /// proved to belong to the certificate.
    pub fn is_like(&self, other: &Self) -> bool {
        self.roots.roots == other.roots.roots && self.chain == other.chain
    }
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

/// Says in words what an error of an established stream means. With TLS 1.3 a backend looks at the client's certificate
/// only after the handshake (RFC 8446 section 4.4.2.4), so that its refusal arrives in place of an answer.
pub fn explain(error: io::Error) -> io::Error {
    let refusal = match tls_error(&error) {
        Some(rustls::Error::AlertReceived(alert)) => refusal(*alert),
        _ => None,
    };
    match refusal {
        Some(refusal) => io::Error::new(error.kind(), refusal),
        None => error,
    }
}

/// What an alert says about the client's certificate, if it does (RFC 8446 section 6.2).
fn refusal(alert: AlertDescription) -> Option<ConnectError> {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => Some(ConnectError::CertificateWanted),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => Some(ConnectError::CertificateRefused(alert)),
        _ => None,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn classify(error: io::Error, name: &ServerName<'_>) -> ConnectError {
    use CertificateError as Certificate;
    use rustls::Error as Tls;
    let Some(tls) = tls_error(&error) else {
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
        Tls::AlertReceived(alert) => {
            refusal(*alert).unwrap_or_else(|| ConnectError::Tls(tls.clone()))
        }
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
    let mut found = rustls_native_certs::load_native_certs();
    // In one order, whatever that of the folder they lie in.
    found
        .certs
        .sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
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
mod tests;
