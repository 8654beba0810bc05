//! A content security policy as it is sent (CSP Level 3).

use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY},
};

/// Stands in for each fetch directive that is absent.
pub(super) const DEFAULT: &str = "default-src";
pub(super) const SCRIPT: &str = "script-src";
const STYLE: &str = "style-src";
const STYLE_ATTR: &str = "style-src-attr";
pub(super) const UNSAFE_INLINE: &str = "'unsafe-inline'";
const NONE: &str = "'none'";
/// Of reports, as the policy and `Reporting-Endpoints` call it.
const GROUP: &str = "csp";

/// `headers.csp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csp {
    /// The policy.
    pub policy: Policy,
    /// Send `Content-Security-Policy-Report-Only` instead.
    pub report_only: bool,
    /// What stands in HTML files where a nonce belongs, which is then another one for each request.
    pub nonce: Option<String>,
    /// Path of the site that browsers send reports to.
    pub report: Option<String>,
}

/// A content security policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Sent as it is written.
    Literal(HeaderValue),
    /// Directives in order, each a name and its sources; what a page has inline is added to its own
    /// response.
    Directives(Directives),
}

/// Names, each with its sources.
pub type Directives = Vec<(String, Vec<String>)>;

/// What a page has inline, by hash: `sha256-...`, without quotes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Inline {
    /// Of its scripts.
    pub scripts: Vec<String>,
    /// Of its `<style>` elements.
    pub styles: Vec<String>,
}

/// What an attribute is to a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `onclick` and its like.
    Handler,
    /// `style`.
    Style,
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

    /// The policy of a page that has `inline`; a literal policy stays as it is written.
    pub fn value(&self, inline: &Inline) -> HeaderValue {
        let directives = match &self.policy {
            Policy::Literal(value) => return value.clone(),
            Policy::Directives(directives) => allow_inline(directives.clone(), inline, None),
        };
        // Reading let only visible ASCII through. Whoever built a policy by hand and did not gets the
        // closed one: a page that does not load is noticed, a policy that is missing is not.
        HeaderValue::try_from(self.text(directives))
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
    }

    /// The policy of a page that has `inline` and a nonce: what stands before, between and after the
    /// nonces. One piece where the policy has no place for any.
    ///
    /// A nonce switches `'unsafe-inline'` off (section 6.7.3.2). For styles it stays on for attributes,
    /// which can have no nonce.
    pub fn around_nonces(&self, inline: &Inline) -> Vec<String> {
        /// In no source.
        const MARK: char = '\n';
        let Policy::Directives(directives) = &self.policy else {
            return Vec::new();
        };
        let nonce = format!("'nonce-{MARK}'");
        let directives = allow_inline(directives.clone(), inline, Some(&nonce));
        self.text(directives)
            .split(MARK)
            .map(str::to_owned)
            .collect()
    }

    /// `Reporting-Endpoints`, by which the policy names the path of its reports (Reporting API section 3.2).
    pub fn reporting_endpoints(&self) -> Option<HeaderValue> {
        let endpoints = format!("{GROUP}=\"{}\"", self.report.as_ref()?);
        HeaderValue::try_from(endpoints).ok()
    }

    /// `report-uri` is for browsers without the Reporting API; the others pass over it.
    fn text(&self, mut directives: Directives) -> String {
        if let Some(path) = &self.report {
            directives.push(("report-uri".to_owned(), vec![path.clone()]));
            directives.push(("report-to".to_owned(), vec![GROUP.to_owned()]));
        }
        let directives = directives.iter().map(|(name, sources)| {
            let words = std::iter::once(name).chain(sources);
            words.map(String::as_str).collect::<Vec<_>>().join(" ")
        });
        directives.collect::<Vec<_>>().join("; ")
    }

    /// Whether a page may have such attributes. Their hashes are never added: `'unsafe-hashes'`
    /// would allow them wherever an attacker puts them.
    pub fn allows(&self, attribute: Attribute) -> bool {
        let Policy::Directives(directives) = &self.policy else {
            // The operator's own words, of which nothing is known.
            return true;
        };
        let name = match attribute {
            Attribute::Handler => SCRIPT,
            Attribute::Style => STYLE,
        };
        let sources = find(directives, name).or_else(|| find(directives, DEFAULT));
        sources.is_none_or(|at| {
            let sources = &directives[at].1;
            allows_all_inline(sources) || sources.iter().any(|it| it == "'unsafe-hashes'")
        })
    }
}

/// `directives` of a page that has `inline`, and allows what has the `nonce`.
fn allow_inline(mut directives: Directives, inline: &Inline, nonce: Option<&str>) -> Directives {
    allow(&mut directives, SCRIPT, &inline.scripts, nonce);
    allow(&mut directives, STYLE, &inline.styles, nonce);
    directives
}

/// Adds hashes and a nonce to a directive; one that is absent begins as what stands in for it.
///
/// Hashes alone are not added where everything inline is allowed, since they would switch that off
/// (section 6.7.3.2), and nothing is where nothing at all is allowed.
fn allow(directives: &mut Directives, name: &str, hashes: &[String], nonce: Option<&str>) {
    let Some(found) = find(directives, name).or_else(|| find(directives, DEFAULT)) else {
        return;
    };
    let mut sources = directives[found].1.clone();
    let all = allows_all_inline(&sources);
    let is_needed = nonce.is_some() || !hashes.is_empty() && !all;
    if !is_needed || sources.iter().any(|it| it == NONE) {
        return;
    }
    sources.extend(hashes.iter().map(|hash| format!("'{hash}'")));
    if let Some(nonce) = nonce {
        sources.retain(|it| it != UNSAFE_INLINE);
        sources.push(nonce.to_owned());
    }
    if directives[found].0 == name {
        directives[found].1 = sources;
    } else {
        directives.insert(found + 1, (name.to_owned(), sources));
    }
    if nonce.is_some() && all && name == STYLE {
        directives.push((STYLE_ATTR.to_owned(), vec![UNSAFE_INLINE.to_owned()]));
    }
}

fn find(directives: &Directives, name: &str) -> Option<usize> {
    directives.iter().position(|(known, _)| known == name)
}

/// Section 6.7.3.2.
fn allows_all_inline(sources: &[String]) -> bool {
    let is_switch = |source: &String| source.starts_with("'sha") || source == "'strict-dynamic'";
    sources.iter().any(|it| it == UNSAFE_INLINE) && !sources.iter().any(is_switch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csp(directives: &[(&str, &[&str])]) -> Csp {
        let owned = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect();
        let directives = directives
            .iter()
            .map(|(name, sources)| ((*name).to_owned(), owned(sources)));
        Csp {
            policy: Policy::Directives(directives.collect()),
            report_only: false,
            nonce: None,
            report: None,
        }
    }

    fn inline() -> Inline {
        Inline {
            scripts: vec![String::from("sha256-A=")],
            styles: vec![String::from("sha256-B=")],
        }
    }

    #[test]
    fn adds_the_hashes_of_a_page() {
        let csp = csp(&[("script-src", &["'self'"]), ("style-src", &["'self'"])]);
        assert_eq!(
            csp.value(&inline()),
            "script-src 'self' 'sha256-A='; style-src 'self' 'sha256-B='"
        );
        assert_eq!(
            csp.value(&Inline::default()),
            "script-src 'self'; style-src 'self'"
        );
    }

    #[test]
    fn starts_an_absent_directive_as_what_stands_in_for_it() {
        let csp = csp(&[("default-src", &["'self'"]), ("img-src", &["data:"])]);
        assert_eq!(
            csp.value(&inline()),
            "default-src 'self'; style-src 'self' 'sha256-B='; script-src 'self' 'sha256-A='; img-src data:"
        );
    }

    #[test]
    fn adds_no_hash_where_it_would_change_what_the_operator_wrote() {
        for policy in [
            csp(&[
                ("script-src", &["'unsafe-inline'"]),
                ("style-src", &["'none'"]),
            ]),
            csp(&[("default-src", &["'none'"])]),
            csp(&[("img-src", &["'self'"])]),
        ] {
            assert_eq!(policy.value(&inline()), policy.value(&Inline::default()));
        }
    }

    #[test]
    fn keeps_hashes_beside_the_nonce_and_unsafe_inline_for_style_attributes() {
        let csp = csp(&[
            ("default-src", &["'self'", "'unsafe-inline'"]),
            ("script-src", &["'strict-dynamic'"]),
        ]);
        assert_eq!(
            csp.around_nonces(&inline()).join("N"),
            "default-src 'self' 'unsafe-inline'; style-src 'self' 'sha256-B=' 'nonce-N'; \
             script-src 'strict-dynamic' 'sha256-A=' 'nonce-N'; style-src-attr 'unsafe-inline'"
        );
    }

    #[test]
    fn has_no_place_for_a_nonce_where_nothing_is_allowed_or_everything() {
        for csp in [
            csp(&[("default-src", &["'none'"])]),
            csp(&[("img-src", &["*"])]),
        ] {
            assert_eq!(csp.around_nonces(&inline()).len(), 1);
        }
    }

    #[test]
    fn names_the_path_of_reports_for_browsers_with_and_without_the_reporting_api() {
        let csp = Csp {
            report: Some(String::from("/csp-report")),
            ..csp(&[("img-src", &["'self'"])])
        };
        assert_eq!(
            csp.value(&Inline::default()),
            "img-src 'self'; report-uri /csp-report; report-to csp"
        );
        assert_eq!(csp.reporting_endpoints().unwrap(), "csp=\"/csp-report\"");
    }

    #[test]
    fn knows_which_attributes_a_page_may_have() {
        let strict = csp(&[("default-src", &["'self'"])]);
        assert!(!strict.allows(Attribute::Handler) && !strict.allows(Attribute::Style));
        let styles = csp(&[
            ("script-src", &["'unsafe-inline'", "'strict-dynamic'"]),
            ("style-src", &["'unsafe-inline'"]),
        ]);
        assert!(!styles.allows(Attribute::Handler) && styles.allows(Attribute::Style));
        assert!(csp(&[("script-src", &["'unsafe-hashes'"])]).allows(Attribute::Handler));
        assert!(csp(&[]).allows(Attribute::Handler));
    }

    #[test]
    fn a_policy_that_no_header_can_carry_becomes_the_closed_one() {
        let csp = csp(&[("script-src", &["\n"])]);
        assert_eq!(csp.value(&Inline::default()), "default-src 'none'");
    }
}
