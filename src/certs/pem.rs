//! Chain and key from PEM files, with the proof that they belong together.

use std::{fs, io::Read, path::Path};

use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject, SectionKind},
};
use x509_cert::{Certificate, der::Decode};

use crate::certs::{
    CertError, Pair,
    info::Info,
    pem::key::{is_encrypted, is_key, public_key},
};

mod key;

/// Bytes of a file that are read at most: a chain has a few KiB.
const LARGEST: u64 = 1024 * 1024;

/// Reads a chain (leaf first) and the key of its leaf (PKCS#8, PKCS#1 or SEC1).
///
/// # Errors
/// A file cannot be read or decoded, the key is encrypted or of a kind that cannot be served, key
/// and leaf are strangers, or the chain is out of order. A certificate whose time is over is no
/// error: see [`Pair::warnings`].
pub fn load(chain: &Path, key: &Path) -> Result<Pair, CertError> {
    let chain = File {
        path: chain,
        bytes: &read(chain)?,
    };
    let key = File {
        path: key,
        bytes: &read(key)?,
    };
    parse(&chain, &key)
}

/// What each certificate in a file says, in the order of the file. For reports; keys are not asked.
///
/// # Errors
/// The file cannot be read or decoded, or holds no certificate.
pub fn describe(chain: &Path) -> Result<Vec<Info>, CertError> {
    let bytes = read(chain)?;
    let links = read_chain(&File {
        path: chain,
        bytes: &bytes,
    })?;
    let described = links.iter().enumerate().map(|(index, link)| {
        Info::of(&link.certificate).map_err(|source| undecodable(chain, index, source))
    });
    described.collect()
}

/// The text of a file, and where it came from.
#[derive(Debug)]
pub(crate) struct File<'a> {
    /// For messages.
    pub(crate) path: &'a Path,
    /// Content.
    pub(crate) bytes: &'a [u8],
}

/// As [`load`], from bytes.
pub(crate) fn parse(chain: &File<'_>, key: &File<'_>) -> Result<Pair, CertError> {
    let links = read_chain(chain)?;
    let der = read_key(key)?;
    let public = public_key(&der).ok_or_else(|| CertError::UnsupportedKey(key.path.into()))?;
    prove_leaf(&links, &public, chain.path, key.path)?;
    let length = ordered_length(&links, chain.path)?;
    let info =
        Info::of(&links[0].certificate).map_err(|source| undecodable(chain.path, 0, source))?;
    let unrelated = links[length..].iter().map(Link::subject).collect();
    let chain = links
        .into_iter()
        .take(length)
        .map(|link| link.der)
        .collect();
    Ok(Pair {
        chain,
        key: der,
        info,
        unrelated,
    })
}

/// One certificate of the chain, encoded and decoded.
struct Link {
    der: CertificateDer<'static>,
    certificate: Certificate,
}

impl Link {
    fn subject(&self) -> String {
        self.certificate.tbs_certificate().subject().to_string()
    }

    fn issued(&self, other: &Self) -> bool {
        self.certificate.tbs_certificate().subject() == other.certificate.tbs_certificate().issuer()
    }

    fn holds(&self, public_key: &[u8]) -> bool {
        let key = self.certificate.tbs_certificate().subject_public_key_info();
        key.subject_public_key.raw_bytes() == public_key
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertError> {
    let failed = |source| CertError::Read {
        path: path.into(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(CertError::TooLarge(path.into()));
    }
    Ok(bytes)
}

/// At least one certificate.
fn read_chain(file: &File<'_>) -> Result<Vec<Link>, CertError> {
    let path = file.path;
    let sections = read_sections(file)?;
    let mut links = Vec::new();
    for (kind, der) in &sections {
        if *kind == SectionKind::Certificate {
            let certificate = Certificate::from_der(der)
                .map_err(|source| undecodable(path, links.len(), source))?;
            links.push(Link {
                der: der.clone().into(),
                certificate,
            });
        }
    }
    if !links.is_empty() {
        return Ok(links);
    }
    Err(if is_der(file.bytes) {
        CertError::DerChain(path.into())
    } else if sections.iter().any(|(kind, _)| is_key(*kind)) || is_encrypted(file.bytes) {
        CertError::KeyAsChain(path.into())
    } else {
        CertError::NoCertificate(path.into())
    })
}

/// The first key of the file.
fn read_key(file: &File<'_>) -> Result<PrivateKeyDer<'static>, CertError> {
    let path = file.path;
    if is_encrypted(file.bytes) {
        return Err(CertError::EncryptedKey(path.into()));
    }
    let sections = read_sections(file)?;
    let chain = sections
        .iter()
        .any(|(kind, _)| *kind == SectionKind::Certificate);
    let mut keys = sections
        .into_iter()
        .filter_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der));
    keys.next().ok_or_else(|| {
        if is_der(file.bytes) {
            CertError::DerKey(path.into())
        } else if chain {
            CertError::ChainAsKey(path.into())
        } else {
            CertError::NoKey(path.into())
        }
    })
}

fn read_sections(file: &File<'_>) -> Result<Vec<(SectionKind, Vec<u8>)>, CertError> {
    // Editors on Windows put a byte order mark before the first line.
    let bytes = file
        .bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(file.bytes);
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).collect::<Result<_, _>>();
    sections.map_err(|error| CertError::Pem {
        path: file.path.into(),
        reason: match error {
            pem::Error::MissingSectionEnd { end_marker } => {
                format!(
                    "the line \"-----END {}-----\" is missing",
                    end_marker.escape_ascii()
                )
            }
            pem::Error::IllegalSectionStart { line } => {
                format!(
                    "the line \"{}\" does not start a block",
                    line.escape_ascii()
                )
            }
            _ => "a block is not valid base64".to_owned(),
        },
    })
}

fn is_der(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x30, 0x82])
}

fn prove_leaf(links: &[Link], public: &[u8], chain: &Path, key: &Path) -> Result<(), CertError> {
    match links.iter().position(|link| link.holds(public)) {
        Some(0) => Ok(()),
        Some(index) => Err(CertError::LeafNotFirst {
            chain: chain.into(),
            key: key.into(),
            position: index + 1,
        }),
        None => Err(CertError::Mismatch {
            chain: chain.into(),
            key: key.into(),
            subject: links.first().map(Link::subject).unwrap_or_default(),
        }),
    }
}

/// How many certificates from the leaf on follow each other. What comes after them issued none.
fn ordered_length(links: &[Link], chain: &Path) -> Result<usize, CertError> {
    for (index, link) in links.iter().enumerate() {
        if links.get(index + 1).is_some_and(|next| next.issued(link)) {
            continue;
        }
        if !link.issued(link)
            && let Some(issuer) = links.iter().position(|other| other.issued(link))
        {
            return Err(CertError::OutOfOrder {
                chain: chain.into(),
                position: index + 1,
                issuer: issuer + 1,
            });
        }
        return Ok(index + 1);
    }
    Ok(links.len())
}

fn undecodable(path: &Path, index: usize, source: x509_cert::der::Error) -> CertError {
    CertError::Certificate {
        path: path.into(),
        position: index + 1,
        source,
    }
}

#[cfg(test)]
mod tests;
