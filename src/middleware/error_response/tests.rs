//! What errors look like.

use std::{net::SocketAddr, time::Duration};

use http::{Request, header::ACCEPT};
use serde_json::json;

use super::*;
use crate::message::{context::ConnectionInfo, error::Source};

fn context(method: Method, accept: &'static str) -> RequestContext {
    let connection = ConnectionInfo {
        peer: SocketAddr::from(([127, 0, 0, 1], 50000)),
        local: SocketAddr::from(([127, 0, 0, 1], 443)),
        worker: 0,
        tls: None,
    };
    let request = Request::builder()
        .method(method)
        .header(ACCEPT, accept)
        .body(())
        .unwrap();
    let context = RequestContext::new(Rc::new(connection), &request, None);
    let id = HeaderValue::from_static("id-1");
    context.request_id.set(id).unwrap();
    context
}

fn answered(kind: ErrorKind, accept: &'static str) -> (Response, String) {
    let response = answer(&kind.into(), &context(Method::GET, accept));
    let text = response.body().as_bytes().unwrap().to_vec();
    (response, String::from_utf8(text).unwrap())
}

#[test]
fn answers_programs_in_the_shape_of_nest() {
    let (response, text) = answered(ErrorKind::BackendReset, "application/json");
    assert_eq!(response.status(), 502);
    assert_eq!(
        response.headers()[CONTENT_TYPE],
        "application/json; charset=utf-8"
    );
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[VARY], "accept");
    let message = ErrorKind::BackendReset.message();
    let expected = json!({
        "statusCode": 502, "error": "Bad Gateway", "message": message, "requestId": "id-1",
    });
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        expected
    );
    assert!(text.starts_with("{\"statusCode\":502,\"error\":\"Bad Gateway\",\"message\":"));
}

#[test]
fn answers_navigations_with_a_page_that_needs_nothing() {
    let (response, text) = answered(ErrorKind::BadRequest("a <b> & c"), "text/html,*/*;q=0.8");
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(text.contains("<h1>400 Bad Request</h1>"));
    assert!(text.contains("a &lt;b&gt; &amp; c"));
    assert!(text.contains("id-1"));
    for word in ["<script", "<style", "style=", "src=", "href="] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn says_when_to_come_back_in_whole_seconds() {
    let after = |duration| {
        let (response, _) = answered(ErrorKind::NoBackend(duration), "*/*");
        response.headers()[RETRY_AFTER].to_str().unwrap().to_owned()
    };
    assert_eq!(after(Duration::ZERO), "1");
    assert_eq!(after(Duration::from_millis(1500)), "2");
    assert_eq!(after(Duration::from_secs(10)), "10");
    let (response, _) = answered(ErrorKind::BackendReset, "*/*");
    assert!(!response.headers().contains_key(RETRY_AFTER));
}

#[test]
fn says_what_the_status_demands() {
    let (response, _) = answered(ErrorKind::Method("GET, HEAD"), "*/*");
    assert_eq!(
        (response.status().as_u16(), &response.headers()[ALLOW]),
        (405, &HeaderValue::from_static("GET, HEAD"))
    );
    let (response, _) = answered(ErrorKind::Range(42), "*/*");
    assert_eq!(response.headers()[CONTENT_RANGE], "bytes */42");
    let (response, _) = answered(ErrorKind::BodyTooLarge, "*/*");
    assert_eq!(response.headers()[CONNECTION], "close");
}

#[test]
fn never_names_the_connection_over_http_2() {
    let mut context = context(Method::POST, "*/*");
    context.version = Version::HTTP_2;
    let response = answer(&ErrorKind::BodyTooLarge.into(), &context);
    assert!(!response.headers().contains_key(CONNECTION));
}

#[test]
fn says_the_length_of_the_body_that_head_does_not_get() {
    let (_, text) = answered(ErrorKind::NoRoute, "*/*");
    let response = answer(&ErrorKind::NoRoute.into(), &context(Method::HEAD, "*/*"));
    assert_eq!(response.headers()[CONTENT_LENGTH], text.len().to_string());
    assert!(response.body().as_bytes().is_none());
}

#[test]
fn notes_the_class_and_tells_causes_only_to_the_log() {
    let context = context(Method::GET, "*/*");
    let source: Source = "connection refused by 10.0.0.7".into();
    let error = ProxyError::caused(ErrorKind::Internal("no room"), source);
    let response = answer(&error, &context);
    assert_eq!(context.error.get(), Some("internal"));
    let text = String::from_utf8(response.body().as_bytes().unwrap().to_vec()).unwrap();
    assert!(!text.contains("10.0.0.7") && !text.contains("no room"));
    assert_eq!(
        Chain(&error).to_string(),
        "the proxy failed: no room: connection refused by 10.0.0.7"
    );
}
