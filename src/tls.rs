//! rustls, both sides. No other module names it.
//!
//! A [`server_config`] is built once per snapshot and shared by all workers; what must outlive a
//! reload, the ticket keys, is handed in.

use std::{fmt, path::PathBuf, sync::Arc};

use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    server::{NoServerSessionStorage, ProducesTickets},
    version::{TLS12, TLS13},
};

use crate::{
    certs::CertError,
    config::tls::{CipherSuite, Group, Tls, Version},
    tls::resolver::CertTable,
};

pub mod client;
mod failure;
pub mod handshake;
pub mod read_ahead;
pub mod resolver;

pub use rustls::ServerConfig;

/// Tickets after each TLS 1.3 handshake. Clients use one only once, and browsers open a second
/// connection at the same time as the first; more are thrown away.
const TICKETS: usize = 2;

/// Keys of session tickets: made at random, rolled every 6 hours, forgotten after 12.
///
/// One per process, so that a reload does not cost every client a full handshake. Sharing it is
/// sound while no listener asks for client certificates: a ticket would carry that proof along.
#[derive(Clone)]
pub struct Tickets(Arc<dyn ProducesTickets>);

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system has no randomness.
    #[error("cannot make keys for session tickets: {0}")]
    Tickets(rustls::Error),
    /// TLS 1.3 is always on.
    #[error("tls.ciphers has no suite for TLS 1.3: add \"TLS13_AES_128_GCM_SHA256\"")]
    NoTls13Suite,
    /// TLS 1.2 is allowed and cannot be spoken.
    #[error("tls.ciphers has no suite for TLS 1.2: add one, or set tls.min_version to \"1.3\"")]
    NoTls12Suite,
    /// Versions, suites and groups do not fit.
    #[error("tls.ciphers and tls.groups cannot be used together: {0}")]
    Policy(rustls::Error),
    /// A key was proved, yet rustls refuses it.
    #[error("the certificate of {names} cannot be used: {source}")]
    Certificate {
        /// Names of the leaf.
        names: String,
        /// Why.
        source: rustls::Error,
    },
    /// There is not even a default certificate.
    #[error("no site has a certificate: a tls listener needs at least one")]
    NoCertificate,
    /// The file of trusted authorities cannot be used.
    #[error("cannot use the authorities in {}: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is shown to backends cannot be read, or is no pair.
    #[error(transparent)]
    ClientCertificate(#[from] CertError),
    /// A key was proved, yet rustls refuses it.
    #[error("the certificate for backends cannot be used: {0}")]
    ClientCertificateRefused(rustls::Error),
    /// The system has no list of authorities.
    #[error(
        "the system trusts no authority ({0}): install ca-certificates, or set the upstream's tls.ca"
    )]
    NoSystemAuthorities(String),
    /// A backend's name that no certificate can carry.
    #[error("\"{0}\" is neither a DNS name nor an address: set the upstream's tls.name")]
    Name(String),
}

impl Tickets {
    /// Fresh keys.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new() -> Result<Self, TlsError> {
        aws_lc_rs::Ticketer::new()
            .map(Self)
            .map_err(TlsError::Tickets)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets(***)")
    }
}

/// Server side of every TLS listener: `policy` and the certificates of `table`.
///
/// # Errors
/// The policy contradicts itself.
pub fn server_config(
    policy: &Tls,
    table: Arc<CertTable>,
    tickets: &Tickets,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider(policy)))
        .with_protocol_versions(versions(policy)?)
        .map_err(TlsError::Policy)?
        .with_no_client_auth()
        .with_cert_resolver(table);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // AES-128 first is 7 % of a handshake and 5 % of bulk, and OpenSSL's clients ask for AES-256
    // first. A client without AES instructions pays for that; those are rare by now, and
    // tls.ciphers can begin with ChaCha20 where they are many.
    config.ignore_client_order = true;
    config.ticketer = Arc::clone(&tickets.0);
    config.send_tls13_tickets = TICKETS;
    // Tickets alone: the store would be a lock between workers, for TLS 1.2 clients without tickets.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Early data can be replayed by whoever saw it.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn provider(policy: &Tls) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: policy
            .ciphers
            .iter()
            .map(|suite| cipher_suite(*suite))
            .collect(),
        kx_groups: policy.groups.iter().map(|group| kx_group(*group)).collect(),
        ..aws_lc_rs::default_provider()
    }
}

/// Every version that the policy allows must have a suite: a list that lacks one would silently turn
/// that version off.
fn versions(policy: &Tls) -> Result<&'static [&'static SupportedProtocolVersion], TlsError> {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    let has = |version| {
        policy
            .ciphers
            .iter()
            .any(|suite| version_of(*suite) == version)
    };
    if !has(Version::Tls13) {
        return Err(TlsError::NoTls13Suite);
    }
    match policy.min_version {
        Version::Tls13 => Ok(&BOTH[..1]),
        Version::Tls12 if has(Version::Tls12) => Ok(&BOTH),
        Version::Tls12 => Err(TlsError::NoTls12Suite),
    }
}

fn version_of(suite: CipherSuite) -> Version {
    use CipherSuite as Suite;
    match suite {
        Suite::Tls13Aes128GcmSha256
        | Suite::Tls13Aes256GcmSha384
        | Suite::Tls13Chacha20Poly1305Sha256 => Version::Tls13,
        _ => Version::Tls12,
    }
}

fn cipher_suite(suite: CipherSuite) -> rustls::SupportedCipherSuite {
    use CipherSuite as Suite;
    use aws_lc_rs::cipher_suite as ours;
    match suite {
        Suite::Tls13Aes128GcmSha256 => ours::TLS13_AES_128_GCM_SHA256,
        Suite::Tls13Aes256GcmSha384 => ours::TLS13_AES_256_GCM_SHA384,
        Suite::Tls13Chacha20Poly1305Sha256 => ours::TLS13_CHACHA20_POLY1305_SHA256,
        Suite::EcdheEcdsaAes128GcmSha256 => ours::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Suite::EcdheEcdsaAes256GcmSha384 => ours::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Suite::EcdheEcdsaChacha20Poly1305Sha256 => {
            ours::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        Suite::EcdheRsaAes128GcmSha256 => ours::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Suite::EcdheRsaAes256GcmSha384 => ours::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Suite::EcdheRsaChacha20Poly1305Sha256 => ours::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn kx_group(group: Group) -> &'static dyn SupportedKxGroup {
    match group {
        Group::X25519MlKem768 => aws_lc_rs::kx_group::X25519MLKEM768,
        Group::X25519 => aws_lc_rs::kx_group::X25519,
        Group::Secp256r1 => aws_lc_rs::kx_group::SECP256R1,
        Group::Secp384r1 => aws_lc_rs::kx_group::SECP384R1,
    }
}

#[cfg(test)]
mod tests;
