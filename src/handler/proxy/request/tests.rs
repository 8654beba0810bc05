//! What a backend is told, line by line.

use std::rc::Rc;

use http::Request;

use super::*;
use crate::message::{
    context::{Client, ConnectionInfo, Scheme},
    host::Host,
};

fn written(target: &str, fields: &[(&str, &str)], prefix: Option<&str>) -> Vec<String> {
    let mut request = Request::get(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let peer = "203.0.113.9:50000".parse().unwrap();
    let connection = Rc::new(ConnectionInfo {
        peer,
        local: peer,
        worker: 0,
        tls: None,
    });
    let host = Host::of(request.uri(), request.headers()).ok();
    let context = RequestContext::new(connection, &request, host);
    let client = Client {
        address: peer.ip(),
        scheme: Scheme::Https,
        forwarded: false,
    };
    context.client.set(client).unwrap();
    context
        .request_id
        .set(HeaderValue::from_static("id"))
        .unwrap();
    let upgrade =
        hop_by_hop::wants_websocket(request.headers(), request.method(), request.version())
            .then_some("websocket");
    let head = head(request.headers(), &context, prefix, upgrade);
    let text = String::from_utf8(head.to_vec()).unwrap();
    let lines = text.strip_suffix("\r\n").unwrap().split("\r\n");
    lines.map(str::to_owned).collect()
}

/// The fields that do not come from this proxy, sorted.
fn passed(fields: &[(&str, &str)]) -> Vec<String> {
    let mut lines = written("/", fields, None).split_off(1);
    lines.retain(|line| !line.starts_with("x-") && !line.starts_with("forwarded"));
    lines.sort();
    lines
}

#[test]
fn strips_the_prefix_on_its_border_and_keeps_the_bytes() {
    let line = |target: &str, prefix| written(target, &[("host", "a")], prefix).swap_remove(0);
    assert_eq!(
        line("/api/a%2Fb?x=%20", Some("/api")),
        "GET /a%2Fb?x=%20 HTTP/1.1"
    );
    assert_eq!(line("/api", Some("/api")), "GET / HTTP/1.1");
    assert_eq!(line("/api?x", Some("/api")), "GET /?x HTTP/1.1");
    assert_eq!(line("/api/x", None), "GET /api/x HTTP/1.1");
    assert_eq!(
        line("https://a.example/api/x", Some("/api")),
        "GET /x HTTP/1.1"
    );
}

#[test]
fn names_the_host_of_the_target_and_only_once() {
    assert_eq!(
        written(
            "https://a.example:8443/x",
            &[("host", "a.example:8443")],
            None
        )[1],
        "host: a.example:8443"
    );
    assert_eq!(passed(&[("host", "B.example")]), ["host: B.example"]);
}

#[test]
fn merges_split_cookies_in_order() {
    let lines = passed(&[("host", "a"), ("cookie", "a=1"), ("cookie", "b=2; c=3")]);
    assert_eq!(lines, ["cookie: a=1; b=2; c=3", "host: a"]);
}

#[test]
fn passes_on_no_field_of_the_connection() {
    let lines = passed(&[
        ("host", "a"),
        ("connection", "close, x-one"),
        ("x-one", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("expect", "100-continue"),
        ("te", "gzip, trailers"),
        ("trailer", "x-sum"),
        ("accept", "a"),
        ("accept", "b"),
    ]);
    assert_eq!(
        lines,
        [
            "accept: a",
            "accept: b",
            "host: a",
            "te: trailers",
            "trailer: x-sum"
        ]
    );
}

#[test]
fn asks_for_a_websocket_anew() {
    let lines = passed(&[
        ("host", "a"),
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
    ]);
    assert_eq!(
        lines,
        ["connection: upgrade", "host: a", "upgrade: websocket"]
    );
}

#[test]
fn keeps_its_own_fields_when_connection_names_them() {
    let lines = written(
        "/",
        &[
            ("host", "a.example"),
            (
                "connection",
                "x-forwarded-host, x-forwarded-for, x-request-id",
            ),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-request-id", "forged"),
        ],
        None,
    );
    for line in [
        "x-forwarded-host: a.example",
        "x-forwarded-for: 203.0.113.9",
        "x-request-id: id",
    ] {
        assert_eq!(lines.iter().filter(|it| *it == line).count(), 1, "{line}");
    }
    assert!(!lines.concat().contains("6.6.6.6"));
    assert!(!lines.concat().contains("forged"));
}
