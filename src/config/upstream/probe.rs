//! `upstream.probe`: the active check.

use http::StatusCode;

use super::{HttpProbe, Probe, policy::DEADLINE};
use crate::config::{
    defaults,
    reader::{
        Read, Value, quoted,
        table::{Shape, Table},
    },
    value::path,
};

/// `upstream.probe`.
pub(crate) static SHAPE: Shape = Shape {
    name: "upstream.NAME.probe",
    keys: &["path", "interval", "timeout", "expect", "rise", "fall"],
    reserved: &[],
};

impl Default for Probe {
    fn default() -> Self {
        Self {
            http: None,
            interval: defaults::PROBE_INTERVAL,
            timeout: defaults::PROBE_TIMEOUT,
            rise: defaults::PROBE_RISE,
            fall: defaults::PROBE_FALL,
        }
    }
}

impl Probe {
    pub(super) fn read(table: Option<Table<'_>>) -> Self {
        let default = Self::default();
        let Some(table) = table else {
            return default;
        };
        let path = table.take::<RequestTarget>("path");
        let expect = table.list::<StatusCode>("expect", "[200]");
        if let (false, Some(value)) = (table.has("path"), table.value("expect")) {
            value.reject::<()>(
                "`expect` needs a `path`; without one the probe only connects",
                "add `path = \"/health\"`, or take `expect` out",
            );
        }
        if let (Some([]), Some(value)) = (expect.as_deref(), table.value("expect")) {
            let is_empty = value.items("", "").is_some_and(|items| items.is_empty());
            if is_empty {
                value.reject::<()>("`expect` is empty", "write `expect = [200]`");
            }
        }
        let expect = expect.map_or_else(
            || vec![StatusCode::OK],
            |codes| codes.into_iter().map(|code| code.value).collect(),
        );
        let probe = Self {
            http: path.map(|RequestTarget(path)| HttpProbe { path, expect }),
            interval: table.take_within("interval", default.interval, &DEADLINE),
            timeout: table.take_within("timeout", default.timeout, &DEADLINE),
            rise: table.take_within("rise", default.rise, &(1..=1000)),
            fall: table.take_within("fall", default.fall, &(1..=1000)),
        };
        table.finish();
        probe
    }
}

/// A path with an optional query, as it stands in a request line.
struct RequestTarget(String);

impl Read for RequestTarget {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a path", "\"/health\"")?;
        let (path, query) = text.split_once('?').unwrap_or((&text, ""));
        if let Err((fault, help)) = path::check(path) {
            return value.reject(format!("the path {} {fault}", quoted(&text)), help);
        }
        if !query
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return value.reject(
                format!(
                    "the query of {} has a character that no query has",
                    quoted(&text)
                ),
                "write it percent-encoded, as it is sent",
            );
        }
        Some(Self(text.into_owned()))
    }
}
