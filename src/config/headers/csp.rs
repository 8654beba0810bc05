//! `headers.csp`: a preset's content security policy with the user's sources added (CSP Level 3).

use http::HeaderValue;

use super::{Csp, Directives, Policy, Preset, policy::DEFAULT};
use crate::config::{
    diagnostic::Diagnostic,
    reader::{
        Read, Value, quoted,
        table::{Shape, Table},
    },
    value::Located,
};

mod nonce;
mod report;
mod source;

use nonce::Placeholder;
use report::ReportPath;
use source::Source;

/// `headers.csp`.
pub(crate) static SHAPE: Shape = Shape {
    name: "site.headers.csp",
    keys: &[
        "default",
        "script",
        "style",
        "img",
        "font",
        "connect",
        "frame",
        "worker",
        "manifest",
        "media",
        "object",
        "base",
        "form",
        "ancestors",
        "policy",
        "report_only",
        "nonce",
        "report",
    ],
    reserved: &[],
};

/// One directive of the policy, in the order in which they are sent.
struct Directive {
    key: &'static str,
    name: &'static str,
    /// What the `spa` preset allows.
    spa: &'static [&'static str],
    /// Whether `default-src` stands in when it is absent.
    falls_back: Fallback,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fallback {
    /// A fetch directive.
    DefaultSrc,
    /// Nothing stands in: absent is allowed.
    Nothing,
}

const SELF: &[&str] = &["'self'"];
const NONE: &[&str] = &["'none'"];

const DIRECTIVES: [Directive; 14] = [
    fetch("default", "default-src", SELF),
    fetch("script", "script-src", SELF),
    // Component libraries such as Mantine write style attributes.
    fetch("style", "style-src", &["'self'", "'unsafe-inline'"]),
    // Vite inlines small images.
    fetch("img", "img-src", &["'self'", "data:"]),
    fetch("font", "font-src", SELF),
    fetch("connect", "connect-src", SELF),
    fetch("frame", "frame-src", SELF),
    fetch("worker", "worker-src", SELF),
    fetch("manifest", "manifest-src", SELF),
    fetch("media", "media-src", &[]),
    fetch("object", "object-src", NONE),
    other("base", "base-uri", SELF),
    other("form", "form-action", SELF),
    other("ancestors", ANCESTORS, &[]),
];

const ANCESTORS: &str = "frame-ancestors";

const fn fetch(key: &'static str, name: &'static str, spa: &'static [&'static str]) -> Directive {
    Directive {
        key,
        name,
        spa,
        falls_back: Fallback::DefaultSrc,
    }
}

const fn other(key: &'static str, name: &'static str, spa: &'static [&'static str]) -> Directive {
    Directive {
        falls_back: Fallback::Nothing,
        ..fetch(key, name, spa)
    }
}

impl Directive {
    /// What it allows before the user adds anything; empty when it is left out.
    fn preset(&self, preset: Preset, frame_options: Option<&HeaderValue>) -> Vec<String> {
        let sources = match (preset, self.name) {
            (Preset::Off, _) => &[],
            // One decision in two headers: old browsers read X-Frame-Options, newer ones this.
            (_, ANCESTORS) => match frame_options {
                None => &[],
                Some(value) if value == "DENY" => NONE,
                Some(_) => SELF,
            },
            (Preset::Spa, _) => self.spa,
            (Preset::Api, DEFAULT) => NONE,
            (Preset::Api, _) => &[],
        };
        sources.iter().map(|source| (*source).to_owned()).collect()
    }
}

/// What a preset sends.
pub(super) fn preset(preset: Preset, frame_options: Option<&HeaderValue>) -> Option<Csp> {
    let directives: Vec<_> = DIRECTIVES
        .iter()
        .map(|it| (it.name.to_owned(), it.preset(preset, frame_options)))
        .filter(|(_, sources)| !sources.is_empty())
        .collect();
    (preset != Preset::Off).then_some(Csp {
        policy: Policy::Directives(directives),
        report_only: false,
        nonce: None,
        report: None,
    })
}

/// Reads `headers.csp`.
pub(super) fn read(
    table: &Table<'_>,
    preset: Preset,
    frame_options: Option<&HeaderValue>,
) -> Option<Csp> {
    let report_only = table.take_or("report_only", false);
    let directives = read_directives(table, preset, frame_options);
    let literal = table.value("policy");
    let policy = match literal {
        Some(value) => {
            if DIRECTIVES.iter().any(|it| table.has(it.key)) {
                value.reject::<()>(
                    "`policy` is the whole policy, so the directives beside it would be ignored",
                    "keep `policy`, or the directives",
                );
            }
            table
                .take::<Literal>("policy")
                .map(|it| Policy::Literal(it.0))
        }
        None if directives.is_empty() => {
            let help = "add a directive like `default = [\"'self'\"]`, or write `csp = false`";
            let fault = Diagnostic::error("the policy has no directive")
                .at(table.span.clone())
                .help(help);
            table.reader.push(fault);
            None
        }
        None => Some(Policy::Directives(directives)),
    };
    let placeholder = table.take::<Placeholder>("nonce");
    let report = table.take::<ReportPath>("report");
    let csp = policy.map(|policy| Csp {
        policy,
        report_only,
        nonce: placeholder.and_then(|it| it.0),
        report: report.map(|it| it.0),
    });
    if let Some(csp) = &csp {
        nonce::report_misuse(table, csp);
        report::report_misuse(table, csp);
    }
    table.finish();
    csp
}

fn read_directives(
    table: &Table<'_>,
    preset: Preset,
    frame_options: Option<&HeaderValue>,
) -> Directives {
    let mut directives = Directives::new();
    for directive in &DIRECTIVES {
        let base = directive.preset(preset, frame_options);
        let sources = match read_sources(table, directive.key) {
            None => base,
            Some(added) => {
                // What an absent directive allows is what `default-src` allows: adding keeps that.
                let inherited = directives
                    .first()
                    .filter(|(name, _)| name == DEFAULT && base.is_empty())
                    .filter(|_| directive.falls_back == Fallback::DefaultSrc)
                    .map(|(_, sources)| sources.clone());
                merge(inherited.unwrap_or(base), added)
            }
        };
        if !sources.is_empty() {
            directives.push((directive.name.to_owned(), sources));
        }
    }
    directives
}

/// `added` after `base`; `'none'` replaces and is replaced.
fn merge(base: Vec<String>, added: Vec<String>) -> Vec<String> {
    if added.iter().any(|source| source == "'none'") {
        return added;
    }
    let mut merged: Vec<String> = Vec::new();
    for source in base.into_iter().chain(added) {
        if source != "'none'" && !merged.contains(&source) {
            merged.push(source);
        }
    }
    merged
}

fn read_sources(table: &Table<'_>, key: &'static str) -> Option<Vec<String>> {
    let value = table.value(key)?;
    let items = value.items("an array of sources", "[\"https://cdn.example\"]")?;
    if items.is_empty() {
        return value.reject(
            format!("`{key}` adds nothing"),
            "name a source, or write `[\"'none'\"]` to allow nothing",
        );
    }
    let sources: Vec<Located<Source>> = items.iter().filter_map(Read::read).collect();
    let is_none = |source: &&Located<Source>| source.value.0 == "'none'";
    if let (Some(none), true) = (sources.iter().find(is_none), items.len() > 1)
        && let Some(item) = items.iter().find(|item| item.span() == none.span)
    {
        return item.reject(
            "`'none'` stands alone: beside other sources it means nothing",
            "take it out, or take the others out",
        );
    }
    for (source, item) in sources.iter().zip(&items) {
        if key == "script" && sources.len() == items.len() {
            warn_of(item, &source.value.0);
        }
    }
    Some(sources.into_iter().map(|source| source.value.0).collect())
}

fn warn_of(value: &Value<'_>, source: &str) {
    match source {
        "'unsafe-inline'" => value.warn(
            "`'unsafe-inline'` lets every injected script run",
            "take it out: inline scripts of a page are allowed by their hashes",
        ),
        "*" | "https:" | "http:" | "data:" => value.warn(
            format!("{} lets scripts from anywhere run", quoted(source)),
            "name the hosts that scripts come from",
        ),
        _ => {}
    }
}

/// A whole policy as it is sent.
struct Literal(HeaderValue);

impl Read for Literal {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a policy", "\"default-src 'self'\"")?;
        let is_visible = text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let header = HeaderValue::try_from(text.trim()).ok();
        match header.filter(|header| is_visible && !header.is_empty()) {
            Some(header) => Some(Self(header)),
            None => value.reject(
                "the policy is empty or has characters that no header can carry",
                "write one line of plain text, or `csp = false` to send none",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_replaces_and_is_replaced() {
        let list = |sources: &[&str]| {
            sources
                .iter()
                .map(|it| (*it).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            merge(list(&["'self'"]), list(&["'none'"])),
            list(&["'none'"])
        );
        assert_eq!(merge(list(&["'none'"]), list(&["a"])), list(&["a"]));
        assert_eq!(
            merge(list(&["'self'"]), list(&["a", "'self'"])),
            list(&["'self'", "a"])
        );
    }
}
