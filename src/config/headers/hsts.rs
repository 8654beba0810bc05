//! `headers.hsts`: for how long browsers use https alone (RFC 6797).

use std::time::Duration;

use http::HeaderValue;
use toml::de::DeValue;

use super::Preset;
use crate::config::{
    defaults,
    diagnostic::Diagnostic,
    reader::{
        Read, Value,
        table::{Shape, Table},
    },
};

/// `headers.hsts`.
pub(crate) static SHAPE: Shape = Shape {
    name: "site.headers.hsts",
    keys: &["max_age", "include_subdomains", "preload"],
    reserved: &[],
};

/// What the preload lists of browsers ask for.
const PRELOAD_MIN: Duration = Duration::from_hours(8760);

struct Hsts {
    max_age: Duration,
    include_subdomains: bool,
    preload: bool,
}

/// What a preset sends.
pub(super) fn preset(preset: Preset) -> Option<HeaderValue> {
    let hsts = Hsts {
        max_age: defaults::HSTS_MAX_AGE,
        include_subdomains: false,
        preload: false,
    };
    (preset != Preset::Off).then(|| hsts.value())
}

/// Reads `headers.hsts`.
pub(super) fn read(table: &Table<'_>) -> HeaderValue {
    let hsts = Hsts {
        max_age: table
            .take::<MaxAge>("max_age")
            .map_or(defaults::HSTS_MAX_AGE, |age| age.0),
        include_subdomains: table.take_or("include_subdomains", false),
        preload: table.take_or("preload", false),
    };
    table.finish();
    if hsts.preload && (!hsts.include_subdomains || hsts.max_age < PRELOAD_MIN) {
        let warning = Diagnostic::warning("the preload lists do not take this")
            .at(table.span.clone())
            .help("they want `include_subdomains = true` and a `max_age` of at least a year");
        table.reader.push(warning);
    }
    hsts.value()
}

impl Hsts {
    fn value(&self) -> HeaderValue {
        let mut text = format!("max-age={}", self.max_age.as_secs());
        if self.include_subdomains {
            text.push_str("; includeSubDomains");
        }
        if self.preload {
            text.push_str("; preload");
        }
        HeaderValue::try_from(text).expect("digits and the words above are visible ASCII")
    }
}

/// Seconds, as the header counts, or a duration.
struct MaxAge(Duration);

impl Read for MaxAge {
    fn read(value: &Value<'_>) -> Option<Self> {
        match value.node.get_ref() {
            DeValue::Integer(_) => u32::read(value).map(|it| Self(Duration::from_secs(it.into()))),
            _ => Duration::read(value).map(Self),
        }
    }
}
