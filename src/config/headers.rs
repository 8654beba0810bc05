//! `site.headers`: security headers.

use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY},
};

/// `site.headers`, resolved: what is sent, ready to insert.
///
/// `None` leaves a header out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// `Strict-Transport-Security`; sent on https only.
    pub hsts: Option<HeaderValue>,
    /// `X-Content-Type-Options`.
    pub content_type_options: Option<HeaderValue>,
    /// `X-Frame-Options`.
    pub frame_options: Option<HeaderValue>,
    /// `Referrer-Policy`.
    pub referrer_policy: Option<HeaderValue>,
    /// `X-XSS-Protection`.
    pub xss_protection: Option<HeaderValue>,
    /// `Content-Security-Policy`.
    pub csp: Option<Csp>,
}

/// `headers.csp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csp {
    /// The policy.
    pub policy: Policy,
    /// Send `Content-Security-Policy-Report-Only` instead.
    pub report_only: bool,
}

/// A content security policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Sent as it is written.
    Literal(HeaderValue),
    /// Directives in order, each a name and its sources; hashes of inline scripts are added to
    /// `script-src` of a page's own response.
    Directives(Vec<(String, Vec<String>)>),
}

impl Csp {
    /// Name of the header that carries the policy.
    pub fn name(&self) -> HeaderName {
        if self.report_only {
            CONTENT_SECURITY_POLICY_REPORT_ONLY
        } else {
            CONTENT_SECURITY_POLICY
        }
    }

    /// The policy of a page whose inline scripts have these hashes (`sha256-...`, without quotes).
    ///
    /// A literal policy stays as it is written, and so does one that allows `'unsafe-inline'` scripts:
    /// a hash beside it would switch it off (CSP Level 3 section 6.7.3.2).
    pub fn value(&self, script_hashes: &[String]) -> HeaderValue {
        let directives = match &self.policy {
            Policy::Literal(value) => return value.clone(),
            Policy::Directives(directives) => directives,
        };
        let mut text = String::new();
        for (name, sources) in directives {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            for source in sources {
                text.push(' ');
                text.push_str(source);
            }
            if name == "script-src" && !sources.iter().any(|source| source == "'unsafe-inline'") {
                for hash in script_hashes {
                    text.push_str(" '");
                    text.push_str(hash);
                    text.push('\'');
                }
            }
        }
        HeaderValue::try_from(text)
            .expect("sources were checked to be visible ASCII when the configuration was read")
    }
}
