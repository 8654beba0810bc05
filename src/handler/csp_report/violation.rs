//! Reports as browsers send them: `application/csp-report`, one in an object (CSP Level 3 section
//! 5.3), and `application/reports+json`, many in an array (Reporting API).

use serde_json::{Map, Value};

use crate::observe::metrics::csp::Disposition;

/// Reports of one request that are looked at.
const MAX_REPORTS: usize = 100;
/// Bytes of an address in the log.
const ADDRESS: usize = 200;
/// Bytes of anything else.
const WORD: usize = 80;

/// Schemes of what visitors have in their browsers, and no site can help.
const EXTENSIONS: [&str; 5] = [
    "chrome-extension",
    "moz-extension",
    "safari-extension",
    "safari-web-extension",
    "webkit-masked-url",
];

/// One thing that a policy forbids, in words fit for the log: bounded, without queries, and without
/// control characters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Violation {
    /// As sent.
    pub(super) directive: String,
    /// `None` where the browser does not say it.
    pub(super) disposition: Option<Disposition>,
    /// Path of the page.
    pub(super) page: String,
    /// Origin of what was asked for, or a word like `inline`.
    pub(super) blocked: String,
    /// Script that did it.
    pub(super) source: String,
    /// Line in it, or 0.
    pub(super) line: u64,
    /// How the script or style begins.
    pub(super) sample: String,
    /// A browser extension did it.
    pub(super) by_extension: bool,
}

/// Names of the same in the two kinds of reports.
struct Names {
    page: &'static str,
    blocked: &'static str,
    directive: &'static str,
    source: &'static str,
    line: &'static str,
    sample: &'static str,
}

const OLD: Names = Names {
    page: "document-uri",
    blocked: "blocked-uri",
    directive: "effective-directive",
    source: "source-file",
    line: "line-number",
    sample: "script-sample",
};

const NEW: Names = Names {
    page: "documentURL",
    blocked: "blockedURL",
    directive: "effectiveDirective",
    source: "sourceFile",
    line: "lineNumber",
    sample: "sample",
};

/// The violations in a body, none where it is about something else; `None` when it is not JSON.
pub(super) fn read(body: &[u8]) -> Option<Vec<Violation>> {
    let violations = match serde_json::from_slice(body).ok()? {
        Value::Array(reports) => {
            let reports = reports.iter().take(MAX_REPORTS);
            reports.filter_map(of_reporting_api).collect()
        }
        Value::Object(report) => match report.get("csp-report") {
            Some(Value::Object(report)) => vec![Violation::new(report, &OLD)],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    Some(violations)
}

fn of_reporting_api(report: &Value) -> Option<Violation> {
    let is_violation = report.get("type")?.as_str()? == "csp-violation";
    let body = report.get("body")?.as_object()?;
    is_violation.then(|| Violation::new(body, &NEW))
}

impl Violation {
    fn new(report: &Map<String, Value>, names: &Names) -> Self {
        let text = |name| report.get(name).and_then(Value::as_str).unwrap_or_default();
        let (blocked, source) = (text(names.blocked), text(names.source));
        // Older browsers name the whole directive, with its sources.
        let directive = match text(names.directive) {
            "" => text("violated-directive"),
            directive => directive,
        };
        Self {
            directive: shown(directive.split(' ').next().unwrap_or_default(), WORD),
            disposition: match text("disposition") {
                "enforce" => Some(Disposition::Enforce),
                "report" => Some(Disposition::Report),
                _ => None,
            },
            page: shown(Address::of(text(names.page)).path, ADDRESS),
            blocked: shown(&Address::of(blocked).origin(), ADDRESS),
            source: shown(&Address::of(source).whole(), ADDRESS),
            line: report.get(names.line).and_then(Value::as_u64).unwrap_or(0),
            sample: shown(text(names.sample), WORD),
            by_extension: is_extension(blocked) || is_extension(source),
        }
    }
}

/// An address without its query, or a word where there should be one.
struct Address<'a> {
    scheme: &'a str,
    /// Without user and password.
    authority: &'a str,
    path: &'a str,
}

impl<'a> Address<'a> {
    fn of(text: &'a str) -> Self {
        let end = text.find(['?', '#']).unwrap_or(text.len());
        let text = &text[..end];
        let Some((scheme, rest)) = text.split_once("://") else {
            // `inline`, `eval`; of `data:` and its like the scheme alone.
            return Self {
                scheme: "",
                authority: "",
                path: text.split(':').next().unwrap_or_default(),
            };
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Self {
            scheme,
            authority: authority.rsplit('@').next().unwrap_or_default(),
            path,
        }
    }

    fn origin(&self) -> String {
        if self.scheme.is_empty() {
            return self.path.to_owned();
        }
        format!("{}://{}", self.scheme, self.authority)
    }

    fn whole(&self) -> String {
        if self.scheme.is_empty() {
            return self.path.to_owned();
        }
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }
}

fn is_extension(address: &str) -> bool {
    let scheme = address.split(':').next().unwrap_or_default();
    EXTENSIONS.contains(&scheme)
}

/// The beginning, with escapes for all but printable ASCII, and no longer than `limit` bytes.
fn shown(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        let before = shown.len();
        if matches!(letter, ' '..='~') {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_unicode());
        }
        if shown.len() > limit {
            shown.truncate(before);
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Violation {
        let mut violations = read(json.as_bytes()).unwrap();
        assert_eq!(violations.len(), 1, "{json}");
        violations.remove(0)
    }

    #[test]
    fn reads_both_kinds_alike() {
        let old = one(
            r#"{"csp-report":{"document-uri":"https://a.example/p?token=1#x",
            "blocked-uri":"https://user:secret@evil.example:8443/x?y","effective-directive":"script-src-elem",
            "violated-directive":"script-src 'self'","disposition":"enforce",
            "source-file":"https://a.example/a.js?v=1","line-number":7,"script-sample":"alert(1)"}}"#,
        );
        let new = one(
            r#"[{"type":"csp-violation","body":{"documentURL":"https://a.example/p?token=1#x",
            "blockedURL":"https://user:secret@evil.example:8443/x?y","effectiveDirective":"script-src-elem",
            "disposition":"enforce","sourceFile":"https://a.example/a.js?v=1","lineNumber":7,
            "sample":"alert(1)"}},{"type":"deprecation","body":{}}]"#,
        );
        assert_eq!(old, new);
        let wanted = Violation {
            directive: "script-src-elem".into(),
            disposition: Some(Disposition::Enforce),
            page: "/p".into(),
            blocked: "https://evil.example:8443".into(),
            source: "https://a.example/a.js".into(),
            line: 7,
            sample: "alert(1)".into(),
            by_extension: false,
        };
        assert_eq!(old, wanted);
    }

    #[test]
    fn takes_what_old_browsers_send() {
        let old = one(
            r#"{"csp-report":{"violated-directive":"img-src 'self' data:","blocked-uri":"inline"}}"#,
        );
        assert_eq!(old.directive, "img-src");
        assert_eq!((old.blocked.as_str(), old.disposition), ("inline", None));
        let data = one(r#"{"csp-report":{"blocked-uri":"data:text/plain,secret"}}"#);
        assert_eq!(data.blocked, "data");
    }

    #[test]
    fn knows_extensions_by_their_scheme() {
        for json in [
            r#"{"csp-report":{"blocked-uri":"chrome-extension"}}"#,
            r#"{"csp-report":{"blocked-uri":"moz-extension://x/y"}}"#,
            r#"[{"type":"csp-violation","body":{"sourceFile":"safari-web-extension://x"}}]"#,
        ] {
            assert!(one(json).by_extension, "{json}");
        }
    }

    #[test]
    fn bounds_and_escapes_every_word() {
        let long = "x".repeat(1000);
        let json = serde_json::json!({ "csp-report": {
            "document-uri": format!("https://a/{long}"), "blocked-uri": long, "effective-directive": long,
            "source-file": long, "script-sample": "a\nb\u{1b}[31m\u{202e}c", "line-number": -1.5e300,
        }});
        let violation = one(&json.to_string());
        assert_eq!(violation.sample, "a\\u{a}b\\u{1b}[31m\\u{202e}c");
        assert_eq!(violation.line, 0);
        for word in [&violation.page, &violation.blocked, &violation.source] {
            assert_eq!(word.len(), ADDRESS);
        }
    }

    #[test]
    fn refuses_what_is_not_json_and_finds_nothing_in_what_is_no_report() {
        let deep = "[".repeat(10_000);
        for bad in [
            &b""[..],
            b"{",
            b"\xff",
            b"\"\xff\"",
            b"[1e999]",
            deep.as_bytes(),
        ] {
            assert_eq!(read(bad), None);
        }
        for other in [
            "1",
            "null",
            "{}",
            "[]",
            "[1,{\"type\":1}]",
            r#"{"csp-report":[]}"#,
        ] {
            assert_eq!(read(other.as_bytes()), Some(Vec::new()), "{other}");
        }
        let many = format!(
            "[{}]",
            vec![r#"{"type":"csp-violation","body":{}}"#; 500].join(",")
        );
        assert_eq!(read(many.as_bytes()).unwrap().len(), MAX_REPORTS);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", bytes in proptest::collection::vec(0_u8.., 0..200)) {
            read(&bytes);
            let report = serde_json::json!({ "csp-report": { "document-uri": text, "blocked-uri": text } });
            read(report.to_string().as_bytes());
        }
    }
}
