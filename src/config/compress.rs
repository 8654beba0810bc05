//! `route.compress`.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use toml::de::DeValue;

use crate::{
    config::{
        defaults,
        reader::{
            Read, Value, quoted,
            table::{self, Shape, Table},
        },
        value::{Located, report_repeats, unit::Size},
    },
    message::coding::Coding,
};

/// `route.compress`: which responses are compressed on their way, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// Media types, at least one.
    pub types: Vec<MediaRange>,
    /// Bytes of the smallest body that is worth it.
    pub min_size: u64,
    /// Codings to offer, the first one first where the client is indifferent; at least one.
    pub codings: Vec<Coding>,
}

/// Some media types, without parameters and in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaRange {
    /// `application/json`.
    One(Box<str>),
    /// `text/*`, kept as `text/`.
    Under(Box<str>),
    /// `application/*+json`, kept as `application/` and `+json`.
    Suffixed(Box<str>, Box<str>),
}

/// `route.compress`.
pub(crate) static SHAPE: Shape = Shape {
    name: "site.route.compress",
    keys: &["types", "min_size", "codings"],
    reserved: &[],
};

const CODINGS: [(&str, Coding); 3] = [
    ("zstd", Coding::Zstd),
    ("br", Coding::Brotli),
    ("gzip", Coding::Gzip),
];

/// One for all routes that say nothing: there may be thousands.
static DEFAULT: LazyLock<Arc<Compress>> = LazyLock::new(Arc::default);

const HELP: &str =
    "write one like `\"application/json\"`, `\"text/*\"` or `\"application/*+json\"`";

impl Compress {
    /// Reads `compress` of a route; `None` where it is off.
    pub(crate) fn read(route: &Table<'_>) -> Option<Arc<Self>> {
        let Some(value) = route.value("compress") else {
            return Some(DEFAULT.clone());
        };
        match value.node.get_ref() {
            DeValue::Boolean(is_on) => is_on.then(|| DEFAULT.clone()),
            DeValue::Table(_) => {
                let table = Table::open(&value, &SHAPE)?;
                Some(Arc::new(Self::read_table(&table)))
            }
            _ => value.wrong_type("true, false or a table", "{ min_size = \"1KiB\" }"),
        }
    }

    fn read_table(table: &Table<'_>) -> Self {
        let default = DEFAULT.as_ref().clone();
        let min_size = table.take_or("min_size", Size(default.min_size));
        let compress = Self {
            types: some(table, "types", "media type").unwrap_or(default.types),
            min_size: min_size.0,
            codings: some::<Offered>(table, "codings", "coding")
                .map_or(default.codings, |codings| {
                    codings.into_iter().map(|Offered(coding)| coding).collect()
                }),
        };
        table.finish();
        compress
    }

    /// Pushes a fault where a route that has nothing to compress is told to, or not to.
    pub(crate) fn reject(route: &Table<'_>, why: &str) {
        if let Some(value) = route.value("compress") {
            value.reject::<()>(why, "take `compress` out");
        }
    }
}

impl Default for Compress {
    fn default() -> Self {
        let types = defaults::COMPRESS_TYPES.iter().copied();
        Self {
            types: types.filter_map(MediaRange::parse).collect(),
            min_size: defaults::COMPRESS_MIN_SIZE,
            codings: defaults::COMPRESS_CODINGS.to_vec(),
        }
    }
}

/// The elements of a list that may not be empty, nor name one twice.
fn some<T: Read + PartialEq>(table: &Table<'_>, key: &'static str, what: &str) -> Option<Vec<T>> {
    let example = match key {
        "codings" => "[\"zstd\", \"gzip\"]",
        _ => "[\"application/json\"]",
    };
    let value = table.value(key)?;
    let items = value.items("an array", example)?;
    if items.is_empty() {
        return value.reject(
            format!("`{key}` is empty, so nothing is compressed"),
            "write `compress = false`, or take the key out for the default",
        );
    }
    let read: Vec<Located<T>> = items.iter().filter_map(Read::read).collect();
    report_repeats(table.reader, &read, what);
    Some(read.into_iter().map(|it| it.value).collect())
}

#[derive(PartialEq)]
struct Offered(Coding);

impl Read for Offered {
    fn read(value: &Value<'_>) -> Option<Self> {
        table::choice(value, &CODINGS).map(Self)
    }
}

impl MediaRange {
    /// Whether it has the type that a `Content-Type` names.
    pub fn has(&self, media_type: &[u8]) -> bool {
        match self {
            Self::One(one) => media_type.eq_ignore_ascii_case(one.as_bytes()),
            Self::Under(start) => starts_with(media_type, start),
            Self::Suffixed(start, end) => {
                starts_with(media_type, start) && ends_with(&media_type[start.len()..], end)
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let is_token = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
        };
        let text = text.trim().to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/').filter(|(kind, _)| is_token(kind))?;
        let start = || format!("{kind}/").into_boxed_str();
        match subtype.strip_prefix('*') {
            Some("") => Some(Self::Under(start())),
            Some(suffix) if suffix.starts_with('+') && is_token(&suffix[1..]) => {
                Some(Self::Suffixed(start(), suffix.into()))
            }
            None if is_token(subtype) => Some(Self::One(text.into())),
            Some(_) | None => None,
        }
    }
}

fn starts_with(text: &[u8], start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|it| it.eq_ignore_ascii_case(start.as_bytes()))
}

fn ends_with(text: &[u8], end: &str) -> bool {
    let from = text.len().checked_sub(end.len());
    from.is_some_and(|from| text[from..].eq_ignore_ascii_case(end.as_bytes()))
}

/// Whether responses of a type are for the client as soon as they come, in pieces that it tells apart: streams of
/// events and calls of gRPC, which compresses by itself.
pub fn is_never_compressed(media_type: &[u8]) -> bool {
    starts_with(media_type, "text/event-stream") || starts_with(media_type, "application/grpc")
}

impl Read for MediaRange {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a media type", "\"application/json\"")?;
        let Some(range) = Self::parse(&text) else {
            return value.reject(format!("{} is no media type", quoted(&text)), HELP);
        };
        if let Self::One(one) = &range
            && is_never_compressed(one.as_bytes())
        {
            return value.reject(
                format!("{} is never compressed", quoted(&text)),
                "take it out: its pieces must come one by one",
            );
        }
        Some(range)
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => f.write_str(one),
            Self::Under(start) => write!(f, "{start}*"),
            Self::Suffixed(start, end) => write!(f, "{start}*{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(range: &str, media_type: &str) -> bool {
        MediaRange::parse(range).unwrap().has(media_type.as_bytes())
    }

    #[test]
    fn a_range_has_its_types_in_any_case() {
        assert!(has("application/json", "Application/JSON"));
        assert!(!has("application/json", "application/json5"));
        assert!(has("TEXT/*", "text/html"));
        assert!(!has("text/*", "text"));
        assert!(has("application/*+json", "application/problem+JSON"));
        assert!(!has("application/*+json", "application/json"));
        assert!(!has("application/*+json", "image/x+json"));
        // The suffix is not found in the kind.
        assert!(!has("a/*+b", "a/"));
    }

    #[test]
    fn only_media_types_are_ranges() {
        for bad in [
            "",
            "json",
            "*/*",
            "/json",
            "text/",
            "text/*x",
            "text/*+",
            "a b/c",
            "text/html; q=1",
        ] {
            assert_eq!(MediaRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_default_is_read_and_shown_as_it_is_written() {
        let ranges = Compress::default().types;
        let shown: Vec<_> = ranges.iter().map(ToString::to_string).collect();
        assert_eq!(shown, defaults::COMPRESS_TYPES);
    }
}
