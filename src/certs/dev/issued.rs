//! An issued leaf, and the files that users get of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    certs::{
        CertError, Pair,
        dev::{
            files::{self, Access},
            template,
        },
        info::Info,
        pem,
    },
    config::value::Secret,
};

/// A leaf, its key, and the authority that issued it.
#[derive(Debug)]
pub struct IssuedPair {
    /// Leaf and authority as PEM.
    pub chain_pem: String,
    /// Key of the leaf as PEM (PKCS#8).
    pub key_pem: Secret,
    /// Certificate of the authority as PEM.
    pub ca_pem: String,
    /// The same chain and key, decoded.
    pub pair: Pair,
    /// Names, normalized, in the order given.
    pub names: Vec<String>,
}

/// Files that [`IssuedPair::save`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Leaf and authority.
    pub chain: PathBuf,
    /// Key of the leaf, mode 0600.
    pub key: PathBuf,
    /// Certificate of the authority.
    pub ca: PathBuf,
}

impl IssuedPair {
    /// Writes `NAME.pem`, `NAME.key` and `ca.pem` to `dir`, which is made when there is none. NAME is
    /// the first name; see [`file_name`].
    ///
    /// # Errors
    /// Nothing can be written there, or a file that is no development certificate is in the way.
    pub fn save(&self, dir: &Path) -> Result<Saved, CertError> {
        let name = self
            .names
            .first()
            .map_or_else(String::new, |name| file_name(name));
        // The authority's own file is called that.
        let stem = dir.join(if name == "ca" { "ca_" } else { &name });
        let saved = Saved {
            chain: stem.with_added_extension("pem"),
            key: stem.with_added_extension("key"),
            ca: dir.join("ca.pem"),
        };
        for path in [&saved.chain, &saved.ca] {
            spare(path)?;
        }
        if !saved.chain.exists() && saved.key.exists() {
            return Err(CertError::InTheWay(saved.key));
        }
        fs::create_dir_all(dir).map_err(|source| CertError::Write {
            path: dir.into(),
            source,
        })?;
        files::write(&saved.key, self.key_pem.expose(), Access::Private)?;
        files::write(&saved.chain, &self.chain_pem, Access::Public)?;
        files::write(&saved.ca, &self.ca_pem, Access::Public)?;
        Ok(saved)
    }
}

/// Refuses to overwrite what is not of a development authority.
fn spare(path: &Path) -> Result<(), CertError> {
    if !path.exists() {
        return Ok(());
    }
    let ours = |info: &Info| info.issuer.contains(template::AUTHORITY);
    match pem::describe(path) {
        Ok(chain) if chain.iter().all(ours) => Ok(()),
        _ => Err(CertError::InTheWay(path.into())),
    }
}

/// `name` as the name of a file: a wildcard becomes `_wildcard`, colons become underscores.
pub fn file_name(name: &str) -> String {
    name.replace('*', "_wildcard").replace(':', "_")
}
