//! What the certificates of the development authority say.

use std::time::SystemTime;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use time::OffsetDateTime;

use crate::certs::{CertError, dev};

/// Browsers refuse leaves that live longer than 398 days; the day before "now" counts too.
const LEAF_DAYS: u64 = 395;

/// Trust is given by hand, so that it should last.
const AUTHORITY_DAYS: u64 = 3650;

/// How the common name of an authority begins.
pub(super) const AUTHORITY: &str = "Portcullis development authority";

/// Longest common name (RFC 5280 appendix A.1, `ub-common-name`).
const LONGEST_COMMON_NAME: usize = 64;

/// The authority's own certificate. The same key yields the same subject: leaves depend on it.
pub(super) fn authority(key: &KeyPair) -> Result<CertificateParams, CertError> {
    let id = digest(&SHA256, key.der_bytes());
    let mut params = params(AUTHORITY_DAYS)?;
    // Two machines have two authorities, which a list of trusted ones must tell apart.
    let name = format!(
        "Portcullis development authority {}",
        hex(&id.as_ref()[..4])
    );
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A leaf for `names`, which are normal.
pub(super) fn leaf(names: &[String]) -> Result<CertificateParams, CertError> {
    let mut params = params(LEAF_DAYS)?;
    let named = CertificateParams::new(names).map_err(dev::making)?;
    params.subject_alt_names = named.subject_alt_names;
    if let Some(first) = names.iter().find(|name| name.len() <= LONGEST_COMMON_NAME) {
        params
            .distinguished_name
            .push(DnType::CommonName, first.as_str());
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Valid from yesterday, for peers whose clock is behind.
fn params(days: u64) -> Result<CertificateParams, CertError> {
    const DAY: u64 = 24 * 60 * 60;
    let now = dev::unix_seconds(SystemTime::now());
    let mut params = CertificateParams::default();
    params.not_before = instant(now.saturating_sub(DAY))?;
    params.not_after = instant(now + days * DAY)?;
    params.serial_number = Some(serial()?);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Portcullis development");
    Ok(params)
}

fn instant(seconds: u64) -> Result<OffsetDateTime, CertError> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| CertError::Make("the clock of this machine is far off: set it".to_owned()))
}

/// 127 random bits: positive, and with no leading zero byte (RFC 5280 section 4.1.2.2).
fn serial() -> Result<SerialNumber, CertError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes)
        .map_err(|_| CertError::Make("the system gives no random bytes".to_owned()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
