//! A page that has a nonce in it: the bytes around each, in the page and in its policy.
//!
//! Found when the release is read, so that no request searches.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header::InvalidHeaderValue};
use memchr::memmem;

use crate::config::headers::{Csp, Inline};

/// A page to fill a nonce in.
#[derive(Debug)]
pub struct Template {
    /// One more than there are nonces.
    parts: Box<[Bytes]>,
    /// Bytes of all parts.
    size: usize,
    name: HeaderName,
    policy: Box<[String]>,
}

impl Template {
    /// A template of `html`, where the policy has nonces and the page has a place for one.
    pub(super) fn new(html: &Bytes, csp: &Csp, inline: &Inline) -> Option<Self> {
        let placeholder = csp.nonce.as_deref()?;
        let mut parts = Vec::new();
        let mut start = 0;
        for at in memmem::find_iter(html, placeholder) {
            parts.push(html.slice(start..at));
            start = at + placeholder.len();
        }
        parts.push(html.slice(start..));
        let policy = csp.around_nonces(inline);
        (parts.len() > 1 && policy.len() > 1).then(|| Self {
            size: parts.iter().map(Bytes::len).sum(),
            parts: parts.into(),
            name: csp.name(),
            policy: policy.into(),
        })
    }

    /// What stands before, between and after the nonces of the page.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// Bytes of the page with nonces of `length` bytes.
    pub fn size(&self, length: usize) -> usize {
        self.size + (self.parts.len() - 1) * length
    }

    /// The header that carries the policy.
    pub fn policy_name(&self) -> &HeaderName {
        &self.name
    }

    /// The policy that allows what has this nonce.
    ///
    /// # Errors
    /// The policy was built by hand, with characters that no header can carry.
    pub fn policy(&self, nonce: &str) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::try_from(self.policy.join(nonce))?;
        // HTTP/2 would keep it in its table, where it pushes out what comes again.
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::headers::Headers;

    fn template(html: &'static str, placeholder: Option<&str>) -> Option<Template> {
        let csp = Csp {
            nonce: placeholder.map(str::to_owned),
            ..Headers::default().csp.unwrap()
        };
        Template::new(&Bytes::from(html), &csp, &Inline::default())
    }

    #[test]
    fn has_what_stands_around_each_place() {
        let template = template("NONCE<a nonce=NONCE>NONCENONCE", Some("NONCE")).unwrap();
        assert_eq!(template.parts(), ["", "<a nonce=", ">", "", ""]);
        assert_eq!(template.parts().join(&b"xyz"[..]).len(), template.size(3));
    }

    #[test]
    fn puts_the_nonce_where_scripts_and_styles_are_allowed() {
        let template = template("NONCE", Some("NONCE")).unwrap();
        let policy = template.policy("xyz").unwrap();
        let policy = policy.to_str().unwrap();
        assert!(
            policy.contains("script-src 'self' 'nonce-xyz'; "),
            "{policy}"
        );
        assert!(
            policy.contains("style-src 'self' 'nonce-xyz'; "),
            "{policy}"
        );
        assert!(
            policy.ends_with("; style-src-attr 'unsafe-inline'"),
            "{policy}"
        );
    }

    #[test]
    fn is_none_without_a_place_or_the_wish() {
        assert!(template("<p>", Some("NONCE")).is_none());
        assert!(template("NONCE", None).is_none());
    }
}
