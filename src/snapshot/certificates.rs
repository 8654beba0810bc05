//! Certificates of the sites: read, proved, and complained about at the place that names them.

use std::time::SystemTime;

use crate::{
    certs::{self, CertError, Pair, dev::Authority},
    config::{Config, diagnostic::Diagnostic, site::Site, tls::Certificate, value::HostPattern},
};

/// Hosts and certificates of one site.
pub type SiteCertificates = (Vec<HostPattern>, Vec<Pair>);

/// Reads the certificates of every site; development ones are made where they are missing.
///
/// # Errors
/// Every pair that cannot be used.
pub fn load(config: &Config) -> Result<Vec<SiteCertificates>, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let mut sites = Vec::with_capacity(config.sites.len());
    for site in &config.sites {
        let mut pairs = Vec::new();
        for certificate in &site.certificates {
            match read(certificate, site) {
                Ok(pair) => pairs.push(pair),
                Err(fault) => faults.push(fault),
            }
        }
        sites.push((site.hosts.clone(), pairs));
    }
    if faults.is_empty() {
        Ok(sites)
    } else {
        Err(faults)
    }
}

/// What is wrong with certificates in files, and what will be soon. Makes none.
pub fn check(config: &Config) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let now = SystemTime::now();
    for site in &config.sites {
        for certificate in &site.certificates {
            let Certificate::Files { chain, .. } = certificate else {
                continue;
            };
            match read(certificate, site) {
                Err(fault) => findings.push(fault),
                Ok(pair) => findings.extend(
                    warnings(&pair, site, now)
                        .map(|text| Diagnostic::warning(text).at(chain.span.clone())),
                ),
            }
        }
    }
    findings
}

fn warnings(pair: &Pair, site: &Site, now: SystemTime) -> impl Iterator<Item = String> {
    let uncovered = site
        .hosts
        .iter()
        .map(ToString::to_string)
        .filter(|host| !pair.info.covers(host))
        .map(|host| format!("this certificate does not cover \"{host}\""));
    let found: Vec<_> = pair.warnings(now).iter().map(ToString::to_string).collect();
    found.into_iter().chain(uncovered.collect::<Vec<_>>())
}

fn read(certificate: &Certificate, site: &Site) -> Result<Pair, Diagnostic> {
    match certificate {
        Certificate::Files { chain, key } => {
            certs::pem::load(&chain.value, &key.value).map_err(|error| {
                let place = if error.concerns_key(&key.value) {
                    key
                } else {
                    chain
                };
                Diagnostic::error(error.to_string()).at(place.span.clone())
            })
        }
        Certificate::Dev => develop(site).map_err(|error| {
            let names: Vec<_> = site.hosts.iter().map(ToString::to_string).collect();
            let fault = Diagnostic::error(format!(
                "no development certificate for {}: {error}",
                names.join(", ")
            ));
            match error {
                CertError::Write { .. } => fault.help(
                    "set PORTCULLIS_DEV_DIR to a folder that can be written, in a container to a volume",
                ),
                _ => fault,
            }
        }),
    }
}

fn develop(site: &Site) -> Result<Pair, CertError> {
    let names: Vec<_> = site.hosts.iter().map(ToString::to_string).collect();
    Ok(Authority::open(&certs::dev::default_dir())?
        .issue(&names)?
        .pair)
}
