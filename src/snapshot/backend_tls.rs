//! Authorities and certificates of https backends: whether their files changed, and what is wrong with them, at the place
//! that names them.

use std::time::SystemTime;

use crate::{
    certs::{self, Warning},
    config::{Config, diagnostic::Diagnostic, upstream},
    tls::TlsError,
    upstream::{Upstream, connector::Connector},
};

/// Whether `running` is what `config` would make now: files may change under the same name.
///
/// # Errors
/// A file cannot be used any more.
pub fn is_current(running: &Upstream, config: &upstream::Upstream) -> Result<bool, Diagnostic> {
    if **running.config() != *config {
        return Ok(false);
    }
    let connector = Connector::new(config).map_err(|error| fault(config, &error))?;
    Ok(connector.is_like(running.connector()))
}

/// The diagnostic of `error`, which came of the files that `config` names.
pub fn fault(config: &upstream::Upstream, error: &TlsError) -> Diagnostic {
    let ca = config.tls.as_ref().and_then(|tls| tls.ca.as_ref());
    let files = config.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
    let place = match (error, files) {
        (TlsError::ClientCertificate(error), Some(files)) => {
            Some(if error.concerns_key(&files.key.value) {
                &files.key
            } else {
                &files.chain
            })
        }
        (TlsError::ClientCertificateRefused(_), Some(files)) => Some(&files.chain),
        _ => ca,
    };
    let fault = Diagnostic::error(error.to_string());
    match place {
        Some(place) => fault.at(place.span.clone()),
        None => fault,
    }
}

/// What is wrong with the files, and what will be soon.
pub fn check(config: &Config) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let now = SystemTime::now();
    for upstream in config.upstreams.values() {
        match Connector::new(upstream) {
            Err(error) => findings.push(fault(upstream, &error)),
            Ok(_) => findings.extend(warnings(upstream, now)),
        }
    }
    findings
}

/// Names and issuers are the backend's matter; time and order are the operator's.
fn warnings(upstream: &upstream::Upstream, now: SystemTime) -> Vec<Diagnostic> {
    let files = upstream
        .tls
        .as_ref()
        .and_then(|tls| tls.certificate.as_ref());
    let Some(files) = files else {
        return Vec::new();
    };
    let Ok(pair) = certs::pem::load(&files.chain.value, &files.key.value) else {
        return Vec::new();
    };
    let warnings = pair.warnings(now).into_iter();
    warnings
        .filter(|warning| !matches!(warning, Warning::NoNames | Warning::LeafAlone { .. }))
        .map(|warning| Diagnostic::warning(warning.to_string()).at(files.chain.span.clone()))
        .collect()
}
