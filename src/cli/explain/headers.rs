//! The security headers that every answer of a site has.

use std::fmt::Write as _;

use http::HeaderValue;

use crate::config::headers::{Headers, Inline};

/// Writes a line for each.
pub(super) fn write(text: &mut String, headers: &Headers) -> std::fmt::Result {
    let mut line = |name: &str, value: &HeaderValue| {
        writeln!(
            text,
            "header      {name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        )
    };
    let fields = [
        ("strict-transport-security", &headers.hsts),
        ("x-content-type-options", &headers.content_type_options),
        ("x-frame-options", &headers.frame_options),
        ("referrer-policy", &headers.referrer_policy),
        ("x-xss-protection", &headers.xss_protection),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            line(name, value)?;
        }
    }
    match &headers.csp {
        None => Ok(()),
        Some(csp) => {
            line(csp.name().as_str(), &csp.value(&Inline::default()))?;
            if let Some(endpoints) = csp.reporting_endpoints() {
                line("reporting-endpoints", &endpoints)?;
            }
            let Some(placeholder) = &csp.nonce else {
                return Ok(());
            };
            writeln!(text, "nonce       in each page that has {placeholder}")
        }
    }
}
