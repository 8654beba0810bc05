//! The HTTP part of `upstream.probe`: what is asked, and what is a good answer.

use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::{
    config::{
        diagnostic::Diagnostic,
        reader::{
            Read, Value, quoted,
            table::{Shape, Table},
        },
        upstream::HttpProbe,
        value::{Located, path},
    },
    message::host::Host,
};

/// `upstream.probe.headers`: its keys are names of fields.
pub(crate) static HEADERS: Shape = Shape {
    name: "upstream.NAME.probe.headers",
    keys: &[],
    reserved: &[],
};

/// Longest text to look for: what is longer is no mark of health.
const LONGEST_TEXT: usize = 1024;

/// Fields that the probe writes itself, because the end of its answer depends on them.
const RESERVED: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::ACCEPT_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
];

/// The keys that say what is asked over HTTP; `None` without a `path`.
pub(super) fn read(table: &Table<'_>) -> Option<HttpProbe> {
    let path = table.take::<RequestTarget>("path");
    let host = table.take::<Authority>("host");
    let headers = table.child("headers", &HEADERS);
    let expect = table.list::<StatusCode>("expect", "[200]");
    let contains = table.take::<Text>("contains");
    if !table.has("path") {
        for key in ["host", "headers", "expect", "contains"] {
            if let Some(value) = table.value(key) {
                value.reject::<()>(
                    format!("`{key}` needs a `path`; without one the probe only connects"),
                    format!("add `path = \"/health\"`, or take `{key}` out"),
                );
            }
        }
    }
    if let (Some([]), Some(value)) = (expect.as_deref(), table.value("expect")) {
        let is_empty = value.items("", "").is_some_and(|items| items.is_empty());
        if is_empty {
            value.reject::<()>("`expect` is empty", "write `expect = [200]`");
        }
    }
    let headers = headers.map_or_else(Vec::new, |table| read_headers(&table));
    let expect = expect.map_or_else(
        || vec![StatusCode::OK],
        |codes| codes.into_iter().map(|code| code.value).collect(),
    );
    Some(HttpProbe {
        path: path?.0,
        host: host.map(|host| host.0),
        headers,
        expect,
        contains: contains.map(|text| text.0),
    })
}

/// Values are secrets: no message says one.
fn read_headers(table: &Table<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<Located<(HeaderName, HeaderValue)>> = Vec::new();
    for (name, value) in table.entries() {
        let parsed = read_name(table, &name);
        let (Some(parsed), Some(value)) = (parsed, read_value(&value)) else {
            continue;
        };
        if let Some(first) = headers.iter().find(|it| it.value.0 == parsed) {
            let fault = Diagnostic::error(format!("the header `{parsed}` is named twice"))
                .at(name.span)
                .related(first.span.clone(), "first named here")
                .help("take one of them out; upper and lower case are one");
            table.reader.push(fault);
            continue;
        }
        headers.push(Located {
            value: (parsed, value),
            span: name.span,
        });
    }
    headers.into_iter().map(|header| header.value).collect()
}

fn read_name(table: &Table<'_>, name: &Located<&str>) -> Option<HeaderName> {
    let shown = quoted(name.value);
    let (message, help) = match HeaderName::try_from(name.value) {
        Err(_) => (
            format!("{shown} is no header name"),
            "write a name like `authorization`".to_owned(),
        ),
        Ok(parsed) if parsed == header::HOST => (
            format!("{shown} is no header that can be set here"),
            "write `host = \"...\"` in `upstream.NAME.probe`".to_owned(),
        ),
        Ok(parsed) if RESERVED.contains(&parsed) => (
            format!("{shown} is no header that can be set here"),
            "take it out; the probe says itself how its answer ends".to_owned(),
        ),
        Ok(parsed) => return Some(parsed),
    };
    let fault = Diagnostic::error(message).at(name.span.clone()).help(help);
    table.reader.push(fault);
    None
}

fn read_value(value: &Value<'_>) -> Option<HeaderValue> {
    let text = value.text("a string", "\"Bearer ${HEALTH_TOKEN}\"")?;
    if text.is_empty() {
        return value.reject(
            format!("the value of {} is empty", quoted(value.key)),
            "write what the backend wants to see, or take the header out",
        );
    }
    let Ok(mut header) = HeaderValue::from_str(&text) else {
        return value.reject(
            format!(
                "the value of {} holds characters that no header can carry",
                quoted(value.key)
            ),
            "use ASCII without line ends; a variable that was read from a file may end in one",
        );
    };
    header.set_sensitive(true);
    Some(header)
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

/// What a `Host` field says: a host, maybe with a port.
struct Authority(String);

impl Read for Authority {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a host", "\"api.example.com\"")?;
        if Host::parse(&text).is_none_or(|host| host.name().contains("..")) {
            return value.reject(
                format!("{} is no host", quoted(&text)),
                "write what the Host field is to say, like `\"api.example.com\"`, with a port where it has one",
            );
        }
        Some(Self(text.into_owned()))
    }
}

/// Text that a body is searched for.
struct Text(String);

impl Read for Text {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a text", "'\"status\":\"ok\"'")?;
        if text.is_empty() || text.len() > LONGEST_TEXT {
            return value.reject(
                format!("`{}` is empty or longer than 1 KiB", value.key),
                "write a short text that only a good answer has, like `'\"status\":\"ok\"'`",
            );
        }
        Some(Self(text.into_owned()))
    }
}
