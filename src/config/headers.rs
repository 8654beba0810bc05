//! `site.headers`: security headers.

use http::HeaderValue;

use crate::config::{
    defaults,
    reader::{
        Value, quoted, suggest,
        table::{Shape, Switch, Table, choice},
    },
};

pub(crate) mod csp;
mod hsts;
mod policy;

pub(crate) use hsts::SHAPE as HSTS;
pub use policy::{Attribute, Csp, Directives, Inline, Policy};

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

/// `site.headers`.
pub(crate) static SHAPE: Shape = Shape {
    name: "site.headers",
    keys: &[
        "preset",
        "hsts",
        "content_type_options",
        "frame_options",
        "referrer_policy",
        "xss_protection",
        "csp",
    ],
    reserved: &[],
};

/// `headers.preset`: what the other keys start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preset {
    /// A single-page application.
    Spa,
    /// Answers that no browser shows as a page.
    Api,
    /// Nothing that is not asked for.
    Off,
}

const REFERRER_POLICIES: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];

impl Default for Headers {
    /// The `spa` preset.
    fn default() -> Self {
        Self::preset(Preset::Spa)
    }
}

impl Headers {
    fn preset(preset: Preset) -> Self {
        let fixed = |value| match preset {
            Preset::Off => None,
            Preset::Spa | Preset::Api => Some(HeaderValue::from_static(value)),
        };
        let frame_options = fixed(defaults::FRAME_OPTIONS);
        Self {
            hsts: hsts::preset(preset),
            content_type_options: fixed(defaults::CONTENT_TYPE_OPTIONS),
            referrer_policy: fixed(defaults::REFERRER_POLICY),
            xss_protection: fixed(defaults::XSS_PROTECTION),
            csp: csp::preset(preset, frame_options.as_ref()),
            frame_options,
        }
    }

    /// Reads `site.headers`.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let presets = [
            ("spa", Preset::Spa),
            ("api", Preset::Api),
            ("off", Preset::Off),
        ];
        let preset = table.choose("preset", Preset::Spa, &presets);
        let default = Self::preset(preset);
        let frame_options = literal(
            table,
            "frame_options",
            default.frame_options,
            &["DENY", "SAMEORIGIN"],
        );
        let headers = Self {
            hsts: match table.switch("hsts", &HSTS) {
                Switch::Absent => default.hsts,
                Switch::Off => None,
                Switch::On(table) => Some(hsts::read(&table)),
            },
            content_type_options: literal(
                table,
                "content_type_options",
                default.content_type_options,
                &["nosniff"],
            ),
            referrer_policy: read_referrer_policy(table, default.referrer_policy),
            xss_protection: read_xss_protection(table, default.xss_protection),
            csp: match table.switch("csp", &csp::SHAPE) {
                Switch::Absent => csp::preset(preset, frame_options.as_ref()),
                Switch::Off => None,
                Switch::On(table) => csp::read(&table, preset, frame_options.as_ref()),
            },
            frame_options,
        };
        table.finish();
        headers
    }
}

/// One of `values`, or `"off"`.
fn literal(
    table: &Table<'_>,
    key: &'static str,
    default: Option<HeaderValue>,
    values: &[&'static str],
) -> Option<HeaderValue> {
    let mut choices: Vec<_> = values.iter().map(|value| (*value, Some(*value))).collect();
    choices.push(("off", None));
    let Some(value) = table.value(key) else {
        return default;
    };
    choice(&value, &choices)
        .flatten()
        .map(HeaderValue::from_static)
}

fn read_xss_protection(table: &Table<'_>, default: Option<HeaderValue>) -> Option<HeaderValue> {
    let header = literal(table, "xss_protection", default, &["0", "1; mode=block"]);
    if let (Some(header), Some(value)) = (&header, table.value("xss_protection"))
        && header != "0"
    {
        value.warn(
            "`1; mode=block` opens holes in the old browsers that still know it",
            "write `xss_protection = \"0\"`; the content security policy does this work",
        );
    }
    header
}

fn read_referrer_policy(table: &Table<'_>, default: Option<HeaderValue>) -> Option<HeaderValue> {
    let Some(value) = table.value("referrer_policy") else {
        return default;
    };
    let text = value.text("a referrer policy", "\"strict-origin-when-cross-origin\"")?;
    if text == "off" {
        return None;
    }
    // A list is meant: browsers take the last policy that they know.
    let policies: Vec<&str> = text.split(',').map(str::trim).collect();
    for policy in &policies {
        if !REFERRER_POLICIES.contains(policy) {
            return unknown_policy(&value, policy);
        }
    }
    HeaderValue::try_from(policies.join(", ")).ok()
}

fn unknown_policy<T>(value: &Value<'_>, policy: &str) -> Option<T> {
    value.reject(
        format!("{} is no referrer policy", quoted(policy)),
        suggest::help(policy, &REFERRER_POLICIES),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_strict_policy_of_a_single_page_application() {
        let headers = Headers::default();
        let inline = Inline {
            scripts: vec![String::from("sha256-AAAA")],
            styles: vec![String::from("sha256-BBBB")],
        };
        assert_eq!(headers.hsts.unwrap(), "max-age=63072000");
        assert_eq!(headers.frame_options.unwrap(), "DENY");
        assert_eq!(
            headers.csp.unwrap().value(&inline),
            "default-src 'self'; script-src 'self' 'sha256-AAAA'; style-src 'self' 'unsafe-inline'; \
             img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src 'self'; \
             worker-src 'self'; manifest-src 'self'; object-src 'none'; base-uri 'self'; \
             form-action 'self'; frame-ancestors 'none'"
        );
    }
}
