//! Certificates and their keys: read from files, proved to belong together, or made for development.
//!
//! Nothing here knows a connection: `tls` turns a [`Pair`] into something that can answer a handshake.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub mod dev;
mod error;
pub mod expiry;
pub mod info;
mod name;
pub mod pem;
#[cfg(test)]
pub(crate) mod testing;

pub use error::CertError;

use crate::certs::info::Info;

/// A certificate chain and the private key of its leaf, proved to belong together.
pub struct Pair {
    /// Leaf first, then each issuer.
    pub chain: Vec<CertificateDer<'static>>,
    /// Key of the leaf.
    pub key: PrivateKeyDer<'static>,
    /// What the leaf says.
    pub info: Info,
    /// Certificates of the file that issue nothing in the chain, by their subjects.
    pub unrelated: Vec<String>,
}

/// What is wrong with a pair that can be served nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The leaf's time is over.
    #[error("the certificate expired {days} days ago: renew it, nobody accepts it any more")]
    Expired {
        /// Whole days since then.
        days: u64,
    },
    /// The leaf's time has not come.
    #[error(
        "the certificate is not valid for another {hours} hours: check the clock of this machine"
    )]
    NotYetValid {
        /// Whole hours until then.
        hours: u64,
    },
    /// The end is near: see [`expiry::warning_time`].
    #[error("the certificate expires in {days} days: renew it")]
    ExpiresSoon {
        /// Whole days left.
        days: u64,
    },
    /// Only a common name, which no browser reads.
    #[error("the certificate has no subject alternative names: browsers refuse it")]
    NoNames,
    /// The intermediates seem to be missing.
    #[error(
        "the chain holds the leaf alone, issued by {issuer}: use the full chain unless that is a root which clients trust"
    )]
    LeafAlone {
        /// Who issued the leaf.
        issuer: String,
    },
    /// A certificate in the file that belongs to another chain.
    #[error("{subject} in the chain file does not belong to the chain: remove it")]
    Unrelated {
        /// Its subject.
        subject: String,
    },
}

impl Pair {
    /// What an operator should know about the pair at the time `now`.
    pub fn warnings(&self, now: SystemTime) -> Vec<Warning> {
        let mut warnings = Vec::new();
        warnings.extend(time_warning(&self.info, now));
        if self.info.names.is_empty() {
            warnings.push(Warning::NoNames);
        }
        if self.chain.len() == 1 && !self.info.self_signed {
            warnings.push(Warning::LeafAlone {
                issuer: self.info.issuer.clone(),
            });
        }
        let unrelated = self.unrelated.iter().cloned();
        warnings.extend(unrelated.map(|subject| Warning::Unrelated { subject }));
        warnings
    }
}

/// Hides the key.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("chain", &self.chain.len())
            .field("info", &self.info)
            .field("unrelated", &self.unrelated)
            .finish_non_exhaustive()
    }
}

fn time_warning(info: &Info, now: SystemTime) -> Option<Warning> {
    const DAY: u64 = 24 * 60 * 60;
    let until = |time: SystemTime| time.duration_since(now).unwrap_or(Duration::ZERO).as_secs();
    if now < info.not_before {
        return Some(Warning::NotYetValid {
            hours: until(info.not_before) / 3600,
        });
    }
    if let Ok(over) = now.duration_since(info.not_after) {
        return Some(Warning::Expired {
            days: over.as_secs() / DAY,
        });
    }
    (now >= expiry::warning_time(info)).then(|| Warning::ExpiresSoon {
        days: until(info.not_after) / DAY,
    })
}
