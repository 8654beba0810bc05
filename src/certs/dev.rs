//! The local development authority, made once and kept, and the leaves that it issues.
//!
//! Files in its folder: `ca.pem`, `ca.key` (mode 0600), `lock`, and `leaves/`. Every file is
//! written beside its place and renamed, the key before the certificate: whoever sees a certificate
//! finds its key. Writers hold the lock, so that two processes agree on one authority.

use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{Issuer, KeyPair};

use crate::{
    certs::{CertError, dev::files::Access, expiry, name, pem},
    config::value::Secret,
};

pub use issued::{IssuedPair, Saved, file_name};

mod files;
mod issued;
mod template;

/// Least life of what is kept: a leaf that is used again, an authority that issues.
const RENEW_DAYS: i64 = 30;

/// A certificate authority for one developer's machine.
pub struct Authority {
    dir: PathBuf,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Where the authority is kept: `PORTCULLIS_DEV_DIR`, else `portcullis/dev` in `XDG_DATA_HOME` or
/// in `~/.local/share`, else `.portcullis/dev` in the working directory.
pub fn default_dir() -> PathBuf {
    let folder = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty());
    if let Some(dir) = folder("PORTCULLIS_DEV_DIR") {
        return dir.into();
    }
    let data = folder("XDG_DATA_HOME").map(PathBuf::from);
    let home = || folder("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    match data.or_else(home) {
        Some(data) => data.join("portcullis/dev"),
        None => PathBuf::from(".portcullis/dev"),
    }
}

impl Authority {
    /// Opens the authority in `dir`, making it when there is none or when its time is nearly over.
    ///
    /// # Errors
    /// The folder cannot be read or written, or what is in it is no authority.
    pub fn open(dir: &Path) -> Result<Self, CertError> {
        if let Some(authority) = Self::read(dir)? {
            return Ok(authority);
        }
        files::make_dir(dir)?;
        let _lock = files::lock(&dir.join("lock"))?;
        // Another process may have been faster.
        if let Some(authority) = Self::read(dir)? {
            return Ok(authority);
        }
        let key = generate()?;
        let certificate = template::authority(&key)?
            .self_signed(&key)
            .map_err(making)?;
        files::write(&dir.join("ca.key"), &key.serialize_pem(), Access::Private)?;
        files::write(&dir.join("ca.pem"), &certificate.pem(), Access::Public)?;
        let issuer = Issuer::new(template::authority(&key)?, key);
        Ok(Self {
            dir: dir.into(),
            pem: certificate.pem(),
            issuer,
        })
    }

    /// Certificate of the authority as PEM, for whoever shall trust it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file that holds [`Self::pem`].
    pub fn path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A leaf for `names` (DNS names, wildcards for the first label, addresses). A kept one is used
    /// again while it has more than 30 days left.
    ///
    /// # Errors
    /// A name is bad, or nothing can be written to the folder.
    pub fn issue(&self, names: &[String]) -> Result<IssuedPair, CertError> {
        let names = name::normalize(names)?;
        let stem = self.dir.join("leaves").join(leaf_stem(&names));
        if let Some(kept) = self.read_leaf(&stem, &names) {
            return Ok(kept);
        }
        files::make_dir(&self.dir.join("leaves"))?;
        let _lock = files::lock(&self.dir.join("lock"))?;
        if let Some(kept) = self.read_leaf(&stem, &names) {
            return Ok(kept);
        }
        let key = generate()?;
        let leaf = template::leaf(&names)?
            .signed_by(&key, &self.issuer)
            .map_err(making)?;
        let chain_pem = leaf.pem() + &self.pem;
        files::write(
            &stem.with_added_extension("key"),
            &key.serialize_pem(),
            Access::Private,
        )?;
        files::write(
            &stem.with_added_extension("pem"),
            &chain_pem,
            Access::Public,
        )?;
        self.issued(&stem, chain_pem, key.serialize_pem(), names)
    }

    /// `None` when there is no authority or its time is nearly over.
    fn read(dir: &Path) -> Result<Option<Self>, CertError> {
        let damaged = |reason: String| CertError::Authority {
            dir: dir.into(),
            reason,
        };
        let Some(pem) = files::read(&dir.join("ca.pem"))? else {
            return Ok(None);
        };
        let Some(key_pem) = files::read(&dir.join("ca.key"))? else {
            return Err(damaged("ca.key is missing".to_owned()));
        };
        let (chain, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        let pair = pem::parse(
            &pem::File {
                path: &chain,
                bytes: pem.as_bytes(),
            },
            &pem::File {
                path: &key,
                bytes: key_pem.as_bytes(),
            },
        )
        .map_err(|error| damaged(error.to_string()))?;
        if expiry::days_left(&pair.info, SystemTime::now()) <= RENEW_DAYS {
            return Ok(None);
        }
        let key = KeyPair::from_pem(&key_pem).map_err(|error| damaged(error.to_string()))?;
        let issuer = Issuer::new(template::authority(&key)?, key);
        Ok(Some(Self {
            dir: dir.into(),
            pem,
            issuer,
        }))
    }

    /// A kept leaf that this authority issued, that covers the names, and that lives long enough.
    fn read_leaf(&self, stem: &Path, names: &[String]) -> Option<IssuedPair> {
        let chain_pem = files::read(&stem.with_added_extension("pem")).ok()??;
        let key_pem = files::read(&stem.with_added_extension("key")).ok()??;
        if !chain_pem.ends_with(&self.pem) {
            return None;
        }
        let issued = self.issued(stem, chain_pem, key_pem, names.to_vec()).ok()?;
        let info = &issued.pair.info;
        let fresh = expiry::days_left(info, SystemTime::now()) > RENEW_DAYS;
        (fresh && names.iter().all(|name| info.names.contains(name))).then_some(issued)
    }

    fn issued(
        &self,
        stem: &Path,
        chain_pem: String,
        key_pem: String,
        names: Vec<String>,
    ) -> Result<IssuedPair, CertError> {
        let chain = pem::File {
            path: stem,
            bytes: chain_pem.as_bytes(),
        };
        let pair = pem::parse(
            &chain,
            &pem::File {
                path: stem,
                bytes: key_pem.as_bytes(),
            },
        )?;
        let ca_pem = self.pem.clone();
        Ok(IssuedPair {
            chain_pem,
            key_pem: Secret::new(key_pem),
            ca_pem,
            pair,
            names,
        })
    }
}

/// File name for a leaf: its first name for people, a digest of all for uniqueness.
fn leaf_stem(names: &[String]) -> String {
    let digest = digest(&SHA256, names.join("\n").as_bytes());
    let first: String = names.iter().take(1).map(|name| file_name(name)).collect();
    // File systems bound a name to 255 bytes, as DNS does to 253: leave room for the rest.
    let first: String = first.chars().take(100).collect();
    format!("{first}-{}", template::hex(&digest.as_ref()[..8]))
}

/// P-256: the one curve that every client and PostgreSQL has, and quick to sign with.
fn generate() -> Result<KeyPair, CertError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(making)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn making(error: rcgen::Error) -> CertError {
    CertError::Make(error.to_string())
}

/// Seconds since the epoch; a clock before it counts as the epoch.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

#[cfg(test)]
mod tests;
