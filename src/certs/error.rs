//! What can be wrong with certificates, in words that say what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a certificate cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A file cannot be read.
    #[error("cannot read {}: {}", path.display(), reason(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {}", path.display(), reason(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Far more bytes than a chain or a key has.
    #[error("{} is larger than 1 MiB: it is not a certificate or key in PEM form", .0.display())]
    TooLarge(PathBuf),
    /// The PEM armour is damaged.
    #[error("{} is damaged: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the reader found.
        reason: String,
    },
    /// The chain file is DER.
    #[error(
        "{file} holds a certificate in DER form: convert it with \"openssl x509 -inform der -in {file} -out chain.pem\"",
        file = .0.display()
    )]
    DerChain(PathBuf),
    /// The key file is DER.
    #[error(
        "{file} holds a key in DER form: convert it with \"openssl pkey -inform der -in {file} -out key.pem\"",
        file = .0.display()
    )]
    DerKey(PathBuf),
    /// The chain file holds a key and no certificate.
    #[error("{} holds a private key and no certificate: are chain and key swapped?", .0.display())]
    KeyAsChain(PathBuf),
    /// The chain file holds no certificate.
    #[error(
        "{} holds no certificate: it needs the leaf first, then each issuer, as \"-----BEGIN CERTIFICATE-----\" blocks",
        .0.display()
    )]
    NoCertificate(PathBuf),
    /// The key file holds certificates and no key.
    #[error("{} holds a certificate and no private key: are chain and key swapped?", .0.display())]
    ChainAsKey(PathBuf),
    /// The key file holds no key.
    #[error(
        "{} holds no private key: it needs a \"PRIVATE KEY\", \"RSA PRIVATE KEY\" or \"EC PRIVATE KEY\" block",
        .0.display()
    )]
    NoKey(PathBuf),
    /// The key needs a password.
    #[error(
        "the key in {file} is encrypted: decrypt it with \"openssl pkey -in {file} -out key.pem\" and protect the file by its permissions",
        file = .0.display()
    )]
    EncryptedKey(PathBuf),
    /// The key is of a kind that cannot sign handshakes.
    #[error(
        "the key in {} cannot be used: it must be RSA with 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519",
        .0.display()
    )]
    UnsupportedKey(PathBuf),
    /// A certificate cannot be decoded.
    #[error("certificate {position} in {} cannot be decoded: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        position: usize,
        /// Why.
        source: x509_cert::der::Error,
    },
    /// Key and leaf are strangers.
    #[error(
        "the key in {} does not belong to the first certificate in {} ({subject}): give the key that it was requested with",
        key.display(), chain.display()
    )]
    Mismatch {
        /// The chain file.
        chain: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Whom the leaf names.
        subject: String,
    },
    /// The key belongs to a certificate further down the file.
    #[error(
        "the key in {} belongs to certificate {position} in {}: the leaf must come first, then each issuer",
        key.display(), chain.display()
    )]
    LeafNotFirst {
        /// The chain file.
        chain: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Where the leaf is, counted from 1.
        position: usize,
    },
    /// The issuer of a certificate does not follow it.
    #[error(
        "the chain in {} is out of order: certificate {issuer} issued certificate {position} and must follow it",
        chain.display()
    )]
    OutOfOrder {
        /// The chain file.
        chain: PathBuf,
        /// The certificate whose issuer does not follow, counted from 1.
        position: usize,
        /// Where the issuer is, counted from 1.
        issuer: usize,
    },
    /// A name cannot stand in a certificate.
    #[error("\"{name}\" cannot be in a certificate: {reason}")]
    Name {
        /// As given.
        name: String,
        /// Why not, and what to write.
        reason: &'static str,
    },
    /// No name was given.
    #[error("no name given: a certificate needs at least one, such as \"localhost\"")]
    NoNames,
    /// The kept development authority is damaged.
    #[error(
        "the development authority in {} is damaged ({reason}): remove the folder, make a new one, and trust that",
        dir.display()
    )]
    Authority {
        /// Its folder.
        dir: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file that somebody else made.
    #[error("{} is in the way and no development certificate: choose another folder or remove it", .0.display())]
    InTheWay(PathBuf),
    /// Key generation or signing failed.
    #[error("cannot make a certificate: {0}")]
    Make(String),
}

impl CertError {
    /// Whether the key, not the chain, is at fault.
    pub fn concerns_key(&self, key: &Path) -> bool {
        match self {
            Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::Pem { path, .. }
            | Self::TooLarge(path) => path == key,
            Self::DerKey(_)
            | Self::ChainAsKey(_)
            | Self::NoKey(_)
            | Self::EncryptedKey(_)
            | Self::UnsupportedKey(_)
            | Self::Mismatch { .. } => true,
            _ => false,
        }
    }
}

/// The reason of an I/O error; for a refused one, who was refused.
fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return format!("permission denied for {}: give that user access", user());
    }
    error.to_string()
}

/// Who this process acts as. Linux shows it as the owner of the process's own folder.
fn user() -> String {
    use std::os::unix::fs::MetadataExt;

    let Ok(metadata) = std::fs::metadata("/proc/self") else {
        return "the user that runs portcullis".to_owned();
    };
    let uid = metadata.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    });
    match name {
        Some(name) => format!("user {name} ({uid})"),
        None => format!("user {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_may_not_read() {
        let error = CertError::Read {
            path: "/x.key".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        let text = error.to_string();
        assert!(text.contains("permission denied for user "), "{text}");
    }
}
