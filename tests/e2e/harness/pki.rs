//! A throwaway authority, its leaves, and TLS clients that trust it.

use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime, pem::PemObject as _,
};

/// The authority of this test process.
pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A leaf and its key, as PEM.
pub(crate) struct Leaf {
    chain: String,
    key: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Pki {
    /// Made once.
    pub(crate) fn get() -> &'static Self {
        static PKI: OnceLock<Pki> = OnceLock::new();
        PKI.get_or_init(Self::new)
    }

    /// Another authority of the same name.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Test Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// The authority's certificate.
    pub(crate) fn ca_pem(&self) -> String {
        self.certificate.pem()
    }

    /// An ECDSA leaf for `names`.
    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        self.sign(names, &KeyPair::generate().unwrap())
    }

    /// An RSA leaf for `names`.
    pub(crate) fn rsa_leaf(&self, names: &[&str]) -> Leaf {
        self.sign(names, &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap())
    }

    /// Writes an ECDSA leaf as `NAME.pem` and `NAME.key`.
    pub(crate) fn write_leaf(&self, dir: &Path, name: &str, names: &[&str]) -> Leaf {
        self.leaf(names).write(dir, name)
    }

    /// Writes a leaf of somebody who is called `subject` as `NAME.pem` and `NAME.key`.
    pub(crate) fn write_client(&self, dir: &Path, name: &str, subject: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        self.sign_for(subject, &[], &key).write(dir, name)
    }

    fn sign(&self, names: &[&str], key: &KeyPair) -> Leaf {
        self.sign_for("Test Leaf", names, key)
    }

    fn sign_for(&self, subject: &str, names: &[&str], key: &KeyPair) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, subject);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Leaf {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        }
    }
}

impl Leaf {
    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn write(self, dir: &Path, name: &str) -> Self {
        fs::write(dir.join(format!("{name}.pem")), &self.chain).unwrap();
        fs::write(dir.join(format!("{name}.key")), &self.key).unwrap();
        self
    }

    /// The certificate.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// A server that shows it, for backends that speak TLS.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_der.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

/// A TLS client that trusts the authority and offers `alpn`.
pub(crate) fn client(alpn: &[&str]) -> ClientConfig {
    client_with(aws_lc_rs::default_provider(), rustls::ALL_VERSIONS, alpn)
}

/// A TLS client with algorithms and versions of its own.
pub(crate) fn client_with(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(Pki::get().certificate.der().clone()).unwrap();
    let mut config = trusting(roots, provider, versions);
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A TLS client that trusts the authority in a file.
pub(crate) fn client_of(authority: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority).unwrap())
        .unwrap();
    trusting(roots, aws_lc_rs::default_provider(), rustls::ALL_VERSIONS)
}

fn trusting(
    roots: RootCertStore,
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Takes every certificate: the test looks at it itself.
#[derive(Debug)]
pub(crate) struct AnyName(CryptoProvider);

impl AnyName {
    /// With the algorithms of the default provider.
    pub(crate) fn new() -> Self {
        Self(aws_lc_rs::default_provider())
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
