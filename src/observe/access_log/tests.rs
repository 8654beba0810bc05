//! Whole lines, of friendly and of hostile requests.

use std::{cell::Cell, rc::Rc, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use prometheus_client::metrics::counter::Counter;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    message::{
        context::{BackendName, ConnectionInfo, TlsInfo},
        host::Host,
    },
    observe::log_file::LogFile,
};

fn context(uri: Uri, referer: Option<HeaderValue>) -> RequestContext {
    let connection = Rc::new(ConnectionInfo {
        peer: "192.0.2.7:5000".parse().unwrap(),
        local: "192.0.2.1:443".parse().unwrap(),
        worker: 0,
        tls: Some(TlsInfo {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256",
            server_name: None,
        }),
    });
    let mut request = http::Request::new(());
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    let headers: &mut HeaderMap = request.headers_mut();
    headers.insert("user-agent", HeaderValue::from_static("Mozilla/5.0 \"x\""));
    if let Some(referer) = referer {
        headers.insert("referer", referer);
    }
    RequestContext::new(connection, &request, Host::parse("example.com:443"))
}

fn record(context: &RequestContext) -> Record<'_> {
    Record {
        context,
        status: 200,
        bytes: 1234,
        duration: Duration::from_micros(1_000_250),
        aborted: false,
    }
}

fn json(record: &Record<'_>) -> (String, Value) {
    let mut out = Vec::new();
    json::push_line(&mut out, record, Queries::Redacted);
    let text = String::from_utf8(out).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

fn combined(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    combined::push_line(&mut out, record, Queries::Redacted);
    String::from_utf8(out).unwrap()
}

#[test]
fn tells_all_of_a_proxied_request() {
    let referer = HeaderValue::from_static("https://idp.example/?session=1");
    let uri = Uri::from_static("/_callback/auth?code=secret&state=s");
    let context = context(uri, Some(referer));
    context
        .request_id
        .set(HeaderValue::from_static("id-1"))
        .unwrap();
    context.attempts.set(2);
    context.connect_time.set(Some(Duration::from_millis(1)));
    context.backend.replace(Some(BackendName {
        upstream: Arc::from("api"),
        backend: Arc::from("http://127.0.0.1:3001"),
    }));
    let (text, mut line) = json(&record(&context));
    let time = line.as_object_mut().unwrap().remove("time").unwrap();
    assert!(
        time.as_str()
            .is_some_and(|time| time.len() == 24 && time.ends_with('Z'))
    );
    assert!(text.contains("\"duration\":1.000250,"));
    let expected = serde_json::json!({
        "request_id": "id-1", "client": "192.0.2.7", "method": "GET", "host": "example.com",
        "path": "/_callback/auth", "query": "code=*&state=*", "protocol": "HTTP/2.0",
        "tls": "TLSv1.3", "status": 200, "bytes": 1234, "duration": 1.00025,
        "upstream": "api", "backend": "http://127.0.0.1:3001", "attempts": 2,
        "upstream_connect": 0.001, "upstream_first_byte": null, "limited": false,
        "error": null, "user_agent": "Mozilla/5.0 \"x\"",
        "referer": "https://idp.example/?session=*",
    });
    assert_eq!(line, expected);
}

#[test]
fn leaves_out_a_query_that_is_not_there_and_marks_a_broken_response() {
    let context = context(Uri::from_static("/"), None);
    let mut record = record(&context);
    assert_eq!(json(&record).1.get("query"), None);
    assert_eq!(json(&record).1.get("aborted"), None);
    record.aborted = true;
    assert_eq!(json(&record).1["aborted"], Value::Bool(true));
}

#[test]
fn writes_the_combined_format() {
    let context = context(Uri::from_static("/a?b=c"), None);
    let line = combined(&record(&context));
    let (head, tail) = line.split_once('[').unwrap();
    assert_eq!(head, "192.0.2.7 - - ");
    let (_, tail) = tail.split_once(']').unwrap();
    assert_eq!(
        tail,
        " \"GET /a?b=* HTTP/2.0\" 200 1234 \"-\" \"Mozilla/5.0 \\\"x\\\"\"\n"
    );
}

#[test]
fn writes_whole_queries_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let file = LogFile::open(Some(&path), 1, Counter::default()).unwrap();
    let access = Access {
        format: Format::Json,
        path: Some(path.clone()),
        redact: false,
    };
    let log = AccessLog::new(&access, file.lines());
    let context = context(Uri::from_static("/?a=b"), None);
    log.write(&record(&context));
    drop(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"query\":\"a=b\""));
}

/// Bytes that a header value may hold.
fn field_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("in a field", |byte| {
        *byte == b'\t' || (*byte >= 32 && *byte != 127)
    });
    proptest::collection::vec(byte, 0..80)
}

proptest! {
    #[test]
    fn is_one_line_whatever_the_client_sends(
        referer in field_bytes(),
        agent in field_bytes(),
        target in "/[\\PC]{0,30}\\?[\\PC]{0,30}",
    ) {
        let uri = Uri::try_from(target.into_bytes()).unwrap_or_else(|_| Uri::from_static("/"));
        let mut context = context(uri, HeaderValue::from_bytes(&referer).ok());
        context.user_agent = HeaderValue::from_bytes(&agent).ok();
        context.limited = Cell::new(true);
        let (text, line) = json(&record(&context));
        prop_assert!(line.is_object());
        for text in [text, combined(&record(&context))] {
            let inside = text.strip_suffix('\n').unwrap();
            prop_assert!(inside.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        }
    }
}
