//! HSTS, CSP and the rest, on every response that does not bring its own.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, Entry, REFERRER_POLICY,
        STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
    },
};
use tower::Service;

use crate::{
    config::headers::{Csp, Headers, Inline},
    message::{
        Call, Response,
        context::{RequestContext, Scheme},
    },
};

const REPORTING_ENDPOINTS: HeaderName = HeaderName::from_static("reporting-endpoints");

/// The fields of one site, ready to insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    always: Box<[(HeaderName, HeaderValue)]>,
    hsts: Option<HeaderValue>,
    endpoints: Option<HeaderValue>,
    csp: Option<(HeaderName, HeaderValue)>,
}

impl Fields {
    /// Fields of `headers`. The values are copies: a count shared by all workers, touched several times by every
    /// response, would make them wait for each other.
    pub fn new(headers: &Headers) -> Self {
        let endpoints = headers.csp.as_ref().and_then(Csp::reporting_endpoints);
        let always = [
            (X_CONTENT_TYPE_OPTIONS, &headers.content_type_options),
            (X_FRAME_OPTIONS, &headers.frame_options),
            (REFERRER_POLICY, &headers.referrer_policy),
            (X_XSS_PROTECTION, &headers.xss_protection),
        ];
        Self {
            always: always
                .into_iter()
                .filter_map(|(name, value)| Some((name, copy(value.as_ref()?))))
                .collect(),
            hsts: headers.hsts.as_ref().map(copy),
            endpoints: endpoints.as_ref().map(copy),
            csp: headers
                .csp
                .as_ref()
                .map(|csp| (csp.name(), copy(&csp.value(&Inline::default())))),
        }
    }

    /// Sets what `headers` lack.
    ///
    /// HSTS only where the client itself speaks https (RFC 6797 section 7.2). A response with a policy of its own, to
    /// enforce or only to report, knows its page better: it gets none beside it.
    fn add_to(&self, headers: &mut HeaderMap, scheme: Scheme) {
        for (name, value) in &self.always {
            set_if_absent(headers, name, value);
        }
        if let (Some(value), Scheme::Https) = (&self.hsts, scheme) {
            set_if_absent(headers, &STRICT_TRANSPORT_SECURITY, value);
        }
        if let Some(value) = &self.endpoints {
            // A dictionary (RFC 9651 section 3.2), so that those of a backend stay beside it.
            headers.append(REPORTING_ENDPOINTS, value.clone());
        }
        if let Some((name, value)) = &self.csp
            && !headers.contains_key(CONTENT_SECURITY_POLICY)
            && !headers.contains_key(CONTENT_SECURITY_POLICY_REPORT_ONLY)
        {
            headers.insert(name, value.clone());
        }
    }
}

/// Adds the security headers of a site.
#[derive(Debug, Clone)]
pub struct SecurityHeaders<S> {
    fields: Rc<Fields>,
    inner: S,
}

impl<S> SecurityHeaders<S> {
    /// Wraps `inner`.
    pub fn new(fields: Rc<Fields>, inner: S) -> Self {
        Self { fields, inner }
    }
}

impl<S> Service<Call> for SecurityHeaders<S>
where
    S: Service<Call, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = SecurityHeadersFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        SecurityHeadersFuture {
            fields: self.fields.clone(),
            context: call.context.clone(),
            inner: self.inner.call(call),
        }
    }
}

/// Adds the fields to the response.
#[derive(Debug)]
pub struct SecurityHeadersFuture<F> {
    inner: F,
    fields: Rc<Fields>,
    context: Rc<RequestContext>,
}

impl<F, E> Future for SecurityHeadersFuture<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut result = ready!(Pin::new(&mut self.inner).poll(cx));
        if let Ok(response) = &mut result {
            self.fields
                .add_to(response.headers_mut(), self.context.scheme());
        }
        Poll::Ready(result)
    }
}

fn copy(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).expect("it was a header value before")
}

fn set_if_absent(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    if let Entry::Vacant(entry) = headers.entry(name) {
        entry.insert(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::headers::Policy;

    fn fields(report_only: bool) -> Fields {
        let value = |text| Some(HeaderValue::from_static(text));
        Fields::new(&Headers {
            hsts: value("max-age=63072000"),
            content_type_options: value("nosniff"),
            frame_options: value("DENY"),
            referrer_policy: value("strict-origin-when-cross-origin"),
            xss_protection: None,
            csp: Some(Csp {
                policy: Policy::Literal(HeaderValue::from_static("default-src 'self'")),
                report_only,
                nonce: None,
                report: None,
            }),
        })
    }

    fn added(fields: &Fields, own: &[(HeaderName, &'static str)], scheme: Scheme) -> HeaderMap {
        let mut headers: HeaderMap = own
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        fields.add_to(&mut headers, scheme);
        headers
    }

    #[test]
    fn adds_every_field_that_is_configured() {
        let headers = added(&fields(false), &[], Scheme::Https);
        assert_eq!(headers.len(), 5);
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], "max-age=63072000");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'self'");
    }

    #[test]
    fn sends_hsts_on_https_only() {
        let headers = added(&fields(false), &[], Scheme::Http);
        assert!(!headers.contains_key(STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn leaves_what_helmet_set() {
        let own = [
            (X_FRAME_OPTIONS, "SAMEORIGIN"),
            (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        ];
        let headers = added(&fields(false), &own, Scheme::Https);
        assert_eq!(headers.get_all(X_FRAME_OPTIONS).iter().count(), 1);
        assert_eq!(headers[X_FRAME_OPTIONS], "SAMEORIGIN");
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    }

    #[test]
    fn adds_no_policy_beside_one_of_either_kind() {
        for report_only in [false, true] {
            for name in [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY] {
                let own = [(name.clone(), "default-src 'none'")];
                let headers = added(&fields(report_only), &own, Scheme::Https);
                assert_eq!(headers[name], "default-src 'none'");
                assert_eq!(headers.len(), 5);
            }
        }
    }
}
