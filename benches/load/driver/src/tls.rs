//! TLS 1.3 to the server under load, with cipher and key exchange pinned and checked.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, SupportedKxGroup, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::arguments::Arguments;

/// A connection to the server under load.
pub(crate) type Stream = TlsStream<TcpStream>;

/// Makes connections that all look alike.
#[derive(Clone)]
pub(crate) struct Dialer {
    connector: TlsConnector,
    address: SocketAddr,
    protocol: &'static str,
}

impl Dialer {
    /// Reads `--port` and `--certificate`, the one certificate the server may show. Sessions are
    /// never resumed, unless the dialer is made `resuming`.
    pub(crate) fn new(arguments: &Arguments, protocol: &'static str) -> Result<Self> {
        let path: String = arguments.value("certificate")?;
        let certificate = CertificateDer::from_pem_file(&path)
            .with_context(|| format!("cannot read the certificate {path}"))?;
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        });
        let verifier = OneCertificate {
            certificate,
            provider: Arc::clone(&provider),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.value("port")?)),
            protocol,
        })
    }

    /// A dialer of the same kind with an own store of sessions, which it resumes.
    pub(crate) fn resuming(&self) -> Self {
        let mut config = ClientConfig::clone(self.connector.config());
        config.resumption = Resumption::in_memory_sessions(16);
        Self {
            connector: TlsConnector::from(Arc::new(config)),
            ..self.clone()
        }
    }

    /// Connects, and fails when anything else was agreed than was asked for.
    pub(crate) async fn connect(&self) -> Result<Stream> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = self.connector.connect(name, tcp).await?;
        let agreed = stream.get_ref().1;
        ensure!(
            agreed.alpn_protocol() == Some(self.protocol.as_bytes()),
            "{} was not negotiated",
            self.protocol
        );
        ensure!(
            agreed.negotiated_cipher_suite().map(|suite| suite.suite())
                == Some(CipherSuite::TLS13_AES_128_GCM_SHA256),
            "TLS_AES_128_GCM_SHA256 was not negotiated"
        );
        ensure!(
            agreed
                .negotiated_key_exchange_group()
                .map(SupportedKxGroup::name)
                == Some(NamedGroup::X25519),
            "X25519 was not negotiated"
        );
        Ok(stream)
    }
}

/// Whether the server took up a session instead of proving itself anew.
pub(crate) fn was_resumed(stream: &Stream) -> bool {
    stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Believes one certificate, byte for byte, and checks the signature of each handshake. Building a
/// chain as well would only cost the load's core.
#[derive(Debug)]
struct OneCertificate {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OneCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(
            "the server shows another certificate".to_owned(),
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
